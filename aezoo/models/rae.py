"""Regularised autoencoder: deterministic, with codes and a decoder kept small and smooth.

    loss = |x - x^|^2 + latent_weight * |z|^2 / 2 + decoder_weight * |theta|^2

A VAE's noise on the codes makes its decoder smooth; here two penalties do, and there is no prior to
draw from: fit a sampler to the codes of training rows (`aezoo.samplers`), then decode its draws.
The first term is summed over values, the second over the code, both averaged over the batch; theta
are the decoder's kernels. Source: Ghosh et al., "From variational to deterministic autoencoders"
(2020), equations 7 to 11 (RAE-L2).
"""

import keras
from keras import ops

from aezoo.autoencoder import Autoencoder
from aezoo.losses import SumOfSquares
from aezoo.models.conv import conv_decoder, conv_encoder
from aezoo.zoo_model import Weight, Width


@keras.saving.register_keras_serializable(package="aezoo")
class RegularizedAE(Autoencoder):
    """A convolutional autoencoder with penalties on code and decoder, for (H, W, C) and (T, C).

    Args:
        input_shape: `(H, W, C)` or `(T, C)`, any size; values in [0, 1].
        filters: Channels per level; each level halves the size.
        latent_dim: Width of the code.
        latent_weight: Multiplies half the squared length of the code.
        decoder_weight: Multiplies the sum of the decoder's squared kernels.
        kernel_size: Of every convolution.
        activation: Of every convolution but the last, which is a sigmoid.

    Example:
        >>> RegularizedAE(input_shape=(8, 8, 1), filters=(4,), latent_dim=2).loss_terms
        ('loss', 'reconstruction_loss', 'latent_loss', 'decoder_loss')
    """

    modalities = ("image", "series")

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (28, 28, 1),
        filters: tuple[Width, ...] = (32, 64),
        latent_dim: Width = 16,
        latent_weight: Weight = 1e-2,
        decoder_weight: Weight = 1e-3,
        kernel_size: Width = 3,
        activation: str = "relu",
    ):
        super().__init__(
            encoder=conv_encoder(input_shape, filters, latent_dim, kernel_size, activation),
            decoder=conv_decoder(
                input_shape, filters, latent_dim, kernel_size, activation, "sigmoid"
            ),
            output_range="unit",
            loss=SumOfSquares(),
            terms=("latent_loss", "decoder_loss"),
        )
        self.latent_weight, self.decoder_weight = latent_weight, decoder_weight

    def call(self, x, training=False):
        """Return the reconstruction of `x`, both `(B, *input_shape)`; adds the two penalties."""
        z = self.encoder(x, training=training)  # (B, D)
        wide = ops.cast(z, "float32")
        self.add_term(
            "latent_loss", 0.5 * ops.mean(ops.sum(ops.square(wide), -1)), self.latent_weight
        )
        kernels = [w for w in self.decoder.trainable_variables if w.path.endswith("kernel")]
        squares = [ops.sum(ops.square(ops.cast(kernel, "float32"))) for kernel in kernels]
        self.add_term("decoder_loss", ops.sum(ops.stack(squares)), self.decoder_weight)
        return ops.cast(self.decoder(z, training=training), "float32")
