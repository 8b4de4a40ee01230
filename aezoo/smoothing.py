"""Maps of errors, smoothed: one odd pixel is noise, odd neighbours are a place."""

import numpy as np
from keras import ops

_WIDTH = 1 / 32  # of the longest side


def usual_sigma(shape: tuple[int, ...]) -> float:
    """Return the standard deviation that maps of such a picture or series are smoothed by.

    Example:
        >>> usual_sigma((64, 32))
        2.0
    """
    return _WIDTH * max(shape)


def smooth(maps, sigma: float):
    """Return maps (N, ...) after a Gaussian along each axis but the first.

    At a border the weights of what lies inside add up to 1.
    """
    if not sigma:
        return maps
    library = np if isinstance(maps, np.ndarray) else ops
    for axis in range(1, maps.ndim):
        weights = _gaussian(maps.shape[axis], sigma)
        along = library.matmul(library.moveaxis(maps, axis, -1), weights.T)
        maps = library.moveaxis(along, -1, axis)
    return maps


def _gaussian(size: int, sigma: float) -> np.ndarray:
    """Return the weights of each place's neighbours, (size, size); rows add up to 1."""
    places = np.arange(size)
    weights = np.exp(-0.5 * np.square((places[:, None] - places) / sigma))
    weights[weights < 1e-4] = 0.0  # beyond 4.3 standard deviations
    return (weights / weights.sum(axis=1, keepdims=True)).astype("float32")
