"""The adversarial autoencoder: its losses, who moves whom, and codes that look like the prior."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from long_epoch import long_epoch
from resumption import train_and_resume

import aezoo
from aezoo.measures.generation import noise_for
from aezoo.models.aae import AdversarialAE
from aezoo.zoo_model import seeded

TINY = {"input_shape": (8,), "hidden": (16,), "latent_dim": 2, "discriminator_hidden": (16,)}
TINY |= {"adversarial_weight": 0.5, "output_activation": "linear"}


@pytest.fixture
def model():
    made = aezoo.build("aae", seed=0, **TINY)
    made.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    return made


@pytest.fixture(scope="module")
def rows():
    """Rows on a plane in eight dimensions, far from the origin."""
    rng = np.random.default_rng(0)
    return (rng.uniform(-1, 1, (256, 2)) @ rng.normal(size=(2, 8)) + 2.0).astype("float32")


def losses_by_hand(model, x, drawn):
    code = model.encoder(x)
    reconstruction = tf.reduce_mean((model.decoder(code) - x) ** 2)
    on_drawn, on_code = (tf.sigmoid(model.discriminator(z)) for z in (drawn, code))
    fooled = -tf.reduce_mean(tf.math.log(on_code))
    caught = -tf.reduce_mean(tf.math.log(on_drawn)) - tf.reduce_mean(tf.math.log(1 - on_code))
    return {
        "autoencoder_loss": reconstruction + 0.5 * fooled,
        "discriminator_loss": caught,
        "reconstruction_loss": reconstruction,
        "adversarial_loss": fooled,
    }


def test_evaluate_gives_the_losses_of_the_formulas_and_repeats(model, rows):
    expected = losses_by_hand(model, rows, keras.random.normal((256, 2), seed=0))
    logs = model.evaluate(rows, batch_size=256, verbose=0, return_dict=True)
    for name, value in expected.items():
        assert logs[name] == pytest.approx(float(value), rel=1e-5), name
    total = logs["autoencoder_loss"] + logs["discriminator_loss"]
    assert logs["loss"] == pytest.approx(total, rel=1e-6)
    assert model.evaluate(rows, batch_size=256, verbose=0, return_dict=True) == logs


def test_a_step_moves_the_autoencoder_and_the_discriminator_down_their_own_losses(
    model, rows, monkeypatch
):
    drawn = tf.constant(np.random.default_rng(1).normal(size=(256, 2)), "float32")
    monkeypatch.setattr(keras.random, "normal", lambda shape, seed=None: drawn)
    expected = []
    for name, weights in model.players.items():
        with tf.GradientTape() as tape:
            loss = losses_by_hand(model, rows, drawn)[name]
        gradients = tape.gradient(loss, weights)
        expected += [w.numpy() - 0.1 * g.numpy() for w, g in zip(weights, gradients, strict=True)]
    model.train_step((tf.constant(rows),))
    moved = [w.numpy() for weights in model.players.values() for w in weights]
    for one, two in zip(moved, expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


def test_the_game_makes_codes_like_draws_from_the_prior(rows):
    scaled = (rows - rows.mean(0)) / rows.std(0)

    def codes(weight):
        with seeded(0):
            model = AdversarialAE(**TINY | {"adversarial_weight": weight})
        model.compile(optimizer=keras.optimizers.Adam(0.003), loss="mse")
        keras.utils.set_random_seed(0)  # the order of rows
        model.fit(long_epoch(scaled, 60), batch_size=64, shuffle=False, verbose=0)
        assert model.evaluate(scaled, verbose=0, return_dict=True)["reconstruction_loss"] < 0.3
        return model.endpoint("encode")(features=scaled)["latent"]

    def off(z):
        """How far mean and covariance are from 0 and I."""
        return np.abs(z.mean(0)).max() + np.abs(np.cov(z, rowvar=False) - np.eye(2)).max()

    shaped, free = codes(0.1), codes(0.0)
    assert off(shaped) < 0.6
    assert off(free) > 2 * off(shaped)


def test_generate_decodes_noise_and_the_endpoints_are_an_autoencoders(model, rows):
    names = [endpoint.name for endpoint in model.endpoints]
    assert names == ["reconstruct", "encode", "decode", "score", "generate"]
    noise = noise_for(model, 5)
    made = model.endpoint("generate")(noise=noise)["features"]
    np.testing.assert_allclose(made, model.decoder(noise), atol=1e-6)
    decoded = model.endpoint("decode")(latent=noise)["reconstruction"]
    np.testing.assert_allclose(made, decoded, atol=1e-6)


def test_fit_takes_pairs_and_the_discriminator_never_sees_rows(model, rows):
    noisy = rows + np.float32(0.1)
    expected = model.evaluate(rows, rows, verbose=0)
    assert model.evaluate(rows, verbose=0) == expected
    assert model.evaluate(rows, noisy, verbose=0) != expected
    history = model.fit(noisy, rows, validation_data=(rows, rows), verbose=0).history
    terms = {"loss", "reconstruction_loss", "adversarial_loss", *model.players}
    assert set(history) == {f"{part}{term}" for part in ("", "val_") for term in terms}
    assert model.discriminator.input_shape == (None, 2)


def test_a_run_cut_off_goes_on_to_the_same_bits(rows, tmp_path):
    recipe = {k: v for k, v in TINY.items() if k != "input_shape"}
    train_and_resume("aae", rows, tmp_path, batch_size=32, **recipe)
