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
from aezoo.export.runner import Bundle, bundle_of
from aezoo.export.steps import Windows, open_steps
from aezoo.files import require_apart
from aezoo.tasks import marked
from aezoo.tasks.events import Event, Events
from aezoo.tasks.events import write as write_events
from aezoo.tasks.screening import BATCH, Finding, screen

_EVENTS = 20  # in the report, those with the highest peaks


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
        events: Where the rows are windows of one long series: the stretches of time that are odd.
        steps: The windows of that series.
        odd_pictures: Names of the pictures with an odd place, where the rows are tiles of pictures;
            else None.
    """

    folder: Path
    rows: int
    anomalous: int
    worst: list[Finding]
    columns: list[str] | None
    modality: str
    events: list[Event] | None = None
    steps: Windows | None = None
    odd_pictures: list[str] | None = None

    def __str__(self) -> str:
        lines = [self.lead]
        for one in self.worst:
            where = one.where(self.columns, self.modality)
            mark = "anomalous" if one.anomalous else "normal"
            lines.append(f"  {one.score:<10.4g} {mark:<10} {one.name}  {where}".rstrip())
        if self.events:
            lines.append(f"{self.folder / 'events.csv'} says from when to when.")
        lines.append(f"{self.folder / 'scores.csv'} has every row, report.html the worst.")
        if self.odd_pictures is not None:
            lines.append(
                f"pictures.csv has every picture; of {len(self.odd_pictures):,} with an odd place, "
                "masks/ and marked/ show where."
            )
        return "\n".join(lines)

    @property
    def lead(self) -> str:
        """How many are anomalous, in one sentence."""
        if self.events is None:
            return f"{self.anomalous:,} of {self.rows:,} rows are anomalous"
        plural = "" if len(self.events) == 1 else "s"
        return (
            f"{len(self.events):,} event{plural} in {len(self.steps.steps):,} time steps: "
            f"{self.anomalous:,} of {self.rows:,} windows are anomalous"
        )


def detect(
    bundle_dir: str | Path,
    input_path: str | Path,
    out: str | Path,
    threshold: float | None = None,
    variant: str | None = None,
    stride: int | None = None,
) -> Detected:
    """Find the odd rows of new data with a bundle; needs no TensorFlow.

    Args:
        bundle_dir: A bundle with an endpoint `detect`, or the folder that `aezoo detect fit` made.
        input_path: `.npy`, `.parquet`, `.csv`, a picture or a folder of pictures. For a model of
            series, a table with a line per time step, of any length, is cut into overlapping
            windows; a column such as `time` says when.
        out: The folder to write: scores.csv (a line per row: row, name, score, anomalous, where),
            worst.png, report.html; of one long series also events.csv (a line per stretch of
            time that is odd) and timeline.png. What stands there under these names is replaced.
            Where the detector was trained on tiles, also pictures.csv, masks/ and marked/: where
            whole pictures are odd, in their own pixels.
        threshold: Instead of the calibrated one.
        variant: `fp16` or `int8` where the bundle has it.
        stride: Time steps from one window to the next; None takes a quarter of a window.

    Raises:
        ZooError: For a bundle that decides nothing, or an input that cannot be read or does not
            fit.

    Example:
        print(aezoo.export.detect("detector", "new_photos", "found"))
    """
    bundle, out = Bundle(bundle_of(Path(bundle_dir)), variant), Path(out)
    require_apart(Path(input_path), out)
    if "detect" not in {spec.name for spec in bundle.endpoints}:
        raise ZooError(
            "The bundle decides nothing: it has no endpoint `detect`.",
            received=str(bundle_dir),
            do="Calibrate the model before it is exported, or make one by aezoo detect fit.",
        )
    spec = bundle.spec("detect")
    name = spec.inputs[0].name
    source = Path(input_path)
    steps = open_steps(bundle, spec, source, stride) if name == "series" else None
    rows = open_rows(bundle, spec, source) if steps is None else steps
    events = Events(steps.start, steps.window, steps.stride) if steps else None
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
        each=events.add if events else None,
    )
    anomalous = int(found.anomalous.sum())
    odd = None
    if localizes and isinstance(rows, PictureFiles) and rows.images.fit == "tile":
        odd = locate_pictures(bundle, rows, out)
    found_events = events.found() if events else None
    made = Detected(
        out,
        len(rows),
        anomalous,
        found.worst,
        rows.columns,
        name,
        found_events,
        steps,
        odd,
    )
    if events:
        write_events(found_events, steps.stamp, out / "events.csv")
        limit = spec.tensor("threshold").default if threshold is None else threshold
        marked.timeline(found.scores, steps, found_events, limit, out / "timeline.png")
    _report(made, source, bundle, localizes)
    return made


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
    lead = made.lead + "."
    if localizes and made.anomalous:
        lead += " Marked is where the worst of them are odd."
    text = f"Answered by {bundle.path}; every row is in scores.csv."
    parts = [
        report.paragraph(lead, lead=True),
        *_timeline(made),
        report.picture(path, "The rows with the highest scores."),
        report.table(["row", "score", "decision", "where"], rows),
        report.paragraph(text),
    ]
    report.write(made.folder / "report.html", f"What is odd in {source.name}", [("", parts)])


def _timeline(made: Detected) -> list[str]:
    if made.events is None:
        return []
    caption = "Scores in time; dashed the threshold, shaded the events."
    rows = [
        [made.steps.stamp(e.start), made.steps.stamp(e.stop - 1), f"{e.peak:.4g}", str(e.windows)]
        for e in sorted(made.events, key=lambda event: -event.peak)[:_EVENTS]
    ]
    return [
        report.picture(made.folder / "timeline.png", caption),
        report.table(["from", "to", "peak", "windows"], rows),
    ]
