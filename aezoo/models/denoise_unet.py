"""Residual U-Net for denoising: it answers the noise, and the picture is what is left.

    x ── conv 4x4 /2 ── blocks ──────── + ──────── blocks ── transposed conv 4x4 x2 ── + x
                          └ conv 2x2 /2 ── blocks ── transposed conv 2x2 x2 ┘
    block: h + conv(relu(conv(h)))                 loss: mean absolute error against the clean x

Without normalisation, whose statistics would depend on the noise. The skips carry what a bottleneck
loses, so that the answer keeps every detail: this is no code to compress or to search by.

Sources: Zhang et al., "Plug-and-play image restoration with deep denoiser prior" (2021), for the
network, here smaller; Zhang et al., "FFDNet: toward a fast and flexible solution for CNN-based
image denoising" (2018), for the first level at half the size, which costs a quarter; Zhang et al.,
"Beyond a Gaussian denoiser" (2017), for answering the noise, of levels that nobody tells it.
"""

from typing import Annotated

import keras
from keras import layers, ops
from pydantic import Field

from aezoo.endpoints import Endpoint
from aezoo.layers.corruption import Corruption, Kind
from aezoo.models.conv import code_and_margins
from aezoo.models.denoising import Denoiser
from aezoo.zoo_model import Width

_TAIL = 0.01  # variance of the last weights, against the usual: training starts near the identity


@keras.saving.register_keras_serializable(package="aezoo")
class DenoisingUNet(Denoiser):
    """Removes noise of a range of levels from pictures, keeping their details; see `Denoiser`.

    Args:
        input_shape: `(H, W, C)`, any size; values in [0, 1].
        filters: Channels per level; each level halves the size.
        blocks: Residual blocks per level, on the way down and on the way up.
        corruption: See `aezoo.layers.corruption.Corruption`.
        level: The largest standard deviation of the noise, or share of values replaced.
        least: The smallest; None trains for `level` alone.
        shift: Brightness that `shifted_gaussian` adds.

    Example:
        >>> model = DenoisingUNet(input_shape=(27, 31, 3), filters=(8, 16))
        >>> model.latent_shape, model(keras.ops.zeros((1, 27, 31, 3))).shape
        ((7, 8, 16), TensorShape([1, 27, 31, 3]))
    """

    modalities = ("image",)

    def __init__(
        self,
        input_shape: tuple[Width, Width, Width] = (64, 64, 3),
        filters: Annotated[tuple[Width, ...], Field(min_length=1)] = (48, 96, 128),
        blocks: Width = 1,
        corruption: Kind = "gaussian",
        level: Annotated[float, Field(ge=0)] = 0.22,
        least: Annotated[float, Field(ge=0)] | None = 0.02,
        shift: float = 0.0,
    ):
        encoder = _encoder(input_shape, filters, blocks)
        super().__init__(
            encoder=encoder,
            decoder=_decoder(input_shape, filters, blocks),
            corruption=Corruption(corruption, level, shift, least=least),
            loss="mean_absolute_error",
        )
        # The encoder's own layers, asked for every level at once.
        skips = [encoder.get_layer(f"skip_{level}").output for level in range(len(filters) - 1)]
        self.levels = keras.Model(encoder.input, [*skips, encoder.output], name="levels")

    def call(self, x, training=False):
        """Return `x` without its noise: (B, H, W, C) -> (B, H, W, C), float32."""
        *skips, code = keras.tree.flatten(self.levels(x, training=training))
        noise = self.decoder([code, *skips], training=training)
        return ops.cast(x, "float32") - ops.cast(noise, "float32")

    def make_endpoints(self) -> list[Endpoint]:
        """Return what an autoencoder has, but `decode`: a code without its skips is no picture."""
        return [made for made in super().make_endpoints() if made.name != "decode"]


def _encoder(input_shape, filters, blocks):
    """(B, H, W, C) -> (B, H/2^n, W/2^n, filters[-1]) for n filters; `skip_0` ... inside."""
    _, margins = code_and_margins(input_shape, filters)
    x = picture = keras.Input(input_shape)
    if any(map(sum, margins)):
        x = layers.ZeroPadding2D(tuple(margins))(x)  # (B, H', W', C), divisible
    for level, width in enumerate(filters):
        x = layers.Conv2D(width, 2 if level else 4, strides=2, padding="same")(x)
        for _ in range(blocks - 1):
            x = _residual(x)
        x = _residual(x, name=f"skip_{level}")  # (B, H'/2^(level + 1), ..., width)
    return keras.Model(picture, x, name="encoder")


def _decoder(input_shape, filters, blocks):
    """Code and skips, finest first -> the noise, (B, H, W, C)."""
    code_shape, margins = code_and_margins(input_shape, filters)
    depth = len(filters)
    skips = [
        keras.Input((*(side * 2 ** (depth - 1 - level) for side in code_shape[:-1]), width))
        for level, width in enumerate(filters[:-1])
    ]
    x = code = keras.Input(code_shape)
    for width, skip in zip(reversed(filters[:-1]), reversed(skips), strict=True):
        x = layers.Conv2DTranspose(width, 2, strides=2)(x)  # doubles H and W
        x = layers.Add()([x, skip])
        for _ in range(blocks):
            x = _residual(x)
    small = keras.initializers.VarianceScaling(_TAIL, "fan_avg", "uniform")
    tail = layers.Conv2DTranspose(
        input_shape[-1], 4, strides=2, padding="same", kernel_initializer=small, dtype="float32"
    )
    x = tail(x)  # (B, H', W', C)
    if any(map(sum, margins)):
        x = layers.Cropping2D(tuple(margins), dtype="float32")(x)  # (B, H, W, C)
    return keras.Model([code, *skips], x, name="decoder")


def _residual(x, name: str | None = None):
    """One block, (B, h, w, C) -> (B, h, w, C)."""
    h = layers.Conv2D(x.shape[-1], 3, padding="same", activation="relu")(x)
    h = layers.Conv2D(x.shape[-1], 3, padding="same")(h)
    return layers.Add(name=name)([x, h])
