"""The stacked autoencoder: layer by layer, as a whole, and with labels."""

import csv

import keras
import numpy as np
import pytest
from long_epoch import long_epoch
from resumption import train_and_resume

import aezoo
from aezoo.data import load
from aezoo.errors import ZooError
from aezoo.measures.classification import fine_tuned_error
from aezoo.models.denoising import Denoiser
from aezoo.models.stacked import classifier_of

TINY = {"input_shape": (12,), "widths": (10, 3)}


@pytest.fixture(scope="module")
def rows():
    """Rows in [0, 1] that four numbers make."""
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(200, 4)) @ rng.normal(size=(4, 12))
    return (1 / (1 + np.exp(-2 * raw))).astype("float32")


def tiny(**arguments):
    model = aezoo.build("stacked_ae", seed=0, **TINY | arguments)
    model.compile(keras.optimizers.Adam(0.02), model.default_loss, steps_per_execution=4)
    return model


def weights_of(layer):
    return [weight.numpy() for weight in layer.weights]


def test_pairs_join_each_layer_with_the_one_that_undoes_it():
    shapes = [(up.kernel.shape, down.kernel.shape) for up, down in tiny().pairs()]
    assert shapes == [((12, 10), (10, 12)), ((10, 3), (3, 10))]


def test_each_layer_is_trained_while_those_below_stay_as_they_are(rows):
    model = tiny()
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen.append([weights_of(up) + weights_of(down) for up, down in model.pairs()])

    model.pretrain(rows, epochs=2, batch_size=50, callbacks=(Watch(),))
    seen.append([weights_of(up) + weights_of(down) for up, down in model.pairs()])
    for stage in range(2):
        before, after = seen[stage], seen[stage + 1]
        for number in range(2):
            moved = [
                (one != two).any() for one, two in zip(before[number], after[number], strict=True)
            ]
            assert all(moved) if number == stage else not any(moved)


def test_the_second_layer_learns_the_codes_of_the_first(rows):
    """Its history is that of a denoiser of its own which is given those codes."""
    model, twin = tiny(level=0.0), tiny(level=0.0)
    history = model.pretrain(rows, epochs=2, batch_size=200)
    (first, first_back), (second, second_back) = twin.pairs()
    layers = []
    for up, down, width in ((first, first_back, 12), (second, second_back, 10)):
        layer = Denoiser(
            keras.Sequential([keras.Input((width,)), up]),
            keras.Sequential([keras.Input((up.units,)), down]),
            twin.corruption,
        )
        layer.compile(keras.optimizers.Adam(0.02), "binary_crossentropy")
        layers.append(layer)
    expected = layers[0].fit(rows, epochs=2, batch_size=200, verbose=0).history["loss"]
    codes = np.asarray(first(rows))
    expected += layers[1].fit(codes, epochs=2, batch_size=200, verbose=0).history["loss"]
    assert [(row["layer"], row["epoch"]) for row in history] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    np.testing.assert_allclose([row["loss"] for row in history], expected, rtol=1e-4)


def test_pretraining_gives_a_deep_network_a_better_start(rows):
    plain, pretrained = tiny(), tiny()
    history = pretrained.pretrain(long_epoch(rows, 15), epochs=2, batch_size=50)
    losses = {layer: [r["loss"] for r in history if r["layer"] == layer] for layer in (1, 2)}
    assert all(values[-1] < values[0] for values in losses.values())
    error = {}
    for name, model in (("plain", plain), ("pretrained", pretrained)):
        keras.utils.set_random_seed(0)
        model.fit(long_epoch(rows, 5), batch_size=50, shuffle=False, verbose=0)
        error[name] = model.evaluate(rows, verbose=0, return_dict=True)["loss"]
    assert error["pretrained"] < error["plain"] - 0.01


def test_each_layer_corrupts_what_it_sees(rows):
    """All is masked, so that nothing but the mean of each value can be learned."""
    model = tiny(level=1.0, widths=(10,))
    history = model.pretrain(long_epoch(rows, 15), epochs=10, batch_size=200)
    mean = rows.mean(axis=0, dtype="float64")
    entropy = -(mean * np.log(mean) + (1 - mean) * np.log(1 - mean)).mean()
    assert history[-1]["loss"] == pytest.approx(entropy, abs=0.002)


def test_training_pretrains_once_and_resumes_to_the_same_bits(rows, tmp_path):
    recipe = {
        "widths": (5, 3),
        "pretrain_epochs": 2,
        "batch_size": 50,
    }
    whole, resumed = train_and_resume("stacked_ae", rows, tmp_path, **recipe)
    with (tmp_path / "whole" / "pretraining.csv").open() as file:
        written = list(csv.DictReader(file))
    assert [(row["layer"], row["epoch"]) for row in written] == [
        ("1", "1"),
        ("1", "2"),
        ("2", "1"),
        ("2", "2"),
    ]
    kept = (run.directory / "pretraining.csv" for run in (whole, resumed))
    assert len({path.read_bytes() for path in kept}) == 1


def test_fine_tuning_a_trained_model_does_not_pretrain_it_again(rows, tmp_path):
    model = tiny(widths=(5, 3))
    run = aezoo.train(
        model=model, data=rows, out=tmp_path / "run", epochs=1, figures=False, verbose=False
    )
    assert run.model.entry.train.pretrain_epochs == 0
    assert not (tmp_path / "run" / "pretraining.csv").exists()


def test_a_model_without_pretraining_says_so_and_leaves_no_run(rows, tmp_path):
    with pytest.raises(ZooError, match="vallina_ae has no pretraining"):
        aezoo.train(
            "vallina_ae",
            rows,
            out=tmp_path / "run",
            pretrain_epochs=2,
            figures=False,
            verbose=False,
        )
    assert list((tmp_path / "run").iterdir()) == []


def test_rows_of_another_shape_are_refused_by_pretraining(rows):
    with pytest.raises(ZooError, match="does not take"):
        tiny().pretrain(rows[:, :5], epochs=1)


# ---- classifier ----


def test_a_classifier_begins_as_the_encoder_and_leaves_it_alone(rows):
    model = tiny()
    network = classifier_of(model, classes=2, dropout=0.2)
    before = model.encoder(rows).numpy()
    head = network.get_layer("head")
    logits = before @ head.kernel.numpy() + head.bias.numpy()
    odds = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(network(rows), odds, atol=1e-6)
    labels = (rows[:, 0] > 0.5).astype(int)
    network.compile("adam", "sparse_categorical_crossentropy")
    network.fit(rows, labels, epochs=2, verbose=0)
    assert np.abs(network.layers[1](rows) - model.encoder.layers[0](rows)).max() > 0
    np.testing.assert_array_equal(model.encoder(rows), before)
    again = classifier_of(model, classes=2, dropout=0.2).get_layer("head")
    np.testing.assert_array_equal(
        again.kernel, classifier_of(model, classes=2).get_layer("head").kernel
    )


def test_a_classifier_wants_a_chain_of_layers_to_a_vector():
    with pytest.raises(ZooError, match="no chain of layers to a vector"):
        classifier_of(aezoo.build("conv_ae"), classes=2)
    with pytest.raises(ZooError, match="no chain of layers to a vector"):
        classifier_of(aezoo.build("vae"), classes=2)


def test_the_error_of_the_classifier_is_that_of_labels_it_gets_wrong():
    dataset = load("digits")
    model = aezoo.build("stacked_ae", seed=0, input_shape=(8, 8, 1), widths=(64,))
    model.fit_preprocessing(dataset.train.array())
    before = model.get_weights()
    errors = fine_tuned_error(model, dataset)
    assert list(errors) == ["test_error", "validation_error"]
    assert 0 <= errors["test_error"] < 25  # chance: 90
    for one, two in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    dataset.test = None
    with pytest.raises(ZooError, match="labelled training, validation and test rows"):
        fine_tuned_error(model, dataset)
