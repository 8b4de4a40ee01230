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
        rows: Normal rows in user units, not used in training: an array or `CalibrationRows`.
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
    if not 0 < alpha < 1:
        raise ZooError("A false-alarm rate lies between 0 and 1.", received=alpha)
    if getattr(rows, "role", "calibration") not in ("calibration", "validation"):
        raise ZooError(
            f"Rows with the role {rows.role!r} cannot calibrate a threshold.",
            do="Keep some normal rows apart: data.calibration=0.1.",
        )
    array = rows.array() if hasattr(rows, "array") else np.asarray(rows)
    rank = math.ceil((len(array) + 1) * (1 - alpha))
    if rank > len(array):
        raise ZooError(
            f"{len(array)} rows cannot guarantee a false-alarm rate of {alpha:g}.",
            do=f"Give at least {math.ceil(1 / alpha) - 1} rows, or a larger alpha.",
        )
    values = np.sort(scores(model, array)[:, 0])
    if values[0] == values[-1] and len(values) > 1:
        raise ZooError(
            "Every calibration row has the same score, so no threshold can tell rows apart.",
            received=float(values[0]),
            do="Train the model first, or check that the rows differ.",
        )
    threshold = float(values[rank - 1])
    model.calibration = {
        "threshold": threshold,
        "alpha": alpha,
        "rows": len(array),
        "fingerprint": _fingerprint(array),
    }
    model._endpoints = None
    return threshold


def scores(model, rows: np.ndarray) -> np.ndarray:
    """Return the scores of rows in user units, (N, 1); warns if they calibrated the threshold."""
    rows = rows.array() if hasattr(rows, "array") else np.asarray(rows)
    if model.calibration and model.calibration["fingerprint"] == _fingerprint(rows):
        warnings.warn(
            "These rows set the threshold; their false-alarm rate says nothing about new rows.",
            ZooWarning,
            stacklevel=2,
        )
    endpoint = model.endpoint("score")
    return endpoint(**{endpoint.spec.inputs[0].name: rows})["score"]


def _fingerprint(rows: np.ndarray) -> str:
    rows = np.ascontiguousarray(rows)
    return hashlib.sha256(str((rows.shape, rows.dtype)).encode() + rows.tobytes()).hexdigest()
