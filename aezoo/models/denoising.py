"""Denoising autoencoder: the clean row from a corrupted one.

    x~ ~ q(x~ | x),   x^ = decoder(encoder(x~))          loss: cross-entropy of x^ against clean x

Sources: Vincent et al., "Extracting and composing robust features with denoising autoencoders"
(2008); the sizes and the noise of `denoise_ae` are those of EvanstsaiTW's notebook AE_01_keras,
the layers of `dec_ae` those of Xie et al., "Unsupervised deep embedding for clustering analysis"
(2016), the last of them half as wide.
"""

from typing import Annotated

import keras
from pydantic import Field

from aezoo.autoencoder import Autoencoder
from aezoo.layers.corruption import Corruption, Kind
from aezoo.models.conv import conv_decoder, conv_encoder
from aezoo.models.dense import dense_decoder, dense_encoder
from aezoo.zoo_model import EVALUATION_SEED, Width


class Denoiser(Autoencoder):
    """What all denoising autoencoders share; a variant gives the two networks.

    `fit(x)` and `evaluate(x)` corrupt `x` and compare with the clean `x`: with fresh draws in
    training, with a fixed seed in evaluation. With a target, `fit(noisy, clean)`, the rows are
    taken as given. `call`, `predict` and the endpoints never corrupt.

    Args:
        encoder: Maps `(B, *input_shape)` to the code, built.
        decoder: Maps the code to `(B, *input_shape)` in [0, 1], built.
        corruption: What is done to rows.
        loss: Of the reconstruction against the clean rows.
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        corruption: Corruption,
        loss: str | keras.losses.Loss = "binary_crossentropy",
    ):
        super().__init__(encoder, decoder, output_range="unit", loss=loss)
        self.corruption = corruption

    def pair(self, x, y, training: bool):
        """Return `(corrupted x, x)`, or `(x, y)` as given where there is a target."""
        if y is not None:
            return x, y
        if training:
            return self.corruption(x, training=True), x
        return self.corruption.corrupt(x, EVALUATION_SEED), x


@keras.saving.register_keras_serializable(package="aezoo")
class DenoisingAE(Denoiser):
    """A convolutional autoencoder that learns to undo a corruption; see `Denoiser`.

    Args:
        input_shape: `(H, W, C)` or `(T, C)`, any size; values in [0, 1].
        filters: Channels per level; each level halves the size.
        latent_dim: None keeps the spatial code `(H/2^n, W/2^n, filters[-1])`; a number puts a
            dense code of that width in the middle.
        corruption: See `aezoo.layers.corruption.Corruption`.
        level: Standard deviation of the noise, or the share of values replaced.
        shift: Brightness that `shifted_gaussian` adds.
        kernel_size: Of every convolution.
        activation: Of every convolution but the last, which is a sigmoid.
        least: Where given, each row has a level of its own, from `least` to `level`.

    Example:
        >>> model = DenoisingAE(corruption="masking", level=0.3)
        >>> model.count_params(), model.latent_shape
        (74497, (7, 7, 64))
    """

    modalities = ("image", "series")

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (28, 28, 1),
        filters: tuple[Width, ...] = (32, 64),
        latent_dim: Width | None = None,
        corruption: Kind = "shifted_gaussian",
        level: Annotated[float, Field(ge=0)] = 0.2,
        shift: float = 0.2,
        kernel_size: Width = 3,
        activation: str = "relu",
        least: Annotated[float, Field(ge=0)] | None = None,
    ):
        super().__init__(
            encoder=conv_encoder(input_shape, filters, latent_dim, kernel_size, activation),
            decoder=conv_decoder(
                input_shape, filters, latent_dim, kernel_size, activation, "sigmoid"
            ),
            corruption=Corruption(corruption, level, shift, least=least),
        )


@keras.saving.register_keras_serializable(package="aezoo")
class DenseDenoisingAE(Denoiser):
    """Fully connected layers that learn to undo a corruption; see `Denoiser`.

    Pictures that come turned, slanted and moved are rebuilt as they were, so that the code tells
    what is shown rather than how: then rows that show the same lie together.

    Args:
        input_shape: Shape of one row; pictures and series are flattened inside; values in [0, 1].
        hidden: Widths of the encoder's layers; the decoder mirrors them.
        latent_dim: Width of the code.
        corruption: See `aezoo.layers.corruption.Corruption`; `distortion` needs pictures.
        level: Its strength, standard deviation, or share of values replaced.
        activation: Of the hidden layers; the code is linear.

    Example:
        >>> DenseDenoisingAE(input_shape=(12, 12, 1), hidden=(16,), latent_dim=3).latent_shape
        (3,)
    """

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (28, 28, 1),
        hidden: tuple[Width, ...] = (500, 500, 1000),
        latent_dim: Width = 10,
        corruption: Kind = "distortion",
        level: Annotated[float, Field(ge=0)] = 1.5,
        activation: str = "relu",
    ):
        super().__init__(
            encoder=dense_encoder(input_shape, hidden, latent_dim, activation, "linear"),
            decoder=dense_decoder(input_shape, hidden, latent_dim, activation, "sigmoid"),
            corruption=Corruption(corruption, level),
        )
