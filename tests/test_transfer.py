"""An encoder that has seen rows without labels, and the classifiers and regressors on it."""

import json

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import colormaps
from PIL import Image
from sklearn.linear_model import LogisticRegression
from typer.testing import CliRunner

import aezoo
from aezoo.augment import augment
from aezoo.cli import app
from aezoo.errors import ZooError
from aezoo.export import Bundle
from aezoo.tasks import transfer, transfer_report
from aezoo.tasks.transfer import drawn
from aezoo.transfer import fit_head, from_scratch

SHAPE, KINDS = (8, 8, 1), ("across", "down")


def pictures(count: int) -> tuple[np.ndarray, np.ndarray]:
    """8-bit stripes of any phase, and whether they run across (0) or down (1)."""
    rng = np.random.default_rng(0)
    label = np.arange(count) % 2
    wave = 128 + 100 * np.sin(np.arange(8) * np.pi / 2 + 2 * np.pi * rng.random((count, 1)))
    stripes = np.broadcast_to(wave[:, :, None], (count, 8, 8))
    x = np.where(label[:, None, None] == 0, stripes, stripes.transpose(0, 2, 1))
    noisy = np.clip(x + rng.normal(0, 5, x.shape), 0, 255)
    return noisy.astype("uint8")[..., None], label


@pytest.fixture(scope="module")
def base():
    """A model that has seen some pictures."""
    model = aezoo.build("conv_ae", input_shape=SHAPE, filters=(4,), seed=0)
    model.fit(model.adapt(pictures(64)[0]), epochs=2, verbose=0)
    return model


@pytest.fixture(scope="module")
def tuned(base):
    """A classifier that has learned on it, layer by layer slower, and what it learned from."""
    x, y = pictures(64)
    model = aezoo.classifier(base, KINDS, layer_decay=0.5, learning_rate=0.02, seed=0)
    model.fit(np.asarray(model.preprocessing.apply(x)), y, epochs=12, verbose=0)
    return model


def labels_of(model, x) -> list[int]:
    return model.endpoint("classify")(image=x)["label"][:, 0].tolist()


# ---- what it begins as ----


def test_a_classifier_begins_as_the_encoder_and_leaves_the_model_alone(base):
    x, y = pictures(16)
    before = base.get_weights()
    model = aezoo.classifier(base, 2, seed=0)
    code, own = (m.endpoint("encode")(image=x)["latent"] for m in (base, model))
    np.testing.assert_array_equal(own, code)
    model.fit(np.asarray(base.preprocessing.apply(x)), y, epochs=1, verbose=0)
    for now, then in zip(base.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert not np.array_equal(model.endpoint("encode")(image=x)["latent"], code)


def test_a_frozen_encoder_stays_as_it_is_while_the_head_learns(base):
    x, y = pictures(64)
    model = aezoo.classifier(base, 2, frozen=True, learning_rate=0.02, seed=0)
    head = model.decoder.get_weights()
    model.fit(np.asarray(model.preprocessing.apply(x)), y, epochs=12, verbose=0)
    for now, then in zip(model.encoder.get_weights(), base.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(now, then)
    assert not np.array_equal(model.decoder.get_weights()[0], head[0])
    assert labels_of(model, x) == y.tolist()


def test_from_scratch_is_the_same_network_with_other_weights(base):
    model = aezoo.classifier(base, 2, frozen=True, seed=0)
    new = from_scratch(model, seed=1)
    shapes = [[w.shape for w in m.get_weights()] for m in (new, model)]
    assert shapes[0] == shapes[1] and len(new.trainable_variables) == 4
    assert not np.allclose(new.encoder.get_weights()[0], model.encoder.get_weights()[0])
    assert new.preprocessing == model.preprocessing


def test_the_code_of_a_variational_model_is_its_mean():
    vae = aezoo.build("vae", input_shape=(6,), hidden=(5,), latent_dim=2, seed=0)
    x = np.random.default_rng(0).random((4, 6), "float32")
    model = aezoo.classifier(vae, 3)
    mean = vae.endpoint("encode")(features=x)["latent"]
    np.testing.assert_array_equal(model.endpoint("encode")(features=x)["latent"], mean)
    assert len(model.trainable_variables) == 6  # hidden, mean and head: no log-variance


def test_pooling_takes_the_mean_or_the_largest_over_places(base):
    x = pictures(3)[0]
    code = base.endpoint("encode")(image=x)["latent"]  # (3, 4, 4, 4)
    for pooling, pooled in (("mean", code.mean((1, 2))), ("max", code.max((1, 2)))):
        model = aezoo.classifier(base, 2, pooling=pooling, seed=0)
        kernel, bias = model.decoder.get_weights()
        powers = np.exp(pooled @ kernel + bias)
        told = model.endpoint("classify")(image=x)["probabilities"]
        np.testing.assert_allclose(told, powers / powers.sum(1, keepdims=True), rtol=1e-5)


# ---- a rate for each layer ----


def test_each_layer_learns_at_its_own_rate(base):
    x, y = pictures(32)
    model = aezoo.classifier(base, 2, layer_decay=0.25, learning_rate=0.01, seed=0)
    before = model.get_weights()
    model.fit(np.asarray(model.preprocessing.apply(x)), y, batch_size=32, epochs=1, verbose=0)
    moved = [np.abs(a - b).max() for a, b in zip(model.get_weights(), before, strict=True)]
    # Adam's first step is its rate; conv is one layer below the head.
    np.testing.assert_allclose(moved, [0.0025, 0.0025, 0.01, 0.01], rtol=0.01)


def test_rates_and_answers_outlive_saving_and_training_goes_on(tuned, tmp_path):
    x, y = pictures(32)
    again = aezoo.load(aezoo.save(tuned, tmp_path / "tuned.keras"))
    assert again.optimizer.factors == tuned.optimizer.factors == (0.5, 0.5, 1.0, 1.0)
    told = [m.endpoint("classify")(image=x)["probabilities"] for m in (again, tuned)]
    np.testing.assert_array_equal(*told)
    history = again.fit(np.asarray(again.preprocessing.apply(x)), y, epochs=1, verbose=0).history
    assert history["accuracy"] == [1.0]


def test_a_rate_for_each_layer_is_adams_alone(base):
    entry = aezoo.classifier(base, 2, layer_decay=0.5).entry
    recipe = entry.train.model_copy(update={"optimizer": "sgd"})
    with pytest.raises(ZooError, match="layer_decay is for adam"):
        aezoo.registry.build_entry(entry.model_copy(update={"train": recipe}))


# ---- real targets ----


def test_a_regressor_answers_in_the_units_of_its_targets(base, tmp_path):
    x, _ = pictures(64)
    y = x[:, 3, 3] * [100.0, -1e-4] + [1e4, 0.0]  # (64, 2)
    model = aezoo.regressor(base, outputs=2, learning_rate=0.02, seed=0)
    model.fit(np.asarray(model.preprocessing.apply(x)), y, epochs=60, verbose=0)
    told = model.endpoint("predict")(image=x)["prediction"]
    assert (np.abs(told - y).mean(axis=0) < 0.25 * y.std(axis=0)).all()
    again = aezoo.load(aezoo.save(model, tmp_path / "m.keras"))
    np.testing.assert_array_equal(again.endpoint("predict")(image=x)["prediction"], told)
    bundle = aezoo.export_bundle(again, tmp_path / "bundle")
    answered = bundle.predict("predict", image=x)["prediction"]
    np.testing.assert_allclose(answered, told, rtol=1e-5, atol=1e-6)


# ---- a head that is solved ----


@pytest.mark.parametrize("classes", [(0, 1), (0, 1, 3)], ids=["two", "three of four"])
def test_a_solved_head_answers_as_the_logistic_regression_of_its_codes_does(base, classes):
    x, y = pictures(60)
    y = np.where(np.arange(60) % 3 == 0, classes[-1], y)
    model = aezoo.classifier(base, max(classes) + 1, frozen=True, seed=0)
    rows = np.asarray(model.preprocessing.apply(x))
    told = fit_head(model, rows, y).endpoint("classify")(image=x)["probabilities"]
    codes = base.endpoint("encode")(image=x)["latent"].reshape(60, -1)
    scaled = (codes - codes.mean(axis=0)) / codes.std(axis=0)
    known = [
        LogisticRegression(C=c, max_iter=1000).fit(scaled, y).predict_proba(scaled)
        for c in 10.0 ** np.arange(-3, 3)
    ]
    nearest = min(np.abs(told[:, list(classes)] - one).max() for one in known)
    assert nearest < 1e-3
    others = [c for c in range(max(classes) + 1) if c not in classes]
    assert (told[:, others] < 1e-3).all()


def test_a_solved_head_of_a_regressor_finds_an_affine_map_of_the_code(base):
    x, _ = pictures(60)
    codes = base.endpoint("encode")(image=x)["latent"].reshape(60, -1)
    y = codes[:, :2] * [50.0, -2.0] + [1000.0, 0.0]
    model = aezoo.regressor(base, outputs=2, frozen=True, seed=0)
    fit_head(model, np.asarray(model.preprocessing.apply(x)), y)
    told = model.endpoint("predict")(image=x)["prediction"]
    assert (np.abs(told - y).max(axis=0) < 0.05 * y.std(axis=0)).all()


def test_a_frozen_encoder_is_solved_and_not_trained(base, tmp_path):
    made = transfer.fit(base, pictures(60), tmp_path / "out", frozen=True, verbose=False, epochs=1)
    assert not (tmp_path / "out" / "run").exists()
    assert made.measured["conv_ae_classifier, frozen"]["accuracy"] == 1.0
    codes, solved = base.encoder.get_weights(), made.model.encoder.get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(codes, solved, strict=True))


# ---- the task ----


@pytest.fixture(scope="module")
def made(base, tmp_path_factory):
    """What the command made of a folder of PNGs for each class, and what it said."""
    folder = tmp_path_factory.mktemp("transfer")
    for i, (x, y) in enumerate(zip(*pictures(60), strict=True)):
        (folder / "photos" / KINDS[y]).mkdir(exist_ok=True, parents=True)
        Image.fromarray(x[..., 0]).save(folder / "photos" / KINDS[y] / f"{i:02}.png")
    start, out = aezoo.save(base, folder / "base.keras"), folder / "out"
    command = ["transfer", start, "--data", folder / "photos", "--out", out, "--labels", 10]
    quick = ["--set", "epochs=6", "--set", "learning_rate=0.005", "--set", "augment=[shift]"]
    result = CliRunner().invoke(app, [*map(str, command), *quick])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return out, result.output


def test_the_page_counts_what_was_told_and_shows_predictions(rng, tmp_path):
    truth, told = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 1])
    path = transfer_report.confusion(truth, told, ["cat", "dog"], tmp_path / "confusion.png")
    with Image.open(path) as drawn:
        pixels = np.asarray(drawn.convert("RGB"), int)
    colours, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)
    common = colours[np.argsort(-counts)[:5]].tolist()
    shares = (0, 1 / 3, 2 / 3, 1)  # of cat, told dog and cat; of dog, alike
    for share in shares:
        expected = np.round(255 * np.array(colormaps["Greens"](share)[:3]))
        assert min(np.abs(np.array(common) - expected).max(axis=1)) <= 1
    values = rng.normal(size=(9, 2))
    path = transfer_report.scatter(values, values + 0.1, tmp_path / "predictions.png")
    with Image.open(path) as drawn:
        assert drawn.width > 1.7 * drawn.height  # two panels


def test_the_command_measures_beside_the_same_network_and_an_svm(made):
    out, said = made
    measured = json.loads((out / "measured.json").read_text())
    ours, *beside = measured
    assert ours == "conv_ae_classifier, fine-tuned" and measured[ours]["accuracy"] == 1.0
    assert beside == ["the same network from scratch", "SVM on the rows"]
    assert "10 training rows, 12 test rows" in said and "aezoo predict" in said
    page = (out / "report.html").read_text()
    assert f"<td>{ours}</td><td>1</td>" in page and "10 rows with labels trained" in page
    with pytest.raises(ZooError, match="exists"):
        transfer.fit(out / "run", out.parent / "photos", out)


def test_the_bundle_answers_as_the_run_does_and_names_its_classes(made):
    out, _ = made
    x, y = pictures(20)
    bundle, run = Bundle(out / "bundle"), aezoo.load(out / "run")
    told = bundle.predict("classify", image=x)
    assert told["label"][:, 0].tolist() == y.tolist()  # classes count in the order of their names
    probabilities = run.endpoint("classify")(image=x)["probabilities"]
    np.testing.assert_allclose(told["probabilities"], probabilities, atol=1e-5)
    label = bundle.endpoints[0].tensor("label")
    assert label.description == "The most probable class: 0 across, 1 down."
    assert json.loads((out / "bundle" / "manifest.json").read_text())["metrics"]


def test_a_classifier_is_a_start_too(made):
    x = pictures(3)[0]
    first, next_ = (aezoo.load(made[0] / "bundle"), aezoo.classifier(made[0] / "bundle", 3))
    code = [model.endpoint("encode")(image=x)["latent"] for model in (first, next_)]
    np.testing.assert_array_equal(*code)
    assert next_.endpoint("classify")(image=x)["probabilities"].shape == (3, 3)


def test_labels_are_drawn_alike_from_each_class():
    labels = np.repeat([0, 1, 2], [50, 20, 5])
    first, again, other = (drawn(labels, 9, seed) for seed in (0, 0, 1))
    assert labels[first].tolist() == labels[other].tolist() == [0] * 3 + [1] * 3 + [2] * 3
    assert first.tolist() == again.tolist() != other.tolist()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=4, max_size=40), st.integers(0, 9), st.data())
def test_a_draw_takes_no_row_twice_and_every_class(labels, seed, data):
    labels = np.array(labels)
    classes, sizes = np.unique(labels, return_counts=True)
    count = data.draw(st.integers(len(classes), len(labels)))
    chosen = drawn(labels, count, seed)
    assert len(np.unique(chosen)) == len(chosen) == count
    taken = [int((labels[chosen] == c).sum()) for c in classes]
    least = min(taken)
    assert all(t in (least, least + 1) or t > least for t in taken) and least >= 1
    assert all(t == n or t >= max(taken) - 1 for t, n in zip(taken, sizes, strict=True))


def test_classes_stay_where_pictures_are_changed():
    x, y = tf.random.stateless_uniform((6, 4, 4, 1), (0, 0)), tf.range(6)
    changed, same = augment(x, y, ("flip_horizontal", "shift"), seed=(0, 1))
    np.testing.assert_array_equal(same, y)
    np.testing.assert_array_equal(
        changed, augment(x, None, ("flip_horizontal", "shift"), (0, 1))[0]
    )


# ---- mistakes ----


@pytest.mark.parametrize(
    ("start", "weights", "message"),
    [
        ("conv_ae", "fashion_mnist", "no published weights of this name"),
        ("conv_a", None, "no zoo entry"),
        ("runs/none", None, "there is no such file"),
        ("cvae", None, "not one of rows of numbers alone"),
        ("cgan", None, "not one of rows of numbers alone"),
    ],
)
def test_a_start_that_cannot_be_one_is_told(start, weights, message):
    with pytest.raises(ZooError, match=message):
        aezoo.classifier(start, 2, weights=weights)


def test_weights_of_another_entry_are_refused(base, tmp_path):
    path = aezoo.save(base, tmp_path / "base.keras")
    assert aezoo.classifier("conv_ae", 2, weights=path).input_shape == SHAPE
    with pytest.raises(ZooError, match="not those of a denoise_ae"):
        aezoo.classifier("denoise_ae", 2, weights=path)
    with pytest.raises(ZooError, match="has its weights already"):
        aezoo.classifier(path, 2, weights=path)


def test_data_without_classes_and_targets_of_another_shape_are_told(base, tmp_path):
    x, y = pictures(30)
    with pytest.raises(ZooError, match="The rows have no classes"):
        transfer.fit(base, x, tmp_path / "out")
    with pytest.raises(ZooError, match="Give from 2"):
        transfer.fit(base, (x, y), tmp_path / "out", labels=1, verbose=False)
    with pytest.raises(ZooError, match=r"shape \(rows, 2\)"):
        aezoo.regressor(base, 2).fit(np.asarray(base.preprocessing.apply(x)), y)
