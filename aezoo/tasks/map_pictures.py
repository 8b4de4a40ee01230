"""The drawings of `aezoo.tasks.maps`; each function writes one PNG."""

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_rgb

from aezoo.drawing import ACCENT, INK, MUTED, as_picture, bare, name_row, new_figure, write_png

_TEN = (
    "#2563eb", "#ea580c", "#059669", "#dc2626", "#7c3aed",
    "#92400e", "#db2777", "#475569", "#a3a70b", "#0891b2",
)  # fmt: skip
_CELLS = 32  # thumbnails along a side of the map, at most
_DARK = 0.2  # median of pictures that are drawn on black


def palette(count: int) -> np.ndarray:
    """Return colours that differ, (count, 3) in [0, 1]."""
    if count <= len(_TEN):
        return np.array([to_rgb(colour) for colour in _TEN[:count]])
    return colormaps["turbo"](np.linspace(0.04, 0.96, count))[:, :3]


def scatter(
    places: np.ndarray,
    pictures: np.ndarray | None,
    groups: np.ndarray | None,
    names: dict[int, str],
    path: Path,
) -> Path:
    """Draw rows where they lie: thumbnails that do not overlap, and a dot for every row.

    Args:
        places: (N, 2).
        pictures: (N, H, W, C) in user units, or None for dots alone.
        groups: (N,) a number per row that gives its colour, or None.
        names: What the numbers are called.
        path: The PNG to write.
    """
    numbers = list(names)
    colours = palette(max(1, len(numbers)))
    shade = np.zeros(len(places), int)
    if groups is not None:
        shade = np.searchsorted(numbers, groups)
    figure = new_figure(9.4 if numbers else 8.4, 8.4)
    axes = figure.subplots()
    bare(axes)
    low, high = np.quantile(places, [0.002, 0.998], axis=0)
    margin = 0.04 * (high - low).max() + 1e-9
    size = (high - low).max() + 2 * margin
    corner = (low + high - size) / 2
    axes.set(xlim=(corner[0], corner[0] + size), ylim=(corner[1], corner[1] + size), aspect="equal")
    if pictures is None:
        axes.scatter(*places.T, c=colours[shade], s=16, alpha=0.7, linewidths=0)
    else:  # pale and opaque: where many lie, thumbnails can still be read
        pale = 1.0 - 0.22 * (1.0 - colours[shade])
        axes.scatter(*places.T, c=pale, s=26, linewidths=0)
        _thumbnails(axes, places, pictures, colours[shade], corner, size)
    for number, colour in zip(numbers, colours, strict=True):
        axes.scatter([], [], color=colour, s=42, label=names[number])
    if numbers:
        columns = 1 + (len(numbers) - 1) // 30
        axes.legend(
            frameon=False,
            fontsize=9,
            labelcolor=INK,
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            handletextpad=0.2,
            ncols=columns,
        )
    return write_png(figure, Path(path))


def _thumbnails(axes, places, pictures, colours, corner, size: float) -> None:
    """Draw the row nearest to the middle of each cell of a grid."""
    step = size / _CELLS
    cells = np.floor((places - corner) / step).astype(int)
    offsets = np.abs(places - (corner + (cells + 0.5) * step)).sum(axis=1)
    inside = ((cells >= 0) & (cells < _CELLS)).all(axis=1)
    best: dict[tuple[int, int], int] = {}
    for row in np.flatnonzero(inside):
        cell = tuple(cells[row])
        if cell not in best or offsets[row] < offsets[best[cell]]:
            best[cell] = row
    shown = np.array(sorted(best.values()))
    drawn = [as_picture(pictures[row]) for row in shown]
    on_black = drawn[0].ndim == 2 and np.median(np.stack(drawn)) < _DARK
    for row, picture in zip(shown, drawn, strict=True):
        left, bottom = corner + (cells[row] + 0.04) * step
        extent = (left, left + 0.92 * step, bottom, bottom + 0.92 * step)
        image = _inked(picture, colours[row]) if on_black else _framed(picture, colours[row])
        axes.imshow(image, extent=extent, zorder=2, interpolation="antialiased", aspect="auto")


def _inked(picture: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Return white on black as colour on nothing, (H, W, 4)."""
    ink = np.ones((*picture.shape, 3)) * colour
    return np.concatenate([ink, picture[..., None]], axis=-1)


def _framed(picture: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Return a picture in a frame of its colour, (H, W, 3)."""
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=-1)
    wide = max(1, round(0.05 * picture.shape[0]))
    frame = np.ones((picture.shape[0] + 2 * wide, picture.shape[1] + 2 * wide, 3)) * colour
    frame[wide:-wide, wide:-wide] = picture
    return frame


def lines(
    rows: list[np.ndarray],
    names: list[str],
    path: Path,
    modality: str = "image",
    ends: bool = False,
) -> Path:
    """Draw lines of pictures or of series under each other.

    Args:
        rows: Of each line its rows in user units, (steps, ...).
        names: What each line is called.
        path: The PNG to write.
        modality: `image` or `series`.
        ends: Whether the first and the last of a line stand apart.
    """
    count, shape = len(rows[0]), rows[0].shape[1:]
    aspect = shape[0] / shape[1] if modality == "image" else 0.8
    width = 0.82 * count
    figure = new_figure(width + 1.4, width / count * aspect * len(rows) * 1.05 + 0.1)
    figure.get_layout_engine().set(w_pad=0.22, h_pad=0.02)  # names stand out of their axes
    if modality == "series":
        return _series(figure, rows, names, Path(path))
    for axes, line, name in zip(
        figure.subplots(len(rows), 1, squeeze=False)[:, 0], rows, names, strict=True
    ):
        bare(axes)
        name_row(axes, name)
        axes.imshow(_beside(line, ends), interpolation="antialiased", aspect="equal")
    return write_png(figure, Path(path))


def _beside(line: np.ndarray, ends: bool) -> np.ndarray:
    """Return pictures side by side, white between them, (H, W, 3)."""
    gap = max(1, line.shape[2] // 16)
    parts = []
    for number, one in enumerate(line):
        picture = as_picture(one)
        if picture.ndim == 2:
            picture = np.repeat(picture[..., None], 3, axis=-1)
        if number:
            apart = ends and number in (1, len(line) - 1)
            parts.append(np.ones((picture.shape[0], 5 * gap if apart else gap, 3), "float32"))
        parts.append(picture)
    return np.concatenate(parts, axis=1)


def _series(figure, rows: list[np.ndarray], names: list[str], path: Path) -> Path:
    grid = figure.subplots(len(rows), len(rows[0]), squeeze=False, sharex=True, sharey=True)
    for line, name, axes in zip(rows, names, grid, strict=True):
        name_row(axes[0], name)
        for row, one in zip(line, axes, strict=True):
            bare(one)
            one.axhline(0.0, color=MUTED, linewidth=0.3)
            one.plot(row[:, 0], color=ACCENT, linewidth=0.9)
    return write_png(figure, path)
