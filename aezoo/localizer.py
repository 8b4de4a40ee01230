"""Where in a row it is odd: the error map, over its usual values, smoothed.

    anomaly_map = smooth(error_map / usual) / limit

`usual` is the mean error of each place over training rows, `smooth` a Gaussian along the axes that
have neighbours (height and width, time), and `limit` is set on normal rows that no weight has seen:
at most a share `alpha` of such rows exceeds 1 anywhere.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np

from aezoo.calibration import conformal_threshold
from aezoo.errors import ZooError
from aezoo.scorers import Seen, weights_unit_scale
from aezoo.smoothing import smooth, usual_sigma

_FITTED_ON = 5_000  # rows
_FLOOR = 0.1  # of the mean error: a place that is always right is not odd for a trifle


@dataclasses.dataclass(frozen=True)
class Localizer:
    """A fitted map of oddness.

    Attributes:
        sigma: Standard deviation of the Gaussian, in pixels or time steps; 0 does not smooth.
        constants: `weights`, 1 / (usual * limit), of the shape of the error map.
    """

    sigma: float = 0.0
    constants: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def unit_scale(self) -> float:
        """By how much an error of the reconstruction may grow in the map."""
        return weights_unit_scale(self.constants) if self.constants else 1.0

    def __call__(self, error_map):
        """Return the map (B, ...) of an error map of the same shape; above 1 it is odd."""
        return smooth(error_map * self.constants["weights"], self.sigma)


def fit(model, train_rows, normal_rows, alpha: float = 0.05, sigma: float | None = None):
    """Fit a localizer; set as `model.localizer` it gives the model an endpoint `localize`.

    Args:
        model: A trained autoencoder.
        train_rows: Normal rows in user units that tell the usual error of each place: an array, or
            rows of a data set.
        normal_rows: Others, that no weight has seen; they set the limit.
        alpha: The share of normal rows that may exceed 1 somewhere.
        sigma: Of the Gaussian, in pixels or time steps; None takes a 32nd of the longest side, and
            does not smooth tables, whose columns have no neighbours.

    Raises:
        ZooError: If there are too few rows for alpha, or the model has no error map.

    Example:
        >>> import aezoo
        >>> model = aezoo.build("vallina_ae", input_shape=(4,), hidden=(3,), seed=0)
        >>> rows = np.random.default_rng(0).random((99, 4), "float32")
        >>> model.localizer = fit(model, rows, rows, alpha=0.1)
        >>> odd = model.endpoint("localize")(features=np.array([[0.5, 0.5, 9.0, 0.5]]))
        >>> int(odd["anomaly_map"][0].argmax())
        2
    """
    sigma = _sigma(model) if sigma is None else sigma
    usual = _usual(model, train_rows, sigma)
    return _limited(usual, _peaks(model, normal_rows, usual, sigma), alpha, sigma)


def fit_crosswise(model, train_rows, seen_by: Iterable[tuple], alpha: float = 0.05) -> Localizer:
    """Fit a localizer where all normal rows train; the limit is set by models of some of them.

    Args:
        model: That was trained on all rows.
        train_rows: All of them, in user units.
        seen_by: `(model, its training rows, normal rows that it has not seen)`, one per fold.
        alpha: The share of normal rows that may exceed 1 somewhere.

    Raises:
        ZooError: As `fit` does.
    """
    sigma = _sigma(model)
    peaks = [_peaks(m, unseen, _usual(m, seen, sigma), sigma) for m, seen, unseen in seen_by]
    return _limited(_usual(model, train_rows, sigma), np.concatenate(peaks), alpha, sigma)


def _sigma(model) -> float:
    if not hasattr(model, "error_map"):
        raise ZooError(f"{model.name} has no error map.", do="Take an autoencoder.")
    shape = model.score_endpoint().spec.tensor("error_map").shape
    return 0.0 if model.input_name == "features" else usual_sigma(shape)


def _usual(model, rows, sigma: float) -> np.ndarray:
    """Return the mean error of each place, smoothed, of the shape of the map."""
    usual = smooth(_error_maps(model, rows).mean(axis=0, keepdims=True), sigma)[0]
    return np.maximum(usual, max(_FLOOR * float(np.mean(usual)), 1e-30))


def _peaks(model, rows, usual: np.ndarray, sigma: float) -> np.ndarray:
    """Return the largest value of each row's map before it has a limit, (N,)."""
    maps = smooth(_error_maps(model, rows) / usual, sigma)
    return np.max(maps, axis=tuple(range(1, maps.ndim)))


def _limited(usual: np.ndarray, peaks: np.ndarray, alpha: float, sigma: float) -> Localizer:
    weights = np.asarray(1.0 / (usual * conformal_threshold(peaks, alpha)), "float32")
    return Localizer(float(sigma), {"weights": weights[None]})


def _error_maps(model, rows) -> np.ndarray:
    """Return the maps of rows, or of an even spread of many, (N, ...)."""
    return Seen(model, rows, most=_FITTED_ON).scores["error_map"]
