"""Vector quantisation: lookup, gradient, moving averages, dead codes, and a prior over the ids."""

import numpy as np
import pytest
import tensorflow as tf

import aezoo
from aezoo import samplers
from aezoo.data import load, sprites
from aezoo.layers.vector_quantizer import VectorQuantizer, perplexity

TINY = {"input_shape": (8, 8, 1), "filters": (4,), "codes": 6, "code_width": 3}


def test_every_vector_gets_its_nearest_code(rng):
    layer = VectorQuantizer(codes=7, width=3)
    z = rng.normal(size=(4, 2, 5, 3)).astype("float32")
    distances = ((z[..., None, :] - np.asarray(layer.codebook)) ** 2).sum(axis=-1)
    ids = np.asarray(layer.ids(z))
    np.testing.assert_array_equal(ids, distances.argmin(axis=-1))
    np.testing.assert_array_equal(layer.vectors(ids), np.asarray(layer.codebook)[ids])
    quantized, told = layer(z)
    np.testing.assert_array_equal(quantized, layer.vectors(ids))
    np.testing.assert_array_equal(told, ids)


def test_the_gradient_passes_as_if_nothing_had_happened(rng):
    layer = VectorQuantizer(codes=4, width=2)
    z = tf.constant(rng.normal(size=(5, 2)).astype("float32"))
    weights = rng.normal(size=(5, 2)).astype("float32")
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = tf.reduce_sum(layer(z, training=True)[0] * weights)
    np.testing.assert_allclose(tape.gradient(value, z), weights)


def test_the_codebook_follows_the_vectors_by_moving_averages():
    layer = VectorQuantizer(codes=2, width=1, decay=0.9)
    layer.codebook.assign([[0.0], [10.0]])
    z = np.array([[1.0], [2.0], [9.0]], "float32")
    layer(z, training=True)
    counts = np.array([0.9 + 0.1 * 2, 0.9 + 0.1 * 1])
    sums = np.array([0.9 * 0 + 0.1 * 3, 0.9 * 10 + 0.1 * 9])
    np.testing.assert_allclose(layer.counts, counts, rtol=1e-6)
    np.testing.assert_allclose(layer.codebook[:, 0], sums / counts, rtol=1e-6)
    before = np.asarray(layer.codebook)
    layer(z)
    np.testing.assert_array_equal(layer.codebook, before)  # inference moves nothing


def test_a_code_that_nobody_chooses_starts_anew_from_the_rows():
    layer = VectorQuantizer(codes=3, width=1, decay=0.5, seed=0)
    layer.codebook.assign([[0.0], [1.0], [1000.0]])
    z = np.linspace(-0.5, 1.5, 60, dtype="float32")[:, None]
    for _ in range(8):
        layer(z, training=True)
    codebook = np.asarray(layer.codebook)[:, 0]
    assert codebook.min() > -0.6 and codebook.max() < 1.6
    assert float(perplexity(layer.ids(z), 3)) > 2.5


def test_perplexity_counts_the_codes_in_use():
    assert float(perplexity(np.zeros((4, 3), "int32"), 5)) == pytest.approx(1.0, abs=1e-4)
    assert float(perplexity(np.arange(5)[None], 5)) == pytest.approx(5.0, abs=1e-3)


@pytest.fixture(scope="module")
def trained():
    data = load("sample")
    model = aezoo.build("vq_vae", seed=0, filters=(16, 16), codes=32, code_width=8)
    x = data.train.array()[:1000] / np.float32(255)
    before = model.evaluate(x, verbose=0, return_dict=True)
    model.fit(x, epochs=6, batch_size=50, verbose=0)
    return model, x, before


def test_it_learns_and_uses_its_codebook(trained):
    model, x, before = trained
    after = model.evaluate(x, verbose=0, return_dict=True)
    assert after["reconstruction_loss"] < 0.5 * before["reconstruction_loss"]
    assert np.square(model.predict(x, verbose=0) - x).mean() < x.var() / 3
    assert after["perplexity"] > 8
    assert after["loss"] == pytest.approx(
        after["reconstruction_loss"] + 0.25 * after["commitment_loss"], rel=1e-4
    )


def test_mostly_black_pictures_do_not_end_in_all_black():
    x = sprites.draw(sprites.factors(1200, seed=0)) / np.float32(255)
    model = aezoo.build("vq_vae", seed=0, input_shape=(32, 32, 1), filters=(16, 32))
    model.fit(x, epochs=3, batch_size=40, verbose=0)
    about_the_mean_picture = np.square(x - x.mean(axis=0)).mean()
    assert np.square(model.predict(x, verbose=0) - x).mean() < 0.5 * about_the_mean_picture


def test_the_ids_alone_rebuild_the_rows_and_a_prior_over_them_makes_new_ones(trained, monkeypatch):
    model, x, _ = trained
    ids = model.endpoint("encode")(image=x)["codes"]
    assert ids.dtype == np.int32 and ids.shape[1:] == (7, 7)
    rebuilt = model.endpoint("decode")(codes=ids[:9])["reconstruction"]
    np.testing.assert_allclose(rebuilt, model.predict(x[:9], verbose=0), atol=1e-6)
    monkeypatch.setattr(samplers.Autoregressive, "STEPS", 100)
    monkeypatch.setattr(samplers.Autoregressive, "WIDTH", 64)
    prior = samplers.fit(ids, "autoregressive", seed=0)
    new = prior.sample(200, seed=1)
    np.testing.assert_array_equal(new, prior.sample(200, seed=1))
    assert not np.array_equal(new, prior.sample(200, seed=2))
    # New rows have the statistics of the old: how often neighbours on the grid are alike.
    alike = [(v[:, :, 1:] == v[:, :, :-1]).mean() for v in (ids, new)]
    shuffled = np.random.default_rng(0).permutation(ids.reshape(-1)).reshape(ids.shape)
    by_chance = (shuffled[:, :, 1:] == shuffled[:, :, :-1]).mean()
    assert alike[1] > by_chance + 0.5 * (alike[0] - by_chance)


def test_a_prior_learns_that_columns_hold_one_id(rng, monkeypatch):
    ids = np.repeat(rng.integers(0, 6, (500, 1, 4)), 3, axis=1)  # 12 ids, of which 4 are free
    monkeypatch.setattr(samplers.Autoregressive, "STEPS", 200)
    monkeypatch.setattr(samplers.Autoregressive, "WIDTH", 32)
    prior = samplers.fit(ids, "autoregressive")
    assert prior.nats == pytest.approx(np.log(6) / 3, abs=0.05)
    drawn = prior.sample(200)
    assert (drawn[:, 1:] == drawn[:, :-1]).mean() > 0.95
    assert np.bincount(drawn[:, 0].ravel(), minlength=6).min() > 60  # of 133, were all alike


def test_an_id_depends_on_no_later_one():
    assert samplers._places_before((2, 3)).tolist() == [
        [0, 0, 0, 0], [1, 0, 0, 0], [2, 0, 0, 0],
        [0, 0, 1, 2], [4, 1, 2, 3], [5, 2, 3, 0],
    ]  # fmt: skip
    assert samplers._places_before((3,))[:, 0].tolist() == [0, 1, 2]  # a series has none above


def test_ids_and_numbers_are_not_mixed_up():
    with pytest.raises(aezoo.ZooError, match="Choose autoregressive"):
        samplers.fit(np.zeros((20, 2), "int32"), "mixture")
    with pytest.raises(aezoo.ZooError, match="Choose mixture"):
        samplers.fit(np.zeros((20, 2)), "autoregressive")


def test_averages_that_keep_all_of_the_past_are_refused():
    with pytest.raises(aezoo.ZooError, match="decay"):
        aezoo.build("vq_vae", decay=1.0)
