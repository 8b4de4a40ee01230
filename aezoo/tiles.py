"""A picture larger than a model's input: answered tile by tile, blended where tiles overlap.

Each answer is weighted by a raised cosine that falls off towards the edge of its tile, so that no
seam shows. A band of one tile's height is held at a time, whatever the picture's height.
"""

from collections.abc import Callable

import numpy as np

OVERLAP = 0.25  # of a tile, with each neighbour
_BATCH = 16  # tiles asked at once
_LEAST = 1e-3  # weight at the very edge: the picture's border has no other tile


def tiled(
    picture: np.ndarray,
    answer: Callable[[np.ndarray], np.ndarray],
    size: tuple[int, int],
    *,
    overlap: float = OVERLAP,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Answer a picture of any size with a function of tiles of one size.

    Args:
        picture: (H, W, C), an array or a memory map. A side shorter than a tile is mirrored up to
            it and cut back.
        answer: (N, h, w, C) -> (N, h, w, K), of the same height and width as it was asked; it may
            be float of any range.
        size: Height and width of a tile, in pixels.
        overlap: Share of a tile that neighbours see too, from 0 to 0.9.
        out: Where to write (H, W, K), such as a memory map; None makes a float32 array.

    Returns:
        (H, W, K), `out` where given.

    Example:
        >>> picture = np.random.default_rng(0).uniform(size=(50, 70, 1))
        >>> same = tiled(picture, lambda tiles: tiles, (32, 32))
        >>> bool(np.allclose(same, picture))
        True
    """
    height, width = picture.shape[:2]
    rows, columns = _starts(height, size[0], overlap), _starts(width, size[1], overlap)
    weight = np.outer(_falloff(size[0]), _falloff(size[1]))[..., None]  # (h, w, 1)
    total = weights = None
    done = 0  # rows of `out` that are written
    for number, top in enumerate(rows):
        tiles = np.stack([_cut(picture, top, left, size) for left in columns])  # (N, h, w, C)
        answers = np.concatenate(
            [np.asarray(answer(tiles[i : i + _BATCH])) for i in range(0, len(tiles), _BATCH)]
        )
        if total is None:
            shape = (size[0], columns[-1] + size[1], answers.shape[-1])
            total, weights = np.zeros(shape), np.zeros((*shape[:2], 1))
            if out is None:
                out = np.empty((height, width, answers.shape[-1]), "float32")
        for left, one in zip(columns, answers, strict=True):
            total[:, left : left + size[1]] += one * weight
            weights[:, left : left + size[1]] += weight
        last = number + 1 == len(rows)
        ready = (height if last else rows[number + 1]) - done  # no later tile reaches them
        blended = total[:ready, :width] / weights[:ready, :width]
        if np.issubdtype(out.dtype, np.integer):
            limits = np.iinfo(out.dtype)
            blended = np.clip(np.round(blended), limits.min, limits.max)
        out[done : done + ready] = blended[: height - done]
        total, weights = _moved_up(total, ready), _moved_up(weights, ready)
        done += ready
    return out


def _starts(length: int, size: int, overlap: float) -> list[int]:
    """Return where tiles begin, evenly, the last one flush with the end."""
    if length <= size:
        return [0]
    stride = max(1, int(size * (1 - overlap)))
    count = -(-(length - size) // stride) + 1
    return [round(start) for start in np.linspace(0, length - size, count)]


def _falloff(size: int) -> np.ndarray:
    """Return (size,) weights, 1 in the middle."""
    places = (np.arange(size) + 0.5) / size
    return np.maximum(np.sin(np.pi * places) ** 2, _LEAST)


def _cut(picture: np.ndarray, top: int, left: int, size: tuple[int, int]) -> np.ndarray:
    tile = np.asarray(picture[top : top + size[0], left : left + size[1]])
    missing = [(0, wanted - got) for wanted, got in zip(size, tile.shape, strict=False)]
    return np.pad(tile, [*missing, (0, 0)], mode="symmetric") if any(map(any, missing)) else tile


def _moved_up(band: np.ndarray, rows: int) -> np.ndarray:
    moved = np.zeros_like(band)
    moved[: len(band) - rows] = band[rows:]
    return moved
