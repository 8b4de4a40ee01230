"""Stacked denoising autoencoder: learned layer by layer, then as a whole, then with labels.

    1. pretrain   for k = 1, 2, ...:  h_k = s(W_k h_{k-1} + b_k),  h_0 = x
                  loss_k = cross-entropy of s(V_k h~ + c_k) against h_{k-1},
                  h~ the code of a corrupted h_{k-1}; the layers below stay as they are
    2. fit        loss = cross-entropy of decoder(encoder(x~)) against x, all layers together
    3. classify   softmax(U encoder(x) + d), trained on labels, all layers together

s is the sigmoid; cross-entropies are means per value; x~ is a corrupted x.

Sources: Bengio et al., "Greedy layer-wise training of deep networks" (2007); Vincent et al.,
"Stacked denoising autoencoders" (2010), sections 3.5 and 6.
"""

import math
from typing import Annotated

import keras
import numpy as np
import tensorflow as tf
from pydantic import Field

from aezoo.errors import ZooError
from aezoo.layers.corruption import Corruption, Kind
from aezoo.models.denoising import Denoiser
from aezoo.models.dense import dense_decoder, dense_encoder
from aezoo.zoo_model import Width, seeded


@keras.saving.register_keras_serializable(package="aezoo")
class StackedAE(Denoiser):
    """Sigmoid layers up to a code and down again, each pair of which can be trained alone.

    `pretrain` trains the pairs one after another, `fit` all of them together, and `classifier_of`
    puts a softmax on a copy of the encoder. `aezoo.train` pretrains first where the recipe has
    `pretrain_epochs`.

    Args:
        input_shape: Shape of one row, values in [0, 1]; pictures and series are flattened inside.
        widths: Of the layers; the last is the code.
        corruption: What each layer learns to undo; see `aezoo.layers.corruption.Corruption`.
        level: Standard deviation of the noise, or the share of values replaced; 0 for none.

    Example:
        >>> model = StackedAE(input_shape=(6,), widths=(5, 4))
        >>> model.compile("adam", "binary_crossentropy")
        >>> history = model.pretrain(np.random.default_rng(0).random((8, 6), "float32"), epochs=2)
        >>> [(row["layer"], row["epoch"]) for row in history]
        [(1, 1), (1, 2), (2, 1), (2, 2)]
    """

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (28, 28, 1),
        widths: Annotated[tuple[Width, ...], Field(min_length=1)] = (1000, 1000, 1000),
        corruption: Kind = "masking",
        level: Annotated[float, Field(ge=0)] = 0.25,
    ):
        *hidden, code = widths
        super().__init__(
            encoder=dense_encoder(input_shape, hidden, code, "sigmoid", "sigmoid"),
            decoder=dense_decoder(input_shape, hidden, code, "sigmoid", "sigmoid"),
            corruption=Corruption(corruption, level),
        )

    def pretrain(
        self, x, epochs: int, *, batch_size: int = 128, steps_per_epoch=None, callbacks=()
    ) -> list[dict]:
        """Train each pair of layers on the codes of the pairs before it.

        Each pair has an optimizer of its own, set like the one that the model is compiled with.
        Arguments are those of `ZooModel.pretrain`.

        Returns:
            One dict per layer and epoch: `layer` and `epoch`, from 1, and `loss`.
        """
        batches = x
        if isinstance(x, np.ndarray):
            self.check_rows(x, "x")
            rows = tf.data.Dataset.from_tensor_slices((x,))
            batches = rows.shuffle(len(x), seed=0).batch(batch_size).prefetch(2)
        self.forget()
        width = math.prod(self.input_shape)
        batches = batches.map(lambda rows: (tf.reshape(rows, (-1, width)),))
        history = []
        for number, (up, down) in enumerate(self.pairs(), start=1):
            logs = (
                self._denoiser_of(up, down)
                .fit(
                    batches,
                    epochs=epochs,
                    steps_per_epoch=steps_per_epoch,
                    callbacks=list(callbacks),
                    shuffle=False,  # the batches are shuffled
                    verbose=0,
                )
                .history
            )
            for epoch, loss in enumerate(logs["loss"], start=1):
                history.append({"layer": number, "epoch": epoch, "loss": loss})
            batches = batches.map(lambda rows, up=up: (up(rows),))
        return history

    def _denoiser_of(self, up, down) -> Denoiser:
        """Return a compiled model of two layers, which stay those of this model."""
        pair = Denoiser(
            keras.Sequential([keras.Input((down.units,)), up]),
            keras.Sequential([keras.Input((up.units,)), down]),
            self.corruption,
        )
        self.compile_part(pair)
        return pair

    def pairs(self):
        """Return each layer of the encoder with that of the decoder which undoes it."""
        up, down = (
            [layer for layer in part.layers if isinstance(layer, keras.layers.Dense)]
            for part in (self.encoder, self.decoder)
        )
        return list(zip(up, reversed(down), strict=True))


def classifier_of(model, classes: int, dropout: float = 0.0, seed: int = 0) -> keras.Model:
    """Return a classifier: a copy of a model's encoder and a softmax layer on its code.

    Args:
        model: Any model whose encoder is a chain of layers and whose code is a vector; training
            the classifier does not change it.
        classes: Number of labels, which count from 0.
        dropout: Share of what each dense layer sees that is dropped in training.
        seed: Of the softmax layer and of what is dropped.

    Returns:
        An uncompiled `keras.Model`, `(B, *input_shape)` to probabilities `(B, classes)`.

    Raises:
        ZooError: If the model has another kind of encoder.

    Example:
        >>> classifier_of(StackedAE(input_shape=(6,), widths=(5, 4)), classes=3).output_shape
        (None, 3)
    """
    if not isinstance(model.encoder, keras.Sequential) or len(model.latent_shape) != 1:
        raise ZooError(
            f"The encoder of {model.name} is no chain of layers to a vector.",
            received=model.latent_shape,
            do="Give a model with a dense code: latent_dim=64.",
        )
    encoder = keras.models.clone_model(model.encoder)
    encoder.set_weights(model.encoder.get_weights())
    chain = [keras.Input(model.input_shape)]
    with seeded(seed):
        head = keras.layers.Dense(classes, "softmax", dtype="float32", name="head")
        for layer in (*encoder.layers, head):
            if isinstance(layer, keras.layers.Dense):
                chain.append(keras.layers.Dropout(dropout))
            chain.append(layer)
        return keras.Sequential(chain, name="classifier")
