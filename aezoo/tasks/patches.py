"""Patches cut of pictures of any sizes, and of what belongs to them at the same places."""

from collections.abc import Sequence

import numpy as np

from aezoo.errors import ZooError


def cut(
    side: int, count: int, rng: np.random.Generator, *kinds: Sequence[np.ndarray]
) -> tuple[list[np.ndarray], np.ndarray]:
    """Cut square patches at random places, from large pictures more.

    Args:
        side: Pixels a side; less where a picture is smaller.
        count: Patches, about; at least one of each picture.
        rng: Chooses the places.
        *kinds: Lists of (H, W, ...), such as pictures and their masks, the sizes of one list like
            those of another.

    Returns:
        For each list the patches (N, side, side, ...); and which picture each is of, (N,).

    Example:
        >>> picture = np.arange(12).reshape(3, 4)
        >>> (a, b), of = cut(2, 5, np.random.default_rng(0), [picture], [picture + 100])
        >>> a.shape, bool((b == a + 100).all()), of.tolist()
        ((5, 2, 2), True, [0, 0, 0, 0, 0])
    """
    sizes = [one.shape[:2] for one in kinds[0]]
    side = min(side, *(min(size) for size in sizes))
    areas = np.array([height * width for height, width in sizes], "float64")
    counts = np.maximum(1, np.round(count * areas / areas.sum())).astype(int)
    of = np.repeat(np.arange(len(sizes)), counts)
    corners = [[rng.integers(0, length - side + 1) for length in sizes[i]] for i in of]
    places = list(zip(of, corners, strict=True))
    return [
        np.stack([kind[i][y : y + side, x : x + side] for i, (y, x) in places]) for kind in kinds
    ], of


def as_pictures(given: Sequence) -> list[np.ndarray]:
    """Return pictures (H, W) or (H, W, C) as (H, W, C), all of as many channels.

    Raises:
        ZooError: If they are none, or of different channels.
    """
    taken = [np.asarray(one)[..., None] if np.ndim(one) == 2 else np.asarray(one) for one in given]
    shapes = [one.shape for one in taken]
    if not taken or any(len(shape) != 3 or shape[2] != shapes[0][2] for shape in shapes):
        raise ZooError(
            "A list holds pictures (H, W) or (H, W, C), all of as many channels.",
            received=shapes[:5],
        )
    return taken
