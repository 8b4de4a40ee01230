"""Defects made in normal pictures, to learn from where no picture of a real defect is at hand.

    changed = (1 - a) x + a f,     a in [0, 1] at the place of the defect, 0 elsewhere

A place is a blob or a line, cut out of smooth noise, or a polygon. What fills it, f, is the picture
brightened or darkened or of another contrast; noise of one grain or of two; waves; cells; or
another picture of the batch, mirrored, blurred, magnified or in negative. One picture in eight
stays as it is, the others get up to two defects.

Sources: Zavrtanik, Kristan & Skocaj, "DRAEM" (2021), for the idea and the places cut out of noise;
Worley, "A cellular texture basis function" (1996), for the cells. DRAEM fills with textures of
another data set; here nothing but the batch and noise is needed.
"""

import math

import keras
import numpy as np
from keras import ops

_PLACES = (2, 3, 5, 8)  # cells of noise along a side
_GRAINS = (4, 6, 8, 12, 16, 24, 32)
_UNTOUCHED = 1 / 8  # share of pictures
_SEEN = 0.03  # mean change of a place, of the range of values: a smaller one is no defect
_CELLS = 24  # of a cellular texture


@keras.saving.register_keras_serializable(package="aezoo")
class MadeDefects(keras.layers.Layer):
    """Makes defects in most pictures of a batch and tells where.

    Args:
        seed: Makes the draws repeatable from the layer's making on.

    Example:
        >>> import numpy as np
        >>> changed, mask = MadeDefects().change(np.full((64, 32, 32, 1), 0.5, "float32"), seed=0)
        >>> apart = np.abs(changed - 0.5)  # soft borders reach a little beyond the mask
        >>> bool(apart[mask == 0].max() < 0.11 < apart.max()), 0.05 < float(np.mean(mask)) < 0.3
        (True, True)
    """

    def __init__(self, seed: int | None = None, dtype: str = "float32", name: str | None = None):
        super().__init__(dtype=dtype, name=name)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, x):
        """Return what `change` gives, by fresh draws."""
        return self.change(x, self.seed_generator)

    def change(self, x, seed):
        """Return changed pictures and the mask of what changed.

        Args:
            x: Pictures in [0, 1], (B, H, W, C).
            seed: A number, which gives the same draws each time, or a `SeedGenerator`.

        Returns:
            Pictures in [0, 1], (B, H, W, C), and 0 or 1, (B, H, W, 1), both float32.
        """
        x = ops.cast(x, "float32")
        draw = _Draws(seed, ops.shape(x)[0], x.shape[1:3])
        touched = draw.number(0, 1) > _UNTOUCHED
        again = ops.logical_and(touched, draw.number(0, 1) < 0.5)
        changed, first = _one_defect(x, x, touched, draw)
        changed, second = _one_defect(changed, x, again, draw)
        return changed, ops.maximum(first, second)

    def get_config(self) -> dict:
        """Return the arguments."""
        return {"seed": self.seed, "dtype": self.dtype, "name": self.name}


def _one_defect(changed, x, touched, draw: "_Draws"):
    """Return pictures (B, H, W, C) with one defect each, where touched, and its mask."""
    place = _place(draw) * ops.cast(touched, "float32")  # (B, H, W, 1), in [0, 1]
    opacity = place * draw.number(0.5, 1.0)
    after = ops.clip(changed + opacity * (_filling(x, draw) - changed), 0.0, 1.0)
    mask = ops.cast(place > 0.2, "float32")
    size = ops.mean(ops.abs(after - changed), axis=-1, keepdims=True)
    axes = (1, 2, 3)
    seen = ops.sum(size, axes, keepdims=True) > _SEEN * ops.sum(mask, axes, keepdims=True)
    return ops.where(seen, after, changed), mask * ops.cast(seen, "float32")


# ---- places ----


def _place(draw: "_Draws"):
    """Return how much of a defect stands where, (B, H, W, 1) in [0, 1]."""
    field = draw.noise(_PLACES)
    ramp = draw.number(-1.0, 1.0)  # half of the blobs have a soft border
    blob = (field - draw.number(0.6, 1.8)) / ops.maximum(ramp, 0.02)
    line = _line(draw)
    which = draw.number(0, 1)
    place = ops.where(which < 0.4, blob, ops.where(which < 0.7, line, _polygon(draw)))
    return ops.clip(place, 0.0, 1.0)


def _line(draw: "_Draws"):
    """Return pieces of the curves where noise is zero, one to four pixels wide."""
    field = draw.noise(_PLACES)  # (B, H, W, 1)
    down = ops.pad(field[:, 1:] - field[:, :-1], [[0, 0], [0, 1], [0, 0], [0, 0]])
    right = ops.pad(field[:, :, 1:] - field[:, :, :-1], [[0, 0], [0, 0], [0, 1], [0, 0]])
    slope = ops.sqrt(down * down + right * right) + 1e-3  # per pixel
    inside = ops.abs(field) < slope * draw.number(0.5, 2.2)
    piece = draw.noise(_PLACES[:2]) > draw.number(-0.5, 0.8)
    return ops.cast(ops.logical_and(inside, piece), "float32")


def _polygon(draw: "_Draws"):
    """Return a polygon of three to five sides."""
    down, across = draw.grid()  # (1, H, 1, 1), (1, 1, W, 1), in [0, 1]
    down, across = down - draw.number(0.0, 1.0), across - draw.number(0.0, 1.0)
    turn, sides, radius = draw.number(0, 2 * math.pi), draw.number(3, 5.99), draw.number(0.06, 0.3)
    inside = True
    for side in range(5):
        angle = turn + 2 * math.pi * side / ops.floor(sides) + draw.number(-0.3, 0.3)
        reach = ops.sin(angle) * down + ops.cos(angle) * across
        inside = ops.logical_and(inside, reach < radius * draw.number(0.7, 1.4))
    return ops.cast(inside, "float32")


# ---- fillings ----


def _filling(x, draw: "_Draws"):
    """Return what stands in the place of a defect, (B, H, W, C)."""
    mean = ops.mean(x, axis=(1, 2), keepdims=True)  # (B, 1, 1, C)
    spread = ops.std(x, axis=(1, 2), keepdims=True) + 0.05
    sign = ops.sign(draw.number(-1, 1))
    shifted = x + sign * draw.number(0.12, 0.5)
    contrast = ops.where(draw.number(0, 1) < 0.6, draw.number(0.0, 0.6), draw.number(1.6, 3.0))
    contrasted = mean + draw.number(-0.15, 0.15) + (x - mean) * contrast
    grain = _pattern(draw)  # (B, H, W, 1), unit variance
    made = mean + spread * (draw.number(-1.2, 1.2) + draw.number(0.1, 1.4) * grain)
    other = _other(x, mean, draw)
    which = draw.number(0, 1)
    return ops.where(
        which < 0.3,
        shifted,
        ops.where(which < 0.4, contrasted, ops.where(which < 0.75, made, other)),
    )


def _pattern(draw: "_Draws"):
    """Return a texture (B, H, W, 1) of unit variance: noise, waves or cells, with fine noise."""
    field, coarse = draw.noise(_GRAINS), draw.noise(_GRAINS)
    edged = ops.tanh(field * draw.number(1, 6))
    mixed = field + draw.number(0, 1) * coarse
    down, across = draw.grid()
    angle, waves = draw.number(0, 2 * math.pi), draw.number(12, 120)
    phase = waves * (ops.sin(angle) * down + ops.cos(angle) * across)
    wave = ops.tanh(draw.number(1, 5) * ops.sin(phase + draw.number(0, 3) * coarse))
    which = draw.number(0, 1)
    texture = ops.where(
        which < 0.35,
        mixed,
        ops.where(which < 0.55, edged, ops.where(which < 0.7, wave, _cells(draw))),
    )
    texture = texture + ops.square(draw.number(0, 1)) * draw.white()
    return texture / (ops.std(texture, axis=(1, 2), keepdims=True) + 1e-3)


def _cells(draw: "_Draws"):
    """Return how far it is to the nearest of some points, or how near the border of its cell."""
    down, across = draw.grid()
    size = draw.number(0.3, 1.2)  # of the square in which the points lie
    y, x = draw.numbers(_CELLS) * size, draw.numbers(_CELLS) * size  # (B, 1, 1, K)
    down, across = down % size, across % size
    apart = ops.square(down - y) + ops.square(across - x)  # (B, H, W, K)
    first = ops.min(apart, axis=-1, keepdims=True)
    second = ops.min(ops.where(apart > first, apart, 9.0), axis=-1, keepdims=True)
    border = ops.sqrt(second) - ops.sqrt(first)
    cells = ops.where(draw.number(0, 1) < 0.3, ops.sqrt(first), border)
    cells = cells / (ops.std(cells, axis=(1, 2), keepdims=True) + 1e-3)
    return ops.tanh(cells * draw.number(0.5, 2.0))


def _other(x, mean, draw: "_Draws"):
    """Return another picture of the batch, changed: (B, H, W, C)."""
    height, width = x.shape[1:3]
    other = ops.flip(ops.roll(x, 1, axis=0), axis=1)
    if height == width:
        turned = ops.transpose(other, (0, 2, 1, 3))
        other = ops.where(draw.number(0, 1) < 0.5, turned, other)
    smooth = ops.average_pool(other, 3, strides=1, padding="same")
    smoother = ops.average_pool(smooth, 5, strides=1, padding="same")
    part = other[:, : -(-height // 2), : -(-width // 2)]
    magnified = ops.image.resize(part, (height, width), interpolation="bilinear")
    which = draw.number(0, 1)
    other = ops.where(
        which < 0.3,
        other,
        ops.where(which < 0.5, smooth, ops.where(which < 0.7, smoother, magnified)),
    )
    negative = 2 * mean - other
    other = ops.where(draw.number(0, 1) < 0.2, negative, other)
    return other + draw.number(-0.12, 0.12)


class _Draws:
    """Draws for each picture of a batch; of a seed that is a number, the same each time."""

    def __init__(self, seed, count, size: tuple[int, int]):
        self.seed, self.count, self.size, self.drawn = seed, count, size, 0

    def _next(self):
        self.drawn += 1
        return self.seed + self.drawn if isinstance(self.seed, int) else self.seed

    def number(self, low: float, high: float):
        """Return one uniform number for each picture, (B, 1, 1, 1)."""
        return keras.random.uniform((self.count, 1, 1, 1), low, high, seed=self._next())

    def numbers(self, many: int):
        """Return several from 0 to 1 for each, (B, 1, 1, many)."""
        return keras.random.uniform((self.count, 1, 1, many), seed=self._next())

    def grid(self):
        """Return how far down, (1, H, 1, 1), and across, (1, 1, W, 1), from 0 to 1."""
        height, width = self.size
        down = ops.reshape(ops.arange(height, dtype="float32"), (1, -1, 1, 1)) / height
        return down, ops.reshape(ops.arange(width, dtype="float32"), (1, 1, -1, 1)) / width

    def white(self):
        """Return noise without neighbours, (B, H, W, 1)."""
        return keras.random.normal((self.count, *self.size, 1), seed=self._next())

    def noise(self, grains: tuple[int, ...]):
        """Return smooth noise of unit variance, (B, H, W, 1).

        Args:
            grains: Cells along a side, of which each picture has one for each axis; one in three
                has the same for both.
        """
        most = max(grains)
        along = ops.floor(self.number(0, len(grains)))[:, 0, 0, 0]  # (B,)
        same = self.number(0, 1)[:, 0, 0, 0] < 0.67
        across = ops.where(same, along, ops.floor(self.number(0, len(grains)))[:, 0, 0, 0])
        field = keras.random.normal((self.count, most, most), seed=self._next())
        for size, chosen in zip(self.size, (along, across), strict=True):
            every = np.stack([_interpolation(size, cells, most) for cells in grains])
            field = ops.matmul(ops.take(every, ops.cast(chosen, "int32"), axis=0), field)
            field = ops.transpose(field, (0, 2, 1))  # (B, most, H), then (B, H, W)
        field = field[..., None]
        return field / (ops.std(field, axis=(1, 2), keepdims=True) + 1e-3)


def _interpolation(size: int, cells: int, most: int) -> np.ndarray:
    """Return the weights of `cells` values at `size` places, (size, most), others being 0."""
    places = (np.arange(size)[:, None] + 0.5) / size * cells - 0.5 - np.arange(most)
    weights = np.where(np.arange(most) < cells, np.exp(-0.5 * np.square(places / 0.6)), 0.0)
    return weights.astype("float32")
