"""Files of many rows, read a few rows at a time."""

import bisect
import csv
from pathlib import Path
from typing import Protocol

import numpy as np

from aezoo.data import pictures
from aezoo.data.tables import feature_columns, is_number
from aezoo.errors import ZooError, closest_match
from aezoo.export.pictures import PictureFiles
from aezoo.export.runner import Bundle
from aezoo.files import missing
from aezoo.specs import EndpointSpec, TensorSpec, with_channel

TABLES = (".csv", ".tsv", ".txt")


class RowFile(Protocol):
    """Rows of a file, in user units, as the main input of an endpoint takes them.

    Attributes:
        columns: What the columns of a table are called, None where nobody says.
    """

    columns: list[str] | None

    def __len__(self) -> int: ...

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return the rows from `start` up to `stop`."""

    def names(self, start: int, stop: int) -> list[str] | None:
        """Return what these rows are called, None where they have numbers only."""

    def fingerprint(self) -> str:
        """Return what changes if the file does."""


def open_rows(bundle: Bundle, spec: EndpointSpec, path: Path) -> RowFile:
    """Open a `.npy` file, a `.parquet` or `.csv` table, a picture or a folder of pictures.

    Raises:
        ZooError: For anything else, one that cannot be read or has no rows, or an endpoint that
            takes more than rows.
    """
    if not path.exists():
        raise missing(path)
    require_rows_alone(spec, path, "Answer an .npz file of named arrays by aezoo predict instead.")
    kind, columns = path.suffix.lower(), columns_of(bundle)
    try:
        if path.is_dir() or pictures.is_picture(path):
            rows = PictureFiles(bundle, spec, path)
        elif kind == ".npy":
            rows = ArrayFile(path, spec.inputs[0])
        elif kind == ".parquet":
            rows = TableFile(spec.inputs[0], path, columns)
        elif kind in TABLES:
            rows = TextFile(spec.inputs[0], path, columns)
        else:
            raise ZooError(
                "Files of this kind cannot be scored.",
                received=str(path),
                do="Give .npy, .parquet, .csv or a folder of pictures.",
            )
    except ZooError:
        raise
    except (OSError, EOFError, ValueError, csv.Error) as error:  # of damaged files
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ZooError(f"{path} cannot be read: {reason}.") from None
    if not len(rows):
        raise ZooError("There are no rows to score.", received=str(path))
    return rows


def require_rows_alone(spec: EndpointSpec, path: Path, do: str) -> None:
    """Refuse a file of rows where the endpoint takes something beside them.

    Raises:
        ZooError: With what it needs.
    """
    needed = [tensor.name for tensor in spec.inputs if tensor.default is None]
    if len(needed) > 1:
        raise ZooError(
            f"Endpoint {spec.name!r} needs {' and '.join(needed)}; this file holds rows alone.",
            received=str(path),
            do=do,
        )


def _stamp(path: Path) -> str:
    stat = path.stat()
    return f"{path.name} {stat.st_size} {stat.st_mtime_ns}"


class ArrayFile:
    """A `.npy` file, mapped into memory; of rows for a tensor, which may lack its one channel."""

    columns = None

    def __init__(self, path: Path, tensor: TensorSpec | None = None):
        self.path, self.tensor = path, tensor
        self.array = np.load(path, mmap_mode="r", allow_pickle=False)
        if self.array.ndim < 2:
            raise ZooError(
                "The array has no row axis.",
                received=self.array.shape,
                do="Save an array (rows, ...); one row is array[None].",
            )

    def __len__(self) -> int:
        return len(self.array)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return the rows from `start` up to `stop`."""
        rows = np.array(self.array[start:stop])  # a copy: the disk is read here, ahead of need
        return rows if self.tensor is None else with_channel(self.tensor, rows)

    def names(self, start: int, stop: int) -> None:
        """Return None: rows of an array have numbers only."""

    def fingerprint(self) -> str:
        """Return name, size and time of the file."""
        return _stamp(self.path)


class TableFile:
    """A Parquet table; one row group is in memory at a time."""

    def __init__(self, tensor: TensorSpec, path: Path, columns: tuple[str, ...] = ()):
        import pyarrow.parquet as pq

        self.path, self.tensor = path, tensor
        self.file = pq.ParquetFile(path)
        names = self.file.schema_arrow.names
        width = int(np.prod(tensor.shape))
        self.columns = [names[i] for i in _chosen(names, (width,), columns, path)]
        if len(self.columns) != width:
            raise ZooError(
                f"The table does not have the columns that {tensor.name!r} takes.",
                received=f"{len(self.columns)} columns",
                do=f"Give {width}, in the order of the training.",
            )
        sizes = [self.file.metadata.row_group(i).num_rows for i in range(self.file.num_row_groups)]
        self.starts = np.concatenate([[0], np.cumsum(sizes, dtype=int)]).tolist()
        self._group: tuple[int, np.ndarray] | None = None

    def __len__(self) -> int:
        return self.starts[-1]

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return the rows from `start` up to `stop`."""
        pieces = []
        while start < stop:
            number = bisect.bisect_right(self.starts, start) - 1
            values, first = self._rows_of(number), self.starts[number]
            end = min(stop, self.starts[number + 1])
            pieces.append(values[start - first : end - first])
            start = end
        return np.concatenate(pieces).reshape(-1, *self.tensor.shape)

    def _rows_of(self, number: int) -> np.ndarray:
        if self._group is None or self._group[0] != number:
            table = self.file.read_row_group(number, columns=self.columns)
            columns = [table.column(name).to_numpy() for name in self.columns]
            self._group = number, np.stack(columns, axis=-1)  # (rows, columns)
        return self._group[1]

    def names(self, start: int, stop: int) -> None:
        """Return None: rows of a table have numbers only."""

    def fingerprint(self) -> str:
        """Return name, size and time of the file."""
        return _stamp(self.path)


class TextFile:
    """A table of text; all of it is in memory."""

    def __init__(self, tensor: TensorSpec, path: Path, columns: tuple[str, ...] = ()):
        self.path = path
        self.rows, self.columns = read_table(tensor, path, columns)

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return the rows from `start` up to `stop`."""
        return self.rows[start:stop]

    def names(self, start: int, stop: int) -> None:
        """Return None: rows of a table have numbers only."""

    def fingerprint(self) -> str:
        """Return name, size and time of the file."""
        return _stamp(self.path)


def _number(cell: str, row: int) -> float:
    try:
        return float(cell)
    except ValueError:
        raise ZooError(
            f"Row {row} of the table holds what is no number.",
            received=cell,
            do="Fill the gap, or remove the row or the column.",
        ) from None


def columns_of(bundle: Bundle) -> tuple[str, ...]:
    """Return what the columns of the training were called, none where nobody said."""
    return tuple(bundle.manifest.preprocessing.get("columns") or ())


def _chosen(
    names: list[str], widths: tuple[int, ...], columns: tuple[str, ...], path: Path
) -> list[int]:
    """Return which columns are the features, in the order of the training.

    Raises:
        ZooError: If the training knew names and one of them is missing.
    """
    if len(columns) not in widths or any(map(is_number, columns)):
        return feature_columns(names, widths)
    places = {name.strip(): i for i, name in enumerate(names)}
    lacking = [name for name in columns if name.strip() not in places]
    if lacking:
        raise ZooError(
            f"{path.name} lacks columns that the model was trained on.",
            received=", ".join(names[:20]) + (", ..." if len(names) > 20 else ""),
            closest=closest_match(lacking[0], names),
            do=f"Missing: {', '.join(lacking[:20])}. The order does not matter, names do.",
        )
    return [places[name.strip()] for name in columns]


def read_table(
    tensor: TensorSpec, path: Path, columns: tuple[str, ...] = ()
) -> tuple[np.ndarray, list[str] | None]:
    """Return the rows of a table, and the names of its feature columns if it has a header.

    A series is one line, or as many lines as it has steps.

    Args:
        tensor: What the endpoint takes.
        path: A CSV or TSV file.
        columns: What the columns of the training were called; they are taken by name where the
            file has a header.

    Raises:
        ZooError: If one of them is missing.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        head = file.readline()
        separator = max("\t;,", key=head.count)
        file.seek(0)
        lines = [line for line in csv.reader(file, delimiter=separator) if line]
    header = [] if not lines or all(map(is_number, lines[0])) else lines.pop(0)
    size = int(np.prod(tensor.shape))
    if header and all(len(line) == len(header) for line in lines):  # labels may be words
        chosen = _chosen(header, (size, tensor.shape[-1]), columns, path)
        header = [header[i] for i in chosen]
        lines = [[line[i] for i in chosen] for line in lines]
    values = np.array(
        [[_number(cell, number) for cell in line] for number, line in enumerate(lines)]
    )
    by_line = values.ndim == 2 and values.shape[1] == size
    by_step = values.ndim == 2 and values.shape[1:] == tensor.shape[1:]
    if by_line or (by_step and len(values) % tensor.shape[0] == 0):
        values = values.reshape(-1, *tensor.shape)
    return values, header or None
