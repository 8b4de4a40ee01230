"""Corruption of rows in [0, 1], for denoising: what was lost is what the model learns to restore.

    gaussian             clip(x + n, 0, 1)              n ~ N(0, level^2)
    shifted_gaussian     clip(x + shift + n, 0, 1)      n ~ N(0, level^2)
    masking              0 with probability level, else x
    salt_and_pepper      0 or 1, each with probability level / 2, else x
    distortion           a picture turned, slanted, stretched and moved, by up to level times 0.2
                         radians, 0.3, a tenth, and a fourteenth of its size; black comes in

What a model cannot see it cannot rebuild: one that learns to undo distortions rebuilds pictures
upright, and its codes tell little of slant and place. That is what clusters want.

Sources: Vincent et al., "Stacked denoising autoencoders" (2010), for gaussian, masking and
salt_and_pepper; EvanstsaiTW's notebook AE_01_keras for the shifted one.
"""

import math
from typing import Literal, get_args

import keras
from keras import ops

from aezoo.errors import ZooError, require_known

Kind = Literal["gaussian", "shifted_gaussian", "masking", "salt_and_pepper", "distortion"]
KINDS = get_args(Kind)
_SHARES = ("masking", "salt_and_pepper")  # whose level is a share of the values
_TURN, _SLANT, _STRETCH, _MOVE = 0.2, 0.3, 0.1, 1 / 14  # at level 1


@keras.saving.register_keras_serializable(package="aezoo")
class Corruption(keras.layers.Layer):
    """Corrupts in training, passes rows through at inference; each value is drawn on its own.

    Args:
        kind: `gaussian`, `shifted_gaussian`, `masking`, `salt_and_pepper` or `distortion`.
        level: Standard deviation of the Gaussian kinds in model units, at least 0; of `distortion`
            its strength, at least 0; for the other two the share of values that is replaced, from
            0 to 1.
        shift: Added by `shifted_gaussian`, in model units; the other kinds have no use for it.
        seed: Makes the draws repeatable from the layer's making on.
        least: Where given, each row has a level of its own, drawn evenly from `least` to `level`;
            for the Gaussian kinds, if above 0, evenly on a scale of logarithms.

    Raises:
        ZooError: For an unknown kind or a level out of range.

    Example:
        >>> import numpy as np
        >>> layer = Corruption("masking", level=1.0)
        >>> rows = np.ones((1, 2), "float32")
        >>> layer(rows, training=True).numpy().tolist(), layer(rows).numpy().tolist()
        ([[0.0, 0.0]], [[1.0, 1.0]])
    """

    def __init__(
        self,
        kind: Kind = "gaussian",
        level: float = 0.2,
        shift: float = 0.2,
        seed: int | None = None,
        dtype: str = "float32",  # rows are data: mixed precision does not round them
        name: str | None = None,
        least: float | None = None,
    ):
        super().__init__(dtype=dtype, name=name)
        require_known("corruption", kind, KINDS)
        top = 1.0 if kind in _SHARES else float("inf")
        if not 0.0 <= level <= top:
            raise ZooError(
                f"The level of {kind} is out of range.",
                received=level,
                do="Give 0 or more."
                if top > 1.0
                else "Give the share of values to replace, from 0 to 1.",
            )
        if least is not None and not 0.0 <= least <= level:
            raise ZooError(
                "The least level of the noise lies outside its range.",
                received=least,
                do=f"Give a number from 0 to the level, {level}.",
            )
        self.kind, self.level, self.shift, self.seed = kind, level, shift, seed
        self.least = least
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, x, training=False):
        """Return the rows, corrupted by fresh draws if `training`, of the same shape."""
        return self.corrupt(x, self.seed_generator) if training else x

    def corrupt(self, x, seed):
        """Return corrupted rows in [0, 1], float32, of the same shape.

        Args:
            x: Rows in [0, 1], any shape.
            seed: A number, which gives the same draws each time, or a `SeedGenerator`.
        """
        x = ops.cast(x, "float32")
        level = self._levels(x, seed)
        if self.kind == "distortion":
            return distorted(x, level if self.least is None else ops.reshape(level, (-1,)), seed)
        if self.kind not in _SHARES:
            noise = level * keras.random.normal(ops.shape(x), seed=seed)
            shift = self.shift if self.kind == "shifted_gaussian" else 0.0
            return ops.clip(x + shift + noise, 0.0, 1.0)
        u = keras.random.uniform(ops.shape(x), seed=seed)  # one draw decides if, and by what
        if self.kind == "masking":
            return ops.where(u < level, 0.0, x)
        replacement = ops.cast(u < 0.5 * level, "float32")  # salt for the lower half
        return ops.where(u < level, replacement, x)

    def _levels(self, x, seed):
        """Return the level, or one for each row, (B, 1, ...)."""
        if self.least is None:
            return self.level
        shape = (ops.shape(x)[0], *[1] * (len(x.shape) - 1))
        if self.kind in _SHARES or self.kind == "distortion" or not self.least:
            return keras.random.uniform(shape, self.least, self.level, seed=seed)
        # What strong noise costs would drown what weak noise does: by its logarithm each octave of
        # the range has as many rows.
        low, high = math.log(self.least), math.log(self.level)
        return ops.exp(keras.random.uniform(shape, low, high, seed=seed))

    def get_config(self) -> dict:
        """Return the arguments."""
        return {
            "kind": self.kind,
            "level": self.level,
            "shift": self.shift,
            "seed": self.seed,
            "dtype": self.dtype,
            "name": self.name,
            "least": self.least,
        }


def distorted(x, level, seed):
    """Return pictures (B, H, W, C), each turned, slanted, stretched and moved by draws of its own.

    Args:
        x: Pictures; what comes in at the border is 0.
        level: How much, or how much for each, (B,); see the module.
        seed: A number, or a `SeedGenerator`.

    Raises:
        ZooError: If the rows are no pictures.

    Example:
        >>> import numpy as np
        >>> pictures = np.ones((2, 8, 8, 1), "float32")
        >>> bool((distorted(pictures, 0.0, seed=0).numpy() == pictures).all())
        True
    """
    if len(x.shape) != 4:
        raise ZooError(
            "Only pictures can be distorted.",
            received=tuple(x.shape[1:]),
            do="Choose another corruption, such as masking.",
        )
    height, width = x.shape[1:3]
    draws = level * keras.random.uniform((6, ops.shape(x)[0]), -1.0, 1.0, seed=seed)
    turn, slant, tall, wide, down, right = ops.unstack(draws, 6)  # (B,) each
    cos, sin = ops.cos(_TURN * turn), ops.sin(_TURN * turn)
    slant, wide, tall = _SLANT * slant, 1.0 + _STRETCH * wide, 1.0 + _STRETCH * tall
    # Where the value at (column, row) comes from: a rotation times a shear, around the middle.
    xx, xy = wide * cos, wide * (slant * cos - sin)
    yx, yy = tall * sin, tall * (slant * sin + cos)
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    x0 = middle_x * (1.0 - xx) - middle_y * xy + _MOVE * width * right
    y0 = middle_y * (1.0 - yy) - middle_x * yx + _MOVE * height * down
    none = ops.zeros_like(turn)
    transforms = ops.stack([xx, xy, x0, yx, yy, y0, none, none], axis=1)  # (B, 8)
    return ops.image.affine_transform(x, transforms, "bilinear", "constant", 0.0)
