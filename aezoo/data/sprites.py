"""Pictures of one white shape on black, of which the causes are known.

    shape      square, ellipse, triangle          size    from 5 to 9 pixels about the centre
    turn       a quarter of a circle              x, y    wherever the whole shape is inside

Five independent causes, drawn anew for each picture, so that one can ask how a code keeps them
apart. Inspired by dSprites (Matthey et al. 2017), and drawn here.
"""

import numpy as np

SIDE = 32
SHAPES = ("square", "ellipse", "triangle")
FACTORS = ("shape", "size", "turn", "x", "y")
_SMALL, _LARGE = 5.0, 9.0
_FINE = 3  # points per pixel each way, for soft edges


def factors(count: int, seed: int) -> np.ndarray:
    """Return independent causes, (count, 5), each from 0 to 1, in the order of `FACTORS`."""
    drawn = np.random.default_rng(seed).random((count, len(FACTORS)))
    drawn[:, 0] = np.floor(drawn[:, 0] * len(SHAPES)) / (len(SHAPES) - 1)
    return drawn


def shapes_of(causes: np.ndarray) -> np.ndarray:
    """Return the number of each picture's shape, int64 (N,)."""
    return np.rint(causes[:, 0] * (len(SHAPES) - 1)).astype("int64")


def draw(causes: np.ndarray) -> np.ndarray:
    """Return pictures, uint8 (N, 32, 32, 1).

    Args:
        causes: (N, 5), each from 0 to 1, in the order of `FACTORS`.

    Example:
        >>> picture = draw(np.array([[0.0, 0.0, 0.0, 0.5, 0.5]]))[0, ..., 0]
        >>> picture.shape, int((picture > 127).sum())  # a square, 7.07 pixels wide
        ((32, 32), 60)
    """
    grid = (np.arange(SIDE * _FINE) + 0.5) / _FINE
    pictures = np.empty((len(causes), SIDE, SIDE, 1), np.uint8)
    for picture, shape, cause in zip(pictures, shapes_of(causes), causes, strict=True):
        size = _SMALL + (_LARGE - _SMALL) * cause[1]
        x, y = size + (SIDE - 2 * size) * cause[3:]
        inside = _inside(shape, (grid[None] - x) / size, (grid[:, None] - y) / size, cause[2])
        share = inside.reshape(SIDE, _FINE, SIDE, _FINE).mean(axis=(1, 3))
        picture[..., 0] = np.rint(255 * share)
    return pictures


def _inside(shape: int, x: np.ndarray, y: np.ndarray, turn: float) -> np.ndarray:
    """Whether points are in a shape that a circle of radius 1 about 0 holds."""
    angle = np.pi / 2 * turn
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    match SHAPES[shape]:
        case "square":
            return np.maximum(np.abs(u), np.abs(v)) <= np.sqrt(0.5)
        case "ellipse":
            return u**2 + (2 * v) ** 2 <= 1
    return (v <= 0.5) & (np.sqrt(3) * np.abs(u) <= 1 + v)  # its corners lie on the circle
