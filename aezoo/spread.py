"""Which of many rows stand for all."""

import numpy as np


def evenly(count: int, most: int) -> np.ndarray:
    """Return the positions of at most so many of `count` rows, spread evenly from first to last.

    Example:
        >>> evenly(9, most=3).tolist(), evenly(2, most=3).tolist()
        ([0, 4, 8], [0, 1])
    """
    return np.linspace(0, count - 1, min(count, most), dtype=int)
