"""What the checks share: a tiny model of an entry, rows to try it on, and requirements."""

import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from aezoo.calibration import calibrate
from aezoo.config import Entry, parse_entry
from aezoo.errors import ZooError
from aezoo.layers.preprocessing import Preprocessing
from aezoo.registry import build_entry, builder_of
from aezoo.specs import TensorSpec

TOLERANCE = 1e-5  # in model units, for what is the same sum in another order
ALPHA = 0.2  # the false-alarm rate of the calibrated model; 4 rows are enough for it


def draw(spec: TensorSpec, count: int, seed: int) -> np.ndarray:
    """Return seeded draws from a spec's range, `(count, *spec.shape)` in its dtype.

    Example:
        >>> draw(TensorSpec("tokens", (3,), "int32", low=0, high=9), 2, seed=0).shape
        (2, 3)
    """
    rng = np.random.default_rng([seed, len(spec.name)])
    shape = (count, *(axis or 5 for axis in spec.shape))
    low = -3.0 if spec.low is None else spec.low
    high = max(3.0, low + 1.0) if spec.high is None else spec.high
    if np.dtype(spec.dtype).kind in "ui":
        return rng.integers(int(low), int(high), shape, spec.dtype, endpoint=True)
    return rng.uniform(low, high, shape).astype(spec.dtype)


class Bench:
    """A tiny model of an entry and rows to try it on; compiled once, made new by `restored`.

    Attributes:
        inputs: Endpoint inputs in user units.
        x: The same as `fit` takes them, in model units.
        other: Other rows of the same kind.
        y: The target that `fit` needs with `x`, None for autoencoders.
        other_y: A target that differs from what `x` stands for.
    """

    def __init__(self, entry: Entry):
        self.entry, self.rows = entry, entry.checks.rows
        self._model = tiny(entry)
        self.inputs = inputs_for(self._model, self.rows, seed=0)
        self.x = model_units(self._model, self.inputs)
        self.other = model_units(self._model, inputs_for(self._model, self.rows, seed=1))
        self.y = self._model.example_targets(self.x)
        self.other_y = self.other if self.y is None else np.roll(self.y, 1, axis=0)
        self._state = [variable.numpy() for variable in self._variables()]

    def _variables(self):
        return [*self._model.variables, *self._model.optimizer.variables]

    def restored(self):
        """Return the model as it was when it was new, random state included."""
        for variable, value in zip(self._variables(), self._state, strict=True):
            variable.assign(value)
        return self._model

    @functools.cached_property
    def seasoned(self):
        """Another model, with a past: weights, optimizer, units and threshold are not as built.

        A new model's biases are 0 and its moving moments 0 and 1, so that a copy which lost them
        would answer alike.
        """
        model = tiny(self.entry)
        one_step(model, self.x, self.y)
        rng = np.random.default_rng(0)
        for weight in model.weights:
            values = 0.3 * rng.normal(size=weight.shape)
            weight.assign(np.exp(values) if weight.path.endswith("variance") else values)
        if model.preprocessing.dtype == "float32":
            model.preprocessing = Preprocessing(shift=(0.5,), scale=(2.0,))
        if "score" in {spec.name for spec in model.endpoints}:
            calibrate(model, inputs_for(model, self.rows, seed=0), ALPHA)
        return model

    def loss(self) -> float:
        """Return the model's loss on `x`; its draws are those of evaluation."""
        logs = self._model.evaluate(
            self.x, self.y, batch_size=self.rows, verbose=0, return_dict=True
        )
        return logs["loss"]

    def fit(self, x, y=None) -> list[np.ndarray]:
        """Fit the restored model on one batch; return its weights."""
        model = self.restored()
        history = model.fit(x, y, batch_size=self.rows, shuffle=False, verbose=0).history
        require(np.isfinite(history["loss"]).all(), "A loss is not finite.", history["loss"])
        return model.get_weights()


def tiny(entry: Entry, *, seed: int = 0, **overrides):
    """Build an entry with its `checks.args` and these overrides."""
    arguments = entry.args | entry.checks.args | overrides
    return build_entry(entry.model_copy(update={"args": arguments}), seed=seed)


def inputs_for(model, count: int, seed: int) -> dict[str, np.ndarray]:
    """Return rows in user units, and what stands beside them, drawn from their ranges."""
    return {spec.name: draw(spec, count, seed) for spec in model.row_specs()}


def model_units(model, inputs: dict[str, np.ndarray]):
    """Return rows as `fit` takes them: an array, or a dict of arrays."""
    return keras.tree.map_structure(np.asarray, model.rows_of(inputs))


def one_step(model, x, y=None) -> dict:
    """Take one training step eagerly, which needs no tracing; return its logs."""
    model.reset_metrics()
    logs = model.train_step((tensors(x), tensors(y)))
    return {name: float(value) for name, value in logs.items()}


def ask(model, endpoint: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return an endpoint's answers, computed eagerly; export traces it anyway."""
    answers = model.endpoint(endpoint).function(tensors(inputs))
    return {name: np.asarray(value) for name, value in answers.items()}


def tensors(rows):
    """Return rows as tensors, None as it is."""
    return None if rows is None else keras.tree.map_structure(tf.convert_to_tensor, rows)


def bench_of(entry: Entry) -> Bench:
    """Return the bench of an entry; its checks run in a row and share it."""
    return _bench_of(entry.to_yaml(), builder_of(entry))


@functools.lru_cache(maxsize=2)
def _bench_of(text: str, builder: type) -> Bench:
    return Bench(parse_entry(text, "checks"))


def require(holds, what: str, received=None, do: str | None = None) -> None:
    """Raise a `ZooError` unless a condition holds."""
    if not holds:
        raise ZooError(what, received=received, do=do)


def require_equal(left, right, what: str, scale: float = 0.0) -> None:
    """Require equal arrays; with a scale, up to `TOLERANCE` of it."""
    left, right = np.asarray(left), np.asarray(right)
    require(left.shape == right.shape, what, (left.shape, right.shape))
    bound = TOLERANCE * (scale + np.abs(right)) if scale else 0.0
    gap = np.abs(left.astype("float64") - right.astype("float64"))
    require((gap <= bound).all(), what, f"largest difference {gap.max(initial=0.0):.3g}")


def require_error(call: Callable[[], object], text: str, what: str) -> None:
    """Require a `ZooError` that holds a text."""
    try:
        call()
    except ZooError as error:
        require(text in str(error), f"{what}: the error lacks {text!r}.", str(error))
    else:
        raise ZooError(f"{what} is not refused.")


def replaced(x, name: str, rows: np.ndarray):
    """Return `x` with other rows, be it an array or a dict with one of this name."""
    return x | {name: rows} if isinstance(x, dict) else rows


def random_state(model) -> list:
    """Return the variables that random draws move on."""
    return [v for v in model.variables if v.path.endswith("seed_generator_state")]
