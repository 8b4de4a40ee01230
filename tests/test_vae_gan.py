"""VAE/GAN: who minimises what, against a tape of one's own; steps, files, and sharpness."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from resumption import train_and_resume

import aezoo
from aezoo.adversarial import fake_loss, real_loss
from aezoo.checks.bench import random_state
from aezoo.data import load
from aezoo.errors import ZooError
from aezoo.measures.generation import (
    fid,
    frechet_distance,
    gradient_energy,
)

TINY = {"input_shape": (8, 8, 1), "filters": (4, 4), "latent_dim": 2}
TINY |= {"discriminator_filters": (4,), "reconstruction_weight": 0.1, "kl_weight": 0.5}


@pytest.fixture
def model():
    made = aezoo.build("vae_gan", seed=0, **TINY)
    made.compile(optimizer=keras.optimizers.SGD(0.01), loss=made.default_loss)
    return made


@pytest.fixture(scope="module")
def rows():
    return (np.random.default_rng(0).random((16, 8, 8, 1)) > 0.6).astype("float32")


def losses_by_hand(model, x, z, z_prior):
    """Return each player's loss by the formulas of the paper, for draws that are given."""
    mean, log_variance = model.encoder(x)
    restored, sampled = model.decoder(z), model.decoder(z_prior)
    (f, s), (f_restored, s_restored), (_, s_sampled) = (
        model.discriminator(shown) for shown in (x, restored, sampled)
    )
    squared = tf.reduce_sum((f - f_restored) ** 2, axis=(1, 2, 3))
    constant = 0.5 * np.log(2 * np.pi) * np.prod(f.shape[1:])
    reconstruction = tf.reduce_mean(0.5 * squared + constant)
    kl = 0.5 * tf.reduce_sum(mean**2 + tf.exp(log_variance) - log_variance - 1, axis=1)
    on_real, on_restored, on_sampled = (tf.sigmoid(logit) for logit in (s, s_restored, s_sampled))
    encoder = reconstruction + 0.5 * tf.reduce_mean(kl)
    game = -0.5 * tf.reduce_mean(tf.math.log(on_restored) + tf.math.log(on_sampled))
    caught = -0.5 * tf.reduce_mean(tf.math.log(1 - on_restored) + tf.math.log(1 - on_sampled))
    return {
        "encoder_loss": encoder,
        "decoder_loss": 0.1 * reconstruction + game,
        "discriminator_loss": -tf.reduce_mean(tf.math.log(on_real)) + caught,
    }


def test_evaluate_gives_the_losses_of_the_formulas(model, rows):
    mean, log_variance = model.encoder(rows)
    noise = keras.random.normal(mean.shape, seed=0)
    expected = losses_by_hand(model, rows, mean + tf.exp(log_variance / 2) * noise, noise)
    logs = model.evaluate(rows, batch_size=16, verbose=0, return_dict=True)
    for name, value in expected.items():
        assert logs[name] == pytest.approx(float(value), rel=1e-5), name
    assert logs["loss"] == pytest.approx(float(sum(expected.values())), rel=1e-5)
    assert logs["encoder_loss"] == pytest.approx(
        logs["reconstruction_loss"] + 0.5 * logs["kl_loss"], rel=1e-5
    )
    assert model.evaluate(rows, batch_size=16, verbose=0, return_dict=True) == logs


def test_each_network_steps_down_its_own_loss_and_no_other(model, rows, monkeypatch):
    draws = iter([tf.constant(np.random.default_rng(1).normal(size=(16, 2)), "float32")] * 2)
    noise = next(draws)
    monkeypatch.setattr(keras.random, "normal", lambda shape, seed=None: noise)
    x = tf.constant(rows)
    expected = []
    for part, name in (
        (model.encoder, "encoder_loss"),
        (model.decoder, "decoder_loss"),
        (model.discriminator, "discriminator_loss"),
    ):
        with tf.GradientTape() as tape:
            mean, log_variance = model.encoder(x)
            z = mean + tf.exp(log_variance / 2) * noise
            loss = losses_by_hand(model, x, z, noise)[name]
        gradients = tape.gradient(loss, part.trainable_weights)
        expected += [
            w.numpy() - 0.01 * g.numpy()
            for w, g in zip(part.trainable_weights, gradients, strict=True)
        ]
    model.train_step((x,))
    moved = [w.numpy() for weights in model.players.values() for w in weights]
    assert len(moved) == len(model.trainable_weights) == len(expected)
    for one, two in zip(moved, expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=2e-6)


def test_fit_logs_every_player_and_takes_targets_and_validation_data(model, rows):
    history = model.fit(rows, validation_data=(rows, rows), verbose=0).history
    terms = {"loss", "reconstruction_loss", "kl_loss", *model.players}
    assert set(history) == {f"{part}{term}" for part in ("", "val_") for term in terms}
    clean = model.evaluate(rows, rows, verbose=0)
    assert model.evaluate(rows, verbose=0) == clean
    assert model.evaluate(rows, 1 - rows, verbose=0) != clean
    with pytest.raises(ZooError, match="no sample weights"):
        model.fit(rows, rows, sample_weight=np.ones(16), verbose=0)


def test_a_loss_of_ones_own_compares_features(model, rows):
    model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
    logs = model.evaluate(rows, batch_size=16, verbose=0, return_dict=True)
    mean, log_variance = model.encoder(rows)
    restored = model.decoder(
        mean + tf.exp(log_variance / 2) * keras.random.normal(mean.shape, seed=0)
    )
    between = model.discriminator(rows)[0] - model.discriminator(restored)[0]
    assert logs["reconstruction_loss"] == pytest.approx(np.square(between).mean(), rel=1e-5)
    assert logs["mae"] == pytest.approx(np.abs(rows - restored.numpy()).mean(), rel=1e-5)


def test_a_run_cut_off_goes_on_to_the_same_bits(rows, tmp_path):
    recipe = {k: v for k, v in TINY.items() if k != "input_shape"}
    whole, resumed = train_and_resume("vae_gan", rows, tmp_path, batch_size=4, **recipe)
    # The last weights are kept, and the optimizer has moments for every player's weights.
    last = whole.history[-1]["val_decoder_loss"]
    assert whole.metrics["validation"]["decoder_loss"] == pytest.approx(last, rel=1e-5)
    moments = [v for v in resumed.model.optimizer.variables if v.path.endswith("velocity")]
    assert len(moments) == len(resumed.model.trainable_weights)
    assert all(np.any(v.numpy()) for v in moments)


def test_a_saved_model_goes_on_with_the_same_bits(model, rows, tmp_path):
    model.compile(optimizer="rmsprop", loss=model.default_loss)
    model.fit(rows, epochs=2, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for one, two in zip(random_state(model), random_state(loaded), strict=True):
        two.assign(one)  # a .keras file holds weights and moments; a run folder draws too
    for one in (model, loaded):
        one.fit(rows, shuffle=False, verbose=0)
    for one, two in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_losses_of_the_game_agree_with_values_worked_out_by_hand():
    logits = np.array([[0.0], [np.log(3.0)]], "float32")  # D = 1/2 and 3/4
    assert float(real_loss(logits)) == pytest.approx(-np.log(1 / 2 * 3 / 4) / 2)
    assert float(fake_loss(logits)) == pytest.approx(-np.log(1 / 2 * 1 / 4) / 2)
    assert np.isfinite(float(fake_loss(np.array([[500.0]], "float32"))))


def test_frechet_distance_agrees_with_a_matrix_square_root(rng):
    from scipy.linalg import sqrtm

    a, b = (rng.normal(size=(200, 4)) @ rng.normal(size=(4, 4)) for _ in range(2))
    moments = [(rows.mean(0), np.cov(rows, rowvar=False)) for rows in (a, b)]
    (m, c), (n, d) = moments
    expected = ((m - n) ** 2).sum() + np.trace(c + d - 2 * sqrtm(c @ d).real)
    assert frechet_distance(m, c, n, d) == pytest.approx(expected, rel=1e-6)


def test_fid_rises_with_blur_and_noise_and_blur_lowers_the_gradient_energy():
    real = load("sample").train.array() / np.float32(255)
    one, two = real[::2], real[1::2]
    blurred = (two + np.roll(two, 1, 1) + np.roll(two, 1, 2) + np.roll(two, (1, 1), (1, 2))) / 4
    noisy = np.clip(two + np.random.default_rng(0).normal(0, 0.2, two.shape), 0, 1)
    same = fid(two, one)
    assert 0 < 3 * same < fid(blurred, one)
    assert 3 * same < fid(noisy.astype("float32"), one)
    assert gradient_energy(blurred) < 0.7 * gradient_energy(two)
    with pytest.raises(ZooError, match="28"):
        fid(two[:, :20], one)


def test_wrong_arguments_are_refused():
    with pytest.raises(ZooError, match="reconstruction_weight"):
        aezoo.build("vae_gan", reconstruction_weight=-1.0)
    with pytest.raises(ZooError, match="keep"):
        aezoo.train("vae_gan", "sample", keep="lst")
