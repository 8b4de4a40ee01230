"""U-Net: an encoder, a decoder, and a bridge between the two at every level.

    x ── conv, conv ──────────── skip 0 ──────────── conv, conv ── 1x1 conv ── softmax
             └ pool ── conv, conv ── skip 1 ── conv, conv ── up ┘
                            └ pool ── ... code ... ── up ┘

Loss: Dice + cross-entropy, see `aezoo.losses.DiceCrossEntropy`. Source: Ronneberger, Fischer &
Brox, "U-Net: convolutional networks for biomedical image segmentation" (2015); here with padded
convolutions and, by default, batch normalisation, as is usual since. Sizes that the pools do not
divide are padded inside and cropped back.
"""

import math
from typing import Annotated, Literal

import keras
from keras import layers, ops
from pydantic import Field

from aezoo import losses
from aezoo.errors import ZooError
from aezoo.layers.group_normalization import GroupNormalization
from aezoo.models.conv import code_and_margins
from aezoo.segmenter import Segmenter
from aezoo.zoo_model import Share, Width

Normalization = Literal["batch", "group", "none"]
Upsampling = Literal["transposed", "nearest"]

_FLIPS = ((1, 1), (-1, 1), (1, -1), (-1, -1))  # steps down and across


@keras.saving.register_keras_serializable(package="aezoo")
class UNet(Segmenter):
    """Segment a picture at its own size, with both a wide view and sharp borders.

    Args:
        input_shape: `(H, W, C)`, any size.
        classes: Channels of the answer: 1 gives the probability of the foreground of a binary
            mask (sigmoid), 2 and more those of classes 0 to `classes - 1` (softmax).
        filters: Channels per level, the last one that of the code; each further level halves the
            size.
        normalization: After each convolution but the last; `batch` costs nothing once exported.
        upsampling: `transposed` convolution 2x2, or `nearest` neighbour and a convolution.
        dropout: Share of the code's values dropped in training.
        activation: Of every convolution but the last.
        loss: What `build` compiles where the recipe names none.
        label_smoothing: Of the cross-entropy in the loss, see `aezoo.losses.PixelCrossEntropy`.
        average_flips: Answer the mean over the picture and its three mirror images. A little
            better where left and right, up and down mean the same; four times the work.

    Raises:
        ZooError: If `label_smoothing` is given for a loss that has none.

    Example:
        >>> model = UNet(input_shape=(27, 31, 3), filters=(4, 8, 16), classes=2)
        >>> model.latent_shape
        (7, 8, 16)
        >>> model.endpoint("segment")(image=keras.ops.zeros((1, 27, 31, 3)))["mask"].shape
        (1, 27, 31)
    """

    def __init__(
        self,
        input_shape: tuple[Width, Width, Width] = (96, 112, 1),
        classes: Width = 4,
        filters: Annotated[tuple[Width, ...], Field(min_length=2)] = (16, 32, 64, 128),
        normalization: Normalization = "batch",
        upsampling: Upsampling = "transposed",
        dropout: Share = 0.0,
        activation: str = "relu",
        loss: Literal["dice", "cross_entropy", "dice_cross_entropy"] = "dice_cross_entropy",
        label_smoothing: Share = 0.0,
        average_flips: bool = False,
    ):
        block = _Block(normalization, activation)
        encoder = unet_encoder(input_shape, filters, dropout, block)
        decoder = unet_decoder(input_shape, filters, classes, upsampling, block)
        super().__init__(encoder, decoder, classes, loss)
        self.label_smoothing, self.average_flips = label_smoothing, average_flips
        self.loss_of(loss)  # refuses what has no labels to smooth
        # The encoder's own layers, asked for every level at once.
        skips = [encoder.get_layer(f"skip_{level}").output for level in range(len(filters) - 1)]
        self.levels = keras.Model(encoder.input, [*skips, encoder.output], name="levels")

    def loss_of(self, name):
        """Return the loss of this name, with the label smoothing of this model."""
        if not self.label_smoothing or not isinstance(name, str):
            return super().loss_of(name)
        if name not in ("cross_entropy", "dice_cross_entropy"):
            raise ZooError(
                "This loss has no label smoothing.",
                received=name,
                do="Leave label_smoothing out, or choose dice_cross_entropy.",
            )
        return losses.get(name, label_smoothing=self.label_smoothing)

    def call(self, x, training=False):
        """Return the probabilities of `x`: (B, H, W, C) -> (B, H, W, classes), float32."""
        averaged = self.average_flips and not training
        if averaged:
            x = ops.concatenate([x[:, ::v, ::h] for v, h in _FLIPS])  # (4B, H, W, C)
        *skips, code = self.levels(x, training=training)
        p = self.decoder([code, *skips], training=training)  # (B or 4B, H, W, classes)
        if averaged:
            p = ops.reshape(p, (len(_FLIPS), -1, *p.shape[1:]))  # (4, B, H, W, classes)
            p = sum(p[i, :, ::v, ::h] for i, (v, h) in enumerate(_FLIPS)) / len(_FLIPS)
        return p


class _Block:
    """Twice convolution 3x3, normalisation, activation."""

    def __init__(self, normalization: Normalization, activation: str):
        self.normalization, self.activation = normalization, activation

    def __call__(self, x, width: int, name: str | None = None):
        """(B, h, w, C) -> (B, h, w, width); `name` becomes that of the last layer."""
        return self.unit(self.unit(x, width), width, name=name)

    def unit(self, x, width: int, kernel_size: int = 3, name: str | None = None):
        """One convolution, normalisation, activation."""
        # A normalisation has a shift of its own, which makes the convolution's bias idle.
        bias = self.normalization == "none"
        x = layers.Conv2D(width, kernel_size, padding="same", use_bias=bias)(x)
        if self.normalization == "batch":
            # Keras' momentum .99 needs hundreds of steps before `predict` knows the data's scale.
            x = layers.BatchNormalization(momentum=0.9)(x)
        elif self.normalization == "group":
            x = GroupNormalization(math.gcd(8, width))(x)
        return layers.Activation(self.activation, name=name)(x)


def unet_encoder(input_shape, filters, dropout, block):
    """(B, H, W, C) -> (B, H/2^n, W/2^n, filters[-1]) for n + 1 filters; `skip_0` ... inside."""
    _, margins = code_and_margins(input_shape, filters[1:])
    x = image = keras.Input(input_shape)
    if any(sum(m) for m in margins):
        x = layers.ZeroPadding2D(margins)(x)  # (B, H', W', C), divisible
    for level, width in enumerate(filters[:-1]):
        x = block(x, width, name=f"skip_{level}")  # (B, H'/2^level, W'/2^level, width)
        x = layers.MaxPooling2D(2)(x)  # halves H and W
    x = block(x, filters[-1])  # (B, H'/2^n, W'/2^n, filters[-1])
    if dropout:
        x = layers.Dropout(dropout)(x)
    return keras.Model(image, x, name="encoder")


def unet_decoder(input_shape, filters, classes, upsampling, block):
    """Code and skips, finest first -> (B, H, W, classes)."""
    code_shape, margins = code_and_margins(input_shape, filters[1:])
    height, width = (side * 2 ** (len(filters) - 1) for side in code_shape[:-1])
    skips = [
        keras.Input((height // 2**level, width // 2**level, channels))
        for level, channels in enumerate(filters[:-1])
    ]
    x = code = keras.Input(code_shape)
    for channels, skip in zip(reversed(filters[:-1]), reversed(skips), strict=True):
        if upsampling == "transposed":
            x = layers.Conv2DTranspose(channels, 2, strides=2, padding="same")(x)
        else:
            x = block.unit(layers.UpSampling2D(2)(x), channels)
        x = layers.Concatenate()([skip, x])  # (B, 2h, 2w, 2 channels)
        x = block(x, channels)  # (B, 2h, 2w, channels)
    x = layers.Conv2D(classes, 1)(x)  # (B, H', W', classes)
    if any(sum(m) for m in margins):
        x = layers.Cropping2D(margins)(x)  # (B, H, W, classes)
    # The probabilities are float32 under mixed precision too.
    last = "sigmoid" if classes == 1 else "softmax"
    return keras.Model([code, *skips], layers.Activation(last, dtype="float32")(x), name="decoder")
