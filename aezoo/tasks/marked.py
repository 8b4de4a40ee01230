"""Pictures of odd rows with the odd place marked; each function writes one PNG."""

import math
from pathlib import Path

import numpy as np

from aezoo.drawing import ACCENT, ALARM, INK, MUTED, as_picture, bare, new_figure, plain, write_png
from aezoo.tasks.screening import Finding

SHOWN = 8  # rows in a figure
_POINTS = 2_000  # of a line in time; each is the peak of its stretch
_COLUMNS = 6  # of a table, in a figure
_NAME = 24  # letters of a name in a figure


def marked_rows(
    findings: list[Finding], path: Path, modality: str, columns: list[str] | None = None
) -> Path:
    """Draw rows, each with its odd places marked.

    Args:
        findings: Of the rows; the first eight are drawn.
        path: The PNG to write.
        modality: `image`, `series` or `features`.
        columns: Of a table.
    """
    findings = findings[:SHOWN]
    if modality == "image":
        return _pictures(findings, Path(path))
    series = modality == "series"
    figure = new_figure(9.6, (1.9 if series else 1.7) * math.ceil(len(findings) / 2))
    grid = figure.subplots(math.ceil(len(findings) / 2), 2, squeeze=False).ravel()
    for axes in grid[len(findings) :]:
        axes.set_visible(False)
    for axes, found in zip(grid, findings, strict=False):
        _steps(axes, found) if series else _table(axes, found, columns)
        axes.set_title(_caption(found).replace("\n", "  "), fontsize=8, color=INK, loc="left")
        plain(axes)
    return write_png(figure, Path(path))


def _caption(found: Finding) -> str:
    name, *others = found.caption.split("\n")
    name = name if len(name) <= _NAME else "…" + name[1 - _NAME :]
    return "\n".join([name, *others])


def _pictures(findings: list[Finding], path: Path) -> Path:
    from matplotlib.patches import Rectangle

    width = min(4, len(findings))
    lines = math.ceil(len(findings) / width)
    figure = new_figure(2.5 * width, 2.9 * lines)
    grid = figure.subplots(lines, width, squeeze=False).ravel()
    for axes in grid:
        bare(axes)
    for axes, found in zip(grid, findings, strict=False):
        axes.imshow(as_picture(found.x), cmap="gray", vmin=0, vmax=1)
        axes.set_title(_caption(found), fontsize=8, color=INK, loc="left")
        if found.anomaly_map is None:
            continue
        heat = np.clip(found.anomaly_map / max(2.0, float(found.anomaly_map.max())), 0, 1)
        axes.imshow(heat, cmap="inferno", vmin=0, vmax=1, alpha=0.65 * heat)
        for place in found.places:
            (top, left), (bottom, right) = place.start, place.stop
            size = right - left + 1, bottom - top + 1
            axes.add_patch(Rectangle((left - 1, top - 1), *size, fill=False, ec=ALARM, lw=1.6))
    return write_png(figure, path)


def _steps(axes, found: Finding) -> None:
    for channel in range(min(6, found.x.shape[-1])):
        axes.plot(found.x[:, channel], linewidth=1.0, color=INK if channel == 0 else None)
    for place in found.places:
        axes.axvspan(place.start[0] - 0.5, place.stop[0] - 0.5, color=ALARM, alpha=0.18, lw=0)


def _table(axes, found: Finding, columns: list[str] | None) -> None:
    values = np.zeros(len(found.x)) if found.anomaly_map is None else found.anomaly_map
    order = np.argsort(-values)[:_COLUMNS][::-1]
    named = [f"{columns[i] if columns else f'column {i}'} = {found.x[i]:.4g}" for i in order]
    colours = [ALARM if values[i] > 1 else MUTED for i in order]
    axes.barh(named, values[order], color=colours, height=0.7)
    axes.axvline(1.0, color=INK, linewidth=0.8)


def score_histogram(
    normal: np.ndarray, odd: np.ndarray, threshold: float, path: Path, named: str
) -> Path:
    """Draw the scores of normal and of anomalous rows, and the threshold.

    Args:
        normal: Scores `(N,)`.
        odd: Scores `(M,)`, which may be none.
        threshold: Above it a row is anomalous.
        path: The PNG to write.
        named: What the score is called.
    """
    every = np.concatenate([normal, odd]).astype("float64")
    logarithmic = every.min() > 0 and every.max() > 30 * np.median(normal)
    low, high = every.min(), max(every.max(), threshold)
    edges = np.geomspace(low, high, 61) if logarithmic else np.linspace(low, high, 61)
    figure = new_figure(6.4, 2.8)
    axes = figure.subplots()
    for name, scores, colour in (("normal", normal, ACCENT), ("anomalous", odd, ALARM)):
        if len(scores):
            share = np.full(len(scores), 1 / len(scores))
            label = f"{name} ({len(scores)})"
            axes.hist(scores, edges, weights=share, color=colour, alpha=0.65, label=label)
    axes.axvline(threshold, color=INK, linewidth=1.0, linestyle="--", label="threshold")
    axes.set_xscale("log" if logarithmic else "linear")
    axes.set_xlabel(named, fontsize=8, color=INK)
    axes.set_ylabel("share of rows", fontsize=8, color=INK)
    axes.legend(frameon=False, fontsize=8)
    plain(axes)
    return write_png(figure, path)


def timeline(scores: np.ndarray, steps, events: list, threshold: float, path: Path) -> Path:
    """Draw the scores of windows of one long series by the time they begin at.

    Args:
        scores: `(N,)`.
        steps: The windows: `start(row)` and `stamp(step)`.
        events: Stretches to shade, with `start` and `stop`.
        threshold: Above it a window is anomalous.
        path: The PNG to write.
    """
    figure = new_figure(9.6, 2.6)
    axes = figure.subplots()
    starts = np.array([steps.start(row) for row in range(len(scores))])
    bins = np.array_split(np.arange(len(scores)), min(len(scores), _POINTS))  # peaks are kept
    axes.fill_between(
        [starts[part[0]] for part in bins],
        [scores[part].max() for part in bins],
        [scores[part].min() for part in bins],
        color=ACCENT,
        lw=1.0,
        step="post",
    )
    for event in events:
        axes.axvspan(event.start, event.stop, color=ALARM, alpha=0.25, lw=0.5)
    axes.axhline(threshold, color=INK, linewidth=1.0, linestyle="--")
    if scores.min() > 0 and scores.max() > 30 * np.median(scores):
        axes.set_yscale("log")
    places = np.linspace(starts[0], starts[-1], 5).astype(int)
    axes.set_xticks(places, [steps.stamp(place) for place in places])
    axes.set_ylabel("score", fontsize=8, color=INK)
    plain(axes)
    return write_png(figure, path)
