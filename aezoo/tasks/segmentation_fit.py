"""Pictures and their masks become a segmenter: its bundle, what it reaches, and a report."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from aezoo import report
from aezoo.data import pictures as files
from aezoo.data.pictures import pixels_of
from aezoo.drawing import INK, as_picture, bare, new_figure, write_png
from aezoo.errors import ZooError
from aezoo.files import require_new_folder, require_paths, write_text
from aezoo.specs import PictureRule
from aezoo.tasks.masks import Overlap, classes_of, overlay, pairs_of, read_mask, with_channels
from aezoo.tasks.segmentation import TILE, SegmentationTask

CLASSES_FILE = "classes.json"  # beside the bundle: what its classes are called in masks
_FEW = 5  # pictures, below which a part of each measures instead of whole ones
_TEST = 0.25
_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class Segmentation:
    """What `fit` made.

    Attributes:
        folder: With run, bundle, classes.json, figures and report.html.
        task: The fitted task.
        measured: Method -> figure -> value: Dice and IoU of each class.
        tested: What measured, in words.
    """

    folder: Path
    task: SegmentationTask
    measured: dict[str, dict[str, float]]
    tested: str


def fit(
    pictures: str | Path,
    masks: str | Path,
    out: str | Path,
    *,
    foreground: bool = False,
    entry: str = "unet",
    tile: int = TILE,
    seed: int = 0,
    verbose: bool = True,
    **settings: Any,
) -> Segmentation:
    """Train on pictures and their masks, measure on others, export, and write a report.

    Args:
        pictures: A folder, or one picture.
        masks: A folder of label pictures of the same names, or one.
        out: The folder to make.
        foreground: Whether all labels above 0 are one class.
        entry: A zoo entry of segmentation.
        tile: Pixels a side of what the model sees at once.
        seed: Of the split, the patches, the weights and the order.
        verbose: Whether to show notes and progress.
        **settings: Overrides of recipe and arguments, as `aezoo.train` takes them.

    Returns:
        What was made.

    Raises:
        ZooError: For pictures without a mask, unfit masks, or an `out` that exists.

    Example:
        aezoo.tasks.segmentation_fit.fit("cells", "cell_masks", "segmenter", foreground=True)
    """
    out = Path(out)
    require_new_folder(out, "Choose another --out, or delete it.")
    require_paths(Path(pictures), Path(masks))
    pairs = pairs_of(Path(pictures), Path(masks))
    white = _white(path for path, _ in pairs)
    images = _alike([pixels_of(path, white) for path, _ in pairs])
    labels = [read_mask(path) for _, path in pairs]
    train, test, tested = _dealt(images, labels, [path.name for path, _ in pairs], tile, seed)
    task = SegmentationTask(entry, foreground, tile, settings, seed, verbose)
    task.fit(*train, out / "run", PictureRule("tile", white))
    console = Console(file=sys.stderr, quiet=not verbose, highlight=False)
    with console.status("measuring, exporting, and asking every exported graph the same"):
        measured = measure(task, train, test)
        task.export(out / "bundle")
        kept = {"labels": list(task.classes_), "foreground": foreground}
        write_text(out / CLASSES_FILE, json.dumps(kept))
        made = Segmentation(out, task, measured, tested)
        _report(made, test)
    return made


def next_commands(folder: Path) -> list[str]:
    """Return the commands to run next."""
    return [
        f"aezoo segment run {folder} NEW_PICTURES --out {folder}/new",
        f"aezoo serve {folder}/bundle",
    ]


def measure(task: SegmentationTask, train, test) -> dict[str, dict[str, float]]:
    """Return Dice and IoU of each class on test pictures, by the model and by brightness alone.

    Args:
        task: A fitted one.
        train: Pictures (H, W, C) and masks; the rule takes the commonest class of each grey level.
        test: Those that measure.
    """
    count = len(task.classes_)
    seen = np.zeros((256, count), "int64")
    for picture, mask in zip(*train, strict=True):
        truth = classes_of(mask, task.classes_, task.foreground)
        np.add.at(seen, (with_channels(picture, 1)[..., 0], truth), 1)
    rule, by_rule = seen.argmax(axis=1), Overlap.of_classes(count)
    for picture, mask in zip(*test, strict=True):
        truth = classes_of(mask, task.classes_, task.foreground)
        by_rule.add(truth, rule[with_channels(picture, 1)[..., 0]])
    found = {task.model_.name: task.overlap(*test), "commonest class of a grey level": by_rule}
    return {method: one.figures(task.classes_) for method, one in found.items()}


def _white(paths) -> float | None:
    """Return the value that is white in all files, None where none is deeper than 8 bits."""
    tops = []
    for path in paths:
        try:
            tops.append(files.survey(path).top)
        except files.UnreadablePicture as error:
            raise ZooError(f"{path} cannot be read: {error}.", do="Replace or remove it.") from None
    tops = [top for top in tops if top is not None]
    return files.white_of(tops) if tops else None


def _alike(images: list[np.ndarray]) -> list[np.ndarray]:
    """Return all with 1 channel, or with 3 where one of them is coloured."""
    channels = 3 if any(image.ndim == 3 for image in images) else 1
    return [with_channels(image, channels) for image in images]


def _dealt(images, labels, names: list[str], tile: int, seed: int):
    """Return the pairs that train, those that measure, and what these are in words."""
    if len(images) >= _FEW:
        order = np.random.default_rng(seed).permutation(len(images))
        held = max(1, round(_TEST * len(images)))
        test, train = sorted(order[:held]), sorted(order[held:])
        some = ", ".join(names[i] for i in test[:10]) + (", ..." if held > 10 else "")
        return (
            ([images[i] for i in train], [labels[i] for i in train]),
            ([images[i] for i in test], [labels[i] for i in test]),
            f"{held} pictures that trained nothing: {some}",
        )
    starts = [image.shape[1] - max(1, round(_TEST * image.shape[1])) for image in images]
    if min(starts) < tile:
        raise ZooError(
            "There are few pictures, and they are too small to keep a part of each for measuring.",
            received=f"{len(images)} pictures, the narrowest of {min(i.shape[1] for i in images)}",
            do=f"Give {_FEW} pictures or more, or a smaller tile than {tile}.",
        )
    train, test = (
        [
            [one[:, part(at)] for one, at in zip(kind, starts, strict=True)]
            for kind in (images, labels)
        ]
        for part in (slice, lambda start: slice(start, None))
    )
    of = "the picture" if len(images) == 1 else "each picture"
    return train, test, f"the right quarter of {of}, which trained nothing"


# ---- report ----


def _report(made: Segmentation, test) -> None:
    figures, task = made.folder / "figures", made.task
    path = draw(task, *test, figures / "masks.png")
    text = (
        f"Measured on {made.tested}. Pixels of all of them are counted together. The control knows "
        "how often each grey level was of each class in training, and nothing else."
    )
    loss = made.folder / "run" / "figures" / "loss.png"
    caption = "Loss by epoch; the dot marks the weights that were kept."
    sections = [
        ("", [report.picture(path, "Test pictures, their true masks, and what the model says.")]),
        ("How well", [report.measured("test pixels", made.measured), report.paragraph(text)]),
        ("Training", [report.picture(loss, caption)]),
        ("Next", [report.commands(next_commands(made.folder))]),
    ]
    report.write(made.folder / "report.html", "What is where", sections)


def draw(task: SegmentationTask, images, labels, path: Path) -> Path:
    """Draw pictures, their true masks over them, and the answered ones."""
    shown = list(zip(images, labels, strict=True))[:_SHOWN]
    figure = new_figure(7.2, 2.6 * len(shown))
    for (image, mask), row in zip(
        shown, figure.subplots(len(shown), 3, squeeze=False), strict=True
    ):
        truth = classes_of(mask, task.classes_, task.foreground)
        answer = np.searchsorted(task.classes_, task.predict([image])[0])
        three = (image, overlay(image, truth), overlay(image, answer))
        for axis, one, title in zip(row, three, ("picture", "true mask", "answer"), strict=True):
            axis.imshow(as_picture(one), cmap="gray", vmin=0, vmax=1)
            axis.set_title(title, fontsize=9, color=INK)
            bare(axis)
    return write_png(figure, path)
