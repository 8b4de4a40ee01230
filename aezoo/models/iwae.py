"""Importance-weighted autoencoder: a VAE trained on a tighter bound of log p(x).

    w_k = p(x | z_k) p(z_k) / q(z_k | x),   z_1 ... z_K ~ q(z | x)
    loss = -log 1/K sum_k w_k                                  in nats per example

With K = 1 it is the negative ELBO of the VAE, the KL term estimated by the draw; the bound grows
tighter with K. Source: Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders" (2016),
equation 8; its networks of one stochastic layer, two hidden layers of 200 tanh units each.
"""

import math

import keras
from keras import ops

from aezoo.losses import gaussian_log_density, nll_of_rows
from aezoo.models.vae import DenseVAE, Likelihood, Scale
from aezoo.zoo_model import Width


@keras.saving.register_keras_serializable(package="aezoo")
class IWAE(DenseVAE):
    """A fully connected VAE whose training and evaluation draw several codes for each row.

    `reconstruction_loss` and `kl_loss` are logged as means over the draws; `loss` is the bound and
    no sum of them. `call`, `predict` and the endpoints use the posterior mean.

    Args:
        input_shape: Shape of one row; pictures and series are flattened inside.
        hidden: Widths of the encoder's layers; the decoder mirrors them.
        latent_dim: Width of the code.
        samples: K, the draws per row.
        likelihood: `bernoulli` for values in [0, 1], `gaussian` for real ones.
        scale: Standard deviation of the Gaussian likelihood, in model units.
        activation: Of the hidden layers.

    Example:
        >>> model = IWAE(input_shape=(6,), hidden=(8,), latent_dim=2, samples=3)
        >>> model.loss_terms
        ('loss', 'reconstruction_loss', 'kl_loss')
    """

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (28, 28, 1),
        hidden: tuple[Width, ...] = (200, 200),
        latent_dim: Width = 50,
        samples: Width = 5,
        likelihood: Likelihood = "bernoulli",
        scale: Scale = 1.0,
        activation: str = "tanh",
    ):
        super().__init__(input_shape, hidden, latent_dim, likelihood, scale, 1.0, activation)
        self.samples = samples
        self._drawn = None  # of this forward pass: answers, and log q(z | x) - log p(z)

    def call(self, x, training=False):
        """Return the reconstruction of `x`: from the first draw in training, else from the mean."""
        mean, log_variance = self.encoder(x, training=training)  # (B, D) each
        if not (training or self._evaluating):
            return self.decoder(mean, training=False)
        mean, log_variance = (ops.repeat(v, self.samples, axis=0) for v in (mean, log_variance))
        z = self.draw(mean, log_variance, training)  # (B*K, D)
        answers = self.decoder(z, training=training)  # (B*K, *input_shape)
        self._drawn = (answers, self.kl(z, mean, log_variance))
        return answers[:: self.samples]

    def kl(self, z, mean, log_variance):
        """Return log q(z | x) - log p(z) at the draws, (B*K,) nats; its mean is the KL term."""
        return gaussian_log_density(z, mean, log_variance) - self.log_prior(z)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the bound, and log it and its two parts."""
        answers, kl = self._drawn
        self._drawn = None
        target = ops.repeat(self.target_of(x) if y is None else y, self.samples, axis=0)
        whose = "The importance-weighted bound"
        nll = nll_of_rows(self.loss, target, answers, whose)  # (B*K,)
        share = self.warmth if training else 1.0
        log_weights = ops.reshape(-nll - share * kl, (-1, self.samples))  # (B, K)
        bound = math.log(self.samples) - ops.logsumexp(log_weights, axis=-1)  # (B,)
        total = _mean(bound, sample_weight)
        rows = ops.shape(bound)[0]
        self._trackers["reconstruction_loss"].update_state(ops.mean(nll), sample_weight=rows)
        self._trackers["kl_loss"].update_state(ops.mean(kl), sample_weight=rows)
        return total


def _mean(values, weight):
    """Return the mean over rows, weighted as Keras' losses are."""
    if weight is None:
        return ops.mean(values)
    return ops.mean(values * ops.cast(ops.reshape(weight, (-1,)), "float32"))
