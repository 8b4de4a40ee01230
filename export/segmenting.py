"""New pictures of any size through a segmenter's bundle: masks, overlays, a table of areas."""

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
from PIL import Image

from aezoo import report
from aezoo.data.pictures import pixels_of
from aezoo.errors import ZooError
from aezoo.export.denoising import picture_files
from aezoo.export.runner import Bundle, bundle_of
from aezoo.files import whole_file
from aezoo.tasks.masks import Overlap, classes_of, overlay, pairs_of, read_mask, segmented

_SHOWN = 4  # pictures on the page
FIELDS = ("name", "label", "pixels", "share")


@dataclasses.dataclass(frozen=True)
class Segmented:
    """What `segment` wrote.

    Attributes:
        folder: With masks/, overlays/, areas.csv and report.html.
        files: The masks, in the order of the pictures.
        measured: Dice and IoU of each class, where true masks were given.
    """

    folder: Path
    files: list[Path]
    measured: dict[str, float] | None

    def __str__(self) -> str:
        lines = [f"{len(self.files):,} masks in {self.folder / 'masks'}"]
        for name, value in (self.measured or {}).items():
            lines.append(f"  {name}: {value:.3f}")
        lines.append(f"{self.folder / 'areas.csv'} has the areas, report.html some overlays.")
        return "\n".join(lines)


def segment(
    bundle_dir: str | Path,
    input_path: str | Path,
    out: str | Path,
    masks: str | Path | None = None,
    variant: str | None = None,
) -> Segmented:
    """Tell what is where in pictures of any size with a bundle; needs no TensorFlow.

    One picture is held in memory at a time, answered tile by tile.

    Args:
        bundle_dir: The folder that `aezoo segment fit` made, or a bundle with an endpoint
            `segment`, whose classes are then called 0, 1, ...
        input_path: A picture or a folder of pictures.
        out: The folder to write: `masks/` with a label picture of each picture's size under its
            name, `overlays/`, areas.csv (name, label, pixels, share), report.html. What stands
            there under these names is replaced.
        masks: True masks of the same names, to measure by.
        variant: `fp16` or `int8` where the bundle has it.

    Raises:
        ZooError: For a bundle that does not segment 8-bit pictures, pictures that cannot be read,
            or that have no mask where masks are given.

    Example:
        print(aezoo.export.segment("segmenter", "new_pictures", "masks"))
    """
    source, out = Path(input_path), Path(out)
    bundle = Bundle(bundle_of(Path(bundle_dir)), variant)
    shape, count = _shape_and_classes(bundle)
    labels, foreground = _labels(Path(bundle_dir), count)
    rule = bundle.manifest.preprocessing.get("pictures") or {}
    paths = picture_files(source, out)
    truths = dict(pairs_of(source, Path(masks))) if masks is not None else {}
    root = source if source.is_dir() else source.parent
    overlap = Overlap.of_classes(count)
    written, lines = [], []
    for path in paths:
        picture = pixels_of(path, rule.get("deep_white"))
        classes = segmented(
            picture, lambda tiles: bundle.predict("segment", image=tiles)["probabilities"], shape
        )
        name = path.relative_to(root).with_suffix(".png")
        if out / "masks" / name in written:  # a.jpg beside a.png
            name = name.with_name(f"{path.name}.png")
        mask = np.asarray(labels)[classes].astype("uint8" if max(labels) < 256 else "uint16")
        _write(mask, out / "masks" / name)
        _write(overlay(picture, classes), out / "overlays" / name)
        written.append(out / "masks" / name)
        areas = np.bincount(classes.ravel(), minlength=count)
        for label, area in zip(labels, areas.tolist(), strict=True):
            lines.append((name.as_posix(), label, area, f"{area / classes.size:.6f}"))
        if path in truths:
            truth = read_mask(truths[path])
            if truth.shape != classes.shape:
                raise ZooError(
                    f"{truths[path]} is not of the size of its picture.",
                    received=f"{truth.shape} and {classes.shape}",
                )
            overlap.add(classes_of(truth, labels, foreground), classes)
    with whole_file(out / "areas.csv") as part, part.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([FIELDS, *lines])
    made = Segmented(out, written, overlap.figures(labels) if truths else None)
    _report(made, source, bundle)
    return made


def _shape_and_classes(bundle: Bundle) -> tuple[tuple[int, int, int], int]:
    spec = bundle.spec("segment")
    taken = spec.inputs[0]
    if taken.name != "image" or taken.dtype != "uint8":
        raise ZooError(
            "The bundle does not take pictures of 8 bits.",
            received=f"{bundle.path}: {taken.name}, {taken.dtype}",
            do="Train it on picture files or uint8 arrays, or ask it by aezoo predict.",
        )
    return taken.shape, max(2, spec.tensor("probabilities").shape[-1])


def _labels(folder: Path, count: int) -> tuple[list[int], bool]:
    """Return the label of each class, and whether all above 0 are one."""
    path = folder / "classes.json"
    if not path.is_file():
        return list(range(count)), False
    known = json.loads(path.read_text(encoding="utf-8"))
    if len(known["labels"]) != count:
        raise ZooError(
            "classes.json is not of this bundle.",
            received=f"{len(known['labels'])} labels, and the bundle knows {count} classes",
            do="Fit again, or delete the file: classes are then called 0, 1, ...",
        )
    return known["labels"], known["foreground"]


def _write(pixels: np.ndarray, path: Path) -> None:
    with whole_file(path) as part:
        Image.fromarray(pixels).save(part)


def _report(made: Segmented, source: Path, bundle: Bundle) -> None:
    shown = made.files[:_SHOWN]
    parts = [
        report.picture(
            made.folder / "overlays" / path.relative_to(made.folder / "masks"), path.stem
        )
        for path in shown
    ]
    if made.measured:
        rows = [[name, f"{value:.3f}"] for name, value in made.measured.items()]
        parts.insert(0, report.table(["against the true masks", ""], rows))
    text = f"{len(made.files):,} pictures, answered by {bundle.path}; all are in overlays/."
    parts.append(report.paragraph(text))
    report.write(made.folder / "report.html", f"What is where in {source.name}", [("", parts)])
