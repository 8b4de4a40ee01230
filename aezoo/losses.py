"""Losses, each with its formula, its reduction and its unit."""

import math

import keras
from keras import ops

from aezoo.errors import ZooError, closest_match


def _per_example(values):
    """Sum over all axes but the batch: (B, ...) -> (B,)."""
    return ops.sum(ops.reshape(values, (ops.shape(values)[0], -1)), axis=-1)


@keras.saving.register_keras_serializable(package="aezoo")
class BernoulliNLL(keras.losses.Loss):
    """-log p(x | z) of independent Bernoulli pixels, in nats per example.

        -sum_i [ x_i log p_i + (1 - x_i) log(1 - p_i) ]

    Targets and predictions lie in [0, 1]; summed over pixels, averaged over the batch.
    """

    def __init__(self, name: str = "bernoulli_nll", reduction: str = "sum_over_batch_size"):
        super().__init__(name=name, reduction=reduction)

    def call(self, y_true, y_pred):
        """Return one value per example, (B,)."""
        p = ops.clip(y_pred, 1e-7, 1.0 - 1e-7)
        return -_per_example(y_true * ops.log(p) + (1.0 - y_true) * ops.log1p(-p))


@keras.saving.register_keras_serializable(package="aezoo")
class GaussianNLL(keras.losses.Loss):
    """-log p(x | z) of independent Gaussians of one fixed width, in nats per example.

        sum_i [ (x_i - m_i)^2 / (2 s^2) + log s + log(2 pi) / 2 ]

    Args:
        scale: s, the standard deviation of the observation noise, in model units.
    """

    def __init__(
        self,
        scale: float = 1.0,
        name: str = "gaussian_nll",
        reduction: str = "sum_over_batch_size",
    ):
        super().__init__(name=name, reduction=reduction)
        self.scale = scale

    def call(self, y_true, y_pred):
        """Return one value per example, (B,)."""
        constant = math.log(self.scale) + 0.5 * math.log(2.0 * math.pi)
        squared = ops.square(y_true - y_pred) / (2.0 * self.scale**2)
        return _per_example(squared + constant)

    def get_config(self):
        """Return the arguments."""
        return {"scale": self.scale, "name": self.name, "reduction": self.reduction}


def gaussian_kl(mean, log_variance):
    """KL( N(mean, exp(log_variance)) || N(0, I) ) in nats per example, (B, D) -> (B,).

        -1/2 sum_d [ 1 + log s_d^2 - m_d^2 - s_d^2 ]          (Kingma & Welling 2014, appendix B)

    Example:
        >>> import numpy as np
        >>> gaussian_kl(np.ones((1, 4), "float32"), np.zeros((1, 4), "float32")).numpy().tolist()
        [2.0]
    """
    return -0.5 * ops.sum(1.0 + log_variance - ops.square(mean) - ops.exp(log_variance), axis=-1)


_LOSSES = {
    "bernoulli_nll": BernoulliNLL,
    "gaussian_nll": GaussianNLL,
}


def get(name):
    """Return the loss of this name, of ours or of Keras'; an instance is returned as it is.

    Raises:
        ZooError: For an unknown name.

    Example:
        >>> get("bernoulli_nll").name
        'bernoulli_nll'
    """
    if not isinstance(name, str):
        return name
    if name in _LOSSES:
        return _LOSSES[name]()
    try:
        return keras.losses.get(name)
    except ValueError:
        known = [*_LOSSES, "binary_crossentropy", "mean_squared_error", "mean_absolute_error"]
        raise ZooError(
            "There is no loss of this name.",
            received=name,
            closest=closest_match(name, known),
            do=f"Use a Keras loss name or one of: {', '.join(known)}.",
        ) from None
