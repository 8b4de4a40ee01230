"""Convolutional autoencoder for pictures (H, W, C) and series (T, C).

    conv 3x3, relu, pool 2 ... code ... conv 3x3, relu, upsample 2 ... conv, sigmoid

Source: the Keras blog's convolutional autoencoder; the sizes of `conv_ae` are those of
EvanstsaiTW's notebook AE_01_keras (C16-pool-C8-pool). Sizes that the pools do not divide are
padded inside and cropped back.
"""

import math
from typing import Literal

import keras

from aezoo.autoencoder import Autoencoder
from aezoo.zoo_model import Width


@keras.saving.register_keras_serializable(package="aezoo")
class ConvAE(Autoencoder):
    """Convolve and pool to a small map, upsample and convolve back.

    Args:
        input_shape: `(H, W, C)` or `(T, C)`, any size.
        filters: Channels per level; each level halves the size.
        latent_dim: None keeps the spatial code `(H/2^n, W/2^n, filters[-1])`; a number puts a
            dense code of that width in the middle.
        kernel_size: Of every convolution.
        activation: Of every convolution but the last.
        output_activation: `sigmoid` for values in [0, 1], `linear` for real ones.

    Example:
        >>> ConvAE().count_params(), ConvAE().latent_shape
        (3217, (7, 7, 8))
    """

    modalities = ("image", "series")

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (28, 28, 1),
        filters: tuple[Width, ...] = (16, 8),
        latent_dim: Width | None = None,
        kernel_size: Width = 3,
        activation: str = "relu",
        output_activation: Literal["sigmoid", "linear"] = "sigmoid",
    ):
        unit = output_activation == "sigmoid"
        super().__init__(
            encoder=conv_encoder(input_shape, filters, latent_dim, kernel_size, activation),
            decoder=conv_decoder(
                input_shape, filters, latent_dim, kernel_size, activation, output_activation
            ),
            output_range="unit" if unit else "real",
            loss="binary_crossentropy" if unit else "mean_squared_error",
        )


def conv_encoder(input_shape, filters, latent_dim, kernel_size, activation):
    """(B, H, W, C) -> (B, H/2^n, W/2^n, F), or (B, latent_dim)."""
    conv, pool, _, pad, _ = _layers_for(input_shape)
    _, margins = code_and_margins(input_shape, filters)
    layers = [keras.Input(input_shape)]
    if any(sum(m) for m in margins):
        layers.append(pad(_per_axis(margins)))  # (B, H', W', C), divisible
    for width in filters:
        layers.append(conv(width, kernel_size, padding="same", activation=activation))
        layers.append(pool(2))  # halves H and W
    if latent_dim is not None:
        layers.append(keras.layers.Flatten())  # (B, H'/2^n * W'/2^n * F)
        layers.append(keras.layers.Dense(latent_dim, name="latent"))  # (B, D)
    return keras.Sequential(layers, name="encoder")


def conv_decoder(input_shape, filters, latent_dim, kernel_size, activation, output_activation):
    """The code -> (B, H, W, C)."""
    conv, _, up, _, crop = _layers_for(input_shape)
    code_shape, margins = code_and_margins(input_shape, filters)
    if latent_dim is None:
        layers = [keras.Input(code_shape)]
    else:
        layers = [
            keras.Input((latent_dim,)),
            keras.layers.Dense(math.prod(code_shape), activation),
            keras.layers.Reshape(code_shape),  # (B, H'/2^n, W'/2^n, F)
        ]
    for width in reversed(filters):
        layers.append(conv(width, kernel_size, padding="same", activation=activation))
        layers.append(up(2))  # doubles H and W
    layers.append(
        conv(
            input_shape[-1],
            kernel_size,
            padding="same",
            activation=output_activation,
            dtype="float32",
        )
    )  # (B, H', W', C)
    if any(sum(m) for m in margins):
        layers.append(crop(_per_axis(margins), dtype="float32"))  # (B, H, W, C)
    return keras.Sequential(layers, name="decoder")


def code_and_margins(input_shape, filters):
    """Return the shape of the spatial code, and how much to pad before and after each axis."""
    multiple = 2 ** len(filters)
    padded = [math.ceil(size / multiple) * multiple for size in input_shape[:-1]]
    extra = [p - size for p, size in zip(padded, input_shape[:-1], strict=True)]
    margins = [(e // 2, e - e // 2) for e in extra]
    return (*(p // multiple for p in padded), filters[-1]), margins


def _per_axis(margins):
    return margins[0] if len(margins) == 1 else tuple(margins)


def _layers_for(input_shape):
    """Return the convolution, pooling, upsampling, padding and cropping of this rank."""
    k = keras.layers
    if len(input_shape) == 2:
        return k.Conv1D, k.MaxPooling1D, k.UpSampling1D, k.ZeroPadding1D, k.Cropping1D
    return k.Conv2D, k.MaxPooling2D, k.UpSampling2D, k.ZeroPadding2D, k.Cropping2D
