"""Sequence-to-sequence autoencoder for series (T, C) and for tokens (T,).

    h_t = cell(x_t, h_{t-1})   z = W h_n + b   s_t = cell([z, time_t], s_{t-1})   y_t = g(V s_t + c)

n is the row's length: rows are padded on the right, the state at the last valid step is gathered,
and the loss is the mean over valid steps, of the squared error (series) or of -log p (tokens).

Source: Srivastava, Mansimov & Salakhutdinov, "Unsupervised learning of video representations using
LSTMs" (2015): a decoder told the code alone, or also its own last answer (`feedback`).
"""

import dataclasses
from typing import Annotated, Literal

import keras
import numpy as np
from keras import ops
from pydantic import Field

from aezoo.autoencoder import Autoencoder
from aezoo.errors import ZooError, closest_match
from aezoo.layers.feedback import FeedbackDecoder, recurrent
from aezoo.layers.lengths import (
    LastStep,
    RepeatCode,
    ReverseValid,
    TokenLength,
    ZeroPadding,
    token_length,
    valid_steps,
    zero_padding,
)
from aezoo.layers.preprocessing import Preprocessing
from aezoo.specs import TensorSpec
from aezoo.zoo_model import Width


@keras.saving.register_keras_serializable(package="aezoo")
class Seq2SeqAE(Autoencoder):
    """Read a sequence into one code, write the sequence from the code.

    `call`, `fit` and `predict` take an array of rows, or `{"series": x, "length": n}`
    (`{"tokens": ..., "length": ...}`) with n of shape (B, 1) where the model was built with
    `variable_length`. What stands in the padding has no influence; answers there have no meaning.

    Args:
        input_shape: `(T, C)` for series, `(T,)` for tokens.
        units: Width of the recurrent layers.
        latent_dim: Width of the code.
        cell: Of the recurrent layers.
        bidirectional: The encoder also reads the row from its end.
        feedback: The decoder is told its own last answer (in training the true value).
        time_waves: Waves of time that a decoder without feedback is told beside the code.
        variable_length: Adds the input `length`, int32 (B, 1), from 1 to T. Token rows have a
            length in any case: without this input, or where it is 0, up to the last id above 0.
        vocabulary: Number of token ids, 0 (padding) included; None for series.
        embedding_dim: Width of a token's embedding.
        ends: For tokens: the step after the last id counts too, so that the decoder learns to say
            0 where a row ends, and a target may be longer or shorter than its row.

    Raises:
        ZooError: If `input_shape` is not that of a series, or with `vocabulary` that of tokens.

    Example:
        >>> model = Seq2SeqAE(input_shape=(5, 2), units=8, latent_dim=3, variable_length=True)
        >>> rows = np.zeros((2, 5, 2), "float32")
        >>> model({"series": rows, "length": np.array([[5], [2]])}).shape
        TensorShape([2, 5, 2])
    """

    modalities = ("series",)

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (140, 1),
        units: Width = 64,
        latent_dim: Width = 8,
        cell: Literal["lstm", "gru"] = "lstm",
        bidirectional: bool = False,
        feedback: bool = False,
        time_waves: Annotated[int, Field(ge=0, le=16)] = 0,
        variable_length: bool = False,
        vocabulary: Annotated[int, Field(ge=2)] | None = None,
        embedding_dim: Width = 32,
        ends: bool = False,
    ):
        rank, axes = (2, "(T, C)") if vocabulary is None else (1, "(T,)")
        if len(input_shape) != rank:
            raise ZooError(
                f"A sequence model of {'series' if rank == 2 else 'tokens'} takes rows {axes}.",
                received=tuple(input_shape),
                do="Give vocabulary=... with rows of ids (T,), and none with series (T, C).",
            )
        if ends and (vocabulary is None or variable_length):
            raise ZooError(
                "Only rows of tokens whose padding tells their length have an end to learn.",
                received=f"ends=True, vocabulary={vocabulary}, variable_length={variable_length}",
                do="Leave out ends, or give vocabulary=... without variable_length.",
            )
        embedding = embedding_dim if vocabulary else None
        super().__init__(
            encoder=sequence_encoder(
                input_shape,
                units,
                latent_dim,
                cell,
                bidirectional,
                variable_length,
                vocabulary,
                embedding,
            ),
            decoder=(
                feedback_decoder(input_shape, units, latent_dim, cell, vocabulary, embedding)
                if feedback
                else repeat_decoder(input_shape, units, latent_dim, cell, vocabulary, time_waves)
            ),
            loss="sparse_categorical_crossentropy" if vocabulary else "mean_squared_error",
        )
        self.row_shape, self.vocabulary = tuple(input_shape), vocabulary
        self.feedback, self.variable_length, self.ends = feedback, variable_length, ends
        if vocabulary:
            self.preprocessing = Preprocessing(dtype="int32")

    # ---- rows and lengths ----

    @classmethod
    def modalities_for(cls, arguments: dict) -> tuple[str, ...]:
        """Return `tokens` for a model with a vocabulary, else `series`."""
        return ("tokens",) if arguments.get("vocabulary") else cls.modalities

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one row, without its length."""
        return self.row_shape

    @property
    def input_name(self) -> str:
        """The public name of the input: `tokens` or `series`."""
        return "tokens" if self.vocabulary else "series"

    def split(self, x):
        """Return rows and, where they have one, lengths (B, 1), given or told by the padding."""
        given = x if isinstance(x, dict) else {self.input_name: x}
        rows, length = given[self.input_name], given.get("length")
        if length is not None:
            if not self.variable_length:
                raise ZooError(
                    f"{self.name} takes no lengths.", do="Build it with variable_length=True."
                )
            length = ops.reshape(ops.cast(length, "int32"), (-1, 1))
        if self.vocabulary:
            rows = ops.cast(rows, "int32")
            seen = token_length(rows)
            length = seen if length is None else ops.where(length > 0, length, seen)
        return rows, length

    def call(self, x, training=False):
        """Return the reconstruction (B, T, C), or the probabilities of the tokens (B, T, V).

        Args:
            x: Rows, or a dict with `series` or `tokens`, maybe `length`, and, for a decoder with
                feedback in training, maybe `target`: what it is taught, else the rows themselves.
            training: A decoder with feedback is told true values; otherwise its own answers.
        """
        code = self.encoder(self.encoder_input(x), training=training)
        if not (self.feedback and training):
            return self.decoder(code, training=training)
        target = x.get("target") if isinstance(x, dict) else None
        target = self.target_of(x) if target is None else target
        return self.decoder.get_layer("feedback")(code, target)

    def encoder_input(self, x):
        """Return what the encoder takes: rows, or rows and lengths."""
        rows, length = self.split(x)
        if not self.variable_length:
            return rows
        if length is None:
            length = ops.full((ops.shape(rows)[0], 1), self.row_shape[0], dtype="int32")
        return {self.input_name: rows, "length": length}

    def codes(self, x):
        """Return the outputs of `encode` for model-unit rows: a dict with `latent`."""
        return {"latent": self.encoder(self.encoder_input(x), training=False)}

    # ---- loss ----

    def compute_mask(self, inputs, previous_mask=None):
        """Return which steps of the answers count (B, T); Keras' losses and metrics obey it."""
        if self.ends:
            told = inputs.get("target") if isinstance(inputs, dict) else None
            length = token_length(self.target_of(inputs) if told is None else told) + 1
            return valid_steps(length, self.row_shape[0])
        _, length = self.split(inputs)
        return None if length is None else valid_steps(length, self.row_shape[0])

    def target_of(self, x):
        """Return the rows that an input stands for, zeros in their padding."""
        rows, length = self.split(x)
        return rows if length is None else zero_padding(rows, length)

    def pair(self, x, y, training: bool):
        """Return what the model sees and what it should answer; without `y` the input itself."""
        rows, length = self.split(x)
        if y is not None:
            clean, _ = self.split(y)
            y = clean if length is None or self.ends else zero_padding(clean, length)
        else:
            y = self.target_of(x)
        if self.ends or (training and self.feedback):
            given = x if isinstance(x, dict) else {self.input_name: rows}
            x = given | {"target": y}
        return x, y

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the loss, the mean over the batch's valid steps; weights are per row or step."""
        if sample_weight is not None and len(sample_weight.shape) == 1:
            sample_weight = sample_weight[:, None]  # (B, 1), beside losses (B, T)
        return super().compute_loss(x, y, y_pred, sample_weight, training)

    def check_rows(self, rows, name: str) -> None:
        """Refuse rows of another shape, non-finite values, unknown ids and impossible lengths."""
        given = rows if isinstance(rows, dict) else {self.input_name: rows}
        known = [self.input_name, *(["length"] if self.variable_length else [])]
        for key in given:
            if key not in known:
                raise ZooError(
                    f"{name} has a part that {self.name} does not take.",
                    received=key,
                    closest=closest_match(key, known),
                    do="Build with variable_length=True."
                    if key == "length"
                    else f"Parts: {', '.join(known)}.",
                )
        if self.input_name not in given:
            raise ZooError(f"{name} lacks the part {self.input_name!r}.", received=sorted(given))
        super().check_rows(given[self.input_name], name)
        if self.vocabulary:
            _check_whole(given[self.input_name], name, 0, self.vocabulary - 1)
        shortest = 0 if self.vocabulary else 1
        _check_whole(given.get("length"), f"{name}['length']", shortest, self.row_shape[0])

    def adapt(self, rows, scaling: str = "auto", binarize: float | None = None):
        """Fit the preprocessing as `ZooModel.adapt` does; rows may be a dict with their lengths."""
        if not isinstance(rows, dict):
            return super().adapt(rows, scaling, binarize)
        self.fit_preprocessing(rows, scaling, binarize)
        converted = np.asarray(self.preprocessing.apply(rows[self.input_name]))
        return rows | {self.input_name: converted}

    def fit_preprocessing(self, rows, scaling: str = "auto", binarize: float | None = None):
        """Fit the preprocessing on the valid steps of training rows; tokens need none."""
        if self.vocabulary:
            return
        if isinstance(rows, dict):
            rows, length = self.split(rows)
            rows = rows[np.asarray(valid_steps(length, self.row_shape[0]))]  # (steps, C)
        super().fit_preprocessing(rows, scaling, binarize)

    # ---- endpoints ----

    def input_spec_of(self, name: str | None = None) -> TensorSpec:
        """Return the spec of the rows in user units."""
        if not self.vocabulary:
            return super().input_spec_of(name)
        return TensorSpec(
            name or "tokens",
            self.row_shape,
            "int32",
            ("time",),
            0.0,
            self.vocabulary - 1.0,
            description="One row of ids, padded with 0 on the right.",
        )

    def row_specs(self) -> tuple[TensorSpec, ...]:
        """Return the specs of the rows and, with `variable_length`, of their lengths."""
        rows = self.input_spec_of()
        if not self.variable_length:
            return (rows,)
        length = TensorSpec(
            "length",
            (1,),
            "int32",
            ("length",),
            0.0 if self.vocabulary else 1.0,
            float(self.row_shape[0]),
            description="Valid steps; the rest of the row is padding."
            + (" 0: up to the last id above 0." if self.vocabulary else ""),
            default=0.0 if self.vocabulary else float(self.row_shape[0]),
        )
        return (rows, length)

    def rows_of(self, inputs: dict):
        """Return an endpoint's inputs as `call` takes them, in model units."""
        rows = super().rows_of(inputs)
        if not self.variable_length:
            return rows
        return {self.input_name: rows, "length": inputs["length"]}

    def answer_specs(self) -> tuple[TensorSpec, ...]:
        """Return the specs of what `answers` gives."""
        if not self.vocabulary:
            return super().answer_specs()
        return (
            TensorSpec(
                "reconstruction", self.row_shape, "int32", ("time",), description="Likeliest ids."
            ),
            TensorSpec(
                "probabilities",
                (*self.row_shape, self.vocabulary),
                axes=("time", "token"),
                low=0.0,
                high=1.0,
                description="Of every id at every step.",
            ),
        )

    def answers(self, y):
        """Return the outputs of `reconstruct` and `decode` for what the decoder gave."""
        if not self.vocabulary:
            return super().answers(y)
        y = ops.cast(y, "float32")
        likeliest = ops.top_k(y, 1)[1][..., 0]  # an argmax of floats does not convert to ONNX
        if self.ends:
            ended = ops.cumsum(ops.cast(likeliest == 0, "int32"), axis=-1)  # (B, T)
            likeliest = ops.where(ended > 0, 0, likeliest)
        return {"reconstruction": ops.cast(likeliest, "int32"), "probabilities": y}

    # ---- scores ----

    def error_map(self, x, reconstruction):
        """Return the error at each step (B, T), 0 in the padding.

        The squared error, averaged over channels; for tokens -log p of the true id, in nats.
        """
        target = self.target_of(x)
        if self.vocabulary:
            p = ops.take_along_axis(ops.cast(reconstruction, "float32"), target[..., None], axis=-1)
            errors = -ops.log(ops.maximum(p[..., 0], 1e-30))
        else:
            errors = super().error_map(target, reconstruction)
        _, length = self.split(x)
        return errors if length is None else zero_padding(errors, length)

    def scores(self, x):
        """Return `score` (B, 1), the mean of `error_map` over valid steps, and the map."""
        errors = self.error_map(x, self(x, training=False))
        _, length = self.split(x)
        if length is None:
            return {"score": ops.mean(errors, axis=-1, keepdims=True), "error_map": errors}
        steps = ops.cast(ops.clip(length, 1, self.row_shape[0]), "float32")
        return {"score": ops.sum(errors, axis=-1, keepdims=True) / steps, "error_map": errors}

    def score_specs(self) -> tuple[TensorSpec, ...]:
        """Return the specs of what `scores` gives."""
        score, errors = super().score_specs()
        if not self.vocabulary:
            return score, errors
        return (
            dataclasses.replace(score, description="Mean of -log p over valid steps, in nats."),
            dataclasses.replace(errors, description="-log p of the true id by step, in nats."),
        )


def _check_whole(rows, name: str, low: int, high: int) -> None:
    """Refuse arrays of anything but whole numbers from `low` to `high`; tensors pass."""
    if not isinstance(rows, np.ndarray) or not rows.size:
        return
    if rows.dtype.kind not in "iu" or rows.min() < low or rows.max() > high:
        raise ZooError(
            f"{name} takes whole numbers from {low} to {high}.",
            received=f"{rows.dtype} from {rows.min():g} to {rows.max():g}",
            do="Convert or clip them first.",
        )


def sequence_encoder(
    input_shape, units, latent_dim, cell, bidirectional, variable_length, vocabulary, embedding_dim
):
    """Rows (B, T, C) or ids (B, T), and lengths (B, 1) if they vary -> (B, latent_dim)."""
    name, dtype = ("tokens", "int32") if vocabulary else ("series", None)
    rows = keras.Input(input_shape, dtype=dtype, name=name)
    inputs, length, x = rows, None, rows
    if variable_length:
        length = keras.Input((1,), dtype="int32", name="length")
        inputs = {name: rows, "length": length}
    elif vocabulary:
        length = TokenLength()(rows)
    if length is not None:
        x = ZeroPadding()([x, length])
    if vocabulary:
        x = keras.layers.Embedding(vocabulary, embedding_dim)(x)  # (B, T, E)
    if length is None:
        h = recurrent(cell, units)(x)  # (B, U)
        back = recurrent(cell, units, go_backwards=True)(x) if bidirectional else None
    else:
        h = LastStep()([recurrent(cell, units, return_sequences=True)(x), length])
        back = None
        if bidirectional:
            turned = ReverseValid()([x, length])  # (B, T, C)
            back = LastStep()([recurrent(cell, units, return_sequences=True)(turned), length])
    if bidirectional:
        h = keras.layers.Concatenate()([h, back])  # (B, 2U)
    code = keras.layers.Dense(latent_dim, name="latent")(h)  # (B, D)
    return keras.Model(inputs, code, name="encoder")


def repeat_decoder(input_shape, units, latent_dim, cell, vocabulary, time_waves):
    """The code (B, D) at every step -> (B, T, C), or probabilities (B, T, V)."""
    head = (vocabulary, "softmax") if vocabulary else (input_shape[-1], "linear")
    return keras.Sequential(
        [
            keras.Input((latent_dim,)),
            RepeatCode(input_shape[0], time_waves),  # (B, T, D + 2W)
            recurrent(cell, units, return_sequences=True),  # (B, T, U)
            keras.layers.Dense(*head, dtype="float32"),  # (B, T, C)
        ],
        name="decoder",
    )


def feedback_decoder(input_shape, units, latent_dim, cell, vocabulary, embedding_dim):
    """The code (B, D) and the answer before -> (B, T, C), or probabilities (B, T, V)."""
    code = keras.Input((latent_dim,), name="latent")
    decode = FeedbackDecoder(
        steps=input_shape[0],
        width=vocabulary or input_shape[-1],
        units=units,
        cell=cell,
        activation="softmax" if vocabulary else "linear",
        embedding_dim=embedding_dim,
        name="feedback",
    )
    return keras.Model(code, decode(code), name="decoder")
