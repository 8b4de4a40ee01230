"""One long series, a line per time step: overlapping windows of it are the rows."""

import csv
import dataclasses
from pathlib import Path

import numpy as np

from aezoo.data.tables import feature_columns, is_stamp_column
from aezoo.errors import ZooError
from aezoo.export.rows import TABLES, ArrayFile, RowFile, TableFile, TextFile, columns_of
from aezoo.export.runner import Bundle
from aezoo.specs import EndpointSpec, TensorSpec

OVERLAP = 4  # windows that see each time step


class Windows:
    """Windows `(window, columns)` of a file of time steps, called by the time they begin at.

    Args:
        steps: The time steps, `(columns,)` each.
        window: How many of them a row has.
        stride: From one window to the next; the last one is flush with the end.
        stamps: What the time steps are called, None where they have numbers only.
    """

    def __init__(self, steps: RowFile, window: int, stride: int, stamps: list[str] | None = None):
        if len(steps) < window:
            raise ZooError(
                "The series is shorter than a window of the training.",
                received=f"{len(steps)} time steps",
                do=f"Give at least {window}.",
            )
        self.steps, self.window, self.stride, self.stamps = steps, window, stride, stamps
        self.columns = steps.columns

    def __len__(self) -> int:
        return 1 - (self.window - len(self.steps)) // self.stride

    def start(self, row: int) -> int:
        """Return the first time step of a window."""
        return min(row * self.stride, len(self.steps) - self.window)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return the windows from `start` up to `stop`."""
        firsts = [self.start(row) for row in range(start, stop)]
        block = self.steps.read(firsts[0], firsts[-1] + self.window)  # (steps, columns)
        return np.stack([block[f - firsts[0] :][: self.window] for f in firsts])

    def stamp(self, step: int) -> str:
        """Return what a time step is called."""
        return self.stamps[step] if self.stamps else str(step)

    def names(self, start: int, stop: int) -> list[str]:
        """Return when these windows begin."""
        return [self.stamp(self.start(row)) for row in range(start, stop)]

    def fingerprint(self) -> str:
        """Return what changes if the file does."""
        return f"{self.steps.fingerprint()} {self.window}/{self.stride}"


def open_steps(
    bundle: Bundle, spec: EndpointSpec, path: Path, stride: int | None
) -> Windows | None:
    """Open a file of time steps, None where its rows are whole series already.

    Args:
        bundle: Of a model of series.
        spec: The endpoint to ask.
        path: `.npy` of shape (steps, columns), or a table with a line per time step.
        stride: From one window to the next; None takes a quarter of a window.

    Raises:
        ZooError: If the series is too short.
    """
    tensor = spec.inputs[0]
    window, width = tensor.shape
    step = dataclasses.replace(tensor, shape=(width,))
    steps = _steps(step, window, path, columns_of(bundle))
    if steps is None:
        return None
    stamps = _stamps(path) if path.suffix.lower() != ".npy" else None
    return Windows(steps, window, stride or max(1, window // OVERLAP), stamps)


def _steps(step: TensorSpec, window: int, path: Path, columns: tuple[str, ...]) -> RowFile | None:
    kind, width = path.suffix.lower(), step.shape[0]
    if kind == ".npy":
        array = ArrayFile(path)
        return array if array.array.ndim == 2 and array.array.shape[1] == width else None
    if kind not in (".parquet", *TABLES):
        return None
    names = _names(path)
    whole = len(feature_columns(names, (width * window,))) == width * window > width
    if whole or len(names) < width:
        return None
    return (TableFile if kind == ".parquet" else TextFile)(step, path, columns)


def _names(path: Path) -> list[str]:
    if path.suffix.lower() == ".parquet":
        import pyarrow.parquet as pq

        return pq.ParquetFile(path).schema_arrow.names
    with path.open(encoding="utf-8-sig", newline="") as file:
        return next(_lines(file), [])


def _lines(file):
    head = file.readline()
    file.seek(0)
    return csv.reader(file, delimiter=max("\t;,", key=head.count))


def _stamps(path: Path) -> list[str] | None:
    """Return the column that says when, None where there is none."""
    names = _names(path)
    found = [i for i, name in enumerate(names) if is_stamp_column(name)]
    if not found:
        return None
    if path.suffix.lower() == ".parquet":
        import pyarrow.parquet as pq

        column = pq.read_table(path, columns=[names[found[0]]]).column(0)
        return [str(value) for value in column.to_pylist()]
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = _lines(file)
        next(lines)
        return [line[found[0]] for line in lines if line]
