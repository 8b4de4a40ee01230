"""From a fitted model to a folder of new rows: rows, pictures, figures, a report."""

import dataclasses
from pathlib import Path

import numpy as np

from aezoo import report
from aezoo.data import DataSet
from aezoo.drawing import ACCENT, as_picture, bare, name_row, new_figure, write_png
from aezoo.errors import ZooError
from aezoo.files import require_new_folder, whole_file
from aezoo.measures.likeness import likeness, measurable
from aezoo.tasks.generation import Copied, Generator, nearest_rows

_MEASURED, _SHOWN = 5000, 8  # rows for the figures; samples shown beside their nearest row


@dataclasses.dataclass(frozen=True)
class Generated:
    """What `generate` made.

    Attributes:
        folder: With rows.npy, rows.png, nearest.png, report.html and, where a sampler was fitted,
            sampler.npz.
        rows: (count, ...) in user units.
        copied: Their nearest training rows.
        measured: `generated` and `real training rows` -> figure -> value; empty where rows are no
            pictures of 28x28 in grey.
    """

    folder: Path
    rows: np.ndarray
    copied: Copied
    measured: dict[str, dict[str, float]]

    @property
    def copied_text(self) -> str:
        """How far from training rows they are, in a sentence."""
        copied = self.copied
        away = f"{len(self.rows):,} new rows, {copied.distance.mean():.4g} away from training rows"
        if copied.real is not None:
            away += f" (real ones: {copied.real:.4g}); {copied.copies:,} are copies"
        return f"{away}."


def generate(
    model,
    data: DataSet,
    out: str | Path,
    *,
    count: int = 64,
    sampler: str = "mixture",
    seed: int = 0,
    label: int | None = None,
) -> Generated:
    """Draw new rows of a model, look at them, measure them.

    Args:
        model: A fitted model or a bundle.
        data: What it was trained on; test rows, else validation rows, are the real ones.
        out: The folder to make.
        count: How many.
        sampler: A kind of `aezoo.samplers`, or `prior`.
        seed: Of fit and draws.
        label: Only of this class.

    Raises:
        ZooError: For a model that cannot generate so, an unknown class, an `out` that exists.
    """
    out = Path(out)
    require_new_folder(out, "Choose another --out, or delete it.")
    if data.modality not in ("image", "series", "features"):
        raise ZooError("New rows are pictures, series or tables.", received=data.modality)
    train = data.train.array()
    labels = None if label is None else data.train.labels
    generator = Generator(model, sampler, seed).fit(train, labels)
    rows = generator.sample(count, seed, label)
    real = data.test or data.validation
    held_out = None if real is None else real.array()
    copied = nearest_rows(rows, train, held_out)
    out.mkdir(parents=True, exist_ok=True)
    with whole_file(out / "rows.npy") as part:
        np.save(part, rows)
    grid(rows, out / "rows.png", data.modality)
    beside_nearest(rows, train[copied.nearest], out / "nearest.png", data.modality)
    if sampler in ("mixture", "gaussian", "neighbours"):
        generator.save(out / "sampler.npz")
    measured = {}
    if real is not None and label is None and measurable(train.shape[1:], len(held_out)):
        white = 255.0 if train.dtype == np.uint8 or train.max() > 1.5 else 1.0
        size = min(_MEASURED, len(held_out))
        made = generator.sample(size, seed + 1)
        for name, pictures in (("generated", made), ("real training rows", train[:size])):
            some = np.clip(np.asarray(pictures, "float32") / white, 0, 1)
            measured[name] = likeness(some, held_out[:size].astype("float32") / white)
    made = Generated(out, rows, copied, measured)
    _report(made, f"{model.name}, {sampler}", data.name)
    return made


def _report(made: Generated, by: str, name: str) -> None:
    pictures = [
        report.picture(made.folder / "rows.png", f"New rows by {by}."),
        report.picture(made.folder / "nearest.png", "Each above its nearest training row."),
    ]
    sections = [("", pictures), ("Copies", [report.paragraph(made.copied_text)])]
    if made.measured:
        text = (
            "FID and KID: how far from held-out rows, 0 where alike. Precision: the share that "
            "looks real. Recall: the share of what is real that is covered. Where precision is "
            "low, train longer or draw by --sampler mixture; where recall is low, the model or "
            "the sampler knows a part of the data only."
        )
        parts = [report.measured("", made.measured, ".4g"), report.paragraph(text)]
        sections.append(("Beside held-out rows", parts))
    report.write(made.folder / "report.html", f"New rows like {name}", sections)


def grid(rows: np.ndarray, path: Path, modality: str, most: int = 64) -> Path:
    """Draw up to 64 rows in a grid."""
    rows = rows[:most]
    width = min(8, len(rows))
    height = -(-len(rows) // width)
    flat = modality != "image"
    figure = new_figure(width * (1.6 if flat else 0.9), height * 0.9)
    for axes in figure.subplots(height, width, squeeze=False).ravel():
        bare(axes)
    for axes, row in zip(figure.axes, rows, strict=False):
        _draw(axes, row, modality)
    return write_png(figure, path)


def beside_nearest(made: np.ndarray, nearest: np.ndarray, path: Path, modality: str) -> Path:
    """Draw new rows above the training rows nearest to them."""
    made, nearest = made[:_SHOWN], nearest[:_SHOWN]
    figure = new_figure(1.15 * len(made) + 1.2, 2.5)
    grid_of = figure.subplots(2, len(made), squeeze=False)
    for line, (name, rows) in zip(grid_of, (("new", made), ("nearest", nearest)), strict=True):
        for axes, row in zip(line, rows, strict=True):
            bare(axes)
            _draw(axes, row, modality)
        name_row(line[0], name)
    return write_png(figure, path)


def _draw(axes, row: np.ndarray, modality: str) -> None:
    if modality == "image":
        axes.imshow(as_picture(row), cmap="gray", vmin=0, vmax=1)
    elif modality == "series":
        axes.plot(row, linewidth=0.9)
    else:
        axes.bar(np.arange(len(row)), row, color=ACCENT)
