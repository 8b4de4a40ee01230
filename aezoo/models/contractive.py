"""Contractive autoencoder: a code that small changes of the row hardly move.

    h = sigmoid(W x + b),   x^ = sigmoid(W^T h + b')
    loss = -log p(x | h) + contraction_weight * ||J||^2,   J = dh / dx

The squared Frobenius norm of the Jacobian has a closed form for one sigmoid layer, because
dh_j / dx_i = h_j (1 - h_j) W_ji:

    ||J||^2 = sum_j ( h_j (1 - h_j) )^2 sum_i W_ji^2

Source: Rifai, Vincent, Muller, Glorot & Bengio, "Contractive auto-encoders: explicit invariance
during feature extraction" (2011), equations 3 and 5; the decoder is tied, as there.
"""

from typing import Annotated

import keras
from keras import ops
from pydantic import Field

from aezoo.autoencoder import Autoencoder
from aezoo.losses import BernoulliNLL
from aezoo.models.dense import dense_encoder
from aezoo.models.tied import tied_decoder
from aezoo.zoo_model import Width


@keras.saving.register_keras_serializable(package="aezoo")
class ContractiveAE(Autoencoder):
    """One sigmoid layer to the code, its transpose back, and a price on sensitivity.

    Args:
        input_shape: Shape of one row, values in [0, 1]; pictures and series are flattened inside.
        latent_dim: Width of the code.
        contraction_weight: Multiplies the penalty, which is averaged over rows; 0 leaves a plain
            tied autoencoder.

    Example:
        >>> model = ContractiveAE(input_shape=(6,), latent_dim=4)
        >>> model.loss_terms
        ('loss', 'reconstruction_loss', 'contraction_loss')
    """

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (28, 28, 1),
        latent_dim: Width = 1000,
        contraction_weight: Annotated[float, Field(ge=0)] = 0.1,
    ):
        encoder = dense_encoder(input_shape, (), latent_dim, None, "sigmoid")
        super().__init__(
            encoder=encoder,
            decoder=tied_decoder(input_shape, encoder.get_layer("latent")),
            output_range="unit",
            loss=BernoulliNLL(),
            terms=("contraction_loss",),
        )
        self.contraction_weight = contraction_weight

    def call(self, x, training=False):
        """Return the reconstruction of `x`, both `(B, *input_shape)`; adds the penalty."""
        code = self.encoder(x, training=training)  # (B, D)
        penalty = ops.mean(self.squared_jacobian(code))
        self.add_term("contraction_loss", penalty, self.contraction_weight)
        return self.decoder(code, training=training)

    def squared_jacobian(self, code):
        """Return ||dh / dx||^2 at the rows that have these codes: (B, D) -> (B,)."""
        code = ops.cast(code, "float32")
        kernel = ops.cast(self.encoder.get_layer("latent").kernel, "float32")  # (inputs, D)
        slope = ops.square(code * (1.0 - code))  # (B, D)
        return ops.sum(slope * ops.sum(ops.square(kernel), axis=0), axis=-1)
