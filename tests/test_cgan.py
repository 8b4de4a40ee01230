"""The conditional GAN: its losses, what the label decides, collapse, and what it cannot do."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from long_epoch import long_epoch
from resumption import train_and_resume

import aezoo
from aezoo import figures
from aezoo.errors import ZooError
from aezoo.export import export_bundle
from aezoo.measures.generation import noise_for
from aezoo.metrics import spread_within

TINY = {"input_shape": (4, 4, 1), "classes": 3, "hidden": (32,), "latent_dim": 4, "label_dim": 3}
TINY |= {"discriminator_hidden": (32,), "gradient_weight": 0.5}


@pytest.fixture
def model():
    return aezoo.build("cgan", seed=0, **TINY)


@pytest.fixture(scope="module")
def rows():
    """Three classes, each a bright row of its own in a 4x4 picture, brightness at random."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 240)
    pictures = np.zeros((240, 4, 4, 1), "float32")
    pictures[np.arange(240), labels] = rng.uniform(0.6, 1.0, (240, 1, 1))
    return {"image": pictures, "label": labels}


def labelled(name, values, label):
    """Return what a network of two inputs takes, as tensors."""
    return {name: tf.constant(values), "label": tf.reshape(tf.constant(label, "int32"), (-1, 1))}


def slope_by_hand(model, rows):
    """Return the mean squared slope of the logit at real rows: one hidden layer, leaky relu."""
    w, b = next(d for d in model.discriminator.layers if hasattr(d, "units")).get_weights()
    v, _ = model.discriminator.get_layer("of_any").get_weights()
    (of_label,) = model.discriminator.get_layer("of_label").get_weights()
    h = rows["image"].reshape(-1, 16) @ w + b
    slopes = (np.where(h > 0, 1.0, 0.2) * (v[:, 0] + of_label[rows["label"]])) @ w.T  # (N, 16)
    return (slopes**2).sum(1).mean()


def test_evaluate_gives_the_losses_of_the_formulas_and_repeats(model, rows):
    some = {name: values[:60] for name, values in rows.items()}
    noise = keras.random.normal((60, 4), seed=0)
    made = model.decoder(labelled("latent", noise, some["label"]))
    on_real, on_fake = (
        tf.sigmoid(model.discriminator(labelled("row", pictures, some["label"]))).numpy()
        for pictures in (some["image"], made)
    )
    penalty = slope_by_hand(model, some)
    logs = model.evaluate(some, batch_size=60, verbose=0, return_dict=True)
    generator, discriminator = logs["generator_loss"], logs["discriminator_loss"]
    assert generator == pytest.approx(-np.log(on_fake).mean(), rel=1e-5)
    expected = -np.log(on_real).mean() - np.log(1 - on_fake).mean() + 0.25 * penalty
    assert discriminator == pytest.approx(expected, rel=1e-5)
    assert logs["gradient_penalty"] == pytest.approx(penalty, rel=1e-4)
    assert logs["loss"] == pytest.approx(generator + discriminator, rel=1e-6)
    assert model.evaluate(some, batch_size=60, verbose=0, return_dict=True) == logs


def test_a_step_moves_each_network_down_its_own_loss(model, rows):
    model.compile(optimizer=keras.optimizers.SGD(0.1))
    some = {name: values[:60] for name, values in rows.items()}
    noise = tf.constant(np.random.default_rng(0).normal(size=(60, 4)), "float32")

    def losses():
        made = model.decoder(labelled("latent", noise, some["label"]))
        label = tf.reshape(tf.constant(some["label"], "int32"), (-1, 1))
        fake = model.discriminator({"row": made, "label": label})
        real = model.discriminator(labelled("row", some["image"], some["label"]))
        caught = tf.reduce_mean(tf.nn.softplus(fake)) + tf.reduce_mean(tf.nn.softplus(-real))
        penalty = tf.reduce_mean(tf.reduce_sum(slopes(some["image"], label) ** 2, axis=(1, 2, 3)))
        return tf.reduce_mean(tf.nn.softplus(-fake)), caught + 0.25 * penalty

    def slopes(pictures, label):
        pictures = tf.constant(pictures)
        with tf.GradientTape() as tape:
            tape.watch(pictures)
            logits = model.discriminator({"row": pictures, "label": label})
        return tape.gradient(logits, pictures)

    expected = []
    for number, part in enumerate((model.decoder, model.discriminator)):
        with tf.GradientTape() as tape:
            loss = losses()[number]
        gradients = tape.gradient(loss, part.trainable_weights)
        expected += [
            w.numpy() - 0.1 * tf.convert_to_tensor(g).numpy()
            for w, g in zip(part.trainable_weights, gradients, strict=True)
        ]
    model.train_step(({name: tf.constant(v) for name, v in some.items()} | {"noise": noise},))
    moved = [w.numpy() for weights in model.players.values() for w in weights]
    for one, two in zip(moved, expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


def test_it_learns_to_draw_the_class_that_it_is_asked_for_and_varies(model, rows):
    model.compile(optimizer=keras.optimizers.RMSprop(0.002), steps_per_execution=4)
    often = long_epoch(rows, 80)
    history = model.fit(often, batch_size=60, shuffle=False, verbose=0).history
    assert set(history) == set(model.loss_terms)
    assert history["diversity"][-1] > 0.3
    noise = noise_for(model, 50, seed=1)
    for label in range(3):
        made = model.endpoint("generate")(noise=noise, label=np.full((50, 1), label))["image"]
        brightest = made.mean(axis=(2, 3)).argmax(axis=1)  # which line of the picture
        assert (brightest == label).mean() > 0.95
        assert made.std(axis=0).max() > 0.05  # not one picture fifty times; the rows' own is 0.12


def test_spread_within_agrees_with_a_double_loop_and_tells_a_collapse(rng):
    rows, label = rng.normal(size=(12, 3, 2)), rng.integers(0, 3, 12)
    distances = [
        np.linalg.norm(rows[i] - rows[j])
        for i in range(12)
        for j in range(12)
        if i != j and label[i] == label[j]
    ]
    expected = pytest.approx(np.mean(distances), rel=1e-5)
    assert float(spread_within(rows, label)) == expected
    assert float(spread_within(rows, label[:, None])) == expected
    one_per_label = rng.normal(size=(3, 6))[label]
    assert float(spread_within(one_per_label, label)) == pytest.approx(0.0, abs=2e-3)
    assert float(spread_within(rows[:1], label[:1])) == 0.0


def test_diversity_is_one_for_a_generator_of_real_rows_and_zero_after_a_collapse(model, rows):
    label = rows["label"][:, None]
    losses = model.play(rows, rows["image"], tf.constant(rows["image"]), training=False)
    assert float(losses["diversity"]) == pytest.approx(1.0, abs=1e-5)
    same = np.stack([rows["image"][rows["label"] == one][0] for one in range(3)])[label[:, 0]]
    collapsed = model.play(rows, rows["image"], tf.constant(same), training=False)
    assert float(collapsed["diversity"]) < 0.01


def test_predict_takes_noise_or_draws_it_alike_each_time(model, rows):
    drawn = model.predict(rows, verbose=0)
    np.testing.assert_array_equal(model.predict(rows, verbose=0), drawn)
    noise = noise_for(model, 240, seed=1)
    asked = {"noise": noise, "label": rows["label"]}
    made = model.endpoint("generate")(noise=noise, label=rows["label"][:, None])["image"]
    np.testing.assert_allclose(model.predict(asked, verbose=0), made, atol=1e-6)
    first, second = (model(rows, training=True).numpy() for _ in range(2))
    assert np.abs(first - second).max() > 1e-3


def test_a_run_cut_off_goes_on_to_the_same_bits(rows, tmp_path):
    data = (rows["image"], rows["label"])
    recipe = {k: v for k, v in TINY.items() if k != "input_shape"}
    whole, _ = train_and_resume("cgan", data, tmp_path, batch_size=32, **recipe)
    drawn = figures.of_model(whole.model, whole.data.test, tmp_path)
    assert set(drawn) == {"generated"}


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda m, r: m.fit(r["image"]), '{"image": x, "label": y}'),
        (lambda m, r: m.fit(r, r["image"]), "takes no target"),
        (lambda m, r: m.evaluate(r, r["label"]), "takes no target"),
        (lambda m, r: m.predict({"noise": np.zeros((2, 3)), "label": [0, 1]}), "(rows, 4)"),
        (lambda m, r: m.predict({"noise": np.zeros((2, 4))}), '{"noise": z, "label": y}'),
        (lambda m, r: m.endpoint("reconstruct"), "Endpoints: generate."),
        (lambda m, r: aezoo.calibrate(m, r["image"]), "no endpoint"),
    ],
)
def test_errors_say_what_to_do(model, rows, action, message):
    with pytest.raises(ZooError) as error:
        action(model, rows)
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) <= 3


def test_variants_of_a_generator_are_measured_and_every_format_runs_it(rows, tmp_path):
    data = (rows["image"], rows["label"])
    recipe = {k: v for k, v in TINY.items() if k != "input_shape"} | {"epochs": 1}
    run = aezoo.train("cgan", data, out=tmp_path / "run", figures=False, verbose=False, **recipe)
    also = ("litert", "openvino", "fp16")
    bundle = export_bundle(run.model, tmp_path / "bundle", also=also, data=run.data)
    assert [spec.name for spec in bundle.endpoints] == ["generate"]
    for made in bundle.manifest.formats.values():
        assert not made.refused
    quality = bundle.manifest.variants["fp16"].costs["generate"].quality
    assert 0 < quality["image relative difference"] < 0.01
