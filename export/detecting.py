"""New data through a detector's bundle: a table, pictures of the worst rows, a report."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from aezoo import report
from aezoo.errors import ZooError
from aezoo.export.locating import locate_pictures
from aezoo.export.pictures import PictureFiles
from aezoo.export.rows import RowFile, open_rows
from aezoo.export.runner import Bundle
from aezoo.tasks import marked
from aezoo.tasks.screening import BATCH, Finding, screen


@dataclasses.dataclass(frozen=True)
class Detected:
    """What `detect` found.

    Attributes:
        folder: With scores.csv, worst.png and report.html.
        rows: How many were asked about.
        anomalous: How many of them are anomalous.
        worst: The rows with the highest scores, the highest first.
        columns: What the columns of a table are called.
        modality: Of the rows.
        odd_pictures: Names of the pictures with an odd place, where the rows are tiles of pictures;
            else None.
    """

    folder: Path
    rows: int
    anomalous: int
    worst: list[Finding]
    columns: list[str] | None
    modality: str
    odd_pictures: list[str] | None = None

    def __str__(self) -> str:
        lines = [f"{self.anomalous:,} of {self.rows:,} rows are anomalous"]
        for one in self.worst:
            where = one.where(self.columns, self.modality)
            mark = "anomalous" if one.anomalous else "normal"
            lines.append(f"  {one.score:<10.4g} {mark:<10} {one.name}  {where}".rstrip())
        lines.append(f"{self.folder / 'scores.csv'} has every row, report.html the worst.")
        if self.odd_pictures is not None:
            lines.append(
                f"pictures.csv has every picture; of {len(self.odd_pictures):,} with an odd place, "
                "masks/ and marked/ show where."
            )
        return "\n".join(lines)


def detect(
    bundle_dir: str | Path,
    input_path: str | Path,
    out: str | Path,
    threshold: float | None = None,
    variant: str | None = None,
) -> Detected:
    """Find the odd rows of new data with a bundle; needs no TensorFlow.

    Args:
        bundle_dir: A bundle with an endpoint `detect`, or the folder that `aezoo detect fit` made.
        input_path: `.npy`, `.parquet`, `.csv`, a picture or a folder of pictures.
        out: The folder to write: scores.csv (a line per row: row, name, score, anomalous, where),
            worst.png, report.html. What stands there under these names is replaced. Where the
            detector was trained on tiles, also pictures.csv, masks/ and marked/: where whole
            pictures are odd, in their own pixels.
        threshold: Instead of the calibrated one.
        variant: `fp16` or `int8` where the bundle has it.

    Raises:
        ZooError: For a bundle that decides nothing, or an input that cannot be read or does not
            fit.

    Example:
        print(aezoo.export.detect("detector", "new_photos", "found"))
    """
    bundle, out = Bundle(_bundle_of(Path(bundle_dir)), variant), Path(out)
    if out.is_file():
        raise ZooError("This is a file; --out names a folder.", received=str(out))
    if out.resolve().is_relative_to(Path(input_path).resolve()):
        raise ZooError(
            "The output lies inside the input: the next run would take its pictures for data.",
            received=str(out),
            do="Choose another --out.",
        )
    if "detect" not in {spec.name for spec in bundle.endpoints}:
        raise ZooError(
            "The bundle decides nothing: it has no endpoint `detect`.",
            received=str(bundle_dir),
            do="Calibrate the model before it is exported, or make one by aezoo detect fit.",
        )
    spec = bundle.spec("detect")
    name = spec.inputs[0].name
    rows = open_rows(bundle, spec, Path(input_path))
    localizes = "localize" in {known.name for known in bundle.endpoints}

    def ask(endpoint: str, some: np.ndarray) -> dict[str, np.ndarray]:
        asked = {name: some}
        if endpoint == "detect" and threshold is not None:
            asked["threshold"] = np.full((len(some), 1), threshold, "float32")
        return bundle.predict(endpoint, **asked)

    found = screen(
        ask,
        _batches(rows),
        out / "scores.csv",
        modality=name,
        localizes=localizes,
        columns=rows.columns,
    )
    anomalous = int(found.anomalous.sum())
    odd = None
    if localizes and isinstance(rows, PictureFiles) and rows.images.fit == "tile":
        odd = locate_pictures(bundle, rows, out)
    made = Detected(out, len(rows), anomalous, found.worst, rows.columns, name, odd)
    _report(made, Path(input_path), bundle, localizes)
    return made


def _bundle_of(folder: Path) -> Path:
    inside = folder / "bundle"
    return inside if (inside / "manifest.json").is_file() else folder


def _batches(rows: RowFile) -> Iterator[tuple[np.ndarray, list[str]]]:
    for start in range(0, len(rows), BATCH):
        stop = min(start + BATCH, len(rows))
        names = rows.names(start, stop) or [str(row) for row in range(start, stop)]
        yield rows.read(start, stop), names


def _report(made: Detected, source: Path, bundle: Bundle, localizes: bool) -> None:
    if made.modality not in ("image", "series", "features"):
        return
    path = marked.marked_rows(made.worst, made.folder / "worst.png", made.modality, made.columns)
    rows = [
        [
            one.name,
            f"{one.score:.4g}",
            "anomalous" if one.anomalous else "normal",
            one.where(made.columns, made.modality),
        ]
        for one in made.worst
    ]
    lead = f"{made.anomalous:,} of {made.rows:,} rows are anomalous."
    if localizes and made.anomalous:
        lead += " Marked is where the worst of them are odd."
    text = f"Answered by {bundle.path}; every row is in scores.csv."
    parts = [
        report.paragraph(lead, lead=True),
        report.picture(path, "The rows with the highest scores."),
        report.table(["row", "score", "decision", "where"], rows),
        report.paragraph(text),
    ]
    report.write(made.folder / "report.html", f"What is odd in {source.name}", [("", parts)])
