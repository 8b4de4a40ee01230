"""Tables: CSV and Parquet files, pandas frames. Numeric columns are features."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aezoo.data.source import Part, Source
from aezoo.errors import ZooError

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".tsv", ".parquet", ".pq")
LABEL_COLUMNS = ("label", "target", "class", "y")
STAMP_COLUMNS = ("time", "timestamp", "datetime", "date")
_SHOWN = 5


def from_table_file(path: Path) -> Source:
    """Return the rows of a CSV, TSV or Parquet file; see `from_frame`."""
    notes: list[str] = []
    source = from_frame(read_frame(path, notes), origin=str(path))
    source.name, source.notes = path.stem, notes + source.notes
    return source


def read_frame(path: Path, notes: list[str] | None = None) -> "pd.DataFrame":
    """Return the table in a file as it stands there, gaps included."""
    if path.suffix.lower() in (".parquet", ".pq"):
        return _read_parquet(path)
    return _read_csv(path, [] if notes is None else notes)


def from_frame(frame: "pd.DataFrame", origin: str = "<table>") -> Source:
    """Return the numeric columns of a table as features, float32 `(N, columns)`.

    A column called `label`, `target`, `class` or `y` that holds classes is taken for labels; one
    called `time`, `timestamp`, `datetime` or `date` says what the rows are called, unless its
    numbers go up and down, as those of a feature do.

    Raises:
        ZooError: For columns that hold text, gaps, infinities or one value only.
    """
    notes: list[str] = []
    if not frame.columns.is_unique:
        raise ZooError(
            "Two columns of the table have one name.",
            received=str(frame.columns[frame.columns.duplicated()][0]),
            do="Rename or remove one of them.",
        )
    frame = _without_row_numbers(frame, notes)
    column = _label_column(frame, notes)
    labels, names = None, None
    if column is not None:
        labels, names = _labels(frame[column], column)
        frame = frame.drop(columns=column)
        notes.append(f"Column {column!r} is taken for labels; it is no feature.")
    if frame.empty:
        raise ZooError(
            "The table has no rows." if frame.shape[1] else "The table has no columns of features.",
            received=origin,
            do="Give a table with a numeric column per feature and a row per example.",
        )
    row_names = None
    stamps = [c for c in frame if is_stamp_column(str(c)) and _goes_on(frame[c])]
    if stamps and frame.shape[1] > 1:
        row_names = frame[stamps[0]].astype(str).tolist()
        frame = frame.drop(columns=stamps[0])
        notes.append(f"Column {stamps[0]!r} says when; it is no feature.")
    _refuse_unfit_columns(frame)
    with np.errstate(over="ignore"):
        x = np.ascontiguousarray(frame.to_numpy(dtype="float64").astype("float32"))
    columns = [str(name) for name in frame.columns]
    parts = {"train": Part(x, labels)}
    return Source(
        origin, origin, parts, "features", names, notes, columns=columns, row_names=row_names
    )


def _read_parquet(path: Path) -> "pd.DataFrame":
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except Exception as error:  # pyarrow and the file system raise kinds of their own
        raise _unreadable(path, error) from None


def _read_csv(path: Path, notes: list[str]) -> "pd.DataFrame":
    import pandas as pd

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head = file.readline().strip()
        if not head:
            raise ZooError("The table is empty.", received=str(path), do="Give one with rows.")
        separator = max("\t;,", key=head.count) if any(s in head for s in "\t;,") else ","
        first = next(csv.reader([head], delimiter=separator))
        header = None if all(map(is_number, first)) else "infer"
        if header is None:
            notes.append("The first line holds numbers only: columns are numbered from 0.")
        return pd.read_csv(path, sep=separator, header=header, encoding="utf-8-sig")
    except ZooError:
        raise
    except Exception as error:  # the parser, the decoder and the file system
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> ZooError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ZooError(
        f"{path} cannot be read as a table: {reason}",
        do="Check the file; a CSV is UTF-8 with commas, semicolons or tabs between its columns.",
    )


def feature_columns(names: list[str], widths: tuple[int, ...]) -> list[int]:
    """Return which columns are features: all if they are as many as asked for, else all but labels.

    Example:
        >>> feature_columns(["a", "b", "Label"], (2,)), feature_columns(["a", "b", "y"], (3,))
        ([0, 1], [0, 1, 2])
    """
    features = [i for i, name in enumerate(names) if name.strip().lower() not in LABEL_COLUMNS]
    fitting = len(names) not in widths and len(features) in widths
    return features if fitting else list(range(len(names)))


def is_stamp_column(name: str) -> bool:
    """Whether a column is called as one that says when.

    Example:
        >>> is_stamp_column("Time "), is_stamp_column("times_opened")
        (True, False)
    """
    return name.strip().lower() in STAMP_COLUMNS


def _goes_on(column: "pd.Series") -> bool:
    """Whether a column of times is of text or dates, or of numbers that never go back."""
    from pandas.api import types

    return not types.is_numeric_dtype(column) or bool(column.is_monotonic_increasing)


def is_number(text: str) -> bool:
    """Whether a cell of a table is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _without_row_numbers(frame: "pd.DataFrame", notes: list[str]) -> "pd.DataFrame":
    first = frame.columns[0] if frame.shape[1] > 1 else None
    if isinstance(first, str) and first.startswith("Unnamed: 0"):
        values = frame[first].to_numpy()
        if values.dtype.kind in "iu" and np.array_equal(values, np.arange(len(values))):
            notes.append("The first column has no name and numbers the rows; it is left out.")
            return frame.drop(columns=first)
    return frame


def _label_column(frame: "pd.DataFrame", notes: list[str]):
    by_name = {str(column).strip().lower(): column for column in frame.columns}
    for name in LABEL_COLUMNS:
        if name not in by_name:
            continue
        values = frame[by_name[name]].dropna().to_numpy()
        if values.dtype.kind == "f" and not np.array_equal(values, np.round(values)):
            notes.append(
                f"Column {by_name[name]!r} holds real numbers, no classes: it is a feature."
            )
            continue
        return by_name[name]
    return None


def _labels(column: "pd.Series", name: str) -> tuple[np.ndarray, dict[int, str] | None]:
    if column.isna().any():
        raise ZooError(
            f"Column {name!r} is taken for labels, but {int(column.isna().sum())} rows have none.",
            do="Fill the gaps, or remove the column.",
        )
    values = column.to_numpy()
    if values.dtype.kind in "biuf":
        return values.astype("int64"), None
    words, numbers = np.unique(column.astype(str).to_numpy(dtype=object), return_inverse=True)
    return numbers.astype("int64"), {number: str(word) for number, word in enumerate(words)}


def _refuse_unfit_columns(frame: "pd.DataFrame") -> None:
    from pandas.api import types

    def refuse(columns: list, what: str, do: str) -> None:
        if columns:
            more = f" and {len(columns) - _SHOWN} more" if len(columns) > _SHOWN else ""
            listed = ", ".join(repr(c) for c in columns[:_SHOWN]) + more
            one = len(columns) == 1
            raise ZooError(f"Column{'' if one else 's'} {listed} {what[one]}.", do=do)

    words = [
        c for c in frame if not types.is_numeric_dtype(frame[c]) or types.is_complex_dtype(frame[c])
    ]
    refuse(
        words,
        (
            "hold text, categories or dates, not numbers",
            "holds text, categories or dates, not numbers",
        ),
        "Remove them or turn them into numbers; classes may stand in a column called 'label'.",
    )
    refuse(
        [c for c in frame if frame[c].isna().any()],
        ("have gaps (NaN)", "has gaps (NaN)"),
        "Remove these columns or rows, or fill the gaps: aezoo fill fit TABLE --out FILLER.",
    )
    values = frame.to_numpy(dtype="float64")
    refuse(
        [c for c, finite in zip(frame, np.isfinite(values).all(axis=0), strict=True) if not finite],
        ("hold infinities", "holds infinities"),
        "Remove or replace them before loading.",
    )
    constant = (values == values[0]).all(axis=0) & (len(values) > 1)
    refuse(
        [c for c, same in zip(frame, constant, strict=True) if same],
        ("are constant: all rows are alike", "is constant: all rows are alike"),
        "Remove them: they say nothing about a row.",
    )
