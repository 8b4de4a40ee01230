"""Variational autoencoders: a distribution over codes, and new rows from noise.

    q(z | x) = N(mean(x), diag exp(log_variance(x))),   p(z) = N(0, I)
    loss = -log p(x | z) + kl_weight * KL( q(z | x) || p(z) ),   z ~ q(z | x)

Both terms are in nats per example: summed over values, or over the code, and averaged over the
batch; with `kl_weight=1` the loss is the negative evidence lower bound (ELBO) of log p(x).

Sources: Kingma & Welling, "Auto-encoding variational Bayes" (2014); Higgins et al., "beta-VAE"
(2017), for a weight other than 1; Shu et al., "Amortized inference regularization" (2018), for an
encoder that learns from rows in part hidden.
"""

from typing import Annotated, Literal

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from pydantic import Field

from aezoo.autoencoder import Autoencoder
from aezoo.endpoints import Endpoint, TensorSpec
from aezoo.layers.sampling import GaussianSampling
from aezoo.likelihood import importance_nll
from aezoo.losses import BernoulliNLL, GaussianNLL, gaussian_kl, gaussian_log_density
from aezoo.models.conv import conv_decoder, conv_encoder
from aezoo.models.dense import dense_decoder
from aezoo.zoo_model import EVALUATION_SEED, Share, Weight, Width

Likelihood = Literal["bernoulli", "gaussian"]
Scale = Annotated[float, Field(gt=0)]


def warmth() -> tf.Variable:
    """Return the share of its weight that a KL term has in training, 1 unless `WarmUp` sets it.

    It is no weight of the model: it is of the recipe, not of what was learned.
    """
    return tf.Variable(1.0, trainable=False, name="warmth")


class VAE(Autoencoder):
    """What all variational autoencoders share; a variant gives the two networks.

    Training draws z afresh, `evaluate` draws it with a fixed seed (so that its loss estimates the
    negative ELBO, and repeats), and `call`, `predict` and the endpoints use the posterior mean.
    A `compile(loss=...)` of one's own replaces the reconstruction term and leaves the KL term.

    Args:
        encoder: (B, *input_shape) -> mean and log-variance of q(z | x), each (B, D).
        decoder: (B, D) -> (B, *input_shape).
        likelihood: `bernoulli` for values in [0, 1], `gaussian` for real ones.
        scale: Standard deviation of the Gaussian likelihood, in model units.
        kl_weight: Multiplies the KL term; 1 is the ELBO.
        loss: The reconstruction loss; None takes that of the likelihood.
        terms: Names of further loss terms.
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        likelihood: Likelihood,
        scale: float,
        kl_weight: float,
        loss: keras.losses.Loss | None = None,
        terms: tuple[str, ...] = (),
    ):
        bernoulli = likelihood == "bernoulli"
        super().__init__(
            encoder=encoder,
            decoder=decoder,
            output_range="unit" if bernoulli else "real",
            loss=loss or (BernoulliNLL() if bernoulli else GaussianNLL(scale)),
            terms=("kl_loss", *terms),
        )
        self.kl_weight = kl_weight
        self.warmth = warmth()
        self.sampling = GaussianSampling()

    def call(self, x, training=False):
        """Return the reconstruction of `x`, both `(B, *input_shape)`; adds the KL term."""
        mean, log_variance = self.encoder(self.encoder_input(x), training=training)  # (B, D) each
        z = self.draw(mean, log_variance, training)  # (B, D)
        self.add_divergences(z, mean, log_variance, training)
        return self.decoder(self.decoder_input(z, x), training=training)

    def add_divergences(self, z, mean, log_variance, training):
        """Add the terms that keep the codes near the prior."""
        weight = self.kl_weight * self.warmth if training else self.kl_weight
        self.add_term("kl_loss", ops.mean(self.kl(z, mean, log_variance)), weight)

    def draw(self, mean, log_variance, training=False):
        """Return codes: a draw from the posterior, or its mean at inference; all (B, D)."""
        if self._evaluating:
            return self.sampling.draw(mean, log_variance, EVALUATION_SEED)
        return self.sampling(mean, log_variance, training=training)

    def kl(self, z, mean, log_variance):
        """Return KL(q(z | x) || p(z)) in nats, (B,), at a draw z where it has no closed form."""
        return gaussian_kl(mean, log_variance)

    def log_prior(self, z):
        """Return log p(z) in nats, (..., D) -> (...)."""
        return gaussian_log_density(z)

    def nll(self, x, samples: int = 5000, seed: int = 0) -> np.ndarray:
        """Return -log p(x) of each row in nats, by importance sampling.

            log p(x) ~ log 1/K sum_k p(x | z_k) p(z_k) / q(z_k | x),   z_k ~ q(z | x)

        In expectation it is an upper bound of the true value, closer with more samples. Decoding
        takes `len(x) * samples` rows. Source: Burda, Grosse & Salakhutdinov (2016), equation 8.

        Args:
            x: Rows in model units, `(N, *input_shape)`.
            samples: K.
            seed: Of the draws.

        Returns:
            `(N,)`, float64.

        Raises:
            ZooError: If rows have another shape or are not finite.

        Example:
            >>> model = DenseVAE(input_shape=(6,), hidden=(8,), latent_dim=2)
            >>> values = model.nll(np.zeros((3, 6), "float32"), samples=50)
            >>> bool((values == model.nll(np.zeros((3, 6), "float32"), samples=50)).all())
            True
        """
        return importance_nll(self, x, samples, seed)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """The shape of one code."""
        return tuple(self.decoder.input_shape[1:])

    def codes(self, x):
        """Return the posterior: `latent`, its mean, and `latent_log_variance`, each (B, D)."""
        mean, log_variance = self.encoder(self.encoder_input(x), training=False)
        return {"latent": mean, "latent_log_variance": log_variance}

    def code_specs(self) -> tuple[TensorSpec, ...]:
        """Return the specs of what `codes` gives."""
        log_variance = TensorSpec(
            "latent_log_variance",
            self.latent_shape,
            axes=("latent",),
            description="Log-variance of the posterior.",
        )
        return (self.latent_spec(), log_variance)

    def make_endpoints(self) -> list[Endpoint]:
        """Return the base class's endpoints and `generate`."""
        return [*super().make_endpoints(), self._generate_endpoint()]


@keras.saving.register_keras_serializable(package="aezoo")
class DenseVAE(VAE):
    """A fully connected variational autoencoder, any input shape.

    Args:
        input_shape: Shape of one row; pictures and series are flattened inside.
        hidden: Widths of the encoder's layers; the decoder mirrors them.
        latent_dim: Width of the code.
        likelihood: `bernoulli` for values in [0, 1], `gaussian` for real ones.
        scale: Standard deviation of the Gaussian likelihood, in model units.
        kl_weight: Multiplies the KL term; 1 is the ELBO.
        activation: Of the hidden layers.
        dropout: Share of a row's values that training hides from the encoder, so that it
            knows less of training rows by heart and more of others; 0 for none.

    Example:
        >>> model = DenseVAE(input_shape=(6,), hidden=(8,), latent_dim=2, likelihood="gaussian")
        >>> [endpoint.name for endpoint in model.endpoints]
        ['reconstruct', 'encode', 'decode', 'score', 'generate']
    """

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (28, 28, 1),
        hidden: tuple[Width, ...] = (512,),
        latent_dim: Width = 5,
        likelihood: Likelihood = "bernoulli",
        scale: Scale = 1.0,
        kl_weight: Weight = 1.0,
        activation: str = "relu",
        dropout: Share = 0.0,
    ):
        output = output_activation(likelihood)
        super().__init__(
            encoder=dense_posterior(input_shape, hidden, latent_dim, activation, dropout),
            decoder=dense_decoder(input_shape, hidden, latent_dim, activation, output),
            likelihood=likelihood,
            scale=scale,
            kl_weight=kl_weight,
        )


@keras.saving.register_keras_serializable(package="aezoo")
class ConvVAE(VAE):
    """A convolutional variational autoencoder for pictures (H, W, C) and series (T, C).

    Args:
        input_shape: `(H, W, C)` or `(T, C)`, any size.
        filters: Channels per level; each level halves the size.
        latent_dim: Width of the code.
        likelihood: `bernoulli` for values in [0, 1], `gaussian` for real ones.
        scale: Standard deviation of the Gaussian likelihood, in model units.
        kl_weight: Multiplies the KL term; 1 is the ELBO.
        kernel_size: Of every convolution.
        activation: Of every convolution but the last.

    Example:
        >>> ConvVAE(input_shape=(27, 31, 3), latent_dim=4).latent_shape
        (4,)
    """

    modalities = ("image", "series")

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (28, 28, 1),
        filters: tuple[Width, ...] = (32, 64),
        latent_dim: Width = 16,
        likelihood: Likelihood = "bernoulli",
        scale: Scale = 1.0,
        kl_weight: Weight = 1.0,
        kernel_size: Width = 3,
        activation: str = "relu",
    ):
        output = output_activation(likelihood)
        super().__init__(
            encoder=conv_posterior(input_shape, filters, latent_dim, kernel_size, activation),
            decoder=conv_decoder(input_shape, filters, latent_dim, kernel_size, activation, output),
            likelihood=likelihood,
            scale=scale,
            kl_weight=kl_weight,
        )


def dense_posterior(input_shape, hidden, latent_dim, activation, dropout=0.0):
    """(B, *input_shape) -> mean and log-variance, (B, D) each."""
    x = keras.Input(input_shape)
    h = keras.layers.Flatten()(x) if len(input_shape) > 1 else x  # (B, H*W*C)
    h = keras.layers.Dropout(dropout)(h) if dropout else h
    for width in hidden:
        h = keras.layers.Dense(width, activation)(h)
    return keras.Model(x, posterior_heads(h, latent_dim), name="encoder")


def conv_posterior(input_shape, filters, latent_dim, kernel_size, activation):
    """(B, H, W, C) -> mean and log-variance, (B, D) each."""
    trunk = conv_encoder(input_shape, filters, None, kernel_size, activation)
    x = keras.Input(input_shape)
    h = keras.layers.Flatten()(trunk(x))  # (B, H'/2^n * W'/2^n * F)
    return keras.Model(x, posterior_heads(h, latent_dim), name="encoder")


def posterior_heads(h, latent_dim):
    """Return mean and log-variance of q(z | x) in float32, whatever the precision before."""
    mean = keras.layers.Dense(latent_dim, dtype="float32", name="latent")(h)
    log_variance = keras.layers.Dense(latent_dim, dtype="float32", name="log_variance")(h)
    return [mean, log_variance]


def output_activation(likelihood):
    """Return what makes a decoder's answers the means of this likelihood."""
    return "sigmoid" if likelihood == "bernoulli" else "linear"
