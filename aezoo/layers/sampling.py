"""Draws from a Gaussian posterior by the reparameterisation trick.

    z = mean + exp(log_variance / 2) * e,   e ~ N(0, I)

Source: Kingma & Welling, "Auto-encoding variational Bayes" (2014), section 2.4.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="aezoo")
class GaussianSampling(keras.layers.Layer):
    """Draws in training, gives the mean at inference.

    Args:
        seed: Makes the draws repeatable from the layer's making on.

    Example:
        >>> import numpy as np
        >>> mean, log_variance = np.ones((1, 2), "float32"), np.zeros((1, 2), "float32")
        >>> GaussianSampling()(mean, log_variance).numpy().tolist()
        [[1.0, 1.0]]
    """

    def __init__(
        self,
        seed: int | None = None,
        dtype: str = "float32",  # a half-precision log-variance overflows in the exponential
        name: str | None = None,
    ):
        super().__init__(dtype=dtype, name=name)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, mean, log_variance, training=False):
        """Return a fresh draw if `training`, else the mean; all (B, D)."""
        return self.draw(mean, log_variance, self.seed_generator) if training else mean

    def draw(self, mean, log_variance, seed):
        """Return a draw, (B, D) float32.

        Args:
            mean: (B, D).
            log_variance: (B, D).
            seed: A number, which gives the same draw each time, or a `SeedGenerator`.
        """
        mean, log_variance = ops.cast(mean, "float32"), ops.cast(log_variance, "float32")
        noise = keras.random.normal(ops.shape(mean), seed=seed)
        return mean + ops.exp(0.5 * log_variance) * noise

    def get_config(self) -> dict:
        """Return the arguments."""
        return {"seed": self.seed, "dtype": self.dtype, "name": self.name}
