"""Normal or not: train on normal rows, choose a score, set a threshold with a false-alarm rate.

    detector = AnomalyDetector(alpha=0.05).fit(rows)
    detector.decision_function(new)     # the larger, the odder
    detector.predict(new)               # 0 normal, 1 anomalous
    detector.export("artifacts/press")  # a verified bundle; its endpoint `detect` answers alike

Methods and attributes are PyOD's (1 is anomalous, higher scores are odder), parameters and cloning
scikit-learn's, so that it works in a `Pipeline` and in `GridSearchCV`.
"""

import contextlib
import dataclasses
import math
import tempfile
import warnings
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted

from aezoo import localizer, scorers, storage
from aezoo.calibration import best_f1, conformal_threshold, rows_for, set_threshold
from aezoo.data import DataSet, load
from aezoo.data.arrays import as_modality
from aezoo.errors import ZooError, ZooWarning, require_known
from aezoo.names import SCORES
from aezoo.spread import evenly
from aezoo.tasks.choosing import choose, unexplained
from aezoo.tasks.exported import Exported
from aezoo.training import train

THRESHOLDS = ("conformal", "quantile", "best_f1")
_FOLDS, _FEW_ALARMS = 5, 5  # set apart, rows would hold no more than so many of a share alpha
_STEPS, _EPOCHS = 1500, 200  # of the optimiser, at least, and the epochs for it, at most
_IDENTITY = 0.02  # of rows put together at random, not rebuilt: less is no autoencoder's error
_OF_ERRORS = ("residual", "normalized_residual", "peak", "ssim", "hybrid")  # by reconstruction
_SHORT_SERIES = 1024  # numbers in a row, up to which one layer sees a series as a whole
_SERIES_CODE = 8  # numbers at least: waves bend, so that their main axes are too few
_SMALL_PICTURE = 12  # pixels a side, up to which one layer sees a picture as a whole


class AnomalyDetector(Exported, OutlierMixin, BaseEstimator):
    """Finds rows unlike those that it was fitted to.

    Args:
        entry: Name of a zoo entry, or path of a YAML; None takes one that fits the rows: a
            convolutional autoencoder for pictures, a recurrent one for series, a dense one for
            tables and for pictures of up to 12 pixels a side.
        score: A kind of `aezoo.scorers`, or `auto`: the one that ranks anomalies highest which are
            made of the validation rows. They are others than those that set the threshold, whose
            promise is for rows that nothing was chosen by.
        threshold: `conformal`, at which a normal row alarms with probability at most `alpha`;
            `quantile`, the empirical one of the calibration scores; `best_f1`, where `fit` was
            given labels, the one of the highest F1 of anomalous rows.
        alpha: The false-alarm rate, between 0 and 1.
        calibration: Share of the normal rows that are kept from training to set the threshold.
        folds: 0 sets those rows apart. A number from 2 trains on all rows, and so many models more
            on all but a part each: the scores of the parts that they have not seen set the
            threshold together (cross-conformal; Vovk 2015). None takes 5 for tables and series
            where the rows set apart would be so few that the false-alarm rate they give is a
            matter of luck: fewer than 100 for an `alpha` of .05.
        validation: Share of them that is kept to choose the epoch and the score.
        modality: `image`, `features` or `series`; None takes what the array looks like: two axes
            are a table, three of real numbers series.
        settings: Overrides of the entry's recipe and arguments, as `aezoo.train` takes them.
        random_state: Seed of the split, the weights, the order and what is drawn.
        verbose: Whether to show the training.

    Attributes:
        model_: The fitted model, with its scorer and threshold.
        score_: The kind of score.
        scores_tried_: Kind -> AUROC on made anomalies, where `score` is `auto`.
        threshold_: Scores above it are anomalous.
        decision_scores_: Of the rows that `fit` was given.
        labels_: Of those rows, 0 or 1, by the threshold.
        calibration_scores_: Sorted, of the rows that set the threshold.

    Example:
        >>> rows = np.random.default_rng(0).normal(size=(500, 4))
        >>> rows[:, 3] = rows[:, 0] + rows[:, 1]  # what is normal
        >>> detector = AnomalyDetector(settings={"epochs": 3}).fit(rows)
        >>> detector.predict([[0.5, 0.5, 0.0, -9.0]]).tolist()
        [1]
    """

    def __init__(
        self,
        entry: str | None = None,
        score: str = "auto",
        threshold: str = "conformal",
        alpha: float = 0.05,
        calibration: float = 0.2,
        folds: int | None = None,
        validation: float = 0.1,
        modality: str | None = None,
        settings: dict | None = None,
        random_state: int = 0,
        verbose: bool = False,
    ):
        self.entry = entry
        self.score = score
        self.threshold = threshold
        self.alpha = alpha
        self.calibration = calibration
        self.folds = folds
        self.validation = validation
        self.modality = modality
        self.settings = settings
        self.random_state = random_state
        self.verbose = verbose

    # ---- fitting ----

    def fit(self, X, y=None):
        """Train on the normal rows, choose the score, set the threshold.

        Args:
            X: Rows in user units: pictures (N, H, W) or (N, H, W, C), series (N, T, C), a table
                (N, F).
            y: None where all rows are normal, else 0 for normal and 1 for anomalous rows; the
                latter are used by `threshold="best_f1"` alone.

        Returns:
            The detector.

        Raises:
            ZooError: For unknown names, unfit rows or labels, or too few rows for `alpha`.
        """
        self.require_names()
        rows, odd = self._checked(X, y)
        shares = {"calibration": self.calibration, "validation": self.validation, "test": 0.0}
        shares["split_seed"] = self.random_state
        data = load(rows[~odd], modality=self.modality, **shares)
        if self.folds_for(int((~odd).sum()), data.modality):
            data = load(rows[~odd], modality=self.modality, **shares | {"calibration": 0.0})
        self.fit_data(data, odd_rows=rows[odd])
        self.decision_scores_ = self.decision_function(rows)
        self.labels_ = self._decided(self.decision_scores_)
        return self

    def fit_data(
        self, data: DataSet, out: str | Path | None = None, odd_rows: np.ndarray | None = None
    ) -> "AnomalyDetector":
        """Fit to a data set whose roles are dealt, with all rows but those of test normal.

        Args:
            data: From `aezoo.data.load`; its test rows play no part.
            out: Keep the run folder there.
            odd_rows: Anomalous rows for `threshold="best_f1"`.

        Returns:
            The detector, without `decision_scores_` and `labels_`.
        """
        self.require_names()
        self._require_rows(data)
        entry, settings = self._recipe(data)
        self.model_ = self._trained(entry, settings, data, out)
        self._choose(data)
        self._warn_of_an_identity(data)
        if data.calibration is None:
            unseen = list(self._crosswise(entry, settings, data))
            scores = np.concatenate([self._scores(rows.array(), m) for m, _, rows in unseen])
            self._set_threshold(scores, data.train, odd_rows)
        else:
            unseen = None
            self._set_threshold(self._scores(data.calibration.array()), data.calibration, odd_rows)
        if len(self.calibration_scores_) >= rows_for(self.alpha):
            with contextlib.suppress(ZooError):  # all rows are rebuilt alike: no place is odd
                self.model_.localizer = self._localizer(data, unseen)
        if out is not None:
            storage.save(self.model_, Path(out) / "model.keras")  # with scorer and threshold
        self.n_features_in_ = int(np.prod(data.train.shape))
        return self

    def folds_for(self, count: int, modality: str) -> int:
        """Return how many folds so many normal rows have, 0 where rows are set apart."""
        if self.folds is not None:
            if self.folds == 1 or not 0 <= self.folds <= max(count, 2):
                raise ZooError(
                    "The folds are 0, or from 2 to the number of rows.", received=self.folds
                )
            return self.folds
        rows_for(self.alpha)  # refuses what is no rate
        if not self.calibration:
            return _FOLDS
        few = 2 * _FOLDS <= count < _FEW_ALARMS / self.alpha / self.calibration
        return _FOLDS if few and modality != "image" else 0

    def _trained(self, entry: str, settings: dict, data: DataSet, out=None):
        with tempfile.TemporaryDirectory(prefix="aezoo-") as folder:
            return train(
                entry,
                data,
                out=Path(folder) / "run" if out is None else out,
                figures=out is not None,
                verbose=self.verbose,
                **{"seed": self.random_state} | settings,
            ).model

    def _crosswise(self, entry: str, settings: dict, data: DataSet):
        """Yield for each fold `(model, its training rows, the rows that it has not seen)`."""
        count = len(data.train)
        order = np.random.default_rng(self.random_state).permutation(count)
        for unseen in np.array_split(order, self.folds or _FOLDS):
            seen = data.train.take(np.setdiff1d(order, unseen))
            model = self._trained(entry, settings, dataclasses.replace(data, train=seen))
            model.scorer = scorers.fit(model, seen, self.score_)
            yield model, seen, data.train.take(np.sort(unseen))

    def _localizer(self, data: DataSet, unseen: list | None) -> localizer.Localizer:
        if unseen is None:
            return localizer.fit(self.model_, data.train, data.calibration, self.alpha)
        return localizer.fit_crosswise(self.model_, data.train, unseen, self.alpha)

    def require_names(self) -> None:
        """Refuse an unknown threshold or score, which `fit` does first.

        Raises:
            ZooError: With the closest name.
        """
        require_known("threshold", self.threshold, THRESHOLDS)
        require_known("score", self.score, ("auto", *SCORES))

    def _require_rows(self, data: DataSet) -> None:
        """Refuse before the training what would fail behind it."""
        setting = "train" if data.calibration is None and self.folds != 0 else "calibration"
        needed = {setting: (1, "to set the threshold")}
        if self.threshold == "conformal":
            needed[setting] = (rows_for(self.alpha), f"for {self.alpha:.3g} of false alarms")
        if self.score == "auto":
            needed["validation"] = (2, "to choose the score")
        for role, (count, purpose) in needed.items():
            rows = getattr(data, role)
            if (0 if rows is None else len(rows)) < count:
                raise ZooError(
                    f"There are too few {role} rows {purpose}.",
                    received="none" if rows is None else f"{len(rows)}, and {count} are needed",
                    do="Give more rows, or a larger alpha."
                    if role == "train"
                    else f"Give more rows, a larger share ({role}=0.3), or a larger alpha.",
                )

    def _checked(self, X, y) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows, and which of them are anomalous, (N,) of booleans."""
        rows = np.asarray(X)
        if y is None:
            if self.threshold == "best_f1":
                raise ZooError(
                    "The best F1 needs labels.", do="Call fit(X, y), 1 where a row is anomalous."
                )
            return rows, np.zeros(len(rows), bool)
        labels = np.asarray(y).reshape(-1)
        if len(labels) != len(rows) or not np.isin(labels, (0, 1)).all():
            raise ZooError(
                "Labels are 0 for normal and 1 for anomalous rows, one per row.",
                received=f"{len(labels)} labels for {len(rows)} rows: {np.unique(labels)[:5]}",
            )
        if self.threshold == "best_f1" and not labels.any():
            raise ZooError(
                "The best F1 needs anomalous rows, and no label is 1.",
                do="Choose threshold='conformal', which needs none.",
            )
        return rows, labels == 1

    def _recipe(self, data) -> tuple[str, dict]:
        """Return the entry and the overrides to train."""
        given = dict(self.settings or {})
        if self.entry is not None:
            return self.entry, given
        shape, modality = data.train.shape, data.modality
        if modality == "image" and min(shape[:2]) > _SMALL_PICTURE:
            batch = 128 if len(data.train) > 10 * 128 else 32
            recipe = {"latent_dim": 32, "filters": (32, 64), "batch_size": batch}
            return "conv_ae", recipe | {"epochs": _epochs(data.train, batch, least=30)} | given
        if modality == "series" and int(np.prod(shape)) > _SHORT_SERIES:
            return "seq2seq_ae", given
        if modality in ("features", "series"):
            return "simple_ae", self._recipe_of_columns(data) | given
        if modality == "image":
            return "simple_ae", {"batch_size": 64, "epochs": 60} | given
        raise ZooError(
            "There is no recipe for rows of this kind.",
            received=modality,
            do="Name an entry: AnomalyDetector(entry=...).",
        )

    def _recipe_of_columns(self, data) -> dict:
        """Linear at both ends, for rows in units of standard deviations; a code of their width.

        A short series of one length is a row of columns, too: each step has its place.
        """
        series, columns = data.modality == "series", int(np.prod(data.train.shape))
        axes = _main_axes(data.train, 0.9 if series else 0.95)  # the rest is noise
        return {
            "hidden": (max(64, columns // 3) if series else max(16, 2 * columns),),
            "latent_dim": max(axes, min(_SERIES_CODE, columns - 1)) if series else axes,
            "latent_activation": "linear",
            "output_activation": "linear",
            "batch_size": 32 if len(data.train) < 2000 else 128,
            "epochs": _epochs(data.train, 32, least=60),
        }

    def _choose(self, data) -> None:
        """Choose the score, unless it is given, and fit it."""
        self.score_ = self.score
        if self.score == "auto":
            fitted = scorers.fit_all(self.model_, data.train)
            asked = data.validation.array()
            self.scores_tried_ = choose(self.model_, fitted, asked, self.random_state)
            self.score_ = next(iter(self.scores_tried_))
            self.model_.scorer = fitted[self.score_]
        else:
            self.model_.scorer = scorers.fit(self.model_, data.train, self.score_)

    def _warn_of_an_identity(self, data) -> None:
        """Warn where the error vanishes although the input is abnormal."""
        if self.score_ not in _OF_ERRORS:
            return
        share = unexplained(
            self.model_, data.train.take(np.arange(min(len(data.train), 500))).array()
        )
        if share < _IDENTITY:
            code = int(np.prod(self.model_.latent_shape))
            warnings.warn(
                f"The model rebuilds {1 - share:.1%} of rows it has never seen the like of: its "
                f"error cannot tell what is odd. A smaller code than {code} numbers learns what "
                "belongs together (latent_dim), or take score='neighbours'.",
                ZooWarning,
                stacklevel=3,
            )

    def _set_threshold(self, scores: np.ndarray, setting, odd_rows: np.ndarray | None) -> None:
        values = np.sort(scores)
        self.calibration_scores_ = values
        match self.threshold:
            case "conformal":
                threshold = conformal_threshold(values, self.alpha)
            case "quantile":
                threshold = float(np.quantile(values, 1 - self.alpha))
            case _:  # anomalous rows against normal ones that no weight has seen
                truth = np.repeat([0, 1], [len(values), len(odd_rows)])
                scores = np.concatenate([values, self._scores(odd_rows)])
                _, best = best_f1(truth, scores)  # scores from it on are anomalous
                threshold = float(np.nextafter(np.float32(best), np.float32(-math.inf)))
        set_threshold(self.model_, threshold, self.alpha, setting)
        self.threshold_ = threshold

    # ---- asking ----

    def decision_function(self, X) -> np.ndarray:
        """Return scores (N,), the larger, the odder; of equal rows equal ones.

        Raises:
            ZooError: For rows of another shape, NaN or infinity.
        """
        check_is_fitted(self, "model_")
        return self._scores(np.asarray(X))

    def predict(self, X) -> np.ndarray:
        """Return 0 for normal and 1 for anomalous rows, int (N,)."""
        return self._decided(self.decision_function(X))

    def predict_proba(self, X) -> np.ndarray:
        """Return for each row the probability of being normal and of being anomalous, (N, 2).

        The second is the share of the calibration scores, and of the row's own, that lie below the
        row's: 1 minus its conformal p-value. It exceeds 1 - alpha exactly where a row is above the
        conformal threshold.
        """
        below = np.searchsorted(self.calibration_scores_, self.decision_function(X))
        odd = below / (len(self.calibration_scores_) + 1)
        return np.stack([1 - odd, odd], axis=1)

    def _scores(self, rows: np.ndarray, model=None) -> np.ndarray:
        model = self.model_ if model is None else model
        taken = as_modality(rows, model.input_name)
        return model.endpoint("score")(**{model.input_name: taken})["score"][:, 0]

    def _decided(self, scores: np.ndarray) -> np.ndarray:
        return (~(scores <= np.float32(self.threshold_))).astype(int)


def _epochs(rows, batch: int, least: int) -> int:
    """Return how often to go over rows: few ones more often."""
    steps = max(1, len(rows) // batch)
    return min(max(least, math.ceil(_STEPS / steps)), _EPOCHS)


def _main_axes(rows, share: float) -> int:
    """Return on how many main axes the columns have a share of their variance.

    Columns of a table and channels of a series count alike, whatever their units.
    """
    some = rows.take(evenly(len(rows), 20_000)).array()
    spread = some.std(axis=tuple(range(some.ndim - 1)), dtype="float64") + 1e-12  # (C,)
    flat = (some / spread).reshape(len(some), -1)
    covariance = np.atleast_2d(np.cov(flat.T))
    variances = np.linalg.eigvalsh(covariance)[::-1]
    needed = 1 + int(np.searchsorted(np.cumsum(variances) / variances.sum(), share))
    return max(1, min(needed, flat.shape[1] - 1))
