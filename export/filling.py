"""A file with gaps through a bundle: the same file, complete, and a mark for each filled cell."""

import dataclasses
import json
from pathlib import Path

from aezoo.data import gapped
from aezoo.errors import ZooError
from aezoo.export.rows import columns_of
from aezoo.export.runner import Bundle, bundle_of
from aezoo.tasks import projection


@dataclasses.dataclass(frozen=True)
class FilledFile:
    """What `fill` wrote.

    Attributes:
        path: The complete file.
        marks: The file that marks the filled cells.
        rows: How many there are.
        with_gaps: How many of them had gaps.
        cells: How many cells were filled.
        moving: How many rows were still moving after the last pass.
    """

    path: Path
    marks: Path
    rows: int
    with_gaps: int
    cells: int
    moving: int

    def __str__(self) -> str:
        text = (
            f"{self.cells:,} cells filled, in {self.with_gaps:,} of {self.rows:,} rows: {self.path}"
        )
        if self.moving:
            text += f"\n{self.moving:,} rows still moved at the last pass; see --passes."
        return f"{text}\n{self.marks} marks them."


def fill(
    folder: str | Path, table: str | Path, out: str | Path, *, passes: int | None = None
) -> FilledFile:
    """Fill the gaps of a file with a bundle; needs no TensorFlow.

    Args:
        folder: What `aezoo fill fit` made, or any bundle that reconstructs such rows.
        table: `.csv`, `.tsv`, `.parquet` or `.npy`; empty cells and NaN are missing.
        out: The file to write. Columns that the bundle does not know stay as they are.
        passes: Through the autoencoder, at most; None takes what the fit found best.

    Raises:
        ZooError: For a bundle that reconstructs nothing, or a file that does not fit it.

    Example:
        print(aezoo.export.fill("filler", "measured.csv", "complete.csv"))
    """
    folder, out = Path(folder), Path(out)
    bundle = Bundle(bundle_of(folder))
    if out.resolve() == Path(table).resolve():
        raise ZooError("The output is the input.", received=str(out), do="Choose another --out.")
    columns = columns_of(bundle)
    numbered = all(column.isdigit() for column in columns)
    given = gapped.read(table, () if numbered else columns)
    gapped.require_kind(given, out)
    kept = folder / projection.SETTINGS_FILE
    settings = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    settings |= {} if passes is None else {"passes": passes}
    made = projection.fill(bundle, given.rows, **settings)
    marks = gapped.write(given, made.rows, made.missing, out)
    gaps = made.missing.reshape(len(made.rows), -1).any(axis=1)
    return FilledFile(
        out,
        marks,
        len(gaps),
        int(gaps.sum()),
        int(made.missing.sum()),
        int((~made.resting).sum()),
    )
