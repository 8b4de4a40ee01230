"""The base class of segmenters: a picture in, the probability of each class at each pixel out.

    x -> encoder -> code -> decoder -> probabilities            (model units in, float32 out)

A target is required: integer masks. Endpoints: segment (probabilities and mask) and encode.
"""

import keras
import numpy as np

from aezoo import metrics
from aezoo.endpoints import Endpoint, EndpointSpec, TensorSpec
from aezoo.errors import ZooError
from aezoo.zoo_model import ZooModel


class Segmenter(ZooModel):
    """A Keras model that assigns a class to each pixel.

    A subclass computes an encoder and a decoder and hands them over. `call` answers probabilities
    `(B, H, W, classes)`; they sum to 1, or with one class are that of the foreground. Masks are
    whole numbers `(B, H, W)` or `(B, H, W, 1)`, from 0 to `classes - 1`, or 0 and 1 with one
    class. A sample weight is one number per row.

    Args:
        encoder: Maps `(B, H, W, C)` to `(B, *latent_shape)`, built.
        decoder: Maps the code, and whatever else `call` gives it, to probabilities, built.
        classes: Channels of the answer.
        loss: The segmentation loss that `build` compiles where the recipe names none.

    Example:
        >>> from aezoo.models.unet import UNet
        >>> model = UNet(input_shape=(9, 9, 1), filters=(2, 4), classes=3)
        >>> model(np.zeros((2, 9, 9, 1), "float32")).shape
        TensorShape([2, 9, 9, 3])
    """

    modalities = ("image",)

    main_term = "segmentation_loss"

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        classes: int,
        loss: str | keras.losses.Loss = "dice_cross_entropy",
    ):
        super().__init__(encoder, decoder, output_range="unit", loss=loss)
        self.classes = classes

    # ---- targets ----

    def target_of(self, x):
        """Raise: a picture does not say what is in it.

        Raises:
            ZooError: Always.
        """
        raise ZooError(
            f"{self.name} needs a target: a mask for each picture.",
            do=f"Call fit(x, masks) with whole numbers of shape {self._mask_axes()}, or train on "
            "an .npz file that holds the pictures as x and the masks as y.",
        )

    def metric(self, name: str):
        """Return the metric of this name; `dice` and `mean_iou` know the classes."""
        return metrics.get(name, self.classes)

    def example_targets(self, x) -> np.ndarray:
        """Return masks drawn with a fixed seed, one for each row of `x`: int32, (N, H, W)."""
        shape = (len(x), *self.input_shape[:-1])
        return np.random.default_rng(0).integers(0, max(self.classes, 2), shape, dtype="int32")

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the compiled loss plus every added term, and log each under its name.

        Raises:
            ZooError: For a sample weight that is not one number per row.
        """
        if sample_weight is not None and len(sample_weight.shape) > 1:
            raise ZooError(
                "A segmenter takes one weight per row, not per pixel.",
                received=tuple(sample_weight.shape),
                do="Give sample_weight of shape (rows,).",
            )
        return super().compute_loss(x, y, y_pred, sample_weight, training)

    def check_targets(self, x, masks, name: str) -> None:
        """Refuse missing masks and arrays that are none; batches and tensors pass.

        Raises:
            ZooError: With the shape and the labels that this model takes.
        """
        if masks is None and isinstance(x, np.ndarray):
            self.target_of(x)
        if not isinstance(masks, np.ndarray):
            return
        sides = self.input_shape[:-1]
        if masks.shape[1:] not in (sides, (*sides, 1)):
            advice = f"Give masks of shape {self._mask_axes()}."
            if masks.shape[1:] == (*sides, self.classes):
                advice = f"Give masks of shape {self._mask_axes()}: masks.argmax(-1)."
            raise ZooError(
                f"{name} has a shape that {self.name} does not take.",
                received=masks.shape,
                do=advice,
            )
        if masks.dtype.kind not in "buif" or not masks.size:
            return  # Keras says what is wrong with these
        last = max(self.classes - 1, 1)
        whole = masks.dtype.kind != "f" or bool((masks == np.round(masks)).all())
        if not whole or masks.min() < 0 or masks.max() > last:
            raise ZooError(
                f"{name} holds labels that {self.name} does not know: classes={self.classes}.",
                received=f"{masks.dtype} from {masks.min()} to {masks.max()}",
                do=f"Give whole numbers from 0 to {last}, or build with more classes.",
            )

    def _mask_axes(self) -> str:
        return f"({', '.join(map(str, ('rows', *self.input_shape[:-1])))})"

    # ---- endpoints ----

    def make_endpoints(self) -> list[Endpoint]:
        """Return `segment` and `encode`."""
        return [self._segment_endpoint(), *super().make_endpoints()]

    def answer_specs(self) -> tuple[TensorSpec, ...]:
        """Return the specs of what `answers` gives."""
        sides, axes = self.input_shape[:-1], ("height", "width")
        return (
            TensorSpec(
                "probabilities",
                (*sides, self.classes),
                axes=(*axes, "class"),
                low=0.0,
                high=1.0,
                description="The probability of each class at each pixel.",
            ),
            TensorSpec(
                "mask",
                sides,
                "int32",
                axes,
                0.0,
                float(max(self.classes - 1, 1)),
                description="The most probable class; with one class, probability > 0.5.",
            ),
        )

    def answers(self, probabilities):
        """Return the outputs of `segment` for what `call` gave."""
        return {"probabilities": probabilities, "mask": metrics.masks_of(probabilities)}

    def _segment_endpoint(self) -> Endpoint:
        def segment(inputs):
            return self.answers(self(self.rows_of(inputs), training=False))

        spec = EndpointSpec("segment", self.row_specs(), self.answer_specs(), "What is where.")
        return Endpoint(spec, segment)
