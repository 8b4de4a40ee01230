"""Noise on 8-bit pictures, and pictures of any size through what restores tiles of one size."""

from collections.abc import Callable

import numpy as np

from aezoo.tiles import tiled

Restore = Callable[[np.ndarray], np.ndarray]  # tiles (N, h, w, C) -> the same without noise


def with_noise(picture: np.ndarray, sigma: float, seed: int | tuple[int, ...]) -> np.ndarray:
    """Return a picture as a camera would store it with Gaussian noise: rounded, 0 to 255.

    Args:
        picture: (..., C), uint8.
        sigma: Standard deviation of the noise, of 255.
        seed: The same seed gives the same noise.

    Example:
        >>> noisy = with_noise(np.full((100, 100, 1), 128, "uint8"), 25, seed=0)
        >>> noisy.dtype, round(float(noisy.std()))
        (dtype('uint8'), 25)
    """
    noise = np.random.default_rng(seed).normal(0.0, sigma, picture.shape)
    return np.clip(np.round(picture + noise), 0, 255).astype("uint8")


def restored(picture: np.ndarray, restore: Restore, shape: tuple[int, int, int]) -> np.ndarray:
    """Return a picture of any size without its noise.

    Args:
        picture: (H, W) or (H, W, C), uint8.
        restore: Asked about tiles, in the unit of the picture.
        shape: Height, width and channels of a tile. With one channel, those of a coloured picture
            are restored one by one; with three, a grey picture is shown to it as a coloured one.

    Returns:
        Of the shape and type of the picture.

    Example:
        >>> picture = np.random.default_rng(0).integers(0, 256, (30, 50, 3), "uint8")
        >>> bool((restored(picture, lambda tiles: tiles, (16, 16, 1)) == picture).all())
        True
    """
    if picture.ndim == 2:
        return restored(picture[..., None], restore, shape)[..., 0]
    channels = picture.shape[-1]
    if shape[-1] == 1 < channels:
        parts = [restored(picture[..., i : i + 1], restore, shape) for i in range(channels)]
        return np.concatenate(parts, axis=-1)
    if channels == 1 < shape[-1]:
        answer = restored(np.repeat(picture, shape[-1], axis=-1), restore, shape)
        mean = answer.mean(axis=-1, keepdims=True)
        return (np.round(mean) if picture.dtype.kind == "u" else mean).astype(picture.dtype)
    return tiled(picture, restore, shape[:2], out=np.empty_like(picture))
