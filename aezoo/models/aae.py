"""Adversarial autoencoder: a discriminator shapes the codes like draws from N(0, I).

    autoencoder:   reconstruction + adversarial_weight * ( -log D(z) ),      z = encoder(x)
    discriminator: -log D(z_p) - log(1 - D(z)),                              z_p ~ N(0, I)

The encoder learns to make codes that D cannot tell from draws of the prior, so that such draws can
be decoded to new rows. Where a variational autoencoder has its KL term, this needs draws of the
prior alone, never its density. Both players move at once, from one forward pass.

Source: Makhzani et al., "Adversarial autoencoders" (2015), section 2, with the deterministic
encoder and the non-saturating loss.
"""

from typing import Literal

import keras
from keras import ops

from aezoo.adversarial import Adversarial, fake_loss, real_loss
from aezoo.autoencoder import Autoencoder
from aezoo.endpoints import Endpoint
from aezoo.models.dense import dense_decoder, dense_encoder
from aezoo.zoo_model import EVALUATION_SEED, Weight, Width


@keras.saving.register_keras_serializable(package="aezoo")
class AdversarialAE(Adversarial, Autoencoder):
    """A fully connected autoencoder and a discriminator of its codes, any input shape.

    Args:
        input_shape: Shape of one row; pictures and series are flattened inside.
        hidden: Widths of the encoder's layers; the decoder mirrors them.
        latent_dim: Width of the code.
        discriminator_hidden: Widths of the discriminator's layers.
        adversarial_weight: Of the game in the encoder's loss.
        activation: Of the hidden layers.
        output_activation: `sigmoid` for values in [0, 1], `linear` for real ones.

    Example:
        >>> model = AdversarialAE(input_shape=(6,), hidden=(8,), latent_dim=2)
        >>> [endpoint.name for endpoint in model.endpoints]
        ['reconstruct', 'encode', 'decode', 'score', 'generate']
    """

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (28, 28, 1),
        hidden: tuple[Width, ...] = (512, 256),
        latent_dim: Width = 8,
        discriminator_hidden: tuple[Width, ...] = (256, 256),
        adversarial_weight: Weight = 0.01,
        activation: str = "relu",
        output_activation: Literal["sigmoid", "linear"] = "sigmoid",
    ):
        unit = output_activation == "sigmoid"
        super().__init__(
            encoder=dense_encoder(input_shape, hidden, latent_dim, activation, "linear"),
            decoder=dense_decoder(input_shape, hidden, latent_dim, activation, output_activation),
            output_range="unit" if unit else "real",
            loss="binary_crossentropy" if unit else "mean_squared_error",
            terms=("adversarial_loss", "autoencoder_loss", "discriminator_loss"),
        )
        self.discriminator = code_discriminator(latent_dim, discriminator_hidden)
        self.adversarial_weight = adversarial_weight
        self.prior = keras.random.SeedGenerator()

    @property
    def players(self) -> dict[str, list]:
        """The loss of each player, and its weights."""
        autoencoder = [*self.encoder.trainable_weights, *self.decoder.trainable_weights]
        return {
            "autoencoder_loss": autoencoder,
            "discriminator_loss": self.discriminator.trainable_weights,
        }

    def play(self, x, y, answer, training: bool) -> dict:
        """Return the losses; `answer` is the reconstruction."""
        code = self.encoder(x, training=training)  # as in `call`: a graph computes it once
        code = ops.cast(code, "float32")
        seed = self.prior if training else EVALUATION_SEED
        drawn = keras.random.normal(ops.shape(code), seed=seed)
        shown = ops.concatenate([drawn, code])  # (2 B, D)
        on_drawn, on_code = ops.split(self.discriminator(shown, training=training), 2)
        reconstruction = keras.Model.compute_loss(self, x, y, answer, None, training)
        fooled = real_loss(on_code)
        return {
            "reconstruction_loss": reconstruction,
            "adversarial_loss": fooled,
            "autoencoder_loss": reconstruction + self.adversarial_weight * fooled,
            "discriminator_loss": real_loss(on_drawn) + fake_loss(on_code),
        }

    def make_endpoints(self) -> list[Endpoint]:
        """Return the base class's endpoints and `generate`."""
        return [*super().make_endpoints(), self._generate_endpoint()]


def code_discriminator(latent_dim, hidden):
    """(B, D) -> the logit of being drawn from the prior, (B, 1)."""
    layers = [keras.Input((latent_dim,))]
    for width in hidden:
        layers += [keras.layers.Dense(width), keras.layers.LeakyReLU(0.2)]
    layers.append(keras.layers.Dense(1, dtype="float32"))
    return keras.Sequential(layers, name="discriminator")
