"""The page of a transferred encoder: what test rows were taken for, and the surest mistakes."""

from pathlib import Path

import numpy as np

from aezoo import report
from aezoo.data import Rows
from aezoo.drawing import ACCENT, INK, MUTED, as_picture, bare, new_figure, plain, write_png

_MISTAKES, _CLASSES, _TARGETS = 16, 30, 4  # that are drawn


def write(made, how: str, next_commands: list[str]) -> Path:
    """Draw the answers to test rows, write `report.html`.

    Args:
        made: A `Transferred`.
        how: `frozen` or `fine-tuned`.
        next_commands: To run next.
    """
    model, rows, folder = made.model, made.data.test, made.folder / "figures"
    answer = model.endpoint(model.endpoints[0].name)(**model.inputs_of(rows))
    if rows.labels is None:
        pictures = [
            report.picture(
                scatter(rows.targets, answer["prediction"], folder / "predictions.png"),
                "Predicted against true values of test rows; the line is where they agree.",
            )
        ]
    else:
        names = [str(name) for name in made.data.class_names.values()]
        pictures = _of_classes(rows, answer, names, made.data.modality, folder)
    measured = report.measured(f"{len(rows):,} test rows", made.measured, ".4g")
    text = (
        f"{len(made.data.train):,} rows with labels trained all three. The encoder was {how}; the "
        "network from scratch has the same layers and recipe, and new weights."
    )
    sections = [
        ("", pictures),
        (
            "Test rows, which nothing was fitted to",
            [measured, report.paragraph(text)],
        ),
        ("The data", [report.paragraph(note) for note in made.data.notes]),
        ("Next", [report.commands(next_commands)]),
    ]
    return report.write(made.folder / "report.html", f"{model.name} on new labels", sections)


def _of_classes(rows: Rows, answer: dict, names: list[str], modality: str, folder: Path):
    told, truth = answer["label"][:, 0], rows.labels
    found = []
    wrong = np.flatnonzero(told != truth)
    if modality == "image" and len(wrong):
        sure = answer["probabilities"][wrong].max(axis=1)
        worst = wrong[np.argsort(-sure, kind="stable")[:_MISTAKES]]
        titles = [f"{names[told[i]]}, is {names[truth[i]]}" for i in worst]
        path = mistakes(rows.take(worst).array(), titles, folder / "mistakes.png")
        found.append(report.picture(path, "The surest mistakes: what was told, what it is."))
    if len(names) <= _CLASSES:
        path = confusion(truth, told, names, folder / "confusion.png")
        found.append(report.picture(path, "Rows of each class (down) by what was told (across)."))
    return found


def mistakes(rows: np.ndarray, titles: list[str], path: Path) -> Path:
    """Draw pictures (N, H, W, C) with a line of text above each."""
    width = min(8, len(rows))
    height = -(-len(rows) // width)
    figure = new_figure(max(3.0, 1.25 * width), 1.45 * height)
    for axes in figure.subplots(height, width, squeeze=False).ravel():
        bare(axes)
    for axes, row, title in zip(figure.axes, rows, titles, strict=False):
        axes.imshow(as_picture(row), cmap="gray", vmin=0, vmax=1)
        axes.set_title(title, fontsize=6.5, color=INK)
    return write_png(figure, path)


def confusion(truth: np.ndarray, told: np.ndarray, names: list[str], path: Path) -> Path:
    """Draw how many rows of each class were told to be of each."""
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, (truth, told), 1)
    side = 1.6 + 0.42 * len(names)
    figure = new_figure(side, side)
    axes = figure.subplots()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Greens", vmin=0, vmax=1)
    for i, j in np.argwhere(counts > 0):
        colour = "white" if share[i, j] > 0.6 else INK
        axes.text(j, i, str(counts[i, j]), ha="center", va="center", fontsize=7, color=colour)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, colors=INK)
    return write_png(figure, path)


def scatter(truth: np.ndarray, told: np.ndarray, path: Path) -> Path:
    """Draw predicted against true values, one panel for each target (N, k)."""
    count = min(_TARGETS, truth.shape[1])
    figure = new_figure(2.6 * count + 0.4, 2.7)
    for k, axes in enumerate(figure.subplots(1, count, squeeze=False).ravel()):
        plain(axes)
        ends = [truth[:, k].min(), truth[:, k].max()]
        axes.plot(ends, ends, color=MUTED, linewidth=1)
        axes.scatter(truth[:, k], told[:, k], s=6, color=ACCENT)
        axes.set_xlabel("true", fontsize=8, color=INK)
        axes.set_ylabel("predicted", fontsize=8, color=INK)
    return write_png(figure, path)
