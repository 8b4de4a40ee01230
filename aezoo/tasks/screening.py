"""Rows through `detect`, in bounded memory: a line for each, and the worst with their places."""

import csv
import dataclasses
import heapq
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from aezoo.files import whole_file
from aezoo.tasks.places import Place, find_places

FIELDS = ("row", "name", "score", "anomalous", "where")
BATCH = 256  # rows asked at once
_TOP = 1e6  # of an anomaly map: what is beyond all bounds is marked and drawn as this
Ask = Callable[[str, np.ndarray], dict[str, np.ndarray]]  # (endpoint, rows) -> answers


@dataclasses.dataclass(frozen=True)
class Finding:
    """What was found of one row.

    Attributes:
        row: Its number.
        name: What it is called.
        score: How odd it is.
        anomalous: Whether that is above the threshold.
        places: Where it is odd, if it is anomalous and the model can tell.
        x: The row itself in user units; kept of the worst.
        anomaly_map: Of the row, if it is anomalous and the model can tell; kept of the worst.
    """

    row: int
    name: str
    score: float
    anomalous: bool
    places: tuple[Place, ...] = ()
    x: np.ndarray | None = None
    anomaly_map: np.ndarray | None = None

    def where(self, columns: list[str] | None, modality: str) -> str:
        """Return its places in words, nothing where there are none."""
        return "; ".join(place.text(columns, modality) for place in self.places)

    @property
    def caption(self) -> str:
        """Name, score and decision."""
        return f"{self.name}\n{self.score:.4g}" + ", anomalous" * self.anomalous


@dataclasses.dataclass(frozen=True)
class Screened:
    """What was found of all rows.

    Attributes:
        scores: `(N,)`.
        anomalous: `(N,)` of booleans.
        worst: Of the rows with the highest scores, the highest first.
    """

    scores: np.ndarray
    anomalous: np.ndarray
    worst: list[Finding]


def asking(model) -> Ask:
    """Return how a model is asked about rows."""
    return lambda endpoint, rows: model.endpoint(endpoint)(**{model.input_name: rows})


def screen(
    ask: Ask,
    batches: Iterable[tuple[np.ndarray, list[str]]],
    table: Path,
    *,
    modality: str,
    localizes: bool,
    columns: list[str] | None = None,
    worst: int = 8,
    each: Callable[[Finding], None] | None = None,
) -> Screened:
    """Ask about rows, batch by batch, and write a CSV with a line for each.

    Args:
        ask: Answers an endpoint's name and rows: a model's, or a bundle's.
        batches: Rows in user units, and what they are called.
        table: The CSV to write, whole or not at all: row, name, score, anomalous, where.
        modality: Of the rows.
        localizes: Whether `localize` can be asked.
        columns: What the columns of a table are called.
        worst: How many rows to keep.
        each: Called with every finding, in order.
    """
    scores, decided, kept = [], [], []
    with whole_file(table) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIELDS)
        for found in _findings(ask, batches, modality, localizes):
            where = found.where(columns, modality)
            writer.writerow(
                (found.row, found.name, f"{found.score:.6g}", int(found.anomalous), where)
            )
            if each is not None:
                each(found)
            scores.append(found.score)
            decided.append(found.anomalous)
            oddness = math.inf if math.isnan(found.score) else found.score
            heapq.heappush(kept, (oddness, -found.row, found))
            if len(kept) > worst:
                heapq.heappop(kept)
    ordered = [item[2] for item in sorted(kept, key=lambda item: item[:2], reverse=True)]
    return Screened(np.array(scores, "float32"), np.array(decided, bool), ordered)


def look(
    ask: Ask, rows: np.ndarray, names: list[str], modality: str, localizes: bool
) -> list[Finding]:
    """Return the findings of a few rows."""
    return list(_findings(ask, [(rows, names)], modality, localizes))


def _findings(ask: Ask, batches, modality: str, localizes: bool) -> Iterator[Finding]:
    start = 0
    for rows, names in batches:
        found = ask("detect", rows)
        scores, anomalous = found["score"][:, 0], found["anomalous"][:, 0]
        maps = [None] * len(rows)
        if localizes and anomalous.any():
            answered = ask("localize", rows[anomalous])["anomaly_map"]
            answered = np.minimum(np.nan_to_num(answered, nan=_TOP, posinf=_TOP), _TOP)
            for i, anomaly_map in zip(np.flatnonzero(anomalous), answered, strict=True):
                maps[i] = anomaly_map
        for i, name in enumerate(names):
            places = () if maps[i] is None else tuple(find_places(maps[i], modality))
            yield Finding(
                start + i,
                name,
                float(scores[i]),
                bool(anomalous[i]),
                places,
                rows[i].copy(),  # of few rows: a view would keep the whole batch
                maps[i],
            )
        start += len(rows)
