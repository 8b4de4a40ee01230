"""Pictures of odd rows with the odd place marked; each function writes one PNG."""

from pathlib import Path

import numpy as np

from aezoo.drawing import ACCENT, ALARM, INK, MUTED, as_picture, bare, new_figure, plain, write_png
from aezoo.tasks.places import find_places

SHOWN = 8  # rows in a figure
_COLUMNS = 6  # of a table, in a figure
_NAME = 24  # letters of a name in a figure


def marked_rows(
    rows: np.ndarray,
    maps: np.ndarray | None,
    captions: list[str],
    path: Path,
    modality: str,
    columns: list[str] | None = None,
) -> Path:
    """Draw rows, each with its odd place marked.

    Args:
        rows: `(N, ...)` in user units; the first eight are drawn.
        maps: Their anomaly maps; None marks nothing.
        captions: A line for each.
        path: The PNG to write.
        modality: `image`, `series` or `features`.
        columns: Of a table.
    """
    count = min(SHOWN, len(rows))
    maps = [None] * count if maps is None else maps
    draw = {"image": _pictures, "series": _series}.get(modality, _tables)
    captions = [_short(caption) for caption in captions[:count]]
    return draw(rows[:count], maps[:count], captions, Path(path), columns)


def _short(caption: str) -> str:
    first, *others = caption.split("\n")
    first = first if len(first) <= _NAME else "…" + first[1 - _NAME :]
    return "\n".join([first, *others])


def _pictures(rows, maps, captions, path: Path, columns) -> Path:
    from matplotlib.patches import Rectangle

    width = min(4, len(rows))
    lines = -(-len(rows) // width)
    figure = new_figure(2.5 * width, 2.9 * lines)
    grid = figure.subplots(lines, width, squeeze=False).ravel()
    for axes in grid:
        bare(axes)
    for axes, row, anomaly_map, caption in zip(grid, rows, maps, captions, strict=False):
        axes.imshow(as_picture(row), cmap="gray", vmin=0, vmax=1)
        axes.set_title(caption, fontsize=8, color=INK, loc="left")
        if anomaly_map is None:
            continue
        heat = np.clip(anomaly_map / max(2.0, float(anomaly_map.max())), 0, 1)
        axes.imshow(heat, cmap="inferno", vmin=0, vmax=1, alpha=0.65 * heat)
        for place in find_places(anomaly_map):
            (top, left), (bottom, right) = place.start, place.stop
            size = right - left + 1, bottom - top + 1
            axes.add_patch(Rectangle((left - 1, top - 1), *size, fill=False, ec=ALARM, lw=1.6))
    return write_png(figure, path)


def _series(rows, maps, captions, path: Path, columns) -> Path:
    lines = -(-len(rows) // 2)
    figure = new_figure(9.6, 1.9 * lines)
    grid = figure.subplots(lines, 2, squeeze=False).ravel()
    for axes in grid[len(rows) :]:
        axes.set_visible(False)
    for axes, row, anomaly_map, caption in zip(grid, rows, maps, captions, strict=False):
        for channel in range(min(6, row.shape[-1])):
            axes.plot(row[:, channel], linewidth=1.0, color=INK if channel == 0 else None)
        for place in find_places(anomaly_map, "series") if anomaly_map is not None else ():
            axes.axvspan(place.start[0] - 0.5, place.stop[0] - 0.5, color=ALARM, alpha=0.18, lw=0)
        axes.set_title(caption.replace("\n", "  "), fontsize=8, color=INK, loc="left")
        plain(axes)
    return write_png(figure, path)


def _tables(rows, maps, captions, path: Path, columns) -> Path:
    lines = -(-len(rows) // 2)
    figure = new_figure(9.6, 1.7 * lines)
    grid = figure.subplots(lines, 2, squeeze=False).ravel()
    for axes in grid[len(rows) :]:
        axes.set_visible(False)
    for axes, row, anomaly_map, caption in zip(grid, rows, maps, captions, strict=False):
        values = np.zeros(len(row)) if anomaly_map is None else anomaly_map
        order = np.argsort(-values)[:_COLUMNS][::-1]
        named = [f"{columns[i] if columns else f'column {i}'} = {row[i]:.4g}" for i in order]
        colours = [ALARM if values[i] > 1 else MUTED for i in order]
        axes.barh(named, values[order], color=colours, height=0.7)
        axes.axvline(1.0, color=INK, linewidth=0.8)
        axes.set_title(caption.replace("\n", "  "), fontsize=8, color=INK, loc="left")
        plain(axes)
    return write_png(figure, path)


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
