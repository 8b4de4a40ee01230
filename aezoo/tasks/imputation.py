"""Missing cells, time steps and pixels, from what is known of the same row.

    imputer = Imputer().fit(rows)       # NaN is missing, in training rows too
    imputer.transform(new)              # the same rows, complete

A transformer of scikit-learn. It fits an autoencoder, and chooses what there is to choose by holes
made in validation rows; then known values are put back after each pass through it, until nothing
moves: see `aezoo.tasks.projection`.
"""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from aezoo.config import TrainSection
from aezoo.data import DataSet, TrainRows, ValidationRows
from aezoo.errors import ZooError
from aezoo.layers.preprocessing import Preprocessing
from aezoo.registry import build
from aezoo.tasks import gaussian, holes, mixtures
from aezoo.tasks.exported import Exported
from aezoo.tasks.projection import PASSES, TOLERANCE, Asked, Filled, fill, projected
from aezoo.training import train

LINEAR = "simple_ae"  # without hidden layers, whose weights need no training
MIXTURE = "mixture_ae"  # of which the same is true
_FOLDS = 5  # of the rows, on each of which ridges and parts are compared
_NARROW, _FEW = 32, 2_000  # values in a row, and rows, up to which on all folds, else on one
_JUDGES = 1_000  # rows of a fold that made holes are filled in, at most
_RIDGES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
_PARTS, _ROWS_OF_PART = (2, 3, 4, 8, 16), 20  # that are tried where each would have so many rows
_GAIN = 1.02  # times the least error: fewer parts that do so well are taken
_WIDEST = 1500  # values in a row, up to which linear is tried on series and pictures
_WIDEST_OF_PARTS = 200  # up to which parts are
_COPIES, _ROWS = 20, 20_000  # of each training row, with other holes: at most, and so many rows
_STEPS = 1500  # of the optimiser in each of two stages, about
_OWN = 3  # passes, at most, that the second stage learns to go on from
_DRAWS = 4  # of holes per validation row, of a table; of longer rows, one


class Imputer(Exported, TransformerMixin, BaseEstimator):
    """Fills in what is missing of rows.

    Args:
        entry: Name of a zoo entry, or path of a YAML, to train on made holes; None takes, with
            weights that need no training, `simple_ae`, linear, or `mixture_ae`, linear in parts,
            whichever fills made holes better; for series and pictures of more than 1,500 values
            `conv_ae`.
        modality: `image`, `features` or `series`; None takes what the array looks like: two axes
            are a table, three of real numbers series.
        validation: Share of the rows that is kept from the training of an entry.
        passes: Through the autoencoder, at most.
        tolerance: In model units; a row no cell of which moves more rests.
        settings: Overrides of the entry's recipe and arguments, as `aezoo.train` takes them.
        random_state: Seed of the split, the weights and the holes.
        verbose: Whether to show the training.

    Attributes:
        model_: The fitted model; its endpoint `reconstruct` is what fills holes.
        entry_: The entry that was taken.
        error_: Its root mean square error on made holes of validation rows, in model units.
        passes_: Through it, at most: where more of them did worse on validation rows, fewer.

    Example:
        >>> rows = np.random.default_rng(0).normal(size=(200, 1)) @ [[1.0, 2.0, 3.0]]
        >>> imputer = Imputer().fit(rows)
        >>> imputer.transform([[1.0, np.nan, 3.0]]).round(1).tolist()
        [[1.0, 2.0, 3.0]]
    """

    def __init__(
        self,
        entry: str | None = None,
        modality: str | None = None,
        validation: float = 0.2,
        passes: int = PASSES,
        tolerance: float = TOLERANCE,
        settings: dict | None = None,
        random_state: int = 0,
        verbose: bool = False,
    ):
        self.entry = entry
        self.modality = modality
        self.validation = validation
        self.passes = passes
        self.tolerance = tolerance
        self.settings = settings
        self.random_state = random_state
        self.verbose = verbose

    @classmethod
    def of(cls, model, passes: int = PASSES, tolerance: float = TOLERANCE) -> "Imputer":
        """Return an imputer that asks a model which is fitted already, or a bundle."""
        imputer = cls(modality=Asked(model).modality, passes=passes, tolerance=tolerance)
        imputer.model_, imputer.passes_ = model, passes
        imputer.n_features_in_ = int(np.prod(Asked(model).spec.inputs[0].shape))
        return imputer

    # ---- fitting ----

    def fit(self, X, y=None, missing=None):
        """Learn from rows, complete or not.

        Args:
            X: Rows in user units: a table (N, F), series (N, T, C), pictures (N, H, W) or
                (N, H, W, C); NaN is missing.
            y: Not used.
            missing: True where a cell is missing, of the shape of X; None takes the NaN alone.

        Raises:
            ZooError: For infinity, too few rows, or a column that nothing is known of.
        """
        rows, known, modality = self._checked(X, missing)
        rng = np.random.default_rng(self.random_state)
        start = holes.started(rows, known, modality, _means(rows, known))
        if self.entry is None and (start[0].size <= _WIDEST or modality == "features"):
            best = self._closed(start, known, modality, rng)
            self.entry_ = best.model.entry.name
        else:
            order = rng.permutation(len(rows))
            setting, learning = np.split(order, [max(2, round(self.validation * len(rows)))])
            test = _Holes(start[setting], known[setting], modality, rng)
            self.entry_, settings = self._recipe(modality, start.shape[1:])
            best = self._trained(self.entry_, settings, start, known, learning, test, rng)
        self.model_, self.passes_, self.error_ = best.model, best.passes, best.error
        self.n_features_in_ = int(np.prod(np.shape(X)[1:]))
        return self

    def _checked(self, X, missing) -> tuple[np.ndarray, np.ndarray, str]:
        modality = self.modality
        if modality is None:
            ranks = {2: "features", 3: "series" if np.asarray(X).dtype.kind == "f" else "image"}
            modality = ranks.get(np.ndim(X), "image")
        rows, known = holes.rows_and_known(X, missing, modality)
        if len(rows) < 10:
            raise ZooError("There are too few rows to learn from.", received=f"{len(rows)} rows")
        never = np.argwhere(~known.any(axis=0))
        if len(never) and modality != "image":
            raise ZooError(
                "Nothing is known of a column.",
                received=f"{len(never)} of them, the first: {', '.join(map(str, never[0]))}",
                do="Leave such columns out: there is nothing to fill them with.",
            )
        if np.ptp(rows[known]) == 0:
            raise ZooError("All known values are the same.", received=rows[known][0])
        return rows, known, modality

    def _recipe(self, modality: str, shape: tuple[int, ...]) -> tuple[str, dict]:
        given = dict(self.settings or {})
        if self.entry is not None:
            return self.entry, given
        usual = {"output_activation": "linear", "loss": "mean_squared_error", "batch_size": 64}
        usual |= {"schedule": "cosine", "learning_rate": 0.002}
        small = modality == "image" and min(shape[:2]) <= 12
        filters = (64, 64) if small or modality == "series" else (32, 64, 128)
        return "conv_ae", usual | {"filters": filters, "kernel_size": 5} | given

    def _closed(self, start, known, modality, rng) -> "_Tried":
        """Return the autoencoder, linear or in parts, that fills made holes best."""
        shape = start.shape[1:]
        scaling = "unit" if modality == "image" and 0 <= start.min() <= start.max() <= 1 else None
        scales = Preprocessing.fit(start, scaling or "standardize")
        shift, scale = (np.asarray(v, "float32") for v in (scales.shift, scales.scale))
        flat = ((start - shift) / scale).reshape(len(start), -1)
        seen = known.reshape(flat.shape)

        def asking(weights: gaussian.Weights | mixtures.Weights):
            def ask(rows):
                unit = ((rows - shift) / scale).reshape(len(rows), -1)
                return weights(unit).reshape(-1, *shape) * scale + shift

            return ask

        folds = np.array_split(rng.permutation(len(flat)), _FOLDS)
        folds = folds if flat.shape[1] <= _NARROW and len(flat) <= _FEW else folds[:1]
        most = 0 if flat.shape[1] > _WIDEST_OF_PARTS else 0.8 * len(flat) / _ROWS_OF_PART
        counts = [1, *(parts for parts in _PARTS if parts <= most)]
        errors = np.zeros((len(counts), len(_RIDGES)))
        for fold in folds:
            others = np.setdiff1d(np.arange(len(flat)), fold)
            judges = fold[:_JUDGES]
            test = _Holes(start[judges], known[judges], modality, rng)
            of_all = gaussian.moments(flat[others], seen[others])
            for line, parts in enumerate(counts):
                found = self._in_parts(flat[others], seen[others], parts, of_all)
                for column, ridge in enumerate(_RIDGES):
                    ask = asking(found.weights(ridge))
                    error = test.error(ask, shift, scale, self.passes, self.tolerance)
                    errors[line, column] += error / len(folds)
        line = int((errors.min(axis=1) <= _GAIN * errors.min()).argmax())  # the fewest parts
        column = int(errors[line].argmin())
        of_all = gaussian.moments(flat, seen)
        found = self._in_parts(flat, seen, counts[line], of_all)
        weights = found.weights(_RIDGES[column])
        made = _linear_model if counts[line] == 1 else _mixture_model
        return _Tried(made(shape, weights, scales), float(errors[line, column]), self.passes)

    def _in_parts(self, flat, seen, parts: int, of_all) -> gaussian.Moments | mixtures.Mixture:
        return of_all if parts == 1 else mixtures.fit(flat, seen, parts, of_all, self.random_state)

    def _trained(self, entry, settings, start, known, learning, test, rng) -> "_Tried":
        """Return a model trained on made holes.

        The first stage sees holes as they are started, the second one also as earlier passes left
        them, so that a pass goes on well from the one before. Gaps of the data are learned as they
        are started, then as the first stage fills them.
        """
        chosen = np.tile(learning, max(1, min(_COPIES, _ROWS // len(learning))))
        rows, known = start[chosen], known[chosen]
        kept = holes.made(known, test.modality, rng)
        centre = start[learning].mean(axis=0)
        model, open_rows = None, holes.started(rows, kept, test.modality, centre)
        steps = {"epochs": max(1, round(_STEPS * settings.get("batch_size", 64) / len(rows)))}
        with tempfile.TemporaryDirectory(prefix="aezoo-") as folder:
            for stage in ("first", "second"):
                if model is not None:
                    asked = Asked(model)
                    moves = self.tolerance * asked.unit
                    rows = projected(asked, rows, known, _OWN, moves)[0]
                    parts = np.array_split(rng.permutation(len(rows)), _OWN + 1)
                    for own, part in enumerate(parts):
                        moved = projected(asked, open_rows[part], kept[part], own, moves)
                        open_rows[part] = moved[0]
                    settings = {k: v for k, v in settings.items() if k in TrainSection.model_fields}
                model = train(
                    entry if model is None else None,
                    test.beside(open_rows, rows, centre),
                    model=model,
                    out=Path(folder) / stage,
                    figures=False,
                    verbose=self.verbose,
                    **{"seed": self.random_state} | steps | settings,
                ).model
        asked, errors = Asked(model), {}
        for passes in sorted({1, 2, 4, 8, 16, self.passes}):
            if passes <= self.passes:
                errors[passes] = test.error(asked, asked.centre, asked.unit, passes, self.tolerance)
        passes = min(errors, key=errors.get)
        return _Tried(model, errors[passes], passes)

    # ---- asking ----

    def transform(self, X, missing=None) -> np.ndarray:
        """Return the rows with their holes filled, of the same shape; known cells are untouched.

        Args:
            X: As for `fit`; integers come back as float32.
            missing: As for `fit`.

        Raises:
            ZooError: For rows of another shape, or infinity.
        """
        return self.fill(X, missing).rows

    def fill(self, X, missing=None) -> Filled:
        """Return what `transform` does, and which cells it filled, in how many passes."""
        check_is_fitted(self, "model_")
        return fill(self.model_, X, missing, passes=self.passes_, tolerance=self.tolerance)

    def get_feature_names_out(self, input_features=None) -> np.ndarray:
        """Return the names of the columns, which stay as they were."""
        check_is_fitted(self, "model_")
        if input_features is None:
            input_features = [f"x{i}" for i in range(self.n_features_in_)]
        return np.asarray(input_features, object)


@dataclasses.dataclass(frozen=True)
class _Tried:
    """A fitted model, its error on made holes in model units, how many passes are best."""

    model: object
    error: float
    passes: int


class _Holes:
    """Validation rows with made holes, the same for all that is tried."""

    def __init__(self, start: np.ndarray, known: np.ndarray, modality: str, rng):
        self.modality = modality
        draws = _DRAWS if modality == "features" else 1
        self.rows, self.known = (np.concatenate([v] * draws) for v in (start, known))
        self.kept = holes.made(self.known, modality, rng)

    def error(self, ask, centre, unit, passes: int, tolerance: float) -> float:
        """Return the root mean square error on the made holes, in model units."""
        start = holes.started(self.rows, self.kept, self.modality, centre)
        found, _, _ = projected(ask, start, self.kept, passes, tolerance * unit)
        wrong = ((found - self.rows) / unit)[self.known & ~self.kept]
        # No hole can be made like the data's where all rows lack the same: then nothing is chosen.
        return float(np.sqrt(np.mean(np.square(wrong)))) if wrong.size else 0.0

    def beside(self, open_rows: np.ndarray, rows: np.ndarray, centre) -> DataSet:
        """Return training rows with holes, and what should be in them, beside these rows."""
        opened = holes.started(self.rows, self.kept, self.modality, centre)
        return DataSet(
            "rows with holes",
            self.modality,
            TrainRows(open_rows, targets=rows),
            ValidationRows(opened, targets=self.rows),
            origin="<array>",
        )


def _means(rows: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the mean of what is known of each cell, (1, ...); of all cells where nothing is."""
    counts = known.sum(axis=0, keepdims=True)
    sums = np.where(known, rows, 0).sum(axis=0, keepdims=True, dtype="float64")
    return np.where(counts > 0, sums / np.maximum(counts, 1), rows[known].mean())


def _linear_model(shape: tuple[int, ...], weights: gaussian.Weights, scales: Preprocessing):
    """Return `simple_ae` without a bend, of these weights."""
    linear = dict.fromkeys(("latent_activation", "output_activation"), "linear")
    width = weights.kernel.shape[1]
    model = build(LINEAR, input_shape=shape, hidden=(), latent_dim=width, **linear)
    model.encoder.set_weights([weights.kernel, weights.bias])
    model.decoder.set_weights([weights.kernel.T, weights.mean])
    model.preprocessing = scales
    return model


def _mixture_model(shape: tuple[int, ...], weights: mixtures.Weights, scales: Preprocessing):
    """Return `mixture_ae` of these weights."""
    parts = len(weights.centres)
    sizes = {"components": parts, "latent_dim": len(weights.axes) // parts}
    model = build(MIXTURE, input_shape=shape, level=0.0, **sizes)
    model.encoder.get_layer("latent").set_weights(list(dataclasses.astuple(weights)))
    model.preprocessing = scales
    return model
