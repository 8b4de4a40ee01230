"""Search by likeness: an index of codes, asked with a picture, a series or a row of a table.

    index = Index(model).add(rows, names)
    index.find(new, k=10).names        # the ten nearest of each new row, the nearest first
    index.save("photos.index")
    index = Index.load("photos.index", bundle)

Codes are compared as they are, or turned to their main axes and divided by the spread along them to
the power `whiten`; with the cosine they are then brought to length 1. Codes wider than 128 numbers
are brought to 128 by their main axes. These are fitted to the rows that were added first; distances
are Euclidean in the end:

    u = z A,   A = axes / spread^whiten        cosine: u / |u|,  |u - v|^2 = 2 - 2 u.v

Sources: Jégou & Chum, "Negative evidences and co-occurences in image retrieval: the benefit of PCA
and whitening" (2012); the approximate search is the inverted file of Sivic & Zisserman, "Video
Google" (2003), as Faiss has it.
"""

import dataclasses
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from aezoo.errors import ZooError, closest_match, require_known
from aezoo.files import missing, whole_file
from aezoo.specs import CHUNK
from aezoo.spread import evenly
from aezoo.tasks import codes
from aezoo.tasks.inverted import InvertedFile
from aezoo.tasks.nearest import exact, main_axes, squares_of

METRICS = ("cosine", "euclidean")
_FORMAT = 1
_PROBES = 4  # rows that are kept to tell another model by
_SAMPLED, _FEWEST = 200, 20  # rows by which it is measured how near neighbours usually are
_USUAL = 0.99  # of them
_COPIES, _SAME = 10, 1e-3  # rows that may be copies of one; of a code's length, as float32 has it


@dataclasses.dataclass(frozen=True)
class Hits:
    """What was found for Q rows.

    Attributes:
        names: The nearest rows of each, the nearest first: Q lists of k.
        distances: From 0 (Q, k), float32; with the cosine at most 2.
    """

    names: list[list[str]]
    distances: np.ndarray


class Index:
    """Codes of rows, what the rows are called, and how far they are from others.

    Args:
        model: A fitted model of the zoo with an endpoint `encode`, or a bundle.
        metric: `cosine` or `euclidean`.
        whiten: From 0, codes as they are, to 1, an equal spread along all main axes.
        origin: Where the rows and the model are from, plain values to be saved.

    Attributes:
        names: Of the rows, in the order of their coming.
        codes: As they are compared, float32 (N, D).

    Raises:
        ZooError: For a metric that does not exist, a power beyond 0 to 1, or a model that does not
            encode.

    Example:
        >>> import aezoo
        >>> model = aezoo.build("conv_ae", input_shape=(8, 8, 1), filters=(4, 2), seed=0)
        >>> rows = np.random.default_rng(0).uniform(size=(20, 8, 8, 1)).astype("float32")
        >>> index = Index(model).add(rows, [f"photo {i}" for i in range(20)])
        >>> index.find(rows[3:4], k=2).names[0][0]
        'photo 3'
        >>> index.remove(["photo 3"])
        <index of 19 rows, codes of 8, cosine>
    """

    def __init__(
        self,
        model: Any,
        metric: Literal["cosine", "euclidean"] = "cosine",
        whiten: float = 0.0,
        origin: dict[str, Any] | None = None,
    ):
        require_known("metric", metric, METRICS)
        if not 0 <= whiten <= 1:
            raise ZooError("The power of whitening is from 0 to 1.", received=whiten)
        codes.rows_spec(model)
        self.model, self.metric, self.whiten = model, metric, float(whiten)
        self.origin = dict(origin or {})
        self.names: list[str] = []
        self.codes = np.zeros((0, 0), "float32")
        self._axes = self._probes = None
        self._squares = self._usual = None  # of the codes
        self._inverted = None  # made when it is first asked,
        self._centres = None  # around these, where they are known

    # ---- what it holds ----

    def add(self, rows: Sequence[Any], names: Sequence[str] | None = None) -> "Index":
        """Encode rows and keep their codes; the first rows fit the axes.

        Args:
            rows: In user units (N, ...): an array, or what is sliced like one and has a length.
            names: What they are called, each once; None numbers them.

        Returns:
            The index.

        Raises:
            ZooError: For names that are taken already or no name per row, or rows that do not fit.
        """
        names = [str(name) for name in (self._numbers(len(rows)) if names is None else names)]
        self._refuse_names(names, len(rows))
        probes, found = None, []
        for start in range(0, len(rows), CHUNK):
            some = rows[start : start + CHUNK]
            probes = np.array(some[:_PROBES]) if probes is None else probes
            found.append(codes.encode(self.model, some))
        found = np.concatenate(found)  # (N, D)
        if self._axes is None:
            self._axes = main_axes(found, self.whiten)
            self._probes = probes, found[:_PROBES]
            self.codes = np.zeros((0, self._axes.shape[1]), "float32")
        placed = self._placed(found)
        if self._inverted is not None:
            self._inverted.add(placed)
        self.names += names
        self.codes = np.concatenate([self.codes, placed])
        self._squares = self._usual = None
        return self

    def remove(self, names: Sequence[str]) -> "Index":
        """Forget rows by name.

        Raises:
            ZooError: For a name that is not in the index; nothing is removed then.
        """
        unknown = sorted(set(names) - set(self.names))
        if unknown:
            raise ZooError(
                "The index has no row of this name.",
                received=unknown[0],
                closest=closest_match(unknown[0], self.names),
                do=f"{len(unknown)} of {len(set(names))} names are unknown; nothing was removed.",
            )
        gone = set(names)
        kept = [i for i, name in enumerate(self.names) if name not in gone]
        self.names = [self.names[i] for i in kept]
        self.codes, self._inverted = self.codes[kept], None
        self._squares = self._usual = None
        return self

    def _numbers(self, count: int) -> range:
        return range(len(self.names), len(self.names) + count)

    def _refuse_names(self, names: list[str], count: int) -> None:
        taken = set(self.names)
        twice = [name for name in names if name in taken or taken.add(name)]
        if len(names) != count or not count:
            raise ZooError(
                "There must be rows, and one name for each.",
                received=f"{len(names)} names for {count} rows",
            )
        if twice:
            raise ZooError(
                "Names in an index are unique, and these are there already.",
                received=", ".join(twice[:5]) + (", ..." if len(twice) > 5 else ""),
                do="Remove the old rows first, or give the new ones other names.",
            )

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"<index of {len(self)} rows, codes of {self.codes.shape[1]}, {self.metric}>"

    # ---- asking ----

    def find(self, rows: np.ndarray, k: int = 10, approximate: bool = False) -> Hits:
        """Return the rows of the index that are nearest to the given ones.

        Args:
            rows: In user units (Q, ...).
            k: How many, at least 1; of a smaller index all.
            approximate: Ask an inverted file, which looks at a part of the codes only and may miss
                a neighbour. It needs `pip install 'aezoo[search]'`, and pays from some ten
                thousand rows on.

        Raises:
            ZooError: For rows that do not fit, an empty index, or where Faiss is missing.
        """
        places, distances = self.nearest(self.encode(rows), k, approximate)
        return Hits([[self.names[p] for p in some] for some in places], distances)

    def encode(self, rows: np.ndarray) -> np.ndarray:
        """Return codes as the index compares them, float32 (Q, D)."""
        self._require_rows()
        return self._placed(codes.encode(self.model, rows))

    def nearest(
        self, asked: np.ndarray, k: int = 10, approximate: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return positions (Q, k) and distances (Q, k) of the codes nearest to those of `encode`.

        The time that a query takes in the index is this method's.
        """
        self._require_rows()
        if k < 1:
            raise ZooError("At least one row is asked for.", received=k, do="Give k=1 or more.")
        k = min(k, len(self))
        if not approximate:
            if self._squares is None:
                self._squares = squares_of(self.codes)
            return exact(self.codes, asked, k, self._squares)
        if self._inverted is None:
            self._inverted = InvertedFile(self.codes, self._centres)
            self._centres = self._inverted.centres
        return self._inverted.nearest(asked, k)

    def usual(self) -> float:
        """Return the distance within which 99 of 100 rows of the index have their nearest other.

        What is asked and is farther than this from all is unlike what is in the index, or one of
        the hundred. Copies of a row are no others; 200 rows, spread evenly, are asked about. NaN
        where fewer than 20 have another, too few to say. A saved index keeps it.
        """
        if self._usual is None:
            self._usual = self._measured_usual()
        return self._usual

    def _measured_usual(self) -> float:
        if len(self) < _FEWEST:
            return float("nan")
        some = self.codes[evenly(len(self), _SAMPLED)]
        distances = self.nearest(some, _COPIES)[1]  # (Q, k), ascending
        others = distances > _SAME * np.sqrt(np.mean(np.sum(np.square(some), axis=1)))
        first = distances[np.arange(len(some)), others.argmax(axis=1)][others.any(axis=1)]
        return float(np.quantile(first, _USUAL)) if len(first) >= _FEWEST else float("nan")

    def _require_rows(self) -> None:
        if not self.names:
            raise ZooError("The index is empty.", do="Add rows first: index.add(rows, names).")

    def _placed(self, found: np.ndarray) -> np.ndarray:
        turned = found @ self._axes
        if self.metric == "cosine":
            turned /= np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-12)
        return turned.astype("float32")

    # ---- keeping ----

    def save(self, path: str | Path) -> Path:
        """Write one file, whole or not at all.

        Raises:
            ZooError: If the index is empty.
        """
        self._require_rows()
        told = {
            "format": _FORMAT,
            "metric": self.metric,
            "whiten": self.whiten,
            "encoder": codes.digest(self.model),
            "origin": self.origin,
        }
        with whole_file(Path(path)) as part, part.open("wb") as file:
            np.savez(
                file,
                told=json.dumps(told),
                names=np.array(self.names),
                codes=self.codes,
                axes=self._axes,
                usual=self.usual(),
                probe_rows=self._probes[0],
                probe_codes=self._probes[1],
                **({} if self._centres is None else {"centres": self._centres}),
            )
        return Path(path)

    @classmethod
    def load(cls, path: str | Path, model: Any) -> "Index":
        """Open a saved index with the model, or a bundle of the model, that made its codes.

        Raises:
            ZooError: For a file that is missing, damaged or no index, or another model: one of
                another digest whose codes of the rows that the file keeps are others.
        """
        told, kept = read(path)
        index = cls(model, told["metric"], told["whiten"], told["origin"])
        if told["encoder"] != codes.digest(model):
            _refuse_another(path, model, kept["probe_rows"], kept["probe_codes"])
        index.names = [str(name) for name in kept["names"]]
        index.codes, index._axes = kept["codes"], kept["axes"]
        index._probes = kept["probe_rows"], kept["probe_codes"]
        index._centres = kept.get("centres")
        index._usual = float(kept["usual"]) if "usual" in kept else None
        return index


def read(path: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what a saved index says of itself, and its arrays.

    Raises:
        ZooError: For a file that is missing, damaged or no index.
    """
    path = Path(path)
    if not path.is_file():
        raise missing(path)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            kept = {name: content[name] for name in content.files}  # checks the CRC of each
        told = json.loads(str(kept.pop("told")))
        if told["format"] != _FORMAT:
            raise ZooError(
                "The index is of another format than this version reads.",
                received=told["format"],
                do=f"This version reads {_FORMAT}: make the index again, or update aezoo.",
            )
        shared = len(kept["names"]) == len(kept["codes"]) and len(kept["probe_rows"]) > 0
        if not shared or kept["codes"].shape[1] != kept["axes"].shape[1]:
            raise ValueError("its parts do not fit each other")
    except ZooError:
        raise
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ZooError(
            "This is no index of aezoo, or it is damaged.",
            received=f"{path}: {(str(error).splitlines() or ['empty'])[0][:200]}",
            do="Make it again: aezoo search index BUNDLE PHOTOS --out INDEX.",
        ) from None
    return told, kept


def _refuse_another(path, model, rows: np.ndarray, expected: np.ndarray) -> None:
    """Let another digest pass where the codes are the same, as of a bundle and its model."""
    try:
        found = codes.encode(model, rows)
        near = found.shape == expected.shape and np.allclose(
            found, expected, rtol=1e-3, atol=1e-3 * float(np.abs(expected).max())
        )
    except ZooError:
        near = False
    if not near:
        raise ZooError(
            "The index was made with another model: its codes mean something else to this one.",
            received=str(path),
            do="Open it with the model that made it, or make a new index with this one.",
        )
