"""Scores of how odd a row is, fitted after training; with one, `score` and `detect` answer by it.

    model.scorer = aezoo.scorers.fit(model, train_rows, "hybrid")

    residual              mean squared error of the reconstruction, what every model has unfitted
    normalized_residual   the same, each place measured by how badly it is usually reconstructed
    peak                  of pictures, the largest squared error after smoothing: a small flaw is
                          lost in the mean
    ssim                  1 - structural similarity of picture and reconstruction
    elbo                  -log p(x | z) + KL(q(z | x) || p(z)) in nats, z the mean of the posterior
    mahalanobis           distance of the code from the mean of the codes, by their covariance
    neighbours            mean distance of the code from the nearest codes of training rows, over
                          the usual one between those
    hybrid                log(1 + r + 2 d^2): the residual (of pictures its peak) and the distance
                          from the nearest codes by the covariance of the codes, so that axes of
                          little variance count, each over its usual size

What is fitted are constants: saved with the model, exported with it, and no weights. No score is
clamped: a row twice as odd as any seen gets a larger score.
"""

import dataclasses
import functools
import math
from collections.abc import Callable

import numpy as np
from keras import ops

from aezoo.errors import ZooError, require_known
from aezoo.losses import nll_of_rows
from aezoo.metrics import structural_similarity
from aezoo.smoothing import smooth, usual_sigma
from aezoo.spread import evenly

NEAREST = 2  # codes that `neighbours` averages over
BANK = 5_000  # codes that are kept to be near to
_FITTED_ON = 20_000  # rows
_USUAL_OF = 2_000  # rows, for the median of what takes memory
_FLOOR = 0.01  # of the mean error: what a place that is always right is measured by


@dataclasses.dataclass(frozen=True)
class Scorer:
    """A fitted score.

    Attributes:
        kind: One of `aezoo.names.SCORES`.
        constants: Arrays by name.
    """

    kind: str
    constants: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def __call__(self, model, x, outputs: dict):
        """Return scores (B, 1) of model-unit rows, the larger, the odder.

        Args:
            model: That it was fitted to.
            x: As `call` takes it.
            outputs: What `model.scores(x)` gave.
        """
        score = _KINDS[self.kind].score(model, x, outputs, self.constants)
        return ops.reshape(ops.cast(score, "float32"), (-1, 1))

    @property
    def unit_scale(self) -> float:
        """By how much an error of the reconstruction or of the code may grow in the score."""
        return _KINDS[self.kind].unit_scale(self.constants) if self.constants else 1.0

    @property
    def description(self) -> str:
        """One sentence for the card."""
        return _KINDS[self.kind].description


def fit(model, rows, kind: str = "hybrid") -> Scorer:
    """Fit a score to training rows.

    Args:
        model: An autoencoder.
        rows: Normal training rows in user units: an array, or rows of a data set. Of more than
            20,000 an even spread is taken.
        kind: See the module.

    Raises:
        ZooError: For an unknown kind, or one that this model cannot have.

    Example:
        >>> import aezoo
        >>> model = aezoo.build("vallina_ae", input_shape=(4,), hidden=(3,), seed=0)
        >>> rows = np.random.default_rng(0).random((99, 4), "float32")
        >>> model.scorer = fit(model, rows, "mahalanobis")
        >>> far = model.endpoint("score")(features=np.full((1, 4), 9.0))["score"]
        >>> bool(far > model.endpoint("score")(features=rows)["score"].max())
        True
    """
    require_known("score", kind, _KINDS)
    if not kinds_of(model):
        raise ZooError(f"{model.name} has no score.", do="Take an autoencoder.")
    if kind not in kinds_of(model):
        raise ZooError(
            f"{model.name} cannot have this score.",
            received=f"{kind}, which needs {_KINDS[kind].needs}",
            do=f"Choose from {', '.join(kinds_of(model))}.",
        )
    return Scorer(kind, _KINDS[kind].fit(model, Seen(model, rows)))


def fit_all(model, rows) -> dict[str, Scorer]:
    """Fit every kind of score that a model can have, asking it about the rows once.

    Args:
        model: An autoencoder.
        rows: As for `fit`.
    """
    seen = Seen(model, rows)
    return {kind: Scorer(kind, _KINDS[kind].fit(model, seen)) for kind in kinds_of(model)}


def kinds_of(model) -> tuple[str, ...]:
    """Return the kinds of score that a model can have.

    Example:
        >>> import aezoo
        >>> kinds_of(aezoo.build("vallina_ae", input_shape=(4,)))
        ('residual', 'normalized_residual', 'mahalanobis', 'neighbours', 'hybrid')
    """
    if not hasattr(model, "scores"):  # segmenters, classifiers and the like
        return ()
    return tuple(name for name, kind in _KINDS.items() if kind.fits(model))


class Seen:
    """What a model says of rows, or of an even spread of many, asked once and in chunks.

    Args:
        model: An autoencoder.
        rows: In user units: an array, or rows of a data set.
        most: How many are asked about at most.
    """

    def __init__(self, model, rows, most: int = _FITTED_ON):
        chosen = evenly(len(rows), most)
        if hasattr(rows, "array"):
            self.inputs = model.inputs_of(rows.take(chosen))
        else:
            self.inputs = {model.input_name: np.asarray(rows)[chosen]}
        self.model = model

    @functools.cached_property
    def codes(self) -> np.ndarray:
        """Of the rows, (N, D)."""
        codes = self.model.endpoint("encode")(**self.inputs)["latent"]
        return codes.reshape(len(codes), -1)

    @functools.cached_property
    def spread(self) -> dict[str, np.ndarray]:
        """The mean of the codes (D,), and a root of the inverse of their covariance (D, D)."""
        codes = self.codes.astype("float64")
        covariance = np.atleast_2d(np.cov(codes.T))
        ridge = 1e-3 * np.trace(covariance) / len(covariance) + 1e-6 * np.square(codes).mean()
        covariance += max(ridge, 1e-12) * np.eye(len(covariance))  # codes have 7 digits only
        root = np.linalg.cholesky(np.linalg.inv(covariance))
        return {"mean": codes.mean(axis=0).astype("float32"), "root": root.astype("float32")}

    @functools.cached_property
    def scores(self) -> dict[str, np.ndarray]:
        """The model's own score and error map."""
        return self.model.score_endpoint()(**self.inputs)


@dataclasses.dataclass(frozen=True)
class _Kind:
    description: str
    score: Callable  # (model, x, outputs, constants) -> (B,)
    fit: Callable = lambda model, seen: {}  # -> constants
    fits: Callable = lambda model: True
    needs: str = ""
    unit_scale: Callable = lambda constants: 1.0  # of its constants


# ---- of the reconstruction ----


def _residual(model, x, outputs, constants):
    return outputs["score"]


def _fit_normalized(model, seen: Seen) -> dict:
    errors = seen.scores["error_map"].mean(axis=0, dtype="float64")
    usual = np.maximum(errors, _FLOOR * errors.mean())
    return {"weights": (1.0 / np.maximum(usual, 1e-30)).astype("float32")[None]}


def _normalized(model, x, outputs, constants):
    weighted = outputs["error_map"] * constants["weights"]
    return ops.mean(ops.reshape(weighted, (-1, constants["weights"].size)), axis=-1)


def weights_unit_scale(constants: dict[str, np.ndarray]) -> float:
    """Return how an error of the residual r grows in w r^2: 2 sqrt(w) fold where that is 1.

    Example:
        >>> weights_unit_scale({"weights": np.array([4.0, 100.0])})
        20.0
    """
    return max(1.0, 2.0 * math.sqrt(float(constants["weights"].max())))


def _fit_peak(model, seen: Seen) -> dict:
    return {"sigma": np.asarray(usual_sigma(model.input_shape[:2]), "float32")}


def _peak(model, x, outputs, constants):
    return ops.max(smooth(outputs["error_map"], float(constants["sigma"])), axis=(1, 2))


def _ssim(model, x, outputs, constants):
    target, answer = model.scored(x), model(x, training=False)
    return 1.0 - structural_similarity(ops.cast(target, "float32"), answer)


def _elbo(model, x, outputs, constants):
    mean, log_variance = model.encoder(model.encoder_input(x), training=False)
    answer = model.decoder(model.decoder_input(mean, x), training=False)
    nll = nll_of_rows(model.loss, model.scored(x), answer, "The score")
    return nll + model.kl(mean, mean, log_variance)


# ---- of the code ----


def _codes_of(model, x):
    codes = ops.cast(model.codes(x)["latent"], "float32")
    return ops.reshape(codes, (-1, int(np.prod(model.latent_shape))))


def _whitened(model, x, constants):
    """Return the codes about their mean, scaled to unit covariance, (B, D)."""
    return ops.matmul(_codes_of(model, x) - constants["mean"], constants["root"])


def _fit_mahalanobis(model, seen: Seen) -> dict:
    return seen.spread


def _mahalanobis(model, x, outputs, constants):
    return ops.sqrt(ops.sum(ops.square(_whitened(model, x, constants)), axis=-1))


def _mahalanobis_unit_scale(constants) -> float:
    return max(1.0, float(np.linalg.norm(constants["root"], 2)))


def _fit_neighbours(model, seen: Seen) -> dict:
    return _bank(seen.codes)


def _bank(codes: np.ndarray) -> dict:
    """Return codes to be near to, and how far one of them usually is from the others."""
    bank = codes[evenly(len(codes), BANK)].astype("float32")
    others = bank[:: max(1, len(bank) // 1000)]
    gaps = np.stack([np.sqrt(np.square(bank - one).sum(axis=-1)) for one in others])
    near = np.sort(gaps, axis=1)[:, 1 : NEAREST + 1].mean(axis=1)  # without itself
    return {"bank": bank, "gap": np.asarray(np.median(near), "float32") + np.float32(1e-12)}


def _neighbours(model, x, outputs, constants):
    return _distance(_codes_of(model, x), constants)


def _distance(codes, constants):
    """Return the mean distance of codes (B, D) from the nearest of the bank, over the usual one."""
    bank = constants["bank"]  # (M, D)
    # The cheap form finds the nearest; their distances are then computed without cancellation.
    nearness = 2.0 * ops.matmul(codes, bank.T) - np.square(bank).sum(axis=1)  # (B, M)
    nearest = ops.top_k(nearness, min(NEAREST, len(bank)))[1]  # (B, k)
    offsets = codes[:, None] - ops.take(bank, nearest, axis=0)  # (B, k, D)
    distance = ops.mean(ops.sqrt(ops.sum(ops.square(offsets), axis=-1)), axis=-1)
    return distance / constants["gap"]


def _neighbours_unit_scale(constants) -> float:
    return max(1.0, 1.0 / float(constants["gap"]))


# ---- of both ----


def _fit_hybrid(model, seen: Seen) -> dict:
    """Keep a bank of the codes, centred and scaled to unit covariance, and the usual error.

    Centred first: far from 0, narrow codes lose the digits that tell which are nearest.
    """
    mean, root = seen.spread["mean"], seen.spread["root"]
    constants = _bank((seen.codes - mean) @ root) | {"mean": mean, "root": root}
    constants |= _fit_peak(model, seen) if _is_picture(model) else {}
    some = evenly(len(seen.codes), _USUAL_OF)
    errors = _error({name: array[some] for name, array in seen.scores.items()}, constants)
    return constants | {"usual": np.asarray(np.median(errors), "float32") + np.float32(1e-12)}


def _error(outputs, constants):
    """Return the peak of the error map where there is a width to smooth it by, else the mean."""
    if "sigma" in constants:
        return _peak(None, None, outputs, constants)
    return ops.reshape(outputs["score"], (-1,))


def _hybrid(model, x, outputs, constants):
    error = _error(outputs, constants) / constants["usual"]
    distance = _distance(_whitened(model, x, constants), constants)
    return ops.log1p(error + 2.0 * ops.square(distance))


def _hybrid_unit_scale(constants) -> float:
    """Return the steepest slope of log(1 + (e/s)^2), which is 1/s, of both parts the larger."""
    error = 1.0 / math.sqrt(float(constants["usual"]))
    steepest = np.linalg.norm(constants["root"], 2) * math.sqrt(2.0) / float(constants["gap"])
    return max(1.0, error, float(steepest))


def _is_picture(model) -> bool:
    return model.input_name == "image" and min(model.input_shape[:2]) >= 3


def _is_variational(model) -> bool:
    return hasattr(model, "kl") and hasattr(model, "log_prior")


_KINDS = {
    "residual": _Kind("Mean squared error.", _residual),
    "normalized_residual": _Kind(
        "Mean squared error, each place over its usual one.",
        _normalized,
        _fit_normalized,
        unit_scale=weights_unit_scale,
    ),
    "peak": _Kind(
        "Squared error, smoothed, where it is largest.",
        _peak,
        _fit_peak,
        fits=_is_picture,
        needs="pictures of 3 pixels a side",
        unit_scale=lambda constants: 2.0,  # of r^2, where the residual r is at most 1
    ),
    "ssim": _Kind(
        "1 - structural similarity.", _ssim, fits=_is_picture, needs="pictures of 3 pixels a side"
    ),
    "elbo": _Kind(
        "Negative evidence lower bound, nats.",
        _elbo,
        fits=_is_variational,
        needs="a variational autoencoder",
    ),
    "mahalanobis": _Kind(
        "Mahalanobis distance of the code.",
        _mahalanobis,
        _fit_mahalanobis,
        unit_scale=_mahalanobis_unit_scale,
    ),
    "neighbours": _Kind(
        f"Mean distance of the code from its {NEAREST} nearest, over the usual one.",
        _neighbours,
        _fit_neighbours,
        unit_scale=_neighbours_unit_scale,
    ),
    "hybrid": _Kind(
        "Residual and distance from the nearest codes, together.",
        _hybrid,
        _fit_hybrid,
        unit_scale=_hybrid_unit_scale,
    ),
}
