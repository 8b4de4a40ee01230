"""Sparse autoencoder: few units answer to any one row, so that a code may be wider than the row.

    h = encoder(x),   x^ = sigmoid(V h + c)
    loss = -log p(x | h) + sparsity_weight * S(h)

    l1      h = relu(W x + b),      S = mean over rows of sum_j |h_j|
    kl      h = sigmoid(W x + b),   S = sum_j KL( target_rate || mean over the batch of h_j )

Without S, a code of as many units as there are inputs can pass everything through, noise as well
as digits; with it, only what is common in the training rows has units to be written with.

Sources: A. Ng, "Sparse autoencoder", CS294A lecture notes (2011), for KL; F. Chollet, "Building
Autoencoders in Keras" (2016), for L1.
"""

from typing import Annotated, Literal

import keras
from keras import ops
from pydantic import Field

from aezoo.autoencoder import Autoencoder
from aezoo.losses import BernoulliNLL, l1_activity, rate_kl
from aezoo.models.dense import dense_decoder, dense_encoder
from aezoo.zoo_model import Width


@keras.saving.register_keras_serializable(package="aezoo")
class SparseAE(Autoencoder):
    """One layer to a wide code of which little is in use at a time, and one layer back.

    Both terms of the loss are in the unit of one example: nats, summed over values, plus the
    penalty, summed over units.

    Args:
        input_shape: Shape of one row, values in [0, 1]; pictures and series are flattened inside.
        latent_dim: Width of the code; it may exceed the number of inputs.
        sparsity: `l1` for few units at once, `kl` for units that are seldom on.
        sparsity_weight: Multiplies the penalty; 0 leaves a plain autoencoder.
        target_rate: The mean activity that `kl` wants of each unit; `l1` has no use for it.

    Example:
        >>> model = SparseAE(input_shape=(6,), latent_dim=9, sparsity="l1")
        >>> model.latent_shape, model.loss_terms
        ((9,), ('loss', 'reconstruction_loss', 'sparsity_loss'))
    """

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (28, 28, 1),
        latent_dim: Width = 1000,
        sparsity: Literal["l1", "kl"] = "kl",
        sparsity_weight: Annotated[float, Field(ge=0)] = 0.1,
        target_rate: Annotated[float, Field(gt=0, lt=1)] = 0.05,
    ):
        activation = "relu" if sparsity == "l1" else "sigmoid"
        super().__init__(
            encoder=dense_encoder(input_shape, (), latent_dim, None, activation),
            decoder=dense_decoder(input_shape, (), latent_dim, None, "sigmoid"),
            output_range="unit",
            loss=BernoulliNLL(),
            terms=("sparsity_loss",),
        )
        self.sparsity, self.sparsity_weight = sparsity, sparsity_weight
        self.target_rate = target_rate

    def call(self, x, training=False):
        """Return the reconstruction of `x`, both `(B, *input_shape)`; adds the penalty."""
        code = self.encoder(x, training=training)  # (B, D)
        self.add_term("sparsity_loss", self.penalty(code), self.sparsity_weight)
        return self.decoder(code, training=training)

    def penalty(self, code):
        """Return how far codes are from sparse, one number, unweighted: (B, D) -> ()."""
        code = ops.cast(code, "float32")
        if self.sparsity == "l1":
            return ops.mean(l1_activity(code))
        return ops.sum(rate_kl(code, self.target_rate))
