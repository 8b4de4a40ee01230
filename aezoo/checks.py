"""The checks that every entry of the zoo must pass; run them on an entry of your own.

    for result in aezoo.checks.run("my_model.yaml"):
        print(result)

Each check is a function `check_<sentence>(entry)`. It raises `ZooError` if the sentence does not
hold, and returns a reason if it does not apply. The model is built with the entry's `checks.args`,
which keep it tiny; only `expect` is compared with the entry as it stands.

Inspired by scikit-learn's `parametrize_with_checks`.
"""

import contextlib
import dataclasses
import functools
import inspect
import json
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from aezoo.config import Entry, parse_entry
from aezoo.errors import ZooError, closest_match
from aezoo.layers.preprocessing import Preprocessing
from aezoo.registry import build_entry, builder_of, find
from aezoo.specs import TensorSpec

Check = Callable[[Entry], str | None]
Outcome = Literal["passed", "failed", "failed as expected", "passed unexpectedly", "does not apply"]

TOLERANCE = 1e-5  # in model units, for what is the same sum in another order
ODD_SHAPES = {
    "image": ((27, 31, 3), (64, 64, 1)),
    "series": ((140, 1), (33, 3)),
    "features": ((7,), (1,)),
    "tokens": ((13,),),
}


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of one check of one entry."""

    entry: str
    check: str
    outcome: Outcome
    message: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing needs mending."""
        return self.outcome not in ("failed", "passed unexpectedly")

    def __str__(self) -> str:
        sentence = self.check.replace("_", " ")
        return f"{self.entry}: {sentence}: {self.outcome}" + (
            f"\n{self.message}" if self.message else ""
        )


# ---- running ----


def all_checks() -> list[tuple[str, Check]]:
    """Return every check with its name, in the order of this file.

    Example:
        >>> "predict_and_evaluate_repeat" in dict(all_checks())
        True
    """
    prefix = "check_"
    return [
        (name.removeprefix(prefix), function)
        for name, function in globals().items()
        if name.startswith(prefix)
    ]


def run(name: str | Entry, *, raising: bool = True) -> list[Result]:
    """Run every check on an entry.

    Args:
        name: An entry, its name, or the path of its YAML file.
        raising: Raise if a check fails; False returns the results instead.

    Raises:
        ZooError: If a check fails, or passes though it is an expected failure; after all have run.

    Example:
        results = aezoo.checks.run("my_model.yaml", raising=False)
    """
    entry = find(name)
    results = [run_check(entry, check) for check, _ in all_checks()]
    bad = [result for result in results if not result.ok]
    if bad and raising:
        raise ZooError(
            f"{entry.name} fails {len(bad)} of {len(results)} checks: "
            + ", ".join(result.check for result in bad)
            + ".",
            received=bad[0].message,
            do="See aezoo.checks.run(..., raising=False) for all messages.",
        )
    return results


def run_check(name: str | Entry, check: str) -> Result:
    """Run one check on an entry, by the check's name.

    Raises:
        ZooError: If there is no such check, or the entry expects one to fail that does not exist.

    Example:
        >>> run_check("vallina_ae", "config_round_trip_is_exact").outcome
        'passed'
    """
    entry, known = find(name), dict(all_checks())
    for word in (check, *entry.checks.expected_failures):
        if word not in known:
            raise ZooError(
                "There is no check of this name.",
                received=word,
                closest=closest_match(word, known),
                do="See aezoo.checks.all_checks().",
            )
    expected = entry.checks.expected_failures.get(check)
    try:
        reason = known[check](entry)
    except Exception as error:  # a check may fail in any way: that is what it is for
        message = str(error) if isinstance(error, ZooError) else f"{type(error).__name__}: {error}"
        return Result(entry.name, check, "failed as expected" if expected else "failed", message)
    if expected:
        message = f"Expected to fail: {expected}. Remove it from checks.expected_failures."
        return Result(entry.name, check, "passed unexpectedly", message)
    return Result(entry.name, check, "does not apply" if reason else "passed", reason or "")


# ---- what the checks share ----


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
        for variable, value in zip(self._variables(), self._state, strict=False):
            variable.assign(value)
        return self._model

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
        _require(np.isfinite(history["loss"]).all(), "A loss is not finite.", history["loss"])
        return model.get_weights()


def tiny(entry: Entry, *, seed: int = 0, **overrides):
    """Build an entry with its `checks.args` and these overrides."""
    arguments = entry.args | entry.checks.args | overrides
    return build_entry(entry.model_copy(update={"args": arguments}), seed=seed)


def inputs_for(model, count: int, seed: int) -> dict[str, np.ndarray]:
    """Return rows in user units for a model's first endpoint, drawn from their ranges."""
    return {spec.name: draw(spec, count, seed) for spec in model.row_specs()}


def model_units(model, inputs: dict[str, np.ndarray]):
    """Return rows as `fit` takes them: an array, or a dict of arrays."""
    return keras.tree.map_structure(np.asarray, model.rows_of(inputs))


def one_step(model, x, y=None) -> dict:
    """Take one training step eagerly, which needs no tracing; return its logs."""
    model.reset_metrics()
    logs = model.train_step((_tensors(x), _tensors(y)))
    return {name: float(value) for name, value in logs.items()}


def ask(model, endpoint: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return an endpoint's answers, computed eagerly; export traces it anyway."""
    answers = model.endpoint(endpoint).function(_tensors(inputs))
    return {name: np.asarray(value) for name, value in answers.items()}


def _tensors(rows):
    return None if rows is None else keras.tree.map_structure(tf.convert_to_tensor, rows)


def _bench(entry: Entry) -> Bench:
    return _bench_of(entry.to_yaml(), builder_of(entry))


@functools.lru_cache(maxsize=2)
def _bench_of(text: str, builder: type) -> Bench:
    return Bench(parse_entry(text, "checks"))


@contextlib.contextmanager
def _bundle(entry: Entry) -> Iterator[Path]:
    """Yield the exported bundle of a tiny model, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in _files_of_bundle(entry.to_yaml(), builder_of(entry)).items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        yield Path(folder)


@functools.lru_cache(maxsize=2)  # an export takes seconds, and two checks need it
def _files_of_bundle(text: str, builder: type) -> dict[str, bytes]:
    from aezoo.export import export_bundle

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "bundle"
        export_bundle(tiny(parse_entry(text, "checks")), root)
        files = [path for path in root.rglob("*") if path.is_file()]
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def _require(holds, what: str, received=None, do: str | None = None) -> None:
    if not holds:
        raise ZooError(what, received=received, do=do)


def _require_equal(left, right, what: str, scale: float = 0.0) -> None:
    """Require equal arrays; with a scale, up to `TOLERANCE` of it."""
    left, right = np.asarray(left), np.asarray(right)
    _require(left.shape == right.shape, what, (left.shape, right.shape))
    bound = TOLERANCE * (scale + np.abs(right)) if scale else 0.0
    gap = np.abs(left.astype("float64") - right.astype("float64"))
    _require((gap <= bound).all(), what, f"largest difference {gap.max(initial=0.0):.3g}")


def _require_error(call: Callable[[], object], text: str, what: str) -> None:
    """Require a `ZooError` that holds a text."""
    try:
        call()
    except ZooError as error:
        _require(text in str(error), f"{what}: the error lacks {text!r}.", str(error))
    else:
        raise ZooError(f"{what} is not refused.")


def _replaced(x, name: str, rows: np.ndarray):
    """Return `x` with other rows, be it an array or a dict with one of this name."""
    return x | {name: rows} if isinstance(x, dict) else rows


def _random_state(model) -> list:
    return [v for v in model.variables if v.path.endswith("seed_generator_state")]


# ---- building ----


def check_it_builds_as_expected(entry: Entry) -> str | None:
    """The entry as it stands has the size, shapes and loss terms of its `expect` block."""
    if entry.expect is None:
        build_entry(entry, seed=0)
        return "the entry has no `expect` block"
    model, expect = build_entry(entry, seed=0), entry.expect
    counted = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    _require(
        counted == expect.trainable_parameters,
        f"expect.trainable_parameters is {expect.trainable_parameters}.",
        counted,
    )
    if expect.latent_shape is not None:
        _require(
            model.latent_shape == expect.latent_shape,
            f"expect.latent_shape is {expect.latent_shape}.",
            model.latent_shape,
        )
    answer = tuple(model(model_units(model, inputs_for(model, 1, seed=0))).shape[1:])
    _require(
        answer == expect.output_shape, f"expect.output_shape is {expect.output_shape}.", answer
    )
    bench = _bench(entry)
    logged = set(one_step(bench.restored(), bench.x, bench.y)) - set(entry.train.metrics)
    _require(
        logged == set(expect.loss_terms),
        f"expect.loss_terms names {sorted(expect.loss_terms)}.",
        sorted(logged),
    )
    return None


def check_the_same_seed_gives_the_same_weights(entry: Entry) -> None:
    """And another seed gives others."""
    first = _bench(entry).restored().get_weights()
    again, other = (tiny(entry, seed=seed).get_weights() for seed in (0, 1))
    for one, two in zip(first, again, strict=True):
        _require_equal(one, two, "Two models of one seed differ.")
    differs = any((one != two).any() for one, two in zip(first, other, strict=True))
    _require(differs, "Two seeds give the same weights.")


def check_building_leaves_random_state_alone(entry: Entry) -> None:
    """A seeded build draws nothing from Python's and NumPy's global generators."""
    before = random.getstate(), np.random.get_state()
    tiny(entry)
    after = random.getstate(), np.random.get_state()
    _require(before[0] == after[0], "Building moves Python's global random state.")
    same = all(np.array_equal(a, b) for a, b in zip(before[1], after[1], strict=True))
    _require(same, "Building moves NumPy's global random state.")


def check_config_round_trip_is_exact(entry: Entry) -> None:
    """The entry survives YAML, the model's configuration survives JSON."""
    _require(parse_entry(entry.to_yaml(), "checks") == entry, "The entry changes as YAML.")
    model = _bench(entry).restored()
    text = json.dumps(model.get_config(), sort_keys=True)
    again = type(model).from_config(json.loads(text))
    _require(
        json.dumps(again.get_config(), sort_keys=True) == text,
        "from_config(get_config()) has another configuration.",
        again.get_config(),
    )
    shapes = [[w.shape for w in m.weights] for m in (model, again)]
    _require(shapes[0] == shapes[1], "from_config(get_config()) has other weights.", shapes)


# ---- saving and copying ----


def check_a_saved_model_answers_alike(entry: Entry) -> None:
    """A model saved as `.keras` after a step has its weights, units and answers when loaded."""
    bench, model = _bench(entry), tiny(entry)
    one_step(model, bench.x, bench.y)
    if model.preprocessing.dtype == "float32":
        model.preprocessing = Preprocessing(shift=(0.5,), scale=(2.0,))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        loaded = keras.saving.load_model(path)
    for one, two in zip(model.get_weights(), loaded.get_weights(), strict=True):
        _require_equal(one, two, "A loaded weight differs.")
    _require_equal(loaded(bench.x), model(bench.x), "The loaded model answers otherwise.")
    _require(loaded.preprocessing == model.preprocessing, "The loaded preprocessing differs.")
    _require(loaded.entry == model.entry, "The loaded entry differs.")


def check_a_clone_with_the_same_weights_answers_alike(entry: Entry) -> None:
    """`keras.models.clone_model` gives a model of its own with the same arguments."""
    bench = _bench(entry)
    model = bench.restored()
    clone = keras.models.clone_model(model)
    shared = {id(w) for w in model.weights} & {id(w) for w in clone.weights}
    _require(not shared, "The clone shares weights with the model.")
    clone.set_weights(model.get_weights())
    _require_equal(clone(bench.x), model(bench.x), "The clone answers otherwise.")


# ---- training ----


def check_training_lowers_the_loss(entry: Entry) -> None:
    """One step of the entry's optimizer lowers the training loss of the same batch.

    What is drawn at random is drawn alike before and after.
    """
    bench = _bench(entry)
    model = bench.restored()
    draws = [(state, state.numpy()) for state in _random_state(model)]
    before = one_step(model, bench.x, bench.y)["loss"]
    for state, value in draws:
        state.assign(value)
    after = one_step(model, bench.x, bench.y)["loss"]
    _require(after < before, "A step does not lower the loss.", f"{before} -> {after}")


def check_every_weight_gets_a_gradient(entry: Entry) -> None:
    """In one training pass, no trainable weight is left out, and each gradient is finite."""
    bench = _bench(entry)
    model = bench.restored()
    x, y = model.pair(_tensors(bench.x), _tensors(bench.y), training=True)
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x, y, model(x, training=True))
    gradients = tape.gradient(loss, model.trainable_weights)
    for weight, gradient in zip(model.trainable_weights, gradients, strict=True):
        _require(gradient is not None, "A trainable weight has no gradient.", weight.path)
        values = tf.convert_to_tensor(gradient).numpy()
        _require(np.isfinite(values).all(), "A gradient is not finite.", weight.path)
        _require(values.any(), "The gradient of a weight is zero throughout.", weight.path)


def check_every_loss_weight_changes_the_loss(entry: Entry) -> str | None:
    """Each argument of the builder that ends in `_weight` has a say in the loss."""
    bench = _bench(entry)
    arguments = bench.restored().arguments
    names = [name for name in arguments if name.endswith("_weight")]
    for name in names:
        low, high = (
            one_step(tiny(entry, **{name: value}), bench.x, bench.y)["loss"]
            for value in (arguments[name], 2 * arguments[name] + 1)
        )
        _require(low != high, f"{name} does not change the loss.", low)
    return None if names else "the builder has no argument that ends in `_weight`"


def check_the_target_matters(entry: Entry) -> None:
    """`fit(noisy, clean)` gives other weights than `fit(noisy, noisy)`."""
    bench = _bench(entry)
    own = bench.x if bench.y is None else bench.y
    one, two = bench.fit(bench.x, own), bench.fit(bench.x, bench.other_y)
    differs = any((a != b).any() for a, b in zip(one, two, strict=True))
    _require(differs, "fit(x, y) does not heed its target.")


def check_fit_takes_rows_with_and_without_a_target(entry: Entry) -> str | None:
    """`fit(x)` works; without random draws it is `fit(x, x)`, and so is validation."""
    bench = _bench(entry)
    if bench.y is not None:
        _require_error(lambda: bench.fit(bench.x), "target", "A missing target")
        return None
    alone, twice = bench.fit(bench.x), bench.fit(bench.x, bench.x)
    if not _random_state(bench.restored()):
        for one, two in zip(alone, twice, strict=True):
            _require_equal(one, two, "fit(x) and fit(x, x) differ.")
    return None


# ---- answers ----


def check_decoding_the_code_reconstructs(entry: Entry) -> str | None:
    """decode(encode(x)) = reconstruct(x)."""
    bench = _bench(entry)
    model = bench.restored()
    names = {spec.name for spec in model.endpoints}
    if not {"reconstruct", "encode", "decode"} <= names:
        return "the model does not both encode and decode"
    codes = ask(model, "encode", bench.inputs)
    spec = model.endpoint("decode").spec
    decoded = ask(model, "decode", {tensor.name: codes[tensor.name] for tensor in spec.inputs})
    direct = ask(model, "reconstruct", bench.inputs)
    for tensor in spec.outputs:
        _require_equal(
            decoded[tensor.name],
            direct[tensor.name],
            f"decode(encode(x)) and reconstruct(x) give another {tensor.name}.",
            tensor.unit_scale,
        )
    return None


def check_predict_and_evaluate_repeat(entry: Entry) -> None:
    """Two calls of each give the same bits, also when the random state has moved on."""
    bench = _bench(entry)
    model = bench.restored()
    predicted, loss = model.predict(bench.x, verbose=0), bench.loss()
    for state in _random_state(model):
        state.assign(state + 1)
    _require_equal(model.predict(bench.x, verbose=0), predicted, "predict does not repeat.")
    _require(bench.loss() == loss, "evaluate does not repeat.", (loss, bench.loss()))


def check_a_row_alone_is_answered_as_in_a_batch(entry: Entry) -> None:
    """Each endpoint answers a row alike, whatever stands beside it."""
    bench = _bench(entry)
    model = bench.restored()
    for spec in model.endpoints:
        inputs = {tensor.name: draw(tensor, bench.rows, seed=0) for tensor in spec.inputs}
        together = ask(model, spec.name, inputs)
        alone = ask(model, spec.name, {name: rows[2:3] for name, rows in inputs.items()})
        for tensor in spec.outputs:
            _require_equal(
                alone[tensor.name],
                together[tensor.name][2:3],
                f"{spec.name} gives another {tensor.name} for a row alone.",
                tensor.unit_scale,
            )


def check_mixed_precision_stays_finite(entry: Entry) -> None:
    """In both half precisions a step and its answers are finite, and answers are float32."""
    bench = _bench(entry)
    for policy in ("mixed_bfloat16", "mixed_float16"):
        with _precision(policy):
            model = tiny(entry)
        logs = one_step(model, bench.x, bench.y)
        _require(np.isfinite(list(logs.values())).all(), f"A loss in {policy}.", logs)
        finite = all(np.isfinite(weight).all() for weight in model.get_weights())
        _require(finite, f"A step in {policy} makes a weight non-finite.")
        answer = np.asarray(model(bench.x))
        _require(answer.dtype == "float32", f"The answer in {policy}.", str(answer.dtype))
        _require(np.isfinite(answer).all(), f"An answer in {policy} is not finite.")


@contextlib.contextmanager
def _precision(policy: str):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def check_odd_sizes_work(entry: Entry) -> str | None:
    """Sizes that strides do not divide build, train a step and answer in their own shape."""
    if "input_shape" not in inspect.signature(builder_of(entry).__init__).parameters:
        return "the builder has no argument `input_shape`"
    for shape in entry.checks.odd_shapes or ODD_SHAPES[entry.modality]:
        model = tiny(entry, input_shape=shape)
        inputs = inputs_for(model, 2, seed=0)
        x = model_units(model, inputs)
        logs = one_step(model, x, model.example_targets(x))
        _require(np.isfinite(list(logs.values())).all(), f"A loss at {shape}.", logs)
        spec = model.endpoints[0]
        answers = ask(model, spec.name, inputs)
        for tensor in spec.outputs:
            answer = answers[tensor.name]
            _require(answer.shape == (2, *tensor.shape), f"{tensor.name} at {shape}.", answer.shape)
            _require(
                tensor.name != "reconstruction" or tensor.shape == shape,
                f"The reconstruction at {shape} has another shape.",
                tensor.shape,
            )
            _require(np.isfinite(answer).all(), f"{tensor.name} at {shape} is not finite.")
    return None


# ---- refusals ----


def check_wrong_shapes_are_refused_with_the_right_one(entry: Entry) -> None:
    """`fit`, `evaluate`, `predict` and every endpoint say which shape they take."""
    bench = _bench(entry)
    model = bench.restored()
    wrong_shape = (model.input_shape[0] + 1, *model.input_shape[1:])
    wrong = _replaced(bench.x, model.input_name, np.zeros((bench.rows, *wrong_shape), "float32"))
    expected = _axes(model.input_shape)
    for name, call in _ways_in(bench, wrong):
        _require_error(call, expected, f"{name} of shape {wrong_shape}")
    for spec in model.endpoints:
        right = {tensor.name: draw(tensor, 2, seed=0) for tensor in spec.inputs}
        for tensor in spec.inputs:
            rows = np.concatenate([right[tensor.name]] * 2, axis=-1)
            call = functools.partial(model.endpoint(spec.name), **right | {tensor.name: rows})
            _require_error(call, _axes(tensor.shape), f"{spec.name} with a wrong {tensor.name}")


def _axes(shape) -> str:
    return ", ".join(str(axis or "any") for axis in shape)


def check_nan_is_refused(entry: Entry) -> str | None:
    """`fit`, `evaluate`, `predict` and every endpoint refuse a row that is not finite."""
    bench = _bench(entry)
    model = bench.restored()
    for spec in model.endpoints:
        right = {tensor.name: draw(tensor, 2, seed=0) for tensor in spec.inputs}
        for tensor in spec.inputs:
            if np.dtype(tensor.dtype).kind == "f":
                bad = right | {tensor.name: _with_nan(right[tensor.name])}
                call = functools.partial(model.endpoint(spec.name), **bad)
                _require_error(call, "NaN", f"NaN in {tensor.name} of {spec.name}")
    rows = bench.x[model.input_name] if isinstance(bench.x, dict) else bench.x
    if rows.dtype.kind != "f":
        return f"{model.input_name} are whole numbers"
    bad = _replaced(bench.x, model.input_name, _with_nan(rows))
    for name, call in _ways_in(bench, bad):
        _require_error(call, "NaN", f"NaN in {name}")
    return None


def _ways_in(bench: Bench, x) -> list[tuple[str, Callable[[], object]]]:
    """Return the calls by which rows enter a model."""
    model = bench.restored()
    return [
        ("fit", lambda: model.fit(x, bench.y, verbose=0)),
        ("evaluate", lambda: model.evaluate(x, bench.y, verbose=0)),
        ("predict", lambda: model.predict(x, verbose=0)),
    ]


def _with_nan(rows: np.ndarray) -> np.ndarray:
    bad = rows.copy()
    bad.flat[-1] = np.nan
    return bad


# ---- export ----


def check_the_exported_bundle_answers_alike(entry: Entry) -> None:
    """SavedModel and ONNX of every endpoint answer as Keras does, and the bundle verifies."""
    from aezoo.export import verify_bundle

    with _bundle(entry) as bundle:  # `export_bundle` has asked both runtimes
        verified = verify_bundle(bundle)
    bench = _bench(entry)
    declared = {(s.name, t.name) for s in bench.restored().endpoints for t in s.outputs}
    if entry.export.endpoints is not None:
        declared = {pair for pair in declared if pair[0] in entry.export.endpoints}
    compared = set(verified.differences)
    _require(compared == declared, "The bundle proves other answers than the model declares.")


def check_a_changed_byte_in_the_bundle_is_detected(entry: Entry) -> None:
    """Whichever file it is in, the manifest included."""
    from aezoo.export import verify_bundle

    with _bundle(entry) as bundle:
        for path in sorted(path for path in bundle.rglob("*") if path.is_file()):
            original = path.read_bytes()
            changed = bytearray(original)
            changed[len(changed) // 2] ^= 1
            path.write_bytes(changed)
            what = f"A changed byte in {path.name}"
            _require_error(functools.partial(verify_bundle, bundle), path.name, what)
            path.write_bytes(original)
