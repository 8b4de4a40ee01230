"""Tied and contractive autoencoders against closed forms and automatic differentiation."""

import zipfile
from io import BytesIO

import h5py
import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
from long_epoch import long_epoch

import aezoo
from aezoo.layers.tied_dense import TiedDense


@pytest.fixture
def rows(rng):
    return rng.random((5, 7)).astype("float32")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def tied(**arguments):
    return aezoo.build("tied_ae", seed=0, **{"input_shape": (7,), "latent_dim": 4} | arguments)


def forward(model, x):
    """Return kernel, code and reconstruction of a one-layer tied model, in float64."""
    kernel, bias, back = (weight.astype("float64") for weight in model.get_weights())
    code = sigmoid(x @ kernel + bias)  # (B, D)
    return kernel, code, sigmoid(code @ kernel.T + back)


def season(model, rng):
    """Give biases, which are built as zeros, values of their own."""
    model.set_weights([0.5 * rng.normal(size=w.shape) for w in model.get_weights()])


# ---- tied ----


def test_the_gradients_are_those_worked_out_by_hand(rows, rng):
    model = tied()
    season(model, rng)
    noisy, clean = rows, rng.random(rows.shape).astype("float32")
    with tf.GradientTape() as tape:
        loss = model.compute_loss(noisy, clean, model(noisy))
    found = tape.gradient(loss, model.trainable_weights)
    kernel, y, z = forward(model, noisy)
    delta = ((z - clean) @ kernel) * y * (1 - y)  # (B, D)
    count = len(rows)
    expected = [
        (noisy.T @ delta + (z - clean).T @ y) / count,
        delta.mean(axis=0),
        (z - clean).mean(axis=0),
    ]
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)
    value = -(clean * np.log(z) + (1 - clean) * np.log(1 - z)).sum(axis=1).mean()
    assert float(loss) == pytest.approx(value, rel=1e-5)


def test_a_step_is_plain_gradient_descent(rows):
    model = tied(level=0.0)
    for _ in range(2):  # with momentum, the second step would go further
        kernel, y, z = forward(model, rows)
        delta = ((z - rows) @ kernel) * y * (1 - y)
        gradient = (rows.T @ delta + (z - rows).T @ y) / len(rows)
        model.fit(rows, batch_size=5, verbose=0)
        np.testing.assert_allclose(model.get_weights()[0], kernel - 0.1 * gradient, atol=1e-5)


def test_a_recipe_may_set_the_momentum_of_sgd(rows, tmp_path):
    runs = [
        aezoo.train("tied_ae", rows, latent_dim=3, epochs=3, out=tmp_path / str(m), momentum=m,
                    level=0.0, validation=0.0, verbose=False)
        for m in (0.0, 0.9)
    ]  # fmt: skip
    plain, heavy = (run.model.get_weights()[0] for run in runs)
    assert np.abs(plain - heavy).max() > 1e-3
    assert runs[1].model.optimizer.momentum == pytest.approx(0.9)


def test_both_ends_are_one_variable_also_when_saved_loaded_and_cloned(tmp_path, rows):
    model = tied()
    model.save(tmp_path / "model.keras")
    archive = zipfile.ZipFile(tmp_path / "model.keras").read("model.weights.h5")
    stored = []
    with h5py.File(BytesIO(archive)) as file:
        file.visititems(lambda name, item: stored.append(getattr(item, "shape", None)))
    assert stored.count((7, 4)) == 1
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    clone = keras.models.clone_model(model)
    for other in (model, loaded, clone):
        before = other(rows).numpy()
        other.encoder.get_layer("latent").kernel.assign_add(np.ones((7, 4)))
        _, _, z = forward(other, rows)
        np.testing.assert_allclose(other(rows), z, atol=1e-6)  # the decoder has moved too
        assert np.abs(other(rows) - before).max() > 0.01
        assert len(other.trainable_weights) == 3


def test_a_copy_of_the_decoder_alone_stands_on_its_own(rows):
    model = tied()
    copy = keras.models.clone_model(model.decoder)
    copy.set_weights(model.decoder.get_weights())
    code = model.encoder(rows)
    expected = model.decoder(code).numpy()
    model.encoder.get_layer("latent").kernel.assign(np.zeros((7, 4)))
    np.testing.assert_array_equal(copy(code), expected)
    assert isinstance(copy.layers[0], TiedDense)


def test_the_exported_graph_of_both_ways_holds_the_matrix_once(tmp_path, rows):
    model = tied(input_shape=(40,), latent_dim=30)
    aezoo.export_bundle(model, tmp_path / "bundle", sample=np.tile(rows, (1, 6))[:, :40])
    graph = onnx.load(tmp_path / "bundle" / "onnx" / "reconstruct.onnx").graph
    sizes = [int(np.prod(tensor.dims)) for tensor in graph.initializer]
    assert sizes.count(40 * 30) == 1


@pytest.mark.parametrize("kind", ["gaussian", "masking", "salt_and_pepper"])
def test_each_corruption_is_undone_in_part(kind):
    stripes = np.zeros((300, 16), "float32")
    starts = np.random.default_rng(0).integers(0, 12, 300)
    for row, start in zip(stripes, starts, strict=True):
        row[start : start + 5] = 1
    model = tied(input_shape=(16,), latent_dim=24, corruption=kind, level=0.3)
    model.compile(keras.optimizers.SGD(0.5), model.default_loss, steps_per_execution=10)
    keras.utils.set_random_seed(0)
    model.fit(long_epoch(stripes[:200], 60), batch_size=20, shuffle=False, verbose=0)
    noisy = np.asarray(model.corruption.corrupt(stripes[200:], 5))
    left = ((model(noisy) - stripes[200:]) ** 2).numpy().mean()
    assert left < 0.6 * ((noisy - stripes[200:]) ** 2).mean()


# ---- contractive ----


def contractive(**arguments):
    options = {"input_shape": (7,), "latent_dim": 4} | arguments
    return aezoo.build("contractive_ae", seed=0, **options)


@pytest.mark.parametrize("shape", [(7,), (3, 2, 1)])
def test_the_penalty_is_the_jacobian_that_automatic_differentiation_gives(shape, rng):
    model = contractive(input_shape=shape)
    season(model, rng)
    x = tf.constant(rng.random((5, *shape)), "float32")
    with tf.GradientTape() as tape:
        tape.watch(x)
        code = model.encoder(x)
    jacobian = tape.batch_jacobian(code, x).numpy().reshape(5, -1)
    expected = (jacobian**2).sum(axis=1)
    np.testing.assert_allclose(model.squared_jacobian(code), expected, rtol=1e-5)
    logs = model.evaluate(x.numpy(), batch_size=5, verbose=0, return_dict=True)
    assert logs["contraction_loss"] == pytest.approx(expected.mean(), rel=1e-5)
    assert logs["loss"] == pytest.approx(logs["reconstruction_loss"] + 0.1 * expected.mean())


def test_a_contractive_code_moves_less_for_the_same_change_of_the_row():
    """Not only near 0: the reconstruction is kept, so the code still tells rows apart."""
    rng = np.random.default_rng(0)
    x = sigmoid(3 * rng.normal(size=(400, 3)) @ rng.normal(size=(3, 12))).astype("float32")
    step = 0.05 * rng.normal(size=x[300:].shape).astype("float32")
    moved, errors = [], []
    for weight in (0.0, 0.5):
        model = contractive(input_shape=(12,), latent_dim=20, contraction_weight=weight)
        model.compile(keras.optimizers.Adam(0.02), model.default_loss, steps_per_execution=6)
        keras.utils.set_random_seed(0)
        model.fit(long_epoch(x[:300], 60), batch_size=50, shuffle=False, verbose=0)
        code = model.encoder(x[300:])
        moved.append(float(np.linalg.norm(model.encoder(x[300:] + step) - code, axis=1).mean()))
        errors.append(((model(x[300:]) - x[300:]) ** 2).numpy().mean())
    assert moved[1] < 0.7 * moved[0]
    assert errors[1] < 0.5 * x[300:].var(axis=0).mean()
