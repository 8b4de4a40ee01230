"""VAE/GAN: a variational autoencoder that compares pictures by what a discriminator sees in them.

    reconstruction = -log p(f(x) | z) = sum_i (f_i(x) - f_i(x~))^2 / 2 + const,   f: D's features
    encoder:        reconstruction + kl_weight * KL( q(z | x) || N(0, I) )
    decoder:        reconstruction_weight * reconstruction - (log D(x~) + log D(x_p)) / 2
    discriminator: -log D(x) - (log(1 - D(x~)) + log(1 - D(x_p))) / 2

x~ decodes z ~ q(z | x), x_p decodes z ~ N(0, I). Squared errors of pixels make blurred pictures,
because a sharp edge in the wrong place costs twice; features forgive its place. Each network
minimises its own loss, all at once; the features are learned by the discriminator alone.

Source: Larsen et al., "Autoencoding beyond pixels using a learned similarity metric" (2016),
equations 5 to 8 and algorithm 1; gamma is here `reconstruction_weight`, and the decoder's part of
the game is the non-saturating one.
"""

import keras
from keras import ops

from aezoo.adversarial import Adversarial, fake_loss, real_loss
from aezoo.losses import GaussianNLL
from aezoo.models.conv import conv_decoder
from aezoo.models.vae import VAE, conv_posterior
from aezoo.zoo_model import EVALUATION_SEED, Weight, Width


@keras.saving.register_keras_serializable(package="aezoo")
class VAEGAN(Adversarial, VAE):
    """A convolutional variational autoencoder and a discriminator, for pictures and series.

    `fit`, `evaluate`, `predict` and the endpoints are those of a variational autoencoder. A
    `compile(loss=...)` of one's own replaces the reconstruction term, between features.

    Args:
        input_shape: `(H, W, C)` or `(T, C)`, any size; values in [0, 1].
        filters: Channels per level of encoder and decoder; each level halves the size.
        latent_dim: Width of the code.
        discriminator_filters: Channels per level of the discriminator; the last level's outputs
            are its features.
        reconstruction_weight: Of the reconstruction in the decoder's loss; the smaller, the more
            the decoder listens to the discriminator.
        kl_weight: Multiplies the KL term.
        kernel_size: Of every convolution of encoder and decoder.
        activation: Of every convolution of these but the last.

    Example:
        >>> model = VAEGAN(input_shape=(8, 8, 1), filters=(4,), latent_dim=2)
        >>> sorted(model.players)
        ['decoder_loss', 'discriminator_loss', 'encoder_loss']
    """

    modalities = ("image", "series")

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (28, 28, 1),
        filters: tuple[Width, ...] = (32, 64),
        latent_dim: Width = 16,
        discriminator_filters: tuple[Width, ...] = (32, 64),
        reconstruction_weight: Weight = 0.01,
        kl_weight: Weight = 1.0,
        kernel_size: Width = 3,
        activation: str = "relu",
    ):
        super().__init__(
            encoder=conv_posterior(input_shape, filters, latent_dim, kernel_size, activation),
            decoder=conv_decoder(
                input_shape, filters, latent_dim, kernel_size, activation, "sigmoid"
            ),
            likelihood="bernoulli",  # pixels in [0, 1]; the loss compares features
            scale=1.0,
            kl_weight=kl_weight,
            loss=GaussianNLL(),
            terms=("encoder_loss", "decoder_loss", "discriminator_loss"),
        )
        self.discriminator = conv_discriminator(input_shape, discriminator_filters)
        self.reconstruction_weight = reconstruction_weight
        self.prior = keras.random.SeedGenerator()

    @property
    def players(self) -> dict[str, list]:
        """The loss of each network, and its weights."""
        return {
            "encoder_loss": self.encoder.trainable_weights,
            "decoder_loss": self.decoder.trainable_weights,
            "discriminator_loss": self.discriminator.trainable_weights,
        }

    def play(self, x, y, answer, training: bool) -> dict:
        """Return the losses; `answer` is x~."""
        shape = (ops.shape(answer)[0], *self.latent_shape)
        z = keras.random.normal(shape, seed=self.prior if training else EVALUATION_SEED)
        sampled = self.decoder(z, training=training)  # x_p
        shown = ops.concatenate([y, answer, sampled])  # (3 B, H, W, C)
        features, logits = self.discriminator(shown, training=training)
        real, restored, _ = ops.split(ops.cast(features, "float32"), 3)  # (B, H', W', F) each
        on_real, on_restored, on_sampled = ops.split(logits, 3)  # (B, 1) each
        encoder_loss = keras.Model.compute_loss(self, x, real, restored, None, training)
        reconstruction = encoder_loss - ops.sum(self.losses)  # without the KL term
        fooled = 0.5 * (real_loss(on_restored) + real_loss(on_sampled))
        seen = 0.5 * (fake_loss(on_restored) + fake_loss(on_sampled))
        return {
            "reconstruction_loss": reconstruction,
            "encoder_loss": encoder_loss,
            "decoder_loss": self.reconstruction_weight * reconstruction + fooled,
            "discriminator_loss": real_loss(on_real) + seen,
        }


def conv_discriminator(input_shape, filters):
    """(B, H, W, C) -> features (B, H/2^n, W/2^n, F) and the logit of being real (B, 1)."""
    k = keras.layers
    conv = k.Conv1D if len(input_shape) == 2 else k.Conv2D
    x = keras.Input(input_shape)
    h = x
    for width in filters:
        h = conv(width, 5, strides=2, padding="same")(h)  # halves H and W, rounding up
        h = k.LeakyReLU(0.2)(h)
    logit = k.Dense(1, dtype="float32")(k.Flatten()(h))
    return keras.Model(x, [h, logit], name="discriminator")
