"""User units to model units and back: constants that travel with the model.

    model = (user - shift) / scale        user = model * scale + shift

The constants are fitted on training rows. They are no weights: they stand in the model's
configuration and become constants of the exported graphs.
"""

import dataclasses
from typing import Literal

import numpy as np
from keras import ops

from aezoo.errors import ZooError
from aezoo.specs import PictureRule

Scaling = Literal["identity", "unit", "standardize", "minmax"]


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """An affine map per feature (the last axis), then, where asked, a threshold.

    Attributes:
        dtype: What the endpoints take: `uint8` for pictures, `int32` for tokens, else `float32`.
        shift: Subtracted, in user units; one number, or one per feature.
        scale: Divided by, in user units; one number, or one per feature.
        binarize: Model units above it become 1, others 0; None keeps grey values.
        white: The value of white in pictures, in user units: 255 in 8 bits, 1 in [0, 1]; None for
            rows that are no pictures or hold other values.
        pictures: How picture files became rows, None if rows came as arrays.
        columns: What the columns of the table are called, None if rows came without names.
    """

    dtype: str = "float32"
    shift: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    binarize: float | None = None
    white: float | None = None
    pictures: PictureRule | None = None
    columns: tuple[str, ...] | None = None

    @property
    def unit_scale(self) -> float | tuple[float, ...]:
        """The size of one model unit in user units: 255 for 8-bit pictures, or one per feature."""
        return self.scale if len(self.scale) > 1 else self.scale[0]

    def apply(self, rows):
        """Return user-unit rows in model units, float32, of the same shape."""
        if self.dtype == "int32":
            return ops.cast(rows, "int32")
        x = ops.cast(rows, "float32")
        if self.shift != (0.0,):
            x = x - np.asarray(self.shift, "float32")
        if self.scale != (1.0,):
            x = x * (1.0 / np.asarray(self.scale, "float64")).astype("float32")
        if self.binarize is not None:
            x = ops.cast(x > self.binarize, "float32")
        return x

    def invert(self, x):
        """Return model-unit values in user units, float32; a threshold has no inverse."""
        x = ops.cast(x, "float32")
        if self.scale != (1.0,):
            x = x * np.asarray(self.scale, "float32")
        if self.shift != (0.0,):
            x = x + np.asarray(self.shift, "float32")
        return x

    def of_8_bits(self) -> "Preprocessing":
        """Return the same map for pictures of 8 bits, where `white` is 255.

        Example:
            >>> p = Preprocessing(shift=(0.5,), scale=(0.2,), white=1.0).of_8_bits()  # from [0, 1]
            >>> p.dtype, p.shift, p.scale
            ('uint8', (127.5,), (51.0,))
        """
        factor = 255.0 / self.white
        return dataclasses.replace(
            self,
            dtype="uint8",
            shift=tuple(value * factor for value in self.shift),
            scale=tuple(value * factor for value in self.scale),
            white=255.0,
        )

    def to_config(self) -> dict:
        """Return plain JSON values."""
        config = dataclasses.asdict(self)
        return config | {"shift": list(self.shift), "scale": list(self.scale)}

    @classmethod
    def from_config(cls, config: dict) -> "Preprocessing":
        """Return the preprocessing that `to_config` described."""
        return cls(
            dtype=config["dtype"],
            shift=tuple(config["shift"]),
            scale=tuple(config["scale"]),
            binarize=config["binarize"],
            white=config.get("white", 255.0 if config["dtype"] == "uint8" else None),
            pictures=PictureRule(**config["pictures"]) if config.get("pictures") else None,
            columns=tuple(config["columns"]) if config.get("columns") else None,
        )

    @classmethod
    def fit(
        cls, rows: np.ndarray, scaling: Scaling, binarize: float | None = None
    ) -> "Preprocessing":
        """Fit the constants on training rows.

        Args:
            rows: Training rows in user units, `(N, ..., features)`.
            scaling: `unit` divides 8-bit pictures by 255; `standardize` gives each feature mean 0
                and standard deviation 1; `minmax` maps each feature's range to [0, 1]; `identity`
                keeps the values.
            binarize: Threshold in model units.

        Raises:
            ZooError: If all values are equal, so that there is nothing to learn.
        """
        dtype = "uint8" if rows.dtype == np.uint8 else "float32"
        low, high = float(np.min(rows)), float(np.max(rows))
        white = None
        if rows.ndim == 4 and low >= 0 and high <= 255:
            white = 1.0 if dtype == "float32" and high <= 1 else 255.0
        kept = {"dtype": dtype, "binarize": binarize, "white": white}
        if scaling == "identity":
            return cls(**kept)
        if low == high:
            raise ZooError(
                "The training rows are constant: every value is the same.",
                received=low,
                do="Check that the right columns or pictures were loaded.",
            )
        if scaling == "unit":
            top = 255.0 if dtype == "uint8" else 1.0
            return cls(scale=(top,), **kept)
        flat = rows.reshape(-1, rows.shape[-1])
        if scaling == "standardize":
            shift = flat.mean(axis=0, dtype="float64")
            scale = flat.std(axis=0, dtype="float64")
        else:
            shift = flat.min(axis=0).astype("float64")
            scale = flat.max(axis=0).astype("float64") - shift
        scale = np.where(scale > 1e-12 * np.maximum(1.0, np.abs(shift)), scale, 1.0)
        return cls(shift=tuple(map(float, shift)), scale=tuple(map(float, scale)), **kept)
