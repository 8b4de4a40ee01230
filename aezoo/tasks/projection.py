"""Filling holes with any autoencoder: known values go back after each pass.

    x <- known * x + (1 - known) * AE(x)        until no cell moves more than the tolerance

The autoencoder is a fitted model or a bundle; all it is asked is `reconstruct`. Where it is a
denoiser, AE(x) - x points to where rows are likelier, so that holes end at values which are likely
beside the known ones.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from aezoo.errors import ZooError
from aezoo.tasks import holes

SETTINGS_FILE = "filling.json"  # beside a bundle: passes and tolerance
PASSES, TOLERANCE = 500, 1e-3  # at most; and of a model unit, for a table a standard deviation


@dataclasses.dataclass(frozen=True)
class Filled:
    """What `fill` made.

    Attributes:
        rows: (N, ...) in user units; known cells are untouched.
        missing: (N, ...) of booleans, the cells that were filled.
        passes: (N,) how often each row went through the autoencoder.
        resting: (N,) of booleans, whether it moved no more at the end.
    """

    rows: np.ndarray
    missing: np.ndarray
    passes: np.ndarray
    resting: np.ndarray


class Asked:
    """The endpoint `reconstruct` of a model or a bundle, and its spec.

    Args:
        model: With `endpoint(name)`, as a fitted model has, or with `spec(name)` and
            `predict(name, ...)`, as a bundle has.

    Raises:
        ZooError: If it reconstructs nothing, or takes more than rows.
    """

    def __init__(self, model):
        if hasattr(model, "endpoint"):
            endpoint = model.endpoint("reconstruct")
            self.spec, self._ask = endpoint.spec, endpoint
        else:
            self.spec = model.spec("reconstruct")
            self._ask = lambda **rows: model.predict("reconstruct", **rows)
        self.modality = self.spec.inputs[0].name
        if len(self.spec.inputs) > 1 or self.modality not in ("features", "series", "image"):
            raise ZooError(
                "Holes are filled in tables, series and pictures, by a model of rows alone.",
                received=", ".join(tensor.name for tensor in self.spec.inputs),
                do="Take an autoencoder that reconstructs such rows.",
            )

    @property
    def centre(self) -> np.ndarray:
        """The middle of what the input may be: the mean where columns are standardised."""
        ends = (self.spec.inputs[0].low, self.spec.inputs[0].high)
        low, high = (np.asarray(0.0 if end is None else end) for end in ends)
        return (low + high) / 2

    @property
    def unit(self) -> np.ndarray:
        """The size of one model unit in user units."""
        return np.asarray(self.spec.outputs[0].unit_scale, "float32")

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Return the reconstructions of rows in user units, (N, ...) float32."""
        taken = self.spec.inputs[0]
        if np.dtype(taken.dtype).kind == "u":
            rows = np.clip(np.round(rows), taken.low, taken.high)
        return self._ask(**{taken.name: rows.astype(taken.dtype)})["reconstruction"]


def fill(model, X, missing=None, *, passes: int = PASSES, tolerance: float = TOLERANCE) -> Filled:
    """Fill the holes of rows with a fitted autoencoder.

    Args:
        model: A fitted model or a bundle that reconstructs rows.
        X: Rows in user units (N, ...); NaN is missing.
        missing: True where a cell is missing, of the shape of X; None takes the NaN alone.
        passes: Through the autoencoder, at most.
        tolerance: In model units; a row no cell of which moves more rests.

    Raises:
        ZooError: For rows that the model does not take, infinity, or a mask of another shape.

    Example:
        >>> import aezoo
        >>> model = aezoo.build("simple_ae", input_shape=(3,), latent_dim=2)
        >>> filled = fill(model, [[0.5, float("nan"), 0.25]])
        >>> filled.rows.shape, filled.missing.tolist(), float(filled.rows[0, 2])
        ((1, 3), [[False, True, False]], 0.25)
    """
    given = np.asarray(X)
    asked = model if isinstance(model, Asked) else Asked(model)
    rows, known = holes.rows_and_known(given, missing, asked.modality)
    wanted = tuple(asked.spec.inputs[0].shape)
    if rows.shape[1:] != wanted:
        raise ZooError(
            "The rows have a shape that the model does not take.",
            received=rows.shape[1:],
            do=f"Give rows of shape {wanted}.",
        )
    start = holes.started(rows, known, asked.modality, asked.centre)
    values, counts, resting = projected(asked, start, known, passes, tolerance * asked.unit)
    known = known.reshape(given.shape)
    kind = given.dtype if given.dtype.kind == "f" else np.dtype("float32")
    first = np.where(known, given, 0).astype(kind)  # exactly what was given
    return Filled(
        np.where(known, first, values.reshape(given.shape).astype(kind)), ~known, counts, resting
    )


def projected(
    ask: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    known: np.ndarray,
    passes: int,
    moves: float | np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return started rows after the passes, how many each took, and which came to rest.

    Args:
        ask: From rows to their reconstructions.
        start: Rows (N, ...), something in each hole.
        known: Booleans of the same shape.
        passes: At most.
        moves: In user units; a row no cell of which moves more rests. One number, or one per
            feature.
    """
    x, counts = start.astype("float32"), np.zeros(len(start), int)
    resting = known.reshape(len(known), -1).all(axis=1)
    for _ in range(passes):
        moving = np.flatnonzero(~resting)
        if not len(moving):
            break
        before = x[moving]
        after = np.where(known[moving], before, ask(before))
        moved = (np.abs(after - before) / moves).reshape(len(moving), -1).max(axis=1)
        x[moving], counts[moving] = after, counts[moving] + 1
        resting[moving] = moved <= 1
    return x, counts, resting
