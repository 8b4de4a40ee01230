"""How good an answer is: mse, psnr and ssim of reconstructions, Dice and IoU of masks.

The three functions take NumPy arrays and answer one number per row. The two classes are Keras
metrics for `compile`; they count all pixels of an epoch together.
"""

import keras
import numpy as np
from keras import ops

from aezoo.errors import ZooError, closest_match

# ---- reconstructions, one number per row ----

_CHUNK = 512  # rows that `ssim` holds in float64 at once


def _pair(target, answer) -> tuple[np.ndarray, np.ndarray]:
    target, answer = np.asarray(target), np.asarray(answer)
    if target.shape != answer.shape:
        raise ZooError(
            "The two arrays have different shapes.",
            received=(target.shape, answer.shape),
            do="Give the rows and their reconstructions in the same order and shape.",
        )
    return target, answer


def mse(target, answer) -> np.ndarray:
    """Mean squared error of each row, in squared model units.

        (1/n) sum_i (x_i - y_i)^2

    Args:
        target: `(N, ...)`.
        answer: Of the same shape.

    Returns:
        `(N,)`, float64.

    Raises:
        ZooError: If the shapes differ.

    Example:
        >>> mse(np.zeros((2, 4)), np.full((2, 4), 0.5)).tolist()
        [0.25, 0.25]
    """
    target, answer = _pair(target, answer)
    squared = np.square(np.subtract(target, answer, dtype="float64"))
    return squared.reshape(len(squared), -1).mean(axis=1)


def psnr(target, answer) -> np.ndarray:
    """Peak signal-to-noise ratio of each row, in decibels; infinite where nothing differs.

        10 log10(1 / mse)                                  (data range 1, which model units have)

    Args:
        target: `(N, ...)` in model units.
        answer: Of the same shape.

    Returns:
        `(N,)`, float64.

    Raises:
        ZooError: If the shapes differ.

    Example:
        >>> psnr(np.zeros((1, 4)), np.full((1, 4), 0.1)).round(6).tolist()
        [20.0]
    """
    with np.errstate(divide="ignore"):
        return -10.0 * np.log10(mse(target, answer))


def ssim(target, answer) -> np.ndarray:
    """Structural similarity of each row, from -1 to 1; 1 where nothing differs.

        (2 m_x m_y + C1) (2 s_xy + C2) / ((m_x^2 + m_y^2 + C1) (s_x^2 + s_y^2 + C2))

    averaged over the places where the window fits whole, then over channels. The window is an
    11x11 Gaussian of sigma 1.5; C1 = 0.01^2, C2 = 0.03^2 for data range 1. Pictures with a side
    below 11 get the largest odd window that fits. Source: Wang, Bovik, Sheikh & Simoncelli, "Image
    quality assessment: from error visibility to structural similarity" (2004).

    Args:
        target: `(N, H, W, C)` in model units.
        answer: Of the same shape.

    Returns:
        `(N,)`, float64.

    Raises:
        ZooError: If the shapes differ or are no pictures.

    Example:
        >>> ssim(np.zeros((1, 12, 12, 1)), np.ones((1, 12, 12, 1))).round(6).tolist()
        [0.0001]
    """
    target, answer = _pair(target, answer)
    if target.ndim != 4 or min(target.shape[1:3], default=0) < 1:
        raise ZooError(
            "ssim compares pictures.", received=target.shape, do="Give arrays (N, H, W, C)."
        )
    parts = [
        structural_similarity(
            target[start : start + _CHUNK].astype("float64"),
            answer[start : start + _CHUNK].astype("float64"),
        )
        for start in range(0, len(target), _CHUNK)
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


def structural_similarity(x, y):
    """Return `ssim` of two batches of pictures (B, H, W, C), arrays or tensors: (B,)."""
    side = min(11, *x.shape[1:3])
    window = _gaussian(side - (side + 1) % 2)
    c1, c2 = 0.01**2, 0.03**2
    mean_x, mean_y = _smooth(x, window), _smooth(y, window)
    variance_x = _smooth(x * x, window) - mean_x**2
    variance_y = _smooth(y * y, window) - mean_y**2
    covariance = _smooth(x * y, window) - mean_x * mean_y
    likeness = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    likeness = likeness / ((mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2))
    mean = np.mean if isinstance(x, np.ndarray) else ops.mean
    return mean(likeness, axis=(1, 2, 3))


def _gaussian(size: int, sigma: float = 1.5) -> list[float]:
    """One axis of the window; its outer product with itself sums to 1."""
    distance = np.arange(size) - (size - 1) / 2
    weights = np.exp(-np.square(distance) / (2 * sigma**2))
    return (weights / weights.sum()).tolist()


def _smooth(x, window: list[float]):
    """Weighted means over all whole windows: (N, H, W, C) -> (N, H-s+1, W-s+1, C)."""
    size = len(window)
    height, width = x.shape[1] - size + 1, x.shape[2] - size + 1
    rows = sum(w * x[:, k : k + height] for k, w in enumerate(window))
    return sum(w * rows[:, :, k : k + width] for k, w in enumerate(window))


# ---- generated rows ----


def spread_within(rows, label):
    """Return the mean distance of two different rows of one label, a tensor ().

        mean over i != j with l_i = l_j of |x_i - x_j|

    Where no label has two rows it is 0.

    Args:
        rows: `(N, ...)`.
        label: Whole numbers, `(N,)` or `(N, 1)`.

    Example:
        >>> rows = np.array([[0.0, 0.0], [3.0, 4.0], [9.0, 9.0]])
        >>> float(spread_within(rows, np.array([0, 0, 1])))
        5.0
    """
    flat = ops.reshape(ops.cast(rows, "float32"), (ops.shape(rows)[0], -1))  # (N, F)
    squares = ops.sum(ops.square(flat), axis=1)
    squared = squares[:, None] + squares[None] - 2.0 * ops.matmul(flat, ops.transpose(flat))
    label = ops.reshape(label, (-1,))
    pairs = ops.cast(label[:, None] == label[None], "float32") - ops.eye(ops.shape(rows)[0])
    distance = ops.sqrt(ops.maximum(squared, 0.0))
    return ops.sum(pairs * distance) / ops.maximum(ops.sum(pairs), 1.0)


# ---- masks, all pixels of an epoch together ----


def masks_of(probabilities):
    """Return the most probable class of each pixel: (B, H, W, C) -> (B, H, W), int32.

    One channel is the probability of class 1, and above one half it is class 1. The lowest class
    wins a tie. It is a comparison or a top-k, because an argmax of floats becomes a broken ONNX
    file without a word.

    Example:
        >>> masks_of(np.array([[[[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]]]], "float32")).numpy().tolist()
        [[[1, 0]]]
    """
    if probabilities.shape[-1] == 1:
        return ops.cast(ops.squeeze(probabilities, -1) > 0.5, "int32")
    _, classes = ops.top_k(probabilities, 1)
    return ops.cast(ops.squeeze(classes, -1), "int32")


class MaskMetric(keras.metrics.Metric):
    """Counts, over all pixels seen, of each true class that was answered as each class.

    Args:
        classes: Channels of the answer: 1 for a binary mask, else the number of classes.
        name: What it is logged as.
        dtype: Of the result.
    """

    _direction = "up"  # what Keras asks: higher is better

    def __init__(self, classes: int, name: str | None = None, dtype: str | None = None):
        super().__init__(name=name, dtype=dtype)
        self.classes = classes
        size = max(classes, 2)
        # float64 counts exactly up to 2^53 pixels; float32 would stop at 2^24.
        self.counts = self.add_variable((size, size), "zeros", dtype="float64", name="counts")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Count a batch.

        Args:
            y_true: Integer masks, `(B, H, W)` or `(B, H, W, 1)`.
            y_pred: Probabilities `(B, H, W, classes)`, or masks of an integer dtype.
            sample_weight: `(B,)`: each row's pixels count as often.
        """
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if "int" not in keras.backend.standardize_dtype(y_pred.dtype):
            y_pred = masks_of(y_pred)
        size = self.counts.shape[0]
        rows = ops.shape(y_true)[0]
        truth = ops.one_hot(ops.cast(ops.reshape(y_true, (rows, -1)), "int32"), size)  # (B, P, C)
        answer = ops.one_hot(ops.cast(ops.reshape(y_pred, (rows, -1)), "int32"), size)
        counts = ops.matmul(ops.transpose(truth, (0, 2, 1)), answer)  # (B, C, C)
        counts = ops.cast(counts, "float64")
        if sample_weight is not None:
            weight = ops.cast(ops.reshape(sample_weight, (rows, 1, 1)), "float64")
            counts = counts * weight
        self.counts.assign_add(ops.sum(counts, axis=0))

    def _overlaps(self):
        """Return pixels right, true and answered, per class; of class 1 alone if binary."""
        counts = ops.convert_to_tensor(self.counts)
        first = 1 if self.classes == 1 else 0
        right, true, answered = ops.diagonal(counts), ops.sum(counts, 1), ops.sum(counts, 0)
        return right[first:], true[first:], answered[first:]

    def per_class(self) -> np.ndarray:
        """Return the value of each class, `(classes,)`; NaN for a class that never occurred."""
        numerator, denominator = (ops.convert_to_numpy(part) for part in self._ratio())
        with np.errstate(invalid="ignore"):
            return numerator / denominator

    def result(self):
        """Return the mean over the classes that occurred in truth or answer; 0 if none did."""
        numerator, denominator = self._ratio()
        values = numerator / ops.maximum(denominator, 1e-12)
        occurred = ops.cast(denominator > 0, "float64")
        mean = ops.sum(values * occurred) / ops.maximum(ops.sum(occurred), 1.0)
        return ops.cast(mean, self.dtype)

    def get_config(self):
        """Return the arguments."""
        return {"classes": self.classes, "name": self.name, "dtype": self.dtype}


@keras.saving.register_keras_serializable(package="aezoo")
class Dice(MaskMetric):
    """Dice coefficient of masks, pooled over all pixels, mean over classes; from 0 to 1.

        2 |T and A| / (|T| + |A|)                        T true pixels of a class, A answered ones

    With one class it is that of class 1 (the foreground) alone.

    Args:
        classes: Channels of the answer: 1 for a binary mask, else the number of classes.
        name: What it is logged as.
        dtype: Of the result.

    Example:
        >>> dice = Dice(classes=1)
        >>> dice.update_state(np.array([[[1, 1, 0]]]), np.array([[[1, 0, 0]]]))
        >>> round(float(dice.result()), 4)
        0.6667
    """

    def __init__(self, classes: int, name: str = "dice", dtype: str | None = None):
        super().__init__(classes, name, dtype)

    def _ratio(self):
        right, true, answered = self._overlaps()
        return 2.0 * right, true + answered


@keras.saving.register_keras_serializable(package="aezoo")
class MeanIoU(MaskMetric):
    """Intersection over union of masks, pooled over all pixels, mean over classes; from 0 to 1.

        |T and A| / |T or A|                             T true pixels of a class, A answered ones

    With one class it is that of class 1 (the foreground) alone.

    Args:
        classes: Channels of the answer: 1 for a binary mask, else the number of classes.
        name: What it is logged as.
        dtype: Of the result.

    Example:
        >>> iou = MeanIoU(classes=1)
        >>> iou.update_state(np.array([[[1, 1, 0]]]), np.array([[[1, 0, 0]]]))
        >>> float(iou.result())
        0.5
    """

    def __init__(self, classes: int, name: str = "mean_iou", dtype: str | None = None):
        super().__init__(classes, name, dtype)

    def _ratio(self):
        right, true, answered = self._overlaps()
        return right, true + answered - right


_OF_MASKS = {"dice": Dice, "mean_iou": MeanIoU}


def get(name: str, classes: int | None = None):
    """Return the metric of this name, of ours or of Keras'.

    Args:
        name: `dice`, `mean_iou`, or a name that Keras knows; the latter is returned as it is,
            because Keras chooses among its variants by the shapes it sees.
        classes: Channels of a segmenter's answer; None for other models.

    Raises:
        ZooError: For an unknown name, or a metric of masks where there are none.

    Example:
        >>> get("dice", classes=4).name
        'dice'
    """
    if name in _OF_MASKS and classes is not None:
        return _OF_MASKS[name](classes)
    if name in _OF_MASKS:
        raise ZooError(
            "Only a segmenter has this metric.", received=name, do="Take it out of train.metrics."
        )
    try:
        keras.metrics.get(name)
    except ValueError:
        known = [*_OF_MASKS, "mean_squared_error", "mean_absolute_error", "accuracy"]
        raise ZooError(
            "There is no metric of this name.",
            received=name,
            closest=closest_match(name, known),
            do=f"Use a Keras metric name or one of: {', '.join(known)}.",
        ) from None
    return name


def rises(name: str) -> bool:
    """Whether a metric of this name is better the higher it is.

    Example:
        >>> rises("dice"), rises("accuracy"), rises("mean_squared_error"), rises("kl_loss")
        (True, True, False, False)
    """
    if name in _OF_MASKS:
        return True
    try:
        return getattr(keras.metrics.get(name), "_direction", "down") == "up"
    except ValueError:  # a loss term
        return False
