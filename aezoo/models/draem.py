"""DRAEM: restore what is normal, and tell what is not, from defects made in training.

    x~, m = made defects of x      x^ = decoder(encoder(x~))      p = discriminator(x~, x^)

    loss = |x - x^|^2 + defect_weight * balanced cross-entropy(p, m)

An autoencoder shows a defect by how badly it is rebuilt, which in a fine, irregular texture
everything is; the discriminator learns how the normal looks. Balanced means that defects and the
rest have one half of the weight each, however small defects are. Source: Zavrtanik, Kristan &
Skocaj, "DRAEM: a discriminatively trained reconstruction embedding for surface anomaly detection"
(2021); here with a smaller network, squared error, and defects made of noise and of the rows alone.
"""

import dataclasses
from typing import Annotated

import keras
from keras import layers, ops
from pydantic import Field

from aezoo.autoencoder import Autoencoder
from aezoo.layers.defects import MadeDefects
from aezoo.models.conv import code_and_margins, conv_decoder, conv_encoder
from aezoo.zoo_model import EVALUATION_SEED, Weight, Width

_WINDOW = 5  # pixels a side, over which the map is averaged for the score


@keras.saving.register_keras_serializable(package="aezoo")
class Draem(Autoencoder):
    """An autoencoder, and a discriminator that sees its input and its answer.

    Args:
        input_shape: `(H, W, C)`, any size; values in [0, 1].
        filters: Channels per level of the autoencoder; each level halves the size.
        discriminator_filters: Channels per level of the discriminator, a U-Net whose first level
            has half the size of the picture.
        defect_weight: Of the discriminator's loss.

    Example:
        >>> import numpy as np
        >>> model = Draem(input_shape=(16, 16, 1), filters=(4,), discriminator_filters=(4, 8))
        >>> model.endpoint("score")(image=np.zeros((2, 16, 16, 1)))["error_map"].shape
        (2, 16, 16)
    """

    modalities = ("image",)

    def __init__(
        self,
        input_shape: tuple[Width, Width, Width] = (64, 64, 1),
        filters: tuple[Width, ...] = (8, 16, 32),
        discriminator_filters: Annotated[tuple[Width, ...], Field(min_length=1)] = (24, 48, 96),
        defect_weight: Weight = 1.0,
    ):
        super().__init__(
            encoder=conv_encoder(input_shape, filters, None, 3, "relu"),
            decoder=conv_decoder(input_shape, filters, None, 3, "relu", "sigmoid"),
            output_range="unit",
            terms=("defect_loss",),
        )
        self.defect_weight = defect_weight
        self.defects = MadeDefects()
        self.discriminator = discriminator(input_shape, discriminator_filters)

    def pair(self, x, y, training: bool):
        """Return pictures with defects and where they are, and the pictures as they were."""
        y = self.target_of(x) if y is None else y
        seed = self.defects.seed_generator if training else EVALUATION_SEED
        changed, mask = self.defects.change(x, seed)
        return {"image": changed, "mask": mask}, y

    def call(self, x, training=False):
        """Return the restored pictures (B, H, W, C).

        Args:
            x: Pictures, or what `pair` makes of them: the term of the discriminator is then added.
            training: Of the layers.
        """
        if not isinstance(x, dict):
            return super().call(x, training)
        answer = super().call(x["image"], training)
        logits = self.discriminator([x["image"], answer], training=training)  # (B, H, W, 1)
        self.add_term("defect_loss", balanced(x["mask"], logits), self.defect_weight)
        return answer

    def error_map(self, x, reconstruction):
        """Return the probability of a defect: pictures and answers -> (B, H, W)."""
        logits = self.discriminator([x, reconstruction], training=False)
        return ops.sigmoid(logits)[..., 0]

    def scores(self, x):
        """Return `score` (B, 1), the highest mean of the map in a window, and the map."""
        error_map = self.error_map(x, self(x, training=False))
        window = min(_WINDOW, *self.input_shape[:2])
        means = ops.average_pool(error_map[..., None], window, strides=1, padding="valid")
        return {"score": ops.max(means, axis=(1, 2)), "error_map": error_map}

    def score_specs(self):
        """Return the specs of what `scores` gives."""
        said = ("The highest mean of the map in a window.", "The probability of a defect by place.")
        specs = super().score_specs()
        return tuple(
            dataclasses.replace(spec, description=text)
            for spec, text in zip(specs, said, strict=True)
        )


def balanced(mask, logits):
    """Return the cross-entropy, of which defects and the rest have one half each; (), in nats.

    Args:
        mask: 0 or 1, (B, H, W, 1).
        logits: Of the same shape.
    """
    mask, logits = ops.cast(mask, "float32"), ops.cast(logits, "float32")
    each = ops.softplus(logits) - mask * logits  # (B, H, W, 1)
    odd, normal = ops.sum(mask) + 1.0, ops.sum(1.0 - mask) + 1.0
    return 0.5 * (ops.sum(mask * each) / odd + ops.sum((1.0 - mask) * each) / normal)


def discriminator(input_shape, filters):
    """Picture and answer, (B, H, W, C) each -> logits of a defect (B, H, W, 1)."""
    _, margins = code_and_margins(input_shape, filters)
    picture, answer = keras.Input(input_shape), keras.Input(input_shape)
    x = layers.Concatenate()([picture, answer])  # (B, H, W, 2C)
    if any(map(any, margins)):
        x = layers.ZeroPadding2D(margins)(x)  # (B, H', W', 2C), divisible
    x = _unit(x, filters[0], kernel_size=4, strides=2)  # (B, H'/2, W'/2, F0)
    skips = []
    for number, width in enumerate(filters):
        if number:
            skips.append(x)
            x = layers.MaxPooling2D(2)(x)
        x = _unit(_unit(x, width), width)  # (B, H'/2^(n+1), W'/2^(n+1), Fn)
    for width, skip in zip(reversed(filters[:-1]), reversed(skips), strict=True):
        x = layers.Conv2DTranspose(width, 2, strides=2)(x)  # doubles H and W
        x = layers.Concatenate()([skip, x])
        x = _unit(_unit(x, width), width)
    x = layers.Conv2DTranspose(1, 4, strides=2, padding="same", dtype="float32")(
        x
    )  # (B, H', W', 1)
    if any(map(any, margins)):
        x = layers.Cropping2D(margins, dtype="float32")(x)  # (B, H, W, 1)
    return keras.Model([picture, answer], x, name="discriminator")


def _unit(x, width: int, kernel_size: int = 3, strides: int = 1):
    """One convolution, normalisation, relu."""
    x = layers.Conv2D(width, kernel_size, strides, padding="same", use_bias=False)(x)
    # Keras' momentum .99 needs hundreds of steps before `predict` knows the data's scale.
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
