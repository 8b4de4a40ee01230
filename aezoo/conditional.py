"""What models share whose rows come with a label: `{"image": x, "label": y}`.

A label is a class from 0 to `classes - 1`, int32 of shape (B, 1). Networks take it through an
embedding, which is a matrix product with its one-hot code.
"""

import keras
import numpy as np
from keras import ops

from aezoo.errors import ZooError, closest_match
from aezoo.specs import TensorSpec, label_spec

LABEL_HELP = (
    "Give labels: a folder of pictures per class, a column 'label', or an .npz file with x and y."
)


class Conditional:
    """Stands before a base class of models, and lets them take `{"image": x, "label": y}`.

    The model sets `classes`; its decoder takes `{"latent": z, "label": y}`. `fit`, `evaluate` and
    `predict` take such dicts, and y may be (N,) or (N, 1); `aezoo.train` takes the labels of the
    data set.
    """

    classes: int

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one row, without its label."""
        return tuple(self.decoder.output_shape[1:])

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """The shape of one code, without its label."""
        return tuple(self.decoder.input["latent"].shape[1:])

    def encoder_input(self, x: dict):
        """Return the rows and their labels."""
        return {self.input_name: x[self.input_name], "label": self.labels_of(x)}

    def decoder_input(self, z, beside: dict):
        """Return the code and the label that stands beside it."""
        return {"latent": z, "label": self.labels_of(beside)}

    def labels_of(self, x: dict):
        """Return the labels of rows, int32 (B, 1)."""
        return ops.reshape(ops.cast(x["label"], "int32"), (-1, 1))

    def target_of(self, x):
        """Return the rows without their labels."""
        return x[self.input_name] if isinstance(x, dict) else x

    def pair(self, x, y, training: bool):
        """Return what the model sees and what it should answer; a target's labels are dropped."""
        return super().pair(x, None if y is None else self.target_of(y), training)

    # ---- labels of a data set ----

    def condition_specs(self) -> tuple[TensorSpec, ...]:
        """Return the spec of the label."""
        return (label_spec(self.classes, "The class of the row, counted from 0."),)

    def conditions_of(self, rows) -> dict[str, np.ndarray]:
        """Return the labels of a data set's rows, int32 (N, 1).

        Raises:
            ZooError: If they have none, or one that the model does not know.
        """
        if rows.labels is None:
            raise ZooError(
                f"{self.name} needs the label of each row, and the {rows.role} rows have none.",
                do=LABEL_HELP,
            )
        self.check_labels(rows.labels, f"The labels of the {rows.role} rows")
        return {"label": np.asarray(rows.labels, "int32").reshape(-1, 1)}

    # ---- what comes in ----

    def check_labels(self, labels, name: str) -> None:
        """Refuse arrays that are no labels from 0 to `classes - 1`; other inputs pass."""
        if not isinstance(labels, np.ndarray):
            return
        whole = labels.dtype.kind in "iu" or (
            labels.dtype.kind == "f" and bool((labels == np.round(labels)).all())
        )
        flat = labels.ndim == 1 or labels.shape[1:] == (1,)
        if flat and whole and labels.size and 0 <= labels.min() <= labels.max() < self.classes:
            return
        numbers = labels.dtype.kind in "iuf" and labels.size
        span = f" from {labels.min():g} to {labels.max():g}" if numbers else ""
        raise ZooError(
            f"{name} are not those of {self.name}: classes={self.classes}.",
            received=f"{labels.dtype} {labels.shape}{span}",
            do=f"Give one whole number per row, from 0 to {self.classes - 1}, or build with "
            "another number of classes.",
        )

    def check_rows(self, rows, name: str) -> None:
        """Refuse rows without labels, unknown parts, and what `ZooModel.check_rows` refuses."""
        if isinstance(rows, np.ndarray) or ops.is_tensor(rows):
            raise ZooError(
                f"{name} has no labels, and {self.name} needs one for each row.",
                do=f'Give a dict: {{"{self.input_name}": x, "label": y}}.',
            )
        if not isinstance(rows, dict):
            return
        known = [self.input_name, "label"]
        for key in rows:
            if key not in known:
                raise ZooError(
                    f"{name} has a part that {self.name} does not take.",
                    received=key,
                    closest=closest_match(key, known),
                    do=f"Parts: {', '.join(known)}.",
                )
        for key in known:
            if key not in rows:
                raise ZooError(f"{name} lacks the part {key!r}.", received=sorted(rows))
        super().check_rows(rows[self.input_name], name)
        self.check_labels(rows["label"], f"{name}['label']")

    def check_targets(self, x, y, name: str) -> None:
        """Refuse targets of another shape than rows have, and non-finite values."""
        if y is not None:
            super().check_rows(self.target_of(y), name)

    def adapt(self, rows, scaling: str = "auto", binarize: float | None = None):
        """Fit the preprocessing as `ZooModel.adapt` does; rows may be a dict with their labels."""
        converted = super().adapt(self.target_of(rows), scaling, binarize)
        return rows | {self.input_name: converted} if isinstance(rows, dict) else converted


def with_label(h, label, classes: int, width: int):
    """Return `h` (B, D) and an embedding of the label, beside each other: (B, D + width)."""
    loud = keras.initializers.RandomNormal(stddev=1.0)  # as loud as h; Keras' own is .05 at most
    embedding = keras.layers.Embedding(classes, width, embeddings_initializer=loud)
    code = keras.layers.Flatten()(embedding(label))  # (B, width)
    return keras.layers.Concatenate()([h, code])


def label_input():
    """Return the input of a network that takes labels, int32 (B, 1)."""
    return keras.Input((1,), dtype="int32", name="label")


def conditional_decoder(trunk: keras.Model, latent_dim: int, classes: int, width: int):
    """Return `{"latent": (B, D), "label": (B, 1)}` -> (B, *input_shape).

    Args:
        trunk: A decoder of codes of `latent_dim + width` numbers.
        latent_dim: D.
        classes: Number of labels.
        width: Of the label's embedding.
    """
    z, label = keras.Input((latent_dim,), name="latent"), label_input()
    x = trunk(with_label(z, label, classes, width))
    return keras.Model({"latent": z, "label": label}, x, name="decoder")
