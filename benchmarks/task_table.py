"""The table of one task: what was measured, by which method, on which data.

Every `benchmarks/<task>.py` writes `results/tasks/<task>.csv` with it, so that the README's table
of tasks is made from all of them alike.
"""

import csv
import dataclasses
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from aezoo.files import whole_file

FOLDER = Path("results/tasks")


@dataclasses.dataclass(frozen=True)
class Figure:
    """One line.

    Attributes:
        data: What was measured on, such as `mnist`.
        figure: What, with its unit, such as `accuracy of clusters`.
        method: `conv_ae and k-means`, `k-means on pixels`.
        ours: Whether the method is this library's, and not what it is compared with.
        values: One per seed, split or class; the table has their mean, least, largest and number.
        goal: For ours: what was asked, such as `>= 0.88`; empty where nothing was.
    """

    data: str
    figure: str
    method: str
    ours: bool
    values: Sequence[float]
    goal: str = ""


COLUMNS = ("data", "figure", "method", "ours", "mean", "least", "most", "n", "goal", "command")


def write(task: str, figures: Iterable[Figure], command: str, folder: Path = FOLDER) -> Path:
    """Write `<task>.csv`, whole or not at all; print its lines."""
    rows = []
    for one in figures:
        numbers = statistics.fmean(one.values), min(one.values), max(one.values)
        mean, least, most = (f"{number:.5g}" for number in numbers)
        ours = "yes" if one.ours else ""
        row = (one.data, one.figure, one.method, ours, mean, least, most, len(one.values))
        rows.append(dict(zip(COLUMNS, (*row, one.goal, command), strict=True)))
        print(*row, one.goal, sep="  ", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{task}.csv"
    with whole_file(path) as part, Path(part).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return path


def read(folder: Path = FOLDER) -> dict[str, list[dict[str, str]]]:
    """Return the rows of every task's table by its name."""
    tables = {}
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8") as file:
            tables[path.stem] = list(csv.DictReader(file))
    return tables
