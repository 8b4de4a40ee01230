"""What was found, drawn: a line per query, its hits beside it, the nearest first."""

from pathlib import Path

import numpy as np

from aezoo.drawing import ACCENT, INK, as_picture, bare, new_figure, plain, write_png
from aezoo.tasks.search import Hits

_SHOWN = 10  # hits of a query
_NAME = 18  # letters of a name


def draw_hits(
    queries: np.ndarray,
    called: list[str],
    rows: list[list[np.ndarray | None]],
    hits: Hits,
    path: Path,
) -> Path:
    """Draw queries and their hits: pictures, series as lines, rows of tables as bars.

    Args:
        queries: The rows that were asked with (Q, ...).
        called: Their names.
        rows: Of each query the rows that were found; None where one cannot be read any more.
        hits: Their names and distances, of at least these queries.
        path: The PNG to write.
    """
    columns = 1 + min(_SHOWN, max(map(len, rows)))
    figure = new_figure(1.25 * columns, 1.55 * len(queries))
    grid = figure.subplots(len(queries), columns, squeeze=False)
    for line, query in enumerate(queries):
        _row(grid[line, 0], query, called[line], ACCENT)
        for place in range(columns - 1):
            axes = grid[line, 1 + place]
            if place >= len(rows[line]):
                axes.set_visible(False)
                continue
            caption = f"{_short(hits.names[line][place])}\n{hits.distances[line, place]:.3f}"
            _row(axes, rows[line][place], caption, INK)
    return write_png(figure, path)


def _row(axes, row: np.ndarray | None, caption: str, color: str) -> None:
    axes.set_title(_short(caption) if color == ACCENT else caption, fontsize=6, color=color)
    if row is None:
        bare(axes)
        axes.text(0.5, 0.5, "not there\nany more", ha="center", va="center", fontsize=7)
    elif row.ndim == 3:
        bare(axes)
        axes.imshow(as_picture(row), cmap="gray", vmin=0, vmax=1)
    else:
        plain(axes)
        axes.tick_params(labelsize=5)
        axes.plot(row, linewidth=1) if row.ndim == 2 else axes.bar(range(len(row)), row, color=INK)


def _short(name: str) -> str:
    return name if len(name) <= _NAME else "…" + name[1 - _NAME :]
