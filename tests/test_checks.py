"""Every entry passes every check, and every check catches the fault that it is for."""

import contextlib
import itertools
import json
import textwrap

import keras
import numpy as np
import onnx
import pytest
from keras import ops

import aezoo
from aezoo import checks
from aezoo.calibration import calibrate
from aezoo.checks import exporting, running
from aezoo.checks.bench import bench_of, inputs_for, tiny
from aezoo.config import Entry
from aezoo.export import onnx_graph
from aezoo.models.dense import DenseAE
from aezoo.registry import find

NAMES = [name for name, _ in checks.all_checks()]
SOME_DO_NOT_APPLY = {
    "every_loss_weight_changes_the_loss",  # no such argument
    "the_target_matters",  # generators
    "decoding_the_code_reconstructs",  # segmenters, generators
    "nan_is_refused",  # tokens
}


def pairs():
    """Yield every entry with every check; of entries whose tiny models are equal, one has all."""
    known = set()
    for name in aezoo.list_models():
        entry = find(name)
        parts = entry.model_dump(include={"builder", "modality", "checks"})
        parts |= {"args": entry.args | entry.checks.args}
        parts |= entry.train.model_dump(exclude={"epochs", "pretrain_epochs", "batch_size"})
        key = json.dumps(parts, sort_keys=True, default=str)
        for check in ["it_builds_as_expected"] if key in known else NAMES:
            yield name, check
        known.add(key)


@pytest.mark.parametrize(("name", "check"), [*pairs()])
def test_every_entry_passes_every_check(name, check):
    result = checks.run_check(name, check)
    assert result.ok, result.message
    if check not in SOME_DO_NOT_APPLY:
        assert result.outcome != "does not apply"


@pytest.mark.parametrize("name", [n for n in aezoo.list_models() if find(n).export.endpoints])
def test_the_endpoints_that_an_entry_exports_exist(name):
    model = tiny(find(name))
    calibrate(model, inputs_for(model, 4, seed=0), alpha=0.3)
    assert {*find(name).export.endpoints} <= {spec.name for spec in model.endpoints}


# ---- each check catches its fault: models with one fault each ----


class Sound(DenseAE):
    """A model without a fault."""

    def __init__(self, input_shape: tuple[int, ...] = (6,)):
        super().__init__(input_shape, (5,), 3, latent_activation="linear")


class Unseeded(Sound):
    def __init__(self, input_shape: tuple[int, ...] = (6,)):
        super().__init__(input_shape)
        last = self.decoder.layers[-1]
        last.set_weights([np.random.random(w.shape) for w in last.get_weights()])


class ForgetsItsName(Sound):
    @classmethod
    def from_config(cls, config, custom_objects=None):
        return super().from_config(config | {"name": "other"}, custom_objects)


@keras.saving.register_keras_serializable(package="test_checks")
class KeepsAnArrayThatIsNoWeight(Sound):
    def __init__(self, input_shape: tuple[int, ...] = (6,)):
        super().__init__(input_shape)
        self.offset = float(np.random.default_rng().random())

    def call(self, x, training=False):
        return super().call(x, training) + self.offset


@keras.saving.register_keras_serializable(package="test_checks")
class ScoresByANumberThatIsNoWeight(Sound):
    def __init__(self, input_shape: tuple[int, ...] = (6,)):
        super().__init__(input_shape)
        self.offset = float(np.random.default_rng().random())

    def error_map(self, x, reconstruction):
        return super().error_map(x, reconstruction) + self.offset


class Climbs(Sound):
    def train_step(self, data):
        before = self.get_weights()
        logs = super().train_step(data)
        after = self.get_weights()
        self.set_weights([2 * b - a for b, a in zip(before, after, strict=True)])
        return logs


class HasALooseLayer(Sound):
    def __init__(self, input_shape: tuple[int, ...] = (6,)):
        super().__init__(input_shape)
        self.loose = keras.layers.Dense(2)
        self.loose.build((None, 2))


class IgnoresItsWeight(Sound):
    def __init__(self, input_shape: tuple[int, ...] = (6,), sparsity_weight: float = 0.1):
        super().__init__(input_shape)


class IgnoresItsTarget(Sound):
    def pair(self, x, y, training):
        return x, x


class LearnsZerosAlone(Sound):
    def pair(self, x, y, training):
        return x, ops.zeros_like(x) if y is None else y


class ChangesTheCode(Sound):
    def call(self, x, training=False):
        return self.decoder(2.0 * self.encoder(x))


class DrawsAtInference(Sound):
    def __init__(self, input_shape: tuple[int, ...] = (6,)):
        super().__init__(input_shape)
        self.seed_generator = keras.random.SeedGenerator(0)

    def call(self, x, training=False):
        y = super().call(x, training)
        return y + 0.1 * keras.random.normal(ops.shape(y), seed=self.seed_generator)


class LooksAtItsNeighbours(Sound):
    def call(self, x, training=False):
        return super().call(x - ops.mean(x, axis=0, keepdims=True), training)


class Overflows(Sound):
    def call(self, x, training=False):
        large = ops.cast(x, self.compute_dtype) * 60_000.0
        return super().call(large * 60_000.0 / 60_000.0 / 60_000.0, training)


class WantsEvenSizes(Sound):
    def __init__(self, input_shape: tuple[int, ...] = (6,)):
        if input_shape[0] % 2:
            raise ValueError("odd")
        super().__init__(input_shape)


class TakesAnything(Sound):
    def check_rows(self, rows, name):
        pass


FAULTS = {
    "the_same_seed_gives_the_same_weights": Unseeded,
    "building_leaves_random_state_alone": Unseeded,
    "config_round_trip_is_exact": ForgetsItsName,
    "a_saved_model_answers_alike": KeepsAnArrayThatIsNoWeight,
    "a_clone_with_the_same_weights_answers_alike": KeepsAnArrayThatIsNoWeight,
    "training_lowers_the_loss": Climbs,
    "every_weight_gets_a_gradient": HasALooseLayer,
    "every_loss_weight_changes_the_loss": IgnoresItsWeight,
    "the_target_matters": IgnoresItsTarget,
    "fit_takes_rows_with_and_without_a_target": LearnsZerosAlone,
    "decoding_the_code_reconstructs": ChangesTheCode,
    "predict_and_evaluate_repeat": DrawsAtInference,
    "a_row_alone_is_answered_as_in_a_batch": LooksAtItsNeighbours,
    "mixed_precision_stays_finite": Overflows,
    "odd_sizes_work": WantsEvenSizes,
    "wrong_shapes_are_refused_with_the_right_one": TakesAnything,
    "nan_is_refused": TakesAnything,
    "the_exported_bundle_answers_alike": DrawsAtInference,
}


def entry_of(builder, **fields):
    values = {
        "schema_version": 1,
        "name": "faulty",
        "title": "Faulty",
        "summary": "Has one fault.",
        "task": "reconstruction",
        "modality": "features",
        "builder": f"{__name__}:{builder.__name__}",
    }
    return Entry(**values | fields)


@pytest.mark.parametrize("check", FAULTS)
def test_a_check_catches_the_fault_that_it_is_for(check):
    result = checks.run_check(entry_of(FAULTS[check]), check)
    assert result.outcome == "failed", result


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("trainable_parameters", 1),
        ("latent_shape", (4,)),
        ("output_shape", (7,)),
        ("loss_terms", {"loss": "", "kl_loss": ""}),
    ],
)
def test_an_expectation_that_does_not_hold_is_a_failure(field, value):
    count = 6 * 5 + 5 + 5 * 3 + 3 + 3 * 5 + 5 + 5 * 6 + 6
    holds = {
        "trainable_parameters": count,
        "latent_shape": (3,),
        "output_shape": (6,),
        "loss_terms": {"loss": "", "reconstruction_loss": ""},
    }
    check = "it_builds_as_expected"
    assert checks.run_check(entry_of(Sound, expect=holds), check).outcome == "passed"
    result = checks.run_check(entry_of(Sound, expect=holds | {field: value}), check)
    assert result.outcome == "failed"
    assert field in result.message


def test_a_saved_model_is_asked_for_more_than_its_reconstruction():
    entry = entry_of(ScoresByANumberThatIsNoWeight)
    result = checks.run_check(entry, "a_saved_model_answers_alike")
    assert result.outcome == "failed"
    assert "score gives another score when loaded" in result.message


def test_a_conversion_that_drops_biases_is_caught(monkeypatch):
    convert, dropped = onnx_graph.convert, []

    def faulty(endpoint, model):
        graph = convert(endpoint, model)
        for tensor in graph.graph.initializer:
            if list(tensor.dims) == [5]:  # the biases of the hidden layer
                zeros = np.zeros(5, "float32")
                tensor.CopyFrom(onnx.numpy_helper.from_array(zeros, tensor.name))
                dropped.append(tensor.name)
        return graph

    monkeypatch.setattr(onnx_graph, "convert", faulty)
    entry = entry_of(Sound, name="loses_biases", export={"endpoints": ["encode"]})
    result = checks.run_check(entry, "the_exported_bundle_answers_alike")
    assert result.outcome == "failed"
    assert "answers 'encode' differently from Keras: 'latent'" in result.message
    assert dropped


def test_a_conversion_that_differs_each_time_is_caught(monkeypatch):
    convert, count = onnx_graph.convert, itertools.count()

    def faulty(endpoint, model):
        graph = convert(endpoint, model)
        graph.graph.name = f"number {next(count)}"
        return graph

    monkeypatch.setattr(onnx_graph, "convert", faulty)
    entry = entry_of(Sound, name="differs", export={"endpoints": ["encode"]})
    result = checks.run_check(entry, "an_endpoint_converted_again_gives_the_same_bytes")
    assert result.outcome == "failed" and "encode" in result.message


@pytest.mark.parametrize("name", ["unet", "vallina_ae"])
def test_no_weight_of_an_exported_model_is_as_it_was_built(name):
    bench = bench_of(find(name))
    for new, weight in zip(bench.restored().weights, bench.seasoned.weights, strict=True):
        values = weight.numpy()
        assert (values != new.numpy()).all(), weight.path
        assert (values > 0).all() or not weight.path.endswith("variance")


def test_both_decisions_of_detect_are_asked_of_a_bundle():
    with exporting.bundle_of(find("vallina_ae")) as bundle, np.load(bundle / "probe.npz") as probe:
        assert set(probe["detect.out.anomalous"].flat) == {False, True}


def test_a_verification_that_sees_nothing_is_caught(monkeypatch):
    monkeypatch.setattr("aezoo.export.verify_bundle", lambda path: None)
    check = "a_changed_byte_in_the_bundle_is_detected"
    result = checks.run_check("vallina_ae", check)
    assert result.outcome == "failed"
    assert "is not refused" in result.message


def test_every_check_has_a_model_that_fails_it():
    tested_above = {
        "it_builds_as_expected",
        "an_endpoint_converted_again_gives_the_same_bytes",
        "a_changed_byte_in_the_bundle_is_detected",
    }
    assert set(NAMES) == set(FAULTS) | tested_above


# ---- expected failures, and running all ----


def test_an_expected_failure_is_strict():
    check = "every_weight_gets_a_gradient"
    expected = {"expected_failures": {check: "the loose layer is for later"}}
    result = checks.run_check(entry_of(HasALooseLayer, checks=expected), check)
    assert result.outcome == "failed as expected"
    assert result.ok
    mended = checks.run_check(entry_of(Sound, checks=expected), check)
    assert mended.outcome == "passed unexpectedly"
    assert not mended.ok
    assert "the loose layer is for later" in mended.message


def test_a_misspelt_check_is_refused():
    with pytest.raises(aezoo.ZooError, match="Did you mean 'nan_is_refused'"):
        checks.run_check("conv_ae", "nan_is_refusd")
    misspelt = entry_of(Sound, checks={"expected_failures": {"odd_size_works": "why"}})
    with pytest.raises(aezoo.ZooError, match="Did you mean 'odd_sizes_work'"):
        checks.run_check(misspelt, "nan_is_refused")


def test_run_names_every_check_that_fails(monkeypatch):
    some = ["every_weight_gets_a_gradient", "config_round_trip_is_exact", "nan_is_refused"]
    functions = dict(checks.all_checks())
    monkeypatch.setattr(running, "all_checks", lambda: [(name, functions[name]) for name in some])
    with pytest.raises(aezoo.ZooError, match=r"fails 1 of 3 checks: every_weight_gets_a_gradient"):
        checks.run(entry_of(HasALooseLayer))
    results = checks.run(entry_of(HasALooseLayer), raising=False)
    assert [result.outcome for result in results] == ["failed", "passed", "passed"]
    assert str(results[1]) == "faulty: config round trip is exact: passed"


def test_a_model_of_ones_own_in_two_files_passes_the_checks(tmp_path, monkeypatch):
    (tmp_path / "tall_ae.py").write_text(
        textwrap.dedent("""
        import keras
        from aezoo.autoencoder import Autoencoder

        @keras.saving.register_keras_serializable(package="tall")
        class TallAE(Autoencoder):
            def __init__(self, input_shape: tuple[int, ...] = (6,), latent_dim: int = 2):
                dense, rows = keras.layers.Dense, keras.Input
                super().__init__(
                    encoder=keras.Sequential([rows(input_shape), dense(latent_dim)]),
                    decoder=keras.Sequential(
                        [rows((latent_dim,)), dense(input_shape[0], dtype="float32")]
                    ),
                )
        """)
    )
    (tmp_path / "tall_ae.yaml").write_text(
        textwrap.dedent("""
        schema_version: 1
        name: tall_ae
        title: Tall
        summary: One layer each way.
        task: reconstruction
        modality: features
        builder: tall_ae:TallAE
        expect:
          trainable_parameters: 32
          latent_shape: [2]
          output_shape: [6]
          loss_terms: {loss: reconstruction_loss, reconstruction_loss: mean squared error}
        """)
    )
    quick = [pair for pair in checks.all_checks() if "bundle" not in pair[0]]
    monkeypatch.setattr(running, "all_checks", lambda: quick)  # exports are tried above
    results = checks.run(str(tmp_path / "tall_ae.yaml"))
    assert [result.check for result in results] == [name for name, _ in quick]
    outcomes = {result.check: result.outcome for result in results}
    assert outcomes.pop("every_loss_weight_changes_the_loss") == "does not apply"
    assert set(outcomes.values()) == {"passed"}
    with contextlib.suppress(KeyError):
        del keras.saving.get_custom_objects()["tall>TallAE"]
