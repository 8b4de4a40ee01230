"""Fully connected autoencoder, any input shape.

    h = relu(W x + b) ... code ... x^ = sigmoid(W' h + b')     loss: cross-entropy per value

Source: Hinton & Salakhutdinov, "Reducing the dimensionality of data with neural networks" (2006);
the sizes of `vallina_ae` are those of EvanstsaiTW's notebook AE_01_keras (784-128-32-2), those of
`deep_ae` (784-128-64-32) of F. Chollet, "Building Autoencoders in Keras" (2016).
"""

import math
from typing import Literal

import keras

from aezoo.autoencoder import Autoencoder
from aezoo.zoo_model import Width


@keras.saving.register_keras_serializable(package="aezoo")
class DenseAE(Autoencoder):
    """Flatten, narrow to a code, widen again.

    Args:
        input_shape: Shape of one row; pictures and series are flattened inside.
        hidden: Widths of the encoder's layers; the decoder mirrors them.
        latent_dim: Width of the code.
        activation: Of the hidden layers.
        latent_activation: Of the code.
        output_activation: `sigmoid` for values in [0, 1], `linear` for real ones.

    Example:
        >>> DenseAE(input_shape=(28, 28, 1)).count_params()
        210130
    """

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (28, 28, 1),
        hidden: tuple[Width, ...] = (128, 32),
        latent_dim: Width = 2,
        activation: str = "relu",
        latent_activation: str = "relu",
        output_activation: Literal["sigmoid", "linear"] = "sigmoid",
    ):
        unit = output_activation == "sigmoid"
        super().__init__(
            encoder=dense_encoder(input_shape, hidden, latent_dim, activation, latent_activation),
            decoder=dense_decoder(input_shape, hidden, latent_dim, activation, output_activation),
            output_range="unit" if unit else "real",
            loss="binary_crossentropy" if unit else "mean_squared_error",
        )


def dense_encoder(input_shape, hidden, latent_dim, activation, latent_activation):
    """(B, *input_shape) -> (B, latent_dim)."""
    layers = [keras.Input(input_shape)]
    if len(input_shape) > 1:
        layers.append(keras.layers.Flatten())  # (B, H*W*C)
    layers += [keras.layers.Dense(width, activation) for width in hidden]
    layers.append(keras.layers.Dense(latent_dim, latent_activation, name="latent"))  # (B, D)
    return keras.Sequential(layers, name="encoder")


def dense_decoder(input_shape, hidden, latent_dim, activation, output_activation):
    """(B, latent_dim) -> (B, *input_shape)."""
    layers = [keras.Input((latent_dim,))]
    layers += [keras.layers.Dense(width, activation) for width in reversed(hidden)]
    layers.append(
        keras.layers.Dense(math.prod(input_shape), output_activation, dtype="float32")
    )  # (B, H*W*C)
    if len(input_shape) > 1:
        layers.append(keras.layers.Reshape(input_shape, dtype="float32"))  # (B, H, W, C)
    return keras.Sequential(layers, name="decoder")
