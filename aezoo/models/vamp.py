"""VAE with a VampPrior: the prior is a mixture of the posteriors of learned pseudo-rows.

    p(z) = 1/K sum_k q(z | u_k),   u_1 ... u_K learned along with the networks
    loss = -log p(x | z) + kl_weight * [ log q(z | x) - log p(z) ],   z ~ q(z | x)

A prior of one Gaussian pulls all codes to one place, whatever the data look like; this one goes
where they are. Both terms are in nats per example. Source: Tomczak & Welling, "VAE with a
VampPrior" (2018), equation 9.
"""

import math

import keras
from keras import ops

from aezoo.endpoints import TensorSpec
from aezoo.losses import gaussian_log_density
from aezoo.models.vae import DenseVAE, Likelihood, Scale
from aezoo.zoo_model import Weight, Width


@keras.saving.register_keras_serializable(package="aezoo")
class PseudoRows(keras.layers.Layer):
    """Learned rows, within [0, 1] for a Bernoulli likelihood.

    Args:
        count: K.
        shape: Of one row.
        unit: Keep them within [0, 1].

    Example:
        >>> PseudoRows(count=4, shape=(6,), unit=True).rows().shape
        TensorShape([4, 6])
    """

    def __init__(self, count: int, shape: tuple[int, ...], unit: bool, name: str | None = None):
        super().__init__(name=name)
        self.count, self.shape, self.unit = count, tuple(shape), unit
        start = keras.initializers.RandomNormal(0.5 if unit else 0.0, 0.2)
        self.kept = self.add_weight(shape=(count, *self.shape), initializer=start, name="rows")
        self.built = True

    def rows(self):
        """Return the rows, (K, *shape)."""
        kept = ops.convert_to_tensor(self.kept)
        return ops.clip(kept, 0.0, 1.0) if self.unit else kept

    def get_config(self) -> dict:
        """Return the arguments."""
        return {"count": self.count, "shape": self.shape, "unit": self.unit, "name": self.name}


@keras.saving.register_keras_serializable(package="aezoo")
class VampVAE(DenseVAE):
    """A fully connected VAE with a VampPrior, any input shape.

    `generate` takes, beside the noise, which pseudo-row to start from: draw both for a draw from
    the prior.

    Args:
        input_shape: Shape of one row; pictures and series are flattened inside.
        hidden: Widths of the encoder's layers; the decoder mirrors them.
        latent_dim: Width of the code.
        pseudo_rows: K, the components of the prior.
        likelihood: `bernoulli` for values in [0, 1], `gaussian` for real ones.
        scale: Standard deviation of the Gaussian likelihood, in model units.
        kl_weight: Multiplies the KL term; 1 is the ELBO.
        activation: Of the hidden layers.

    Example:
        >>> model = VampVAE(input_shape=(6,), hidden=(8,), latent_dim=2, pseudo_rows=4)
        >>> [tensor.name for tensor in model.endpoint("generate").spec.inputs]
        ['noise', 'component']
    """

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (28, 28, 1),
        hidden: tuple[Width, ...] = (300, 300),
        latent_dim: Width = 40,
        pseudo_rows: Width = 500,
        likelihood: Likelihood = "bernoulli",
        scale: Scale = 1.0,
        kl_weight: Weight = 1.0,
        activation: str = "relu",
    ):
        super().__init__(input_shape, hidden, latent_dim, likelihood, scale, kl_weight, activation)
        unit = likelihood == "bernoulli"
        self.pseudo_rows = PseudoRows(pseudo_rows, input_shape, unit, name="pseudo_rows")

    def kl(self, z, mean, log_variance):
        """Return log q(z | x) - log p(z) at the draw, (B,) nats; its mean is the KL term."""
        return gaussian_log_density(z, mean, log_variance) - self.log_prior(z)

    def log_prior(self, z):
        """Return log p(z) in nats, (B, D) -> (B,)."""
        means, log_variances = self.encoder(self.pseudo_rows.rows())  # (K, D) each
        by_component = gaussian_log_density(z[:, None, :], means, log_variances)  # (B, K)
        return ops.logsumexp(by_component, axis=-1) - math.log(self.pseudo_rows.count)

    def noise_specs(self) -> tuple[TensorSpec, ...]:
        """Return the specs of what `generate` takes: noise, and a component of the prior."""
        component = TensorSpec(
            "component",
            (1,),
            "int32",
            ("component",),
            low=0,
            high=self.pseudo_rows.count - 1,
            description="Whose posterior the noise is scaled to; all are equally probable.",
        )
        return (*super().noise_specs(), component)

    def code_of_noise(self, inputs: dict):
        """Return the codes that noise stands for, (B, D)."""
        means, log_variances = self.encoder(self.pseudo_rows.rows(), training=False)
        chosen = inputs["component"][:, 0]
        mean, log_variance = (ops.take(v, chosen, axis=0) for v in (means, log_variances))
        return mean + ops.exp(0.5 * log_variance) * inputs["noise"]
