"""Files with gaps: the one door through which NaN enter, for what fills them in.

Everything else in aezoo refuses NaN. Here an empty cell of a table, or a NaN of an array, is what
is asked about.
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aezoo.data import tables
from aezoo.data.arrays import read_npy
from aezoo.errors import ZooError, closest_match
from aezoo.files import missing, whole_file

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass
class Gapped:
    """Rows with gaps, and the table that they came from.

    Attributes:
        rows: (N, ...) float, NaN where a cell is missing.
        columns: What the columns of a table are called, None for an array.
        frame: The whole table, with columns that are not filled, None for an array.
    """

    rows: np.ndarray
    columns: list[str] | None = None
    frame: "pd.DataFrame | None" = None


def read(path: str | Path, columns: tuple[str, ...] = ()) -> Gapped:
    """Return the rows of a file with gaps.

    Args:
        path: `.csv`, `.tsv`, `.parquet` or `.npy`.
        columns: Which columns of a table; none takes all that hold numbers, but no labels.

    Raises:
        ZooError: For a file that cannot be read, lacks a column, or has words beside numbers.
    """
    path = Path(path)
    if not path.exists():
        raise missing(path)
    kind = path.suffix.lower()
    if kind == ".npy":
        rows = np.array(read_npy(path))
        return Gapped(rows if rows.dtype.kind == "f" else rows.astype("float32"))
    if kind not in tables.SUFFIXES:
        raise ZooError(
            "Gaps are filled in tables and arrays.",
            received=str(path),
            do="Give a .csv, .tsv, .parquet or .npy file.",
        )
    frame = tables.read_frame(path)
    frame.columns = [str(name) for name in frame.columns]
    return of_frame(frame, columns, path.name)


def of_frame(frame: "pd.DataFrame", columns: tuple[str, ...] = (), name: str = "table") -> Gapped:
    """Return the rows of a table with gaps; see `read`."""
    from pandas.api.types import is_numeric_dtype

    lacking = [column for column in columns if column not in frame]
    if lacking:
        raise ZooError(
            f"{name} lacks columns that the model was trained on.",
            received=", ".join(frame.columns[:20]),
            closest=closest_match(lacking[0], frame.columns),
            do=f"Missing: {', '.join(lacking[:20])}. The order does not matter, names do.",
        )
    chosen = [*columns] or [
        column
        for column in frame
        if is_numeric_dtype(frame[column]) and column.strip().lower() not in tables.LABEL_COLUMNS
    ]
    _refuse_words(frame, [*columns] or [*frame])
    if not chosen or not len(frame):
        raise ZooError(f"{name} has no rows or no columns of numbers.", received=frame.shape)
    return Gapped(frame[chosen].to_numpy(dtype="float64", na_value=np.nan), chosen, frame)


def _refuse_words(frame: "pd.DataFrame", columns: list[str]) -> None:
    """Refuse columns in which numbers stand beside a word, such as ? for a missing value."""
    import pandas as pd
    from pandas.api.types import is_numeric_dtype

    for column in columns:
        values = frame[column].dropna()
        if is_numeric_dtype(values) or column.strip().lower() in tables.LABEL_COLUMNS:
            continue
        numbers = pd.to_numeric(values.astype(str), errors="coerce")
        if numbers.notna().any():
            raise ZooError(
                f"Column {column!r} holds words beside numbers.",
                received=str(values[numbers.isna()].iloc[0]),
                do="Leave a cell empty where its value is missing.",
            )


def write(gapped: Gapped, rows: np.ndarray, filled: np.ndarray, path: Path) -> Path:
    """Write complete rows, and beside them a file that marks what was filled.

    Args:
        gapped: What was read.
        rows: (N, ...), complete.
        filled: (N, ...) of booleans.
        path: `.csv`, `.parquet` or `.npy`.

    Returns:
        The second file: `name.filled.csv`, 1 where a cell was filled, or `name.filled.npy`.

    Raises:
        ZooError: For an array that is to be a table, and a table that is to be an array.
    """
    require_kind(gapped, path)
    if gapped.frame is None:
        marks = path.with_suffix(".filled.npy")
        for file, array in ((path, rows), (marks, filled)):
            with whole_file(file) as part:
                np.save(part, array)
        return marks
    import pandas as pd

    frame, marks = gapped.frame.copy(), path.with_suffix(".filled.csv")
    frame[gapped.columns] = rows
    with whole_file(path) as part:
        frame.to_parquet(part) if path.suffix == ".parquet" else frame.to_csv(part, index=False)
    with whole_file(marks) as part:
        pd.DataFrame(filled.astype(int), columns=gapped.columns).to_csv(part, index=False)
    return marks


def require_kind(gapped: Gapped, path: Path) -> None:
    """Refuse a file to write that cannot hold what was read."""
    kinds = (".npy",) if gapped.frame is None else (".csv", ".parquet")
    if path.suffix not in kinds:
        raise ZooError(
            f"The output of {'an array' if gapped.frame is None else 'a table'} "
            f"is a {' or '.join(kinds)} file.",
            received=str(path),
            do="Choose another --out.",
        )
