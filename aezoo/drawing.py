"""What every figure is drawn with: colours, axes without clutter, PNGs written whole."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from aezoo.files import whole_file

INK, MUTED, ACCENT, ALARM = "#1f2933", "#8a94a0", "#0f766e", "#dc2626"
_DPI = 150


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, in inches."""
    return Figure(figsize=(width, height), dpi=_DPI, layout="constrained", facecolor="white")


def write_png(figure: Figure, path: Path) -> Path:
    """Write a figure, whole or not at all."""
    with whole_file(Path(path)) as part:
        figure.savefig(part)
    return Path(path)


def plain(axes) -> None:
    """Leave two spines, in muted colours."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(colors=INK, labelsize=8)


def bare(axes) -> None:
    """Leave nothing but what is drawn."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def name_row(axes, label: str) -> None:
    """Write a label to the left of the axes."""
    axes.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9, color=INK, labelpad=8)


def as_picture(values: np.ndarray) -> np.ndarray:
    """Return (H, W) or (H, W, 3) in [0, 1] from user units, 8-bit or already in [0, 1]."""
    values = np.asarray(values, "float32")
    values = values / 255.0 if values.max(initial=0.0) > 1.5 else values
    values = np.clip(values, 0.0, 1.0)
    return values[..., 0] if values.shape[-1] == 1 else values[..., :3]
