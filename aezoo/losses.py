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


@keras.saving.register_keras_serializable(package="aezoo")
class SumOfSquares(keras.losses.Loss):
    """|x - y|^2, summed over the values of an example, averaged over the batch.

    In squared model units; `mean_squared_error` times the number of values.

    Example:
        >>> import numpy as np
        >>> float(SumOfSquares()(np.zeros((2, 3), "float32"), np.full((2, 3), 2.0, "float32")))
        12.0
    """

    def __init__(self, name: str = "sum_of_squares", reduction: str = "sum_over_batch_size"):
        super().__init__(name=name, reduction=reduction)

    def call(self, y_true, y_pred):
        """Return one value per example, (B,)."""
        return _per_example(ops.square(y_true - y_pred))


def nll_of_rows(loss, target, answer, whose: str):
    """Return -log p(row) by a compiled likelihood, in nats, not averaged: (B, ...) -> (B,).

    Raises:
        ZooError: If the loss is none of ours, so that it has no value per row.
    """
    if not hasattr(loss, "call"):
        raise ZooError(
            f"{whose} needs a likelihood.",
            received=loss,
            do="Compile with BernoulliNLL() or GaussianNLL() of aezoo.losses.",
        )
    return loss.call(ops.cast(target, "float32"), ops.cast(answer, "float32"))


def gaussian_kl(mean, log_variance):
    """KL( N(mean, exp(log_variance)) || N(0, I) ) in nats per example, (B, D) -> (B,).

        -1/2 sum_d [ 1 + log s_d^2 - m_d^2 - s_d^2 ]          (Kingma & Welling 2014, appendix B)

    Example:
        >>> import numpy as np
        >>> gaussian_kl(np.ones((1, 4), "float32"), np.zeros((1, 4), "float32")).numpy().tolist()
        [2.0]
    """
    return -0.5 * ops.sum(1.0 + log_variance - ops.square(mean) - ops.exp(log_variance), axis=-1)


def gaussian_log_density(z, mean=0.0, log_variance=0.0):
    """Log N(z; mean, exp(log_variance)) in nats, summed over the code: (..., D) -> (...).

        -1/2 sum_d [ log(2 pi) + log s_d^2 + (z_d - m_d)^2 / s_d^2 ]

    Example:
        >>> import numpy as np
        >>> round(float(gaussian_log_density(np.zeros(2, "float32"))), 6)  # -log(2 pi)
        -1.837877
    """
    squared = ops.square(z - mean) * ops.exp(-ops.cast(log_variance, "float32"))
    return -0.5 * ops.sum(math.log(2.0 * math.pi) + log_variance + squared, axis=-1)


def l1_activity(code):
    """L1 norm of each code, no unit, (B, D) -> (B,).

        sum_j |h_j|

    Example:
        >>> import numpy as np
        >>> l1_activity(np.array([[1.0, 0.0, -2.0]])).numpy().tolist()
        [3.0]
    """
    return ops.sum(ops.abs(code), axis=-1)


def rate_kl(code, rate: float):
    """KL of each unit's mean activity from a wanted rate, in nats, (B, D) -> (D,).

        r log(r / m_j) + (1 - r) log((1 - r) / (1 - m_j)),      m_j = mean over the batch of h_j

    Both are read as the probability that a unit is on. Source: Lee, Ekanadham & Ng, "Sparse deep
    belief net model for visual area V2" (2008), for the idea; A. Ng, CS294A lecture notes (2011),
    for this form.

    Args:
        code: Activities in [0, 1], (B, D).
        rate: r, the wanted mean activity, between 0 and 1.

    Example:
        >>> import numpy as np
        >>> rate_kl(np.array([[0.0], [0.5]]), rate=0.25).numpy().tolist()
        [0.0]
    """
    mean = ops.clip(ops.mean(code, axis=0), 1e-6, 1.0 - 1e-6)  # a unit may be all off, or all on
    on, off = ops.log(rate / mean), ops.log((1.0 - rate) / (1.0 - mean))
    return rate * on + (1.0 - rate) * off


def _pixels(y_true, y_pred):
    """Return truth and probability of each class at each pixel, (B, P, C) both.

    Masks come as (B, H, W) or (B, H, W, 1); Keras may have taken the one channel off `y_pred`.
    """
    classes = y_pred.shape[-1] if len(y_pred.shape) == 4 else 1
    rows = ops.shape(y_pred)[0]
    labels = ops.cast(ops.reshape(y_true, (rows, -1)), "int32")  # (B, P)
    probabilities = ops.cast(ops.reshape(y_pred, (rows, -1, classes)), "float32")
    if classes == 1:
        return ops.cast(labels, "float32")[..., None], probabilities
    return ops.one_hot(labels, classes), probabilities


@keras.saving.register_keras_serializable(package="aezoo")
class SoftDice(keras.losses.Loss):
    """1 - Dice of probabilities, from 0 to 1, no unit.

        1 - (1/C) sum_c [ (2 sum_i t_ic p_ic + 1) / (sum_i t_ic + sum_i p_ic + 1) ]

    Sums run over the pixels i of one example, the mean over all classes c, class 0 too (a binary
    mask has its foreground alone); averaged over the batch. The 1 keeps a class that is nowhere in
    the picture harmless. Targets are integer masks (B, H, W) or (B, H, W, 1), predictions
    probabilities (B, H, W, C). Source: Milletari, Navab & Ahmadi, "V-Net" (2016), with plain
    sums below.

    Example:
        >>> import numpy as np
        >>> mask = np.array([[[1, 1, 0]]])
        >>> float(SoftDice()(mask, np.array([[[[1.0], [1.0], [0.0]]]], "float32")))
        0.0
    """

    def __init__(self, name: str = "dice", reduction: str = "sum_over_batch_size"):
        super().__init__(name=name, reduction=reduction)

    def call(self, y_true, y_pred):
        """Return one value per example, (B,)."""
        t, p = _pixels(y_true, y_pred)
        overlap = 2.0 * ops.sum(t * p, axis=1) + 1.0  # (B, C)
        return 1.0 - ops.mean(overlap / (ops.sum(t, axis=1) + ops.sum(p, axis=1) + 1.0), axis=-1)


@keras.saving.register_keras_serializable(package="aezoo")
class PixelCrossEntropy(keras.losses.Loss):
    """-log p of each pixel's true class, in nats, mean per pixel.

        -(1/P) sum_i [ (1 - e) log p_i[t_i] + (e/C) sum_c log p_i[c] ]

    Averaged over the pixels of an example, then over the batch; with one channel p is the
    probability of class 1. Targets and predictions as for `SoftDice`.

    Args:
        label_smoothing: e, the share of each label that is spread over all C classes. At borders,
            where a pixel is a bit of both, a network is else rewarded for learning noise by heart.
            Source: Szegedy et al., "Rethinking the Inception architecture" (2016), section 7.

    Example:
        >>> import numpy as np
        >>> half = np.full((1, 2, 2, 2), 0.5, "float32")
        >>> round(float(PixelCrossEntropy()(np.zeros((1, 2, 2), int), half)), 6)
        0.693147
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        name: str = "cross_entropy",
        reduction: str = "sum_over_batch_size",
    ):
        super().__init__(name=name, reduction=reduction)
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        """Return one value per example, (B,)."""
        t, p = _pixels(y_true, y_pred)
        if p.shape[-1] == 1:
            t, p = (ops.concatenate([1.0 - v, v], axis=-1) for v in (t, p))  # (B, P, 2)
        t = (1.0 - self.label_smoothing) * t + self.label_smoothing / t.shape[-1]
        per_pixel = ops.sum(t * ops.log(ops.maximum(p, 1e-7)), axis=-1)  # (B, P)
        return -ops.mean(per_pixel, axis=-1)

    def get_config(self):
        """Return the arguments."""
        return super().get_config() | {"label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable(package="aezoo")
class DiceCrossEntropy(keras.losses.Loss):
    """`SoftDice` + `PixelCrossEntropy`: overlap and nats per pixel, weighted alike.

    Source: the combination that Isensee et al., "nnU-Net" (2021), train with.

    Args:
        label_smoothing: Of the cross-entropy; the overlap keeps its labels.

    Example:
        >>> import numpy as np
        >>> half = np.full((1, 2, 2, 2), 0.5, "float32")
        >>> mask = np.array([[[0, 0], [1, 1]]])
        >>> round(float(DiceCrossEntropy()(mask, half)), 6)  # 1 - 3/5 + log 2
        1.093147
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        name: str = "dice_cross_entropy",
        reduction: str = "sum_over_batch_size",
    ):
        super().__init__(name=name, reduction=reduction)
        self.label_smoothing = label_smoothing
        self._dice, self._cross_entropy = SoftDice(), PixelCrossEntropy(label_smoothing)

    def call(self, y_true, y_pred):
        """Return one value per example, (B,)."""
        return self._dice.call(y_true, y_pred) + self._cross_entropy.call(y_true, y_pred)

    def get_config(self):
        """Return the arguments."""
        return super().get_config() | {"label_smoothing": self.label_smoothing}


_LOSSES = {
    "dice": SoftDice,
    "cross_entropy": PixelCrossEntropy,
    "dice_cross_entropy": DiceCrossEntropy,
    "bernoulli_nll": BernoulliNLL,
    "gaussian_nll": GaussianNLL,
    "sum_of_squares": SumOfSquares,
}


def get(name, **arguments):
    """Return the loss of this name, of ours or of Keras'; an instance is returned as it is.

    Args:
        name: Of a loss, or a loss.
        **arguments: Of one of ours.

    Raises:
        ZooError: For an unknown name.

    Example:
        >>> get("bernoulli_nll").name
        'bernoulli_nll'
    """
    if not isinstance(name, str):
        return name
    if name in _LOSSES:
        return _LOSSES[name](**arguments)
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
