"""Tied autoencoder: one matrix, forwards to the code and transposed back.

    y = sigmoid(W x~ + b),   z = sigmoid(W^T y + b'),   x~ ~ q(x~ | x)
    loss = -sum_i [ x_i log z_i + (1 - x_i) log(1 - z_i) ], mean over examples

The gradients, by hand, for one example:

    dL/dW = (W (z - x) * y * (1 - y)) x~^T + y (z - x)^T
    dL/db = W (z - x) * y * (1 - y),    dL/db' = z - x

With no corruption (level 0), x~ is x. Trained by plain stochastic gradient descent, as its source
does.

Source: Vincent et al., "Extracting and composing robust features with denoising autoencoders"
(2008), equations 1 to 5.
"""

from typing import Annotated

import keras
from pydantic import Field

from aezoo.layers.corruption import Corruption, Kind
from aezoo.layers.tied_dense import TiedDense
from aezoo.losses import BernoulliNLL
from aezoo.models.denoising import Denoiser
from aezoo.models.dense import dense_encoder
from aezoo.zoo_model import Width


@keras.saving.register_keras_serializable(package="aezoo")
class TiedAE(Denoiser):
    """One sigmoid layer to the code and back by its own transpose, denoising.

    Args:
        input_shape: Shape of one row, values in [0, 1]; pictures and series are flattened inside.
        latent_dim: Width of the code.
        corruption: `gaussian`, `masking` or `salt_and_pepper`; see
            `aezoo.layers.corruption.Corruption`.
        level: Standard deviation of the noise, or the share of values replaced; 0 for none.

    Example:
        >>> model = TiedAE(input_shape=(6,), latent_dim=4)
        >>> model.count_params()  # 6 * 4 weights, once; 4 and 6 biases
        34
    """

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (28, 28, 1),
        latent_dim: Width = 1000,
        corruption: Kind = "masking",
        level: Annotated[float, Field(ge=0)] = 0.25,
    ):
        encoder = dense_encoder(input_shape, (), latent_dim, None, "sigmoid")
        super().__init__(
            encoder=encoder,
            decoder=tied_decoder(input_shape, encoder.get_layer("latent")),
            corruption=Corruption(corruption, level),
            loss=BernoulliNLL(),
        )


def tied_decoder(input_shape, layer):
    """(B, latent_dim) -> (B, *input_shape), through the transpose of a layer's kernel."""
    layers = [keras.Input((layer.units,)), TiedDense(layer, "sigmoid", dtype="float32")]
    if len(input_shape) > 1:
        layers.append(keras.layers.Reshape(input_shape, dtype="float32"))  # (B, H, W, C)
    return keras.Sequential(layers, name="decoder")
