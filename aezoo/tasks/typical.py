"""The most typical rows of each cluster in one picture."""

import math
from pathlib import Path

import numpy as np

from aezoo.drawing import (
    ACCENT,
    INK,
    MUTED,
    as_picture,
    bare,
    name_row,
    new_figure,
    plain,
    write_png,
)

_COLUMNS = 30  # of a table, in a figure


def typical_rows(
    groups: list[np.ndarray],
    names: list[str],
    path: Path,
    modality: str = "image",
    columns: list[str] | None = None,
) -> Path:
    """Draw a line of rows per cluster: thumbnails, curves laid over each other, or a heat map.

    Args:
        groups: Of each cluster its typical rows (n, ...) in user units, the most typical first.
        names: What each is called.
        path: The PNG to write.
        modality: `image`, `series` or `features`.
        columns: Of a table.
    """
    if modality == "image":
        return _pictures(groups, names, Path(path))
    if modality == "series":
        return _curves(groups, names, Path(path))
    return _heat_map(groups, names, Path(path), columns)


def sheet(pictures: np.ndarray, gap: int = 2) -> np.ndarray:
    """Return pictures (n, H, W[, 3]) side by side, white between them, (H, n W + ..., 3).

    Example:
        >>> sheet(np.zeros((3, 4, 5)), gap=1).shape
        (4, 17, 3)
    """
    if pictures.ndim == 3:
        pictures = np.repeat(pictures[..., None], 3, axis=-1)
    margin = np.ones((pictures.shape[1], gap, 3), pictures.dtype)
    parts = [part for picture in pictures for part in (picture, margin)]
    return np.concatenate(parts[:-1], axis=1)


def _pictures(groups: list[np.ndarray], names: list[str], path: Path) -> Path:
    most = max(1, *(len(group) for group in groups))
    shape = next(group.shape[1:] for group in groups)
    width = 9.0
    figure = new_figure(width, len(groups) * (width - 0.8) / most * shape[0] / shape[1] * 1.06)
    for axes, group, name in zip(_lines(figure, len(groups)), groups, names, strict=True):
        bare(axes)
        name_row(axes, name)
        missing = most - len(group)
        shown = np.stack([as_picture(one) for one in group]) if len(group) else None
        if shown is None:
            shown = np.ones((missing, *shape[:2]))
        elif missing:
            shown = np.concatenate([shown, np.ones((missing, *shown.shape[1:]), shown.dtype)])
        axes.imshow(sheet(shown, gap=max(1, shape[1] // 14)), interpolation="nearest")
    return write_png(figure, path)


def _lines(figure, count: int):
    return figure.subplots(count, 1, squeeze=False)[:, 0]


def _curves(groups: list[np.ndarray], names: list[str], path: Path) -> Path:
    wide = min(5, len(groups))
    high = math.ceil(len(groups) / wide)
    figure = new_figure(2.2 * wide, 1.6 * high)
    grid = figure.subplots(high, wide, squeeze=False, sharex=True, sharey=True).ravel()
    for axes in grid[len(groups) :]:
        axes.set_visible(False)
    for axes, group, name in zip(grid, groups, names, strict=False):
        for row in group[1:, :, 0]:
            axes.plot(row, color=MUTED, linewidth=0.6, alpha=0.6)
        for row in group[:1, :, 0]:
            axes.plot(row, color=ACCENT, linewidth=1.4)
        axes.set_title(name.replace("\n", ": ") + " rows", fontsize=8, color=INK, loc="left")
        plain(axes)
    return write_png(figure, path)


def _heat_map(groups: list[np.ndarray], names: list[str], path: Path, columns) -> Path:
    means = np.stack([group.mean(axis=0) for group in groups if len(group)])  # (K, F)
    spread = (means - means.mean(axis=0)) / (means.std(axis=0) + 1e-12)
    order = np.argsort(-means.std(axis=0) / (np.abs(means).mean(axis=0) + 1e-12), kind="stable")
    shown = np.sort(order[:_COLUMNS])
    figure = new_figure(max(4.0, 1.6 + 0.32 * len(shown)), 0.9 + 0.32 * len(means))
    axes = figure.subplots()
    drawn = axes.imshow(spread[:, shown], cmap="RdBu_r", vmin=-2.5, vmax=2.5, aspect="auto")
    named = [columns[i] if columns else str(i) for i in shown]
    axes.set_xticks(range(len(shown)), named, rotation=60, ha="right", fontsize=7)
    kept = [
        name.replace("\n", ": ") for name, group in zip(names, groups, strict=True) if len(group)
    ]
    axes.set_yticks(range(len(kept)), kept, fontsize=7)
    axes.tick_params(length=0, colors=INK)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(drawn, ax=axes, shrink=0.9)
    bar.set_label("deviations\nfrom the mean", fontsize=7, color=INK)
    bar.ax.tick_params(labelsize=7)
    return write_png(figure, path)
