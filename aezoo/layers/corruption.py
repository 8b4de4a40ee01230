"""Corruption of rows in [0, 1], for denoising: what was lost is what the model learns to restore.

    gaussian             clip(x + n, 0, 1)              n ~ N(0, level^2)
    shifted_gaussian     clip(x + shift + n, 0, 1)      n ~ N(0, level^2)
    masking              0 with probability level, else x
    salt_and_pepper      0 or 1, each with probability level / 2, else x

Sources: Vincent et al., "Stacked denoising autoencoders" (2010), for the first and the last two;
EvanstsaiTW's notebook AE_01_keras for the shifted one.
"""

from typing import Literal, get_args

import keras
from keras import ops

from aezoo.errors import ZooError, closest_match

Kind = Literal["gaussian", "shifted_gaussian", "masking", "salt_and_pepper"]
KINDS = get_args(Kind)
_SHARES = ("masking", "salt_and_pepper")  # whose level is a share of the values


@keras.saving.register_keras_serializable(package="aezoo")
class Corruption(keras.layers.Layer):
    """Corrupts in training, passes rows through at inference; each value is drawn on its own.

    Args:
        kind: `gaussian`, `shifted_gaussian`, `masking` or `salt_and_pepper`.
        level: Standard deviation of the Gaussian kinds in model units, at least 0; for the last
            two the share of values that is replaced, from 0 to 1.
        shift: Added by `shifted_gaussian`, in model units; the other kinds have no use for it.
        seed: Makes the draws repeatable from the layer's making on.
        least: Where given, each row has a level of its own, drawn evenly from `least` to `level`.

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
        if kind not in KINDS:
            raise ZooError(
                "There is no corruption of this kind.",
                received=kind,
                closest=closest_match(kind, KINDS),
                do=f"Kinds: {', '.join(KINDS)}.",
            )
        top = 1.0 if kind in _SHARES else float("inf")
        if not 0.0 <= level <= top:
            raise ZooError(
                f"The level of {kind} noise is out of range.",
                received=level,
                do="Give a standard deviation, 0 or more."
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
        return keras.random.uniform(shape, self.least, self.level, seed=seed)

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
