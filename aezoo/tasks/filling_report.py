"""The page of a fitted imputer: what it put into holes whose content was known, by method."""

from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D

from aezoo import report
from aezoo.drawing import ACCENT, ALARM, INK, MUTED, bare, new_figure, plain, write_png
from aezoo.tasks.trial import Trial

_HOLE = "#f4b4ae"
_PICTURES, _SERIES, _COLUMNS = 6, 3, 16  # rows, or columns of a table, that are drawn


def write(folder: Path, trial: Trial, name: str, next_commands: list[str]) -> Path:
    """Draw what was filled, write `report.html`.

    Args:
        folder: Of the task.
        trial: What was measured; its first method is ours.
        name: Of the data.
        next_commands: To run next.
    """
    picture = draw(trial, folder / "figures" / "filled.png")
    figures = [[method, f"{value:.4g}"] for method, value in trial.errors().items()]
    ours = next(iter(trial.filled))
    rounds = f" in {trial.times} rounds" if trial.times > 1 else ""
    text = (
        f"{trial.hidden.sum():,} values of {len(trial.truth) // trial.times:,} rows that trained "
        f"nothing were hidden{rounds}, and are compared with what each method put in. RMSE is in "
        f"standard deviations of {'a column' if trial.modality == 'features' else 'all values'} "
        "of the training rows."
    )
    sections = [
        ("", [report.picture(picture, _caption(trial, ours))]),
        (
            "Holes made in test rows",
            [report.table(["Method", "RMSE"], figures, ours=0), report.paragraph(text)],
        ),
        ("Next", [report.commands(next_commands)]),
    ]
    return report.write(folder / "report.html", f"Missing values of {name}", sections)


def draw(trial: Trial, path: Path) -> Path:
    """Draw pictures or series with holes, filled and whole; of a table, the error by column."""
    method = next(iter(trial.filled))
    if trial.modality == "image":
        return _pictures(trial, method, path)
    if trial.modality == "series":
        return _series(trial, method, path)
    return _columns(trial, path)


def _caption(trial: Trial, ours: str) -> str:
    if trial.modality == "image":
        return "Test rows with holes, as filled, as they were."
    if trial.modality == "series":
        return f"Test rows: what was known, what {ours} put into the gaps, what was there."
    return f"RMSE by column, in standard deviations: {ours} beside the mean of the column."


def _pictures(trial: Trial, method: str, path: Path) -> Path:
    count = min(_PICTURES, len(trial.truth))
    low, high = np.nanmin(trial.truth), np.nanmax(trial.truth)  # one scale for all
    figure = new_figure(1.15 * count + 0.2, 3.6)
    lines = (("holes", trial.opened), ("filled", trial.filled[method]), ("as it was", trial.truth))
    for axes_of, (name, rows) in zip(figure.subplots(3, count, squeeze=False), lines, strict=True):
        axes_of[0].set_title(name, fontsize=9, color=INK, loc="left")
        for axes, row in zip(axes_of, rows[:count], strict=True):
            bare(axes)
            shown = np.clip((row - low) / max(high - low, 1e-12), 0, 1)
            colours = shown[..., : 3 if shown.shape[-1] >= 3 else 1]
            shown = np.broadcast_to(colours, (*row.shape[:2], 3))
            axes.imshow(np.where(np.isnan(shown), to_rgb(_HOLE), shown))
    return write_png(figure, path)


def _series(trial: Trial, method: str, path: Path) -> Path:
    with_holes = np.flatnonzero(trial.hidden.reshape(len(trial.truth), -1).any(axis=1))[:_SERIES]
    figure = new_figure(7.2, 1.9 * len(with_holes) + 0.3)
    axes_of = figure.subplots(len(with_holes), 1, squeeze=False).ravel()
    for axes, i in zip(axes_of, with_holes, strict=True):
        plain(axes)
        hidden = trial.hidden[i].reshape(len(trial.truth[i]), -1)
        channel = int(hidden.sum(axis=0).argmax())
        gap = hidden[:, channel]
        true, filled = (
            rows[i].reshape(len(gap), -1)[:, channel]
            for rows in (trial.truth, trial.filled[method])
        )
        around = gap | np.roll(gap, 1) | np.roll(gap, -1)  # so that lines meet what is known
        axes.plot(np.where(gap, np.nan, true), color=INK, linewidth=1.2)
        axes.plot(np.where(around, true, np.nan), color=MUTED, linewidth=1.2)
        axes.plot(np.where(around, filled, np.nan), color=ALARM, linewidth=1.2)
    named = ((INK, "known"), (MUTED, "hidden"), (ALARM, "filled"))
    figure.axes[0].legend(
        [Line2D([], [], color=colour) for colour, _ in named],
        [text for _, text in named],
        fontsize=8,
        frameon=False,
        ncols=3,
        loc="lower right",
        bbox_to_anchor=(1, 1),
    )
    return write_png(figure, path)


def _columns(trial: Trial, path: Path) -> Path:
    errors = {method: trial.by_column(method) for method in list(trial.filled)[:2]}
    order = np.argsort(-next(iter(errors.values())))[:_COLUMNS]  # NaN, nothing hidden, comes last
    figure = new_figure(7.2, 0.32 * len(order) + 1.0)
    axes = figure.subplots()
    plain(axes)
    for offset, colour, (method, values) in zip(
        (-0.18, 0.18), (ACCENT, MUTED), errors.items(), strict=True
    ):
        axes.barh(np.arange(len(order)) + offset, values[order], 0.34, color=colour, label=method)
    axes.set_yticks(np.arange(len(order)), [trial.columns[i] for i in order], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("RMSE in standard deviations", fontsize=8, color=INK)
    axes.legend(fontsize=8, frameon=False)
    return write_png(figure, path)
