"""Several linear autoencoders, and which of them a row belongs to.

    z_k = V_k (x - m_k)                        E_k = |x - m_k|^2 - |z_k|^2
    r = softmax_k( b_k - E_k / (2 c) )         code: r and all r_k z_k
    x^ = sum_k r_k (m_k + V_k^T z_k)           c > 0

The code's way back is linear, by the same centres m and axes V. Where the rows of V_k are no longer
than 1, E_k / (2 c) is, but for a constant, minus the log-density of a Gaussian of precision
(I - V_k^T V_k) / c, and the answer goes to where rows are likelier:

    x^ - x = c  d/dx log sum_k exp( b_k - E_k / (2 c) )

Source: Hinton, Dayan & Revow, "Modeling the manifolds of images of handwritten digits" (1997), for
mixtures of linear autoencoders; the second formula is that of the score in Alain & Bengio, "What
regularized auto-encoders learn from the data-generating distribution" (2014).
"""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="aezoo")
class LinearMixture(keras.layers.Layer):
    """From rows (B, N) to codes (B, K + K * D): shares, then what each part has of the row.

    Args:
        components: K.
        units: D, the width of each part's own code.
        temperature: c at first; it is learned.

    Example:
        >>> layer = LinearMixture(components=3, units=2)
        >>> code = layer(ops.ones((4, 6)))
        >>> code.shape, float(ops.sum(code[0, :3]).numpy().round(5))
        (TensorShape([4, 9]), 1.0)
    """

    def __init__(
        self,
        components: int,
        units: int,
        temperature: float = 1.0,
        dtype=None,
        name: str | None = None,
    ):
        super().__init__(dtype=dtype, name=name)
        self.components, self.units, self.temperature = components, units, temperature

    def build(self, input_shape):
        """Make centres (K, N), axes (K * D, N), biases (K,) and the logarithm of c, ()."""
        width = input_shape[-1]
        near = keras.initializers.RandomNormal(0.05)
        short = keras.initializers.RandomNormal(0.3 / math.sqrt(width))  # of length .3, about
        self.centres = self.add_weight((self.components, width), near, name="centres")
        self.axes = self.add_weight((self.components * self.units, width), short, name="axes")
        self.bias = self.add_weight((self.components,), "zeros", name="bias")
        start = keras.initializers.Constant(math.log(self.temperature))
        self.log_temperature = self.add_weight((), start, name="log_temperature")

    def call(self, x):
        """Return r and all r_k z_k, beside each other."""
        # A small c makes much of small differences: in float32 runtimes would not agree on shares.
        weights = (x, self.centres, self.axes, self.bias, self.log_temperature)
        x, centres, axes, bias, log_c = (ops.cast(value, "float64") for value in weights)
        shape = (-1, self.components, self.units)
        of_part = ops.reshape(axes, (self.components, self.units, -1))  # (K, D, N)
        own = ops.sum(of_part * centres[:, None], axis=-1)  # (K, D)
        z = ops.reshape(ops.matmul(x, ops.transpose(axes)), shape) - own  # (B, K, D)
        # |x|^2, which all have, is left out.
        energy = ops.sum(ops.square(centres), axis=-1) - 2.0 * ops.matmul(x, ops.transpose(centres))
        energy = energy - ops.sum(ops.square(z), axis=-1)  # (B, K)
        shares = ops.softmax(bias - 0.5 * energy * ops.exp(-log_c))
        parts = ops.reshape(shares[..., None] * z, (-1, self.components * self.units))
        return ops.cast(ops.concatenate([shares, parts], axis=-1), "float32")

    def compute_output_shape(self, input_shape):
        """(B, N) -> (B, K + K * D)."""
        return (*input_shape[:-1], self.components * (1 + self.units))

    def get_config(self) -> dict:
        """Return the arguments."""
        return {
            "components": self.components,
            "units": self.units,
            "temperature": self.temperature,
            "dtype": self.dtype,
            "name": self.name,
        }


@keras.saving.register_keras_serializable(package="aezoo")
class MixedBack(keras.layers.Layer):
    """From codes (B, K + K * D) back to rows (B, N), by the centres and axes of a `LinearMixture`.

    Args:
        tied_to: The layer, built; its weights are used where they stand.
    """

    def __init__(self, tied_to: LinearMixture, dtype=None, name: str | None = None):
        super().__init__(dtype=dtype, name=name)
        self.tied_to = tied_to

    def call(self, code):
        """Return the sum of all parts' answers by their shares."""
        both = ops.concatenate([self.tied_to.centres, self.tied_to.axes], axis=0)
        return ops.matmul(ops.cast(code, "float32"), both)

    def compute_output_shape(self, input_shape):
        """(B, K + K * D) -> (B, N)."""
        return (*input_shape[:-1], self.tied_to.centres.shape[1])

    def get_config(self) -> dict:
        """Return the arguments."""
        return {
            "tied_to": keras.saving.serialize_keras_object(self.tied_to),
            "dtype": self.dtype,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict) -> "MixedBack":
        """Return a layer tied to a new layer of the old one's configuration."""
        tied_to = keras.saving.deserialize_keras_object(config["tied_to"])
        return cls(**config | {"tied_to": tied_to})
