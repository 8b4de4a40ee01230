"""The conditional variational autoencoder: against formulas, and what the label decides."""

import keras
import numpy as np
import pytest
from long_epoch import long_epoch
from resumption import train_and_resume

import aezoo
from aezoo import figures
from aezoo.calibration import scores
from aezoo.data import load
from aezoo.data.rows import CalibrationRows, TestRows
from aezoo.errors import ZooError
from aezoo.export import Bundle, export_bundle, predict_file, score_file
from aezoo.measures.conditional import label_reading
from aezoo.measures.generation import noise_for
from aezoo.models.conditional import ConditionalVAE
from aezoo.models.vae import EVALUATION_SEED
from aezoo.zoo_model import seeded

TINY = {"input_shape": (4, 4, 1), "classes": 3, "hidden": (16,), "latent_dim": 2, "label_dim": 3}


@pytest.fixture
def model():
    return aezoo.build("cvae", seed=0, **TINY)


@pytest.fixture(scope="module")
def rows():
    """Three classes, each a bright row of its own in a 4x4 picture, brightness at random."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 240)
    pictures = np.zeros((240, 4, 4, 1), "float32")
    pictures[np.arange(240), labels] = rng.uniform(0.6, 1.0, (240, 1, 1))
    return {"image": pictures, "label": labels}


def test_evaluate_gives_the_conditional_elbo_that_numpy_gives(rng):
    with seeded(0):
        model = ConditionalVAE((4,), 3, (), 2, 3, likelihood="bernoulli", kl_weight=2.0)
    model.compile(optimizer="sgd", loss=model.default_loss)
    x, label = rng.random((5, 4)).astype("float32"), np.array([0, 1, 2, 1, 0])
    embedding, *heads = model.encoder.get_weights()
    h = np.concatenate([x, embedding[label]], axis=1)  # (5, 4 + 3)
    mean, log_variance = h @ heads[0] + heads[1], h @ heads[2] + heads[3]
    noise = np.asarray(keras.random.normal(mean.shape, seed=EVALUATION_SEED))
    z = mean + np.exp(log_variance / 2) * noise
    embedding, w, b = model.decoder.get_weights()
    p = 1 / (1 + np.exp(-(np.concatenate([z, embedding[label]], axis=1) @ w + b)))
    nll = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(1).mean()
    kl = 0.5 * (mean**2 + np.exp(log_variance) - log_variance - 1).sum(1).mean()
    logs = model.evaluate({"features": x, "label": label}, verbose=0, return_dict=True)
    assert logs["reconstruction_loss"] == pytest.approx(nll, rel=1e-5)
    assert logs["kl_loss"] == pytest.approx(kl, rel=1e-5)
    assert logs["loss"] == pytest.approx(nll + 2 * kl, rel=1e-5)


def test_the_generated_row_is_that_of_the_label(model, rows):
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss=model.default_loss)
    model.fit(long_epoch(rows, 60), batch_size=60, shuffle=False, verbose=0)
    noise = noise_for(model, 50, seed=1)
    for label in range(3):
        made = model.endpoint("generate")(noise=noise, label=np.full((50, 1), label))["image"]
        brightest = made.mean(axis=(2, 3)).argmax(axis=1)  # which line of the picture
        assert (brightest == label).all()
    # the label alone decides: the same code is decoded to another picture
    codes = model.endpoint("encode")(image=rows["image"][:9], label=rows["label"][:9, None])
    other = (rows["label"][:9, None] + 1) % 3
    decoded = model.endpoint("decode")(latent=codes["latent"], label=other)["reconstruction"]
    assert (decoded.mean(axis=(2, 3)).argmax(1) == other[:, 0]).all()


def test_labels_may_be_flat_or_a_column_and_a_target_may_be_given(model, rows):
    column = rows | {"label": rows["label"][:, None]}
    flat = model.predict(rows, verbose=0)
    np.testing.assert_array_equal(model.predict(column, verbose=0), flat)
    expected = model.evaluate(rows, verbose=0)
    assert model.evaluate(column, verbose=0) == expected
    assert model.evaluate(rows, rows["image"], verbose=0) == expected
    assert model.evaluate(rows, rows, verbose=0) == expected
    assert model.evaluate(rows, 1 - rows["image"], verbose=0) != expected
    history = model.fit(rows, validation_data=(rows, None), verbose=0).history
    assert {"loss", "val_kl_loss"} <= set(history)


def test_adapt_scales_the_rows_and_keeps_the_labels(model, rows):
    pixels = (255 * rows["image"]).astype("uint8")
    scaled = model.adapt({"image": pixels, "label": rows["label"]})
    np.testing.assert_allclose(scaled["image"], pixels / 255, atol=1e-6)
    assert scaled["label"] is rows["label"]
    assert model.endpoint("encode").spec.tensor("image").dtype == "uint8"


def test_train_takes_the_labels_of_the_data_and_resumes_bit_for_bit(rows, tmp_path):
    data = (rows["image"], rows["label"])
    recipe = {k: v for k, v in TINY.items() if k != "input_shape"} | {"batch_size": 32}
    whole, _ = train_and_resume("cvae", data, tmp_path, epochs=2, cut=1, **recipe)
    held_out = whole.data.test
    asked = whole.model.rows_of(whole.model.inputs_of(held_out))
    logs = whole.model.evaluate(
        {name: np.asarray(value) for name, value in asked.items()},
        batch_size=512,
        verbose=0,
        return_dict=True,
    )
    assert logs["loss"] == pytest.approx(whole.metrics["test"]["loss"], rel=1e-6)
    pictures = figures.of_model(whole.model, held_out, tmp_path)
    assert set(pictures) == {"generated", "reconstructions", "latent_map"}
    kept, validation = whole.model.probe_rows, whole.data.validation
    assert set(kept) == {"image", "label"}
    np.testing.assert_array_equal(kept["label"][:, 0], validation.labels[: len(kept["label"])])


def test_rows_of_a_data_set_bring_their_labels_to_calibration(model, rows):
    threshold = aezoo.calibrate(model, CalibrationRows(rows["image"], rows["label"]), alpha=0.1)
    labels = rows["label"][:, None]
    asked = model.endpoint("detect")(image=rows["image"], label=labels)
    assert asked["anomalous"].mean() == pytest.approx(0.1, abs=0.005)
    swapped = scores(model, {"image": rows["image"], "label": (labels + 1) % 3})
    assert (swapped > threshold).mean() != pytest.approx(asked["anomalous"].mean(), abs=1e-6)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda m, r: m.fit(r["image"]), '{"image": x, "label": y}'),
        (lambda m, r: m.fit(r["image"], r["label"]), '{"image": x, "label": y}'),
        (lambda m, r: m.predict({"image": r["image"]}), "lacks the part 'label'"),
        (lambda m, r: m.predict(r | {"lable": 1}), "Did you mean 'label'?"),
        (lambda m, r: m.evaluate(r | {"label": r["label"] + 1}), "from 0 to 2"),
        (lambda m, r: m.evaluate(r | {"label": r["label"] + 0.5}), "from 0 to 2"),
        (lambda m, r: m.evaluate(r | {"label": np.eye(3)[r["label"]]}), "one whole number per row"),
        (lambda m, r: m.fit(r, r["label"]), "shape"),
        (lambda m, r: m.endpoint("generate")(noise=np.zeros((1, 2))), "needs the input 'label'"),
        (
            lambda m, r: m.endpoint("generate")(noise=np.zeros((1, 2)), label=np.array([[3]])),
            "whole numbers from 0 to 2",
        ),
        (lambda m, r: aezoo.calibrate(m, TestRows(r["image"])), "role 'test'"),
        (lambda m, r: aezoo.calibrate(m, CalibrationRows(r["image"])), "needs the label"),
    ],
)
def test_errors_say_what_to_do(model, rows, action, message):
    with pytest.raises(ZooError) as error:
        action(model, rows)
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) <= 3


def test_training_on_rows_without_labels_or_with_too_many_says_so(rows, tmp_path):
    recipe = {"hidden": (4,), "out": tmp_path / "run", "verbose": False, "figures": False}
    with pytest.raises(ZooError, match="needs the label of each row, and the train rows have none"):
        aezoo.train("cvae", rows["image"], **recipe)
    with pytest.raises(ZooError, match="from 0 to 1, or build with another number of classes"):
        aezoo.train("cvae", (rows["image"], rows["label"]), classes=2, **recipe)


def test_labels_are_read_from_what_is_generated_of_a_label():
    plain = aezoo.build("vae", input_shape=(28, 28, 1), hidden=(4,))
    with pytest.raises(ZooError, match="noise and a label"):
        label_reading(plain, load("sample"))


def test_a_bundle_generates_what_it_is_asked_for_and_files_of_rows_alone_are_refused(
    model, rows, tmp_path
):
    asked = {"image": rows["image"][:8], "label": rows["label"][:8, None]}
    bundle = export_bundle(model, tmp_path / "bundle", sample=asked, also=("litert", "openvino"))
    assert set(bundle.manifest.formats) == {"litert", "openvino"}
    for made in bundle.manifest.formats.values():
        assert not made.refused
    noise, label = noise_for(model, 4, seed=0), np.array([[0], [1], [2], [1]])
    np.savez(tmp_path / "asked.npz", noise=noise, label=label)
    answer = predict_file(bundle, tmp_path / "asked.npz", "generate").answers["image"]
    expected = model.endpoint("generate")(noise=noise, label=label)["image"]
    np.testing.assert_allclose(answer, expected, atol=1e-5)
    np.save(tmp_path / "rows.npy", rows["image"])
    with pytest.raises(ZooError, match=r"npz file with the arrays image, label"):
        predict_file(bundle, tmp_path / "rows.npy")
    with pytest.raises(ZooError, match="needs image and label; this file holds rows alone"):
        score_file(Bundle(bundle), tmp_path / "rows.npy", tmp_path / "scores.parquet")
