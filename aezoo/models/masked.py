"""Masked autoencoder: a transformer that sees some patches of a picture and paints the others.

    z = encoder(x_seen)        x^ = decoder(z, and one learned vector for each hidden patch)
    loss = mean over hidden pixels (x - x^)^2  +  whole_weight * mean (x - decoder(encoder(x)))^2

The paper has the first term alone: its decoder never meets the code of a whole picture. Here whole
pictures can be encoded and reconstructed, which the second term teaches.

Source: He, Chen, Xie, Li, Dollár & Girshick, "Masked autoencoders are scalable vision learners"
(2022), section 3; the learned vector has the width of the code and stands before the decoder.
"""

import math
from typing import Annotated, Literal

import keras
from keras import ops
from pydantic import Field

from aezoo.autoencoder import Autoencoder
from aezoo.errors import ZooError
from aezoo.layers.patches import PatchMask, PatchPositions, transformer
from aezoo.zoo_model import EVALUATION_SEED, Weight, Width

Ratio = Annotated[float, Field(gt=0, lt=1)]
WHOLE_EVERY = 4  # training rows per row that is also seen whole


@keras.saving.register_keras_serializable(package="aezoo")
class MaskedAE(Autoencoder):
    """Encode a few patches of a picture, decode all of them.

    `fit` and `evaluate` hide patches: training others in every step, evaluation the same ones each
    time and in every row. With a target, as in `fit(noisy, clean)`, patches of the input are hidden
    and the answer is compared with the target. `call`, `predict` and the endpoints hide nothing.

    Args:
        input_shape: `(H, W, C)`, any size above one patch; padded to whole patches inside.
        patch_size: Pixels of a patch's side.
        mask_ratio: Share of the patches that are hidden.
        width: Of a patch's code; a multiple of 4 and of `heads`.
        depth: Transformer blocks of the encoder.
        heads: Attention heads of every block.
        decoder_width: Of the decoder's blocks; a multiple of 4 and of `heads`.
        decoder_depth: Transformer blocks of the decoder.
        whole_weight: Weight of the error of a reconstruction from all patches; 0 is the paper's
            loss, and leaves that reconstruction without meaning.
        output_activation: `sigmoid` for values in [0, 1], `linear` for real ones.

    Raises:
        ZooError: If the picture is one patch, or a width does not divide as said.

    Example:
        >>> MaskedAE(input_shape=(27, 31, 3), width=8, heads=2, decoder_width=8).latent_shape
        (4, 5, 8)
    """

    modalities = ("image",)

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (28, 28, 1),
        patch_size: Width = 7,
        mask_ratio: Ratio = 0.75,
        width: Width = 64,
        depth: Width = 2,
        heads: Width = 4,
        decoder_width: Width = 32,
        decoder_depth: Width = 1,
        whole_weight: Weight = 0.1,
        output_activation: Literal["sigmoid", "linear"] = "sigmoid",
    ):
        grid, margins = grid_and_margins(input_shape, patch_size)
        for name, value in (("width", width), ("decoder_width", decoder_width)):
            if value % math.lcm(4, heads):
                raise ZooError(
                    f"{name} must be a multiple of 4 and of heads={heads}.",
                    received=value,
                    do=f"Give {math.ceil(value / math.lcm(4, heads)) * math.lcm(4, heads)}.",
                )
        super().__init__(
            encoder=patch_encoder(input_shape, patch_size, width, depth, heads),
            decoder=patch_decoder(
                input_shape,
                patch_size,
                width,
                (decoder_width, decoder_depth, heads),
                output_activation,
            ),
            output_range="unit" if output_activation == "sigmoid" else "real",
            terms=("whole_loss",),
        )
        self.grid, self.margins, self.patch_size = grid, margins, patch_size
        self.whole_weight = whole_weight
        self.mask = PatchMask(math.prod(grid), mask_ratio, width, dtype=self.dtype_policy)

    # ---- hiding patches ----

    def pair(self, x, y, training: bool):
        """Return `({image, order, target}, target)`; the first patches in `order` are seen."""
        y = self.target_of(x) if y is None else y
        seed = None if training else EVALUATION_SEED
        return {"image": x, "order": self.mask.draw(ops.shape(x)[0], seed), "target": y}, y

    def call(self, x, training=False):
        """Return the reconstruction (B, H, W, C).

        Args:
            x: Pictures, which are seen whole; or what `pair` makes of them, of which the encoder
                sees the first patches in `order`; the term of whole pictures is then added.
            training: That term is of every fourth row, which costs about as much as the hidden
                patches save, else of all rows.
        """
        if not isinstance(x, dict):
            return super().call(x, training)
        patches, blocks = (self.encoder.get_layer(name) for name in ("patches", "blocks"))
        codes = blocks(self.mask.seen(patches(x["image"]), x["order"]))  # (B, K, W)
        codes = self.mask(codes, x["order"])  # (B, h*w, W)
        answer = self.decoder(ops.reshape(codes, (-1, *self.latent_shape)))  # (B, H, W, C)
        some = slice(None, None, WHOLE_EVERY if training else 1)
        whole = super().call(x["image"][some], training)
        errors = ops.mean(self.error_map(x["target"][some], whole))
        self.add_term("whole_loss", errors, self.whole_weight)
        return ops.cast(answer, "float32")

    def hidden_pixels(self, order):
        """Return which pixels an order of the patches hides: (B, h*w) -> booleans (B, H, W)."""
        hidden = ops.reshape(self.mask.hidden(order), (-1, *self.grid))  # (B, h, w)
        for axis in (1, 2):
            hidden = ops.repeat(hidden, self.patch_size, axis=axis)  # (B, H', W')
        (top, _), (left, _) = self.margins
        height, width, _ = self.input_shape
        return hidden[:, top : top + height, left : left + width]

    def compute_mask(self, inputs, previous_mask=None):
        """Return which pixels the loss counts (B, H, W): hidden ones; Keras' losses obey it."""
        return self.hidden_pixels(inputs["order"]) if isinstance(inputs, dict) else None


def grid_and_margins(input_shape, patch_size):
    """Return how many patches a picture has, and what is padded before and after each axis.

    Raises:
        ZooError: If there are no two patches, or the rows are no pictures.
    """
    if len(input_shape) != 3 or max(input_shape[:2]) <= patch_size:
        raise ZooError(
            "A masked autoencoder takes pictures (H, W, C) of two patches or more.",
            received=f"{tuple(input_shape)}, patch_size={patch_size}",
            do="Give larger pictures or a smaller patch_size.",
        )
    grid = tuple(math.ceil(size / patch_size) for size in input_shape[:2])
    extra = [n * patch_size - size for n, size in zip(grid, input_shape[:2], strict=True)]
    return grid, tuple((e // 2, e - e // 2) for e in extra)


def patch_encoder(input_shape, patch_size, width, depth, heads):
    """(B, H, W, C) -> (B, h, w, W); its layer `blocks` takes any number of patches."""
    grid, margins = grid_and_margins(input_shape, patch_size)
    layers = [keras.Input(input_shape)]
    if any(map(sum, margins)):
        layers.append(keras.layers.ZeroPadding2D(margins))  # (B, H', W', C)
    layers += [
        keras.layers.Conv2D(width, patch_size, patch_size),  # (B, h, w, W): an affine map each
        keras.layers.Reshape((math.prod(grid), width)),  # (B, h*w, W)
        PatchPositions(grid),
    ]
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.Sequential(layers, name="patches"),
            transformer(width, depth, heads, name="blocks"),
            keras.layers.Reshape((*grid, width)),  # (B, h, w, W)
        ],
        name="encoder",
    )


def patch_decoder(input_shape, patch_size, code_width, blocks, output_activation):
    """(B, h, w, W) -> (B, H, W, C)."""
    grid, margins = grid_and_margins(input_shape, patch_size)
    width, depth, heads = blocks
    layers = [
        keras.Input((*grid, code_width)),
        keras.layers.Reshape((math.prod(grid), code_width)),  # (B, h*w, W)
        keras.layers.Dense(width),  # (B, h*w, D)
        PatchPositions(grid),
        transformer(width, depth, heads, name="blocks"),
        keras.layers.Reshape((*grid, width)),  # (B, h, w, D)
        keras.layers.Conv2DTranspose(  # strides as wide as the kernel: a patch from each vector
            input_shape[-1],
            patch_size,
            patch_size,
            activation=output_activation,
            dtype="float32",
        ),  # (B, H', W', C)
    ]
    if any(map(sum, margins)):
        layers.append(keras.layers.Cropping2D(margins, dtype="float32"))  # (B, H, W, C)
    return keras.Sequential(layers, name="decoder")
