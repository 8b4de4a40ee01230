"""Mixture autoencoder: a linear code, and shares of clusters beside it.

    z = x V,   p = softmax(x G + g)          code [z, p]
    x^ = z V' + p M + b                      loss: mean squared error per value

One linear layer each way and one bend between them, the softmax. For rows of a mixture of Gaussians
that share a covariance this is the whole answer to "which row was meant": with weights from the
mixture it is that of the denoising autoencoder for small noise, see `aezoo.tasks.gaussian`.

Sources: Alain & Bengio, "What regularized auto-encoders learn from the data-generating
distribution" (2014); Bishop, "Pattern recognition and machine learning" (2006), section 4.2, for
the softmax that a shared covariance gives.
"""

import math
from typing import Annotated

import keras
from pydantic import Field

from aezoo.autoencoder import Autoencoder
from aezoo.zoo_model import Width


@keras.saving.register_keras_serializable(package="aezoo")
class MixtureAE(Autoencoder):
    """A linear layer and a softmax down, a linear layer up.

    Args:
        input_shape: Shape of one row; pictures and series are flattened inside.
        latent_dim: Width of the linear part of the code.
        components: Width of the softmax: how many clusters, 2 or more.

    Example:
        >>> model = MixtureAE(input_shape=(6,), latent_dim=2, components=3)
        >>> model.latent_shape, model.count_params()
        ((5,), 69)
    """

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (30,),
        latent_dim: Width = 16,
        components: Annotated[int, Field(ge=2)] = 8,
    ):
        size, layers = math.prod(input_shape), keras.layers
        x = row = keras.Input(input_shape)
        if len(input_shape) > 1:
            x = layers.Flatten()(x)  # (B, H*W*C)
        z = layers.Dense(latent_dim, use_bias=False, name="linear")(x)  # (B, D)
        p = layers.Dense(components, "softmax", name="shares")(x)  # (B, K)
        encoder = keras.Model(row, layers.Concatenate()([z, p]), name="encoder")  # (B, D + K)
        code = keras.Input((latent_dim + components,))
        y = layers.Dense(size, name="rows", dtype="float32")(code)
        if len(input_shape) > 1:
            y = layers.Reshape(input_shape, dtype="float32")(y)
        super().__init__(encoder=encoder, decoder=keras.Model(code, y, name="decoder"))
