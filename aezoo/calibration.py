"""A threshold with a chosen false-alarm rate, from rows that are known to be normal."""

import hashlib
import math
import warnings

import numpy as np

from aezoo.errors import ZooError, ZooWarning


def calibrate(model, rows, alpha: float = 0.05) -> float:
    """Set the threshold of `detect` so that a normal row alarms with probability at most alpha.

    Split-conformal: with n calibration scores the threshold is the ceil((n + 1)(1 - alpha))-th
    smallest. The guarantee holds on average over draws of the calibration rows, for new rows from
    the same source that were not used in training (Vovk et al. 2005; Laxhammar & Falkman 2010).

    Args:
        model: A model with a `score` endpoint; gets a `detect` endpoint.
        rows: Normal rows in user units, not used in training: an array, `CalibrationRows`, or a
            dict of arrays by public name.
        alpha: The false-alarm rate, between 0 and 1.

    Returns:
        The threshold, in the unit of `score`.

    Raises:
        ZooError: If there are too few rows for alpha, or the rows have another role.

    Example:
        >>> import aezoo
        >>> model = aezoo.build("vallina_ae", input_shape=(4,), hidden=(3,), seed=0)
        >>> rows = np.random.default_rng(0).random((99, 4), "float32")
        >>> threshold = calibrate(model, rows, alpha=0.1)
        >>> int((model.endpoint("score")(features=rows)["score"] > threshold).sum())
        9
    """
    if getattr(rows, "role", "calibration") != "calibration":
        raise ZooError(
            f"Rows with the role {rows.role!r} cannot calibrate a threshold.",
            do="Keep some normal rows apart: data.calibration=0.1.",
        )
    threshold = conformal_threshold(_asked(model, rows)[:, 0], alpha)
    set_threshold(model, threshold, alpha, rows)
    return threshold


def conformal_threshold(scores: np.ndarray, alpha: float) -> float:
    """Return the ceil((n + 1)(1 - alpha))-th smallest of n scores of normal rows.

    Raises:
        ZooError: If alpha is no rate, the scores are too few for it, or all of them are equal.

    Example:
        >>> conformal_threshold(np.arange(19.0), alpha=0.1)
        17.0
    """
    values, needed = np.sort(scores), rows_for(alpha)
    if len(values) < needed:
        raise ZooError(
            f"{len(values)} rows cannot guarantee a false-alarm rate of {alpha:g}.",
            do=f"Give at least {needed} rows, or a larger alpha.",
        )
    if values[0] == values[-1] and len(values) > 1:
        raise ZooError(
            "Every calibration row has the same score, so no threshold can tell rows apart.",
            received=float(values[0]),
            do="Train the model first, or check that the rows differ.",
        )
    return float(values[math.ceil((len(values) + 1) * (1 - alpha)) - 1])


def best_f1(odd: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Return the best F1 of anomalous rows that any threshold reaches, and the score it begins at.

    Args:
        odd: Which rows are anomalous, (N,); labels, which a threshold is usually set without.
        scores: Of the rows, (N,).

    Example:
        >>> best_f1(np.array([0, 0, 1, 1]), np.array([1.0, 3.0, 2.0, 4.0]))
        (0.8, 2.0)
    """
    from sklearn.metrics import precision_recall_curve

    precision, recall, edges = precision_recall_curve(odd, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = int(np.argmax(f1[:-1]))  # the last point has no edge, and an F1 of 0
    return float(f1[best]), float(edges[best])


def rows_for(alpha: float) -> int:
    """Return how many normal rows a false-alarm rate needs at least.

    Raises:
        ZooError: If it is no rate between 0 and 1.

    Example:
        >>> rows_for(0.05)
        19
    """
    if not 0 < alpha < 1:
        raise ZooError("A false-alarm rate lies between 0 and 1.", received=alpha)
    return math.ceil(1 / alpha) - 1


def set_threshold(model, threshold: float, alpha: float, rows) -> None:
    """Let `detect` decide by a threshold that was found with these rows, however it was found."""
    model.calibration = {
        "threshold": threshold,
        "alpha": alpha,
        "rows": len(next(iter(rows.values())) if isinstance(rows, dict) else rows),
        "fingerprint": _fingerprint(rows),
    }


def scores(model, rows) -> np.ndarray:
    """Return the scores of rows in user units, (N, 1); warns if they calibrated the threshold.

    Args:
        model: A model with a `score` endpoint.
        rows: An array, rows of a data set, or a dict of arrays by public name.
    """
    if model.calibration and model.calibration["fingerprint"] == _fingerprint(rows):
        warnings.warn(
            "These rows set the threshold; their false-alarm rate says nothing about new rows.",
            ZooWarning,
            stacklevel=2,
        )
    return _asked(model, rows)


def _asked(model, rows) -> np.ndarray:
    endpoint = model.endpoint("score")
    first = endpoint.spec.inputs[0].name
    if hasattr(rows, "array"):
        rows = model.inputs_of(rows)
    return endpoint(**(rows if isinstance(rows, dict) else {first: _array(rows)}))["score"]


def _array(rows) -> np.ndarray:
    return rows.array() if hasattr(rows, "array") else np.asarray(rows)


def _fingerprint(rows) -> str:
    parts = rows.values() if isinstance(rows, dict) else [_array(rows)]
    digest = hashlib.sha256()
    for part in map(np.ascontiguousarray, parts):
        digest.update(str((part.shape, part.dtype)).encode() + part.tobytes())
    return digest.hexdigest()
