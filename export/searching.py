"""An index by a bundle, of pictures, arrays or tables; made and asked without TensorFlow."""

import csv
import dataclasses
from pathlib import Path

import numpy as np

from aezoo import report
from aezoo.errors import ZooError
from aezoo.export.rows import RowFile, open_rows
from aezoo.export.runner import Bundle
from aezoo.files import whole_file
from aezoo.tasks import search
from aezoo.tasks.search import Hits, Index

_BATCH = 512  # rows read at once
_STRANGE = "unlike what is in the index"
_DRAWN, _LISTED = 8, 100  # queries, in the picture and in the report's table


@dataclasses.dataclass(frozen=True)
class Found:
    """What `find` found.

    Attributes:
        folder: With hits.csv, report.html and, where matplotlib is installed, hits.png.
        queries: What was asked with.
        hits: Names and distances.
        usual: The distance within which 99 of 100 rows of the index have their nearest other.
    """

    folder: Path
    queries: list[str]
    hits: Hits
    usual: float

    @property
    def strange(self) -> np.ndarray:
        """Which queries, (Q,), are farther from all rows than is usual among these."""
        return self.hits.distances[:, 0] > self.usual

    def __str__(self) -> str:
        lines = []
        strange = self.strange
        for place, query in enumerate(self.queries[:_DRAWN]):
            lines.append(f"{query}  ({_STRANGE})" if strange[place] else query)
            found = zip(self.hits.names[place], self.hits.distances[place], strict=True)
            lines += [f"  {distance:<8.4f} {name}" for name, distance in found]
        if len(self.queries) > _DRAWN:
            lines.append(f"and {len(self.queries) - _DRAWN:,} more.")
        return "\n".join([*lines, *self.remarks, f"{self.folder / 'report.html'} shows them."])

    @property
    def remarks(self) -> list[str]:
        """What is to be said of the distances, a sentence each."""
        if np.isnan(self.usual):
            return []
        usual = f"99 of 100 rows of the index are within {self.usual:.4g} of their nearest other"
        count = int(self.strange.sum())
        if not count:
            return [f"{usual}."]
        are = "query is" if count == 1 else "queries are"
        return [f"{usual}; {count:,} {are} farther than this from all."]


def make_index(
    bundle_dir: str | Path, input_path: str | Path, out: str | Path, variant: str | None = None
) -> Index:
    """Index the rows of a file or folder and save it.

    Args:
        bundle_dir: A bundle with an endpoint `encode`.
        input_path: A picture, a folder of pictures, `.npy`, `.csv` or `.parquet`.
        out: The file to write.
        variant: `fp16` or `int8` where the bundle has it.

    Raises:
        ZooError: For a file that stands there already, or an input that cannot be read.

    Example:
        aezoo.export.make_index("artifacts/conv_ae", "photos", "photos.index")
    """
    out = Path(out)
    if out.exists():
        raise ZooError(
            "There is a file or folder of this name already.",
            received=str(out),
            do="Choose another --out, or add to an index by aezoo search add.",
        )
    told = {"bundle": str(Path(bundle_dir).resolve()), "folder": str(Path.cwd())}
    index = Index(Bundle(bundle_dir, variant), origin=told | {"variant": variant})
    _add(index, Path(input_path))
    index.save(out)
    return index


def open_index(path: str | Path, bundle_dir: str | Path | None = None) -> Index:
    """Open an index with the bundle that it was made by.

    Args:
        path: What `make_index` or `Index.save` wrote.
        bundle_dir: Where the bundle is now; None looks where it was.

    Raises:
        ZooError: If the bundle is not there, or it is another one.
    """
    told = search.read(path)[0]["origin"]
    found = bundle_dir or told.get("bundle")
    if found is None or not Path(found).exists():
        raise ZooError(
            "The bundle that made the index is not where it was.",
            received=str(found),
            do="Say where it is now: --bundle DIR.",
        )
    return Index.load(path, Bundle(found, told.get("variant")))


def add_to_index(
    path: str | Path, input_path: str | Path, bundle_dir: str | Path | None = None
) -> tuple[Index, int]:
    """Add rows that are not there yet, by name; return the index and how many were there."""
    index = open_index(path, bundle_dir)
    there = _add(index, Path(input_path))
    index.save(path)
    return index, there


def remove_from_index(
    path: str | Path, names: list[str], bundle_dir: str | Path | None = None
) -> Index:
    """Forget rows by name."""
    index = open_index(path, bundle_dir).remove(names)
    index.save(path)
    return index


def find_in_index(
    path: str | Path,
    input_path: str | Path,
    out: str | Path,
    k: int = 10,
    bundle_dir: str | Path | None = None,
    approximate: bool = False,
) -> Found:
    """Ask an index with a picture or with each row of a file.

    Args:
        path: The index.
        input_path: As for `make_index`.
        out: The folder to write: hits.csv (query, rank, name, distance), report.html and, where
            matplotlib is installed, hits.png.
        k: How many rows to find for each.
        bundle_dir: Where the bundle is now; None looks where it was.
        approximate: As `Index.find` takes it.

    Raises:
        ZooError: For another bundle, an input that cannot be read, or where Faiss is missing.
    """
    index, out, asked = open_index(path, bundle_dir), Path(out), Path(input_path)
    if out.is_file():
        raise ZooError("This is a file; --out names a folder.", received=str(out))
    rows = _rows(index, asked)
    queries = _names(rows, asked)
    parts = [
        index.find(rows.read(start, min(start + _BATCH, len(rows))), k, approximate)
        for start in range(0, len(rows), _BATCH)
    ]
    hits = Hits(
        [names for part in parts for names in part.names],
        np.concatenate([part.distances for part in parts]),
    )
    out.mkdir(parents=True, exist_ok=True)
    with whole_file(out / "hits.csv") as part, part.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["query", "rank", "name", "distance"])
        for query, names, distances in zip(queries, hits.names, hits.distances, strict=True):
            for rank, (name, distance) in enumerate(zip(names, distances, strict=True), 1):
                writer.writerow([query, rank, name, f"{distance:.6g}"])
    found = Found(out, queries, hits, index.usual())
    drawn = _draw(index, rows.read(0, min(_DRAWN, len(rows))), found)
    _report(found, Path(path), index, drawn)
    return found


def _draw(index: Index, asked: np.ndarray, found: Found) -> list[Path]:
    """Draw what was found; a machine that serves may have nothing to draw with."""
    try:
        from aezoo.tasks.search_picture import draw_hits
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        return []
    names = found.hits.names[: len(asked)]
    shown = [[_row_of(index, name) for name in of_query] for of_query in names]
    called = found.queries[: len(asked)]
    return [draw_hits(asked, called, shown, found.hits, found.folder / "hits.png")]


def _report(found: Found, path: Path, index: Index, drawn: list[Path]) -> None:
    """Write the page: the picture, what is unlike the index, the nearest of each query."""
    pictures = [report.picture(p, "What was asked, and what is nearest to it.") for p in drawn]
    head = ["asked", "nearest", "distance", ""]
    lines = [
        [query, names[0], f"{distance:.4g}", _STRANGE if strange else ""]
        for query, names, distance, strange in zip(
            found.queries, found.hits.names, found.hits.distances[:, 0], found.strange, strict=True
        )
    ]
    shown = report.table(head, lines[:_LISTED])
    told = [report.paragraph(text) for text in found.remarks]
    of = f"{path} holds {len(index):,} rows by {index.model.name}; hits.csv has every hit."
    if len(lines) > _LISTED:
        of += f" The table shows the first {_LISTED} of {len(lines):,} queries."
    sections = [("", pictures), ("The nearest of each", [*told, shown, report.paragraph(of)])]
    report.write(found.folder / "report.html", f"What is alike in {path.name}", sections)


class _Unknown:
    """Those rows of a file that an index does not have yet; sliced, they are read."""

    def __init__(self, rows: RowFile, places: list[int]):
        self.rows, self.places = rows, places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, some: slice) -> np.ndarray:
        places = self.places[some]
        if places[-1] - places[0] + 1 == len(places):
            return self.rows.read(places[0], places[-1] + 1)
        return np.concatenate([self.rows.read(place, place + 1) for place in places])


def _add(index: Index, path: Path) -> int:
    """Add the rows of a file that are not there yet; return how many were there."""
    rows, known = _rows(index, path), set(index.names)
    names = _names(rows, path)
    new = [place for place, name in enumerate(names) if name not in known]
    if new:
        index.add(_Unknown(rows, new), [names[place] for place in new])
    return len(names) - len(new)


def _rows(index: Index, path: Path) -> RowFile:
    return open_rows(index.model, index.model.spec("encode"), path)


def _names(rows: RowFile, path: Path) -> list[str]:
    """Return the path of each picture, or the path of the file and the number of the row."""
    called = rows.names(0, len(rows))
    if called is None:
        return [f"{path}:{number}" for number in range(len(rows))]
    folder = path if path.is_dir() else path.parent
    return [str(folder / name) for name in called]


def _row_of(index: Index, name: str) -> np.ndarray | None:
    """Read a row of the index again, None where its file is gone or is another now."""
    called = str(Path(index.origin.get("folder", ".")) / name)
    file, _, number = called.rpartition(":")
    path = Path(file if number.isdecimal() and Path(file).is_file() else called.partition("@")[0])
    try:
        rows = _rows(index, path)
        place = _names(rows, path).index(called)
        return rows.read(place, place + 1)[0]
    except (ZooError, ValueError):
        return None
