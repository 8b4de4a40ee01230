"""Group normalisation that is as exact for one row as for many, and exports without transposes.

    y = (x - mean) / sqrt(variance + epsilon) * gamma + beta      over the pixels of a group

Source: Wu & He, "Group normalization" (2018). For one large picture TensorFlow's sum over three
axes of five is off by 1e-5 of the value; that over two neighbouring axes is not.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="aezoo")
class GroupNormalization(keras.layers.GroupNormalization):
    """Keras' layer, computed channels first, where a group is a run of neighbours in memory.

    That holds for float32 pictures (B, H, W, C) of a known size with a scale and a shift; for
    anything else Keras' own code runs.

    Example:
        >>> layer = GroupNormalization(groups=2)
        >>> x = keras.random.normal((3, 5, 4, 6), seed=0) + 30.0
        >>> float(ops.max(ops.abs(ops.mean(layer(x), axis=(1, 2))))) < 2.0
        True
    """

    def call(self, x):
        """(B, H, W, C) -> (B, H, W, C)."""
        return flat(self, x) if is_plain(self, x) else super().call(x)


def is_plain(layer: keras.layers.GroupNormalization, x) -> bool:
    """Whether `flat` can compute what a layer does to `x`."""
    return (
        len(x.shape) == 4
        and None not in x.shape[1:]
        and layer.axis in (-1, 3)
        and (layer.scale and layer.center)
        and x.dtype == layer.compute_dtype == "float32"
    )


def flat(layer: keras.layers.GroupNormalization, x):
    """Return what a built layer answers: (B, H, W, C) -> (B, H, W, C)."""
    height, width, channels = x.shape[1:]
    each = channels // layer.groups
    x = ops.transpose(x, (0, 3, 1, 2))  # (B, C, H, W)
    x = ops.reshape(x, (-1, layer.groups, each, height * width))  # (B, G, C/G, HW)
    # Centred before it is squared: of a mean far from 0, E[x^2] - E[x]^2 keeps no digits.
    x = x - ops.mean(x, (2, 3), keepdims=True)
    variance = ops.mean(x * x, (2, 3), keepdims=True)  # (B, G, 1, 1)
    gamma, beta = (ops.reshape(w, (layer.groups, each, 1)) for w in (layer.gamma, layer.beta))
    x = x * (ops.rsqrt(variance + layer.epsilon) * gamma) + beta
    x = ops.reshape(x, (-1, channels, height, width))
    return ops.transpose(x, (0, 2, 3, 1))  # (B, H, W, C)
