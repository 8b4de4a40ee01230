"""Residual autoencoder for pictures (H, W, C) of any size.

    block: h + conv(relu(norm(conv(relu(norm(h))))))       loss: mean squared error per value

The encoder halves the picture by strided convolutions between its blocks, the decoder doubles it by
nearest upsampling. Only the branches are normalised: brightness and contrast, which normalisation
takes out of a picture, pass along the path beside them to the code, and back. Blocks begin near the
identity. Sources: He et al., "Identity mappings in deep residual networks" (2016), for the block;
Wu & He, "Group normalization" (2018), which does not depend on the batch; Goyal et al., "Accurate,
large minibatch SGD" (2017), for branches that begin near zero.
"""

import math
from typing import Literal

import keras

from aezoo.autoencoder import Autoencoder
from aezoo.layers.group_normalization import GroupNormalization
from aezoo.models.conv import code_and_margins
from aezoo.zoo_model import Width

_SMALL = {  # a hundredth of the usual variance
    "class_name": "VarianceScaling",
    "config": {"scale": 0.01, "mode": "fan_avg", "distribution": "uniform"},
}


@keras.saving.register_keras_serializable(package="aezoo")
class ResNetAE(Autoencoder):
    """Residual blocks between halvings, and between doublings.

    Args:
        input_shape: `(H, W, C)`, any size.
        filters: Channels per level; each level halves the size.
        blocks: Residual blocks per level.
        latent_dim: None keeps the spatial code `(H/2^n, W/2^n, filters[-1])`; a number puts a
            dense code of that width in the middle.
        normalization: Of the branches: `group`, or `batch`, which is cheaper once exported.
        activation: Within the blocks.
        output_activation: `sigmoid` for values in [0, 1], `linear` for real ones.

    Example:
        >>> ResNetAE(input_shape=(27, 31, 3), filters=(8, 16), latent_dim=4).latent_shape
        (4,)
    """

    modalities = ("image",)

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (64, 64, 3),
        filters: tuple[Width, ...] = (32, 64, 128),
        blocks: Width = 1,
        latent_dim: Width | None = 128,
        normalization: Literal["group", "batch"] = "group",
        activation: str = "relu",
        output_activation: Literal["sigmoid", "linear"] = "sigmoid",
    ):
        network = _Network(input_shape, filters, blocks, latent_dim, normalization, activation)
        super().__init__(
            encoder=network.encoder(),
            decoder=network.decoder(output_activation),
            output_range="unit" if output_activation == "sigmoid" else "real",
        )


class _Network:
    """The two halves of the autoencoder, of the same arguments."""

    def __init__(self, input_shape, filters, blocks, latent_dim, normalization, activation):
        self.input_shape, self.filters, self.blocks = input_shape, filters, blocks
        self.latent_dim, self.normalization, self.activation = latent_dim, normalization, activation
        self.code_shape, self.margins = code_and_margins(input_shape, filters)

    def encoder(self) -> keras.Model:
        """(B, H, W, C) -> (B, H/2^n, W/2^n, F), or (B, latent_dim)."""
        x = h = keras.Input(self.input_shape)
        if any(map(sum, self.margins)):
            h = keras.layers.ZeroPadding2D(tuple(self.margins))(h)  # divisible by 2^n
        for width in self.filters:
            h = keras.layers.Conv2D(width, 3, 2, padding="same")(h)  # halves H and W
            for _ in range(self.blocks):
                h = self._residual(h)  # (B, H/2^n, W/2^n, F)
        if self.latent_dim is not None:
            h = keras.layers.Flatten()(h)
            h = keras.layers.Dense(self.latent_dim, name="latent")(h)  # (B, D)
        return keras.Model(x, h, name="encoder")

    def decoder(self, output_activation: str) -> keras.Model:
        """The code -> (B, H, W, C)."""
        code = h = keras.Input(self.code_shape if self.latent_dim is None else (self.latent_dim,))
        if self.latent_dim is not None:
            h = keras.layers.Dense(math.prod(self.code_shape))(h)
            h = keras.layers.Reshape(self.code_shape)(h)  # (B, H/2^n, W/2^n, F)
        for level in reversed(range(len(self.filters))):
            for _ in range(self.blocks):
                h = self._residual(h)
            h = keras.layers.UpSampling2D(2)(h)  # doubles H and W
            h = keras.layers.Conv2D(self.filters[max(0, level - 1)], 3, padding="same")(h)
        h = keras.layers.Conv2D(
            self.input_shape[-1],
            3,
            padding="same",
            activation=output_activation,
            kernel_initializer=_SMALL,  # a sigmoid saturates else
            dtype="float32",
        )(h)  # (B, H', W', C)
        if any(map(sum, self.margins)):
            h = keras.layers.Cropping2D(tuple(self.margins), dtype="float32")(h)  # (B, H, W, C)
        return keras.Model(code, h, name="decoder")

    def _residual(self, h):
        """(B, H, W, F) -> (B, H, W, F)."""
        width = h.shape[-1]
        # No shift: what follows is normalised, which has one of its own.
        change = keras.layers.Conv2D(width, 3, padding="same", use_bias=False)(self._normalized(h))
        change = keras.layers.Conv2D(width, 3, padding="same", kernel_initializer=_SMALL)(
            self._normalized(change)
        )
        return keras.layers.Add()([h, change])

    def _normalized(self, h):
        if self.normalization == "batch":
            h = keras.layers.BatchNormalization(momentum=0.9)(h)
        else:
            h = GroupNormalization(math.gcd(8, h.shape[-1]))(h)
        return keras.layers.Activation(self.activation)(h)
