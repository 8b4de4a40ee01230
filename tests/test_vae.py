"""Variational autoencoders against closed forms, and as Keras models."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from long_epoch import long_epoch

import aezoo
from aezoo.layers.sampling import GaussianSampling
from aezoo.losses import gaussian_kl
from aezoo.models.vae import EVALUATION_SEED, ConvVAE, DenseVAE
from aezoo.zoo_model import seeded

TINY = {
    "vae": {"input_shape": (8, 8, 1), "hidden": (8,), "latent_dim": 3},
    "conv_vae": {"input_shape": (8, 8, 1), "filters": (4, 2), "latent_dim": 3},
}


@pytest.fixture(scope="module")
def rows():
    return (np.random.default_rng(0).random((64, 8, 8, 1)) > 0.6).astype("float32")


@pytest.fixture(params=list(TINY))
def model(request):
    return aezoo.build(request.param, seed=0, **TINY[request.param])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def linear_vae(likelihood, kl_weight=1.0, scale=1.0):
    """A VAE of one affine map each way, so that NumPy can follow it."""
    with seeded(0):
        model = DenseVAE((4,), (), 2, likelihood, scale, kl_weight)
    model.compile(optimizer="sgd", loss=model.default_loss)
    return model


def numpy_answer(model, x):
    """Return what the decoder answers before its activation, and the KL term in nats."""
    (w_mean, b_mean), (w_var, b_var) = (
        model.encoder.get_layer(name).get_weights() for name in ("latent", "log_variance")
    )
    mean, log_variance = x @ w_mean + b_mean, x @ w_var + b_var
    noise = np.asarray(keras.random.normal(mean.shape, seed=EVALUATION_SEED))
    z = mean + np.exp(log_variance / 2) * noise
    w, b = model.decoder.get_weights()
    kl = 0.5 * (mean**2 + np.exp(log_variance) - log_variance - 1)
    return z @ w + b, kl.sum(axis=1).mean()


def numpy_elbo_terms(model, x, likelihood, scale=1.0):
    """Return reconstruction and KL terms, nats per example, by the formulas alone."""
    answer, kl = numpy_answer(model, x)
    if likelihood == "bernoulli":
        p = sigmoid(answer)
        log_p = x * np.log(p) + (1 - x) * np.log(1 - p)
    else:
        log_p = -0.5 * ((x - answer) / scale) ** 2 - math.log(scale * math.sqrt(2 * math.pi))
    return -log_p.sum(axis=1).mean(), kl


def test_kl_agrees_with_values_worked_out_by_hand():
    mean = np.array([[0, 0], [1, 2], [0, 0], [1, 0]], "float32")
    log_variance = np.array([[0, 0], [0, 0], [math.log(4), 0], [0, -2]], "float32")
    # 0; (1 + 4) / 2; (4 - 1 - log 4) / 2; 1/2 + (e^-2 - 1 + 2) / 2
    expected = [0.0, 2.5, 0.8068528, 1.0676676]
    np.testing.assert_allclose(gaussian_kl(mean, log_variance), expected, rtol=1e-6)


def test_draws_have_the_mean_and_variance_of_the_posterior():
    mean, log_variance = np.full((100_000, 1), 2.0), np.full((100_000, 1), math.log(0.25))
    z = np.asarray(GaussianSampling(seed=0)(mean, log_variance, training=True))
    assert z.mean() == pytest.approx(2.0, abs=0.01)
    assert z.std() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("kl_weight", [0.0, 1.0, 4.0])
@pytest.mark.parametrize(("likelihood", "scale"), [("bernoulli", 1.0), ("gaussian", 0.3)])
def test_evaluate_gives_the_elbo_that_numpy_gives(rng, likelihood, scale, kl_weight):
    model = linear_vae(likelihood, kl_weight, scale)
    x = rng.random((5, 4)).astype("float32")
    reconstruction, kl = numpy_elbo_terms(model, x, likelihood, scale)
    logs = model.evaluate(x, verbose=0, return_dict=True)
    assert logs["reconstruction_loss"] == pytest.approx(reconstruction, rel=1e-5)
    assert logs["kl_loss"] == pytest.approx(kl, rel=1e-5)
    assert logs["loss"] == pytest.approx(reconstruction + kl_weight * kl, rel=1e-5)


def test_a_loss_of_ones_own_replaces_the_reconstruction_term_only(rng):
    model = linear_vae("gaussian")
    x = rng.random((5, 4)).astype("float32")
    answer, kl = numpy_answer(model, x)
    model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
    logs = model.evaluate(x, verbose=0, return_dict=True)
    assert logs["reconstruction_loss"] == pytest.approx(((answer - x) ** 2).mean(), rel=1e-5)
    assert logs["mae"] == pytest.approx(np.abs(answer - x).mean(), rel=1e-5)
    assert logs["kl_loss"] == pytest.approx(kl, rel=1e-5)
    assert logs["loss"] == pytest.approx(((answer - x) ** 2).mean() + kl, rel=1e-5)
    assert set(logs) == {"loss", "reconstruction_loss", "kl_loss", "mae"}


def test_evaluate_and_predict_repeat_and_training_draws_differ(model, rows):
    assert model.evaluate(rows, verbose=0) == model.evaluate(rows, verbose=0)
    predicted = model.predict(rows, verbose=0)
    np.testing.assert_array_equal(predicted, model.predict(rows, verbose=0))
    np.testing.assert_allclose(predicted, model(rows), atol=1e-6)
    first, second = (model(rows, training=True).numpy() for _ in range(2))
    assert np.abs(first - second).max() > 1e-3
    assert model.evaluate(rows, verbose=0)[0] != pytest.approx(
        float(model.default_loss(rows, predicted)), rel=1e-6
    )  # the ELBO's draw is not the mean


def test_predict_decodes_the_posterior_mean(model, rows):
    mean, log_variance = model.encoder(rows)
    np.testing.assert_allclose(model(rows), model.decoder(mean), atol=1e-6)
    codes = model.endpoint("encode")(image=rows)
    np.testing.assert_allclose(codes["latent"], mean, atol=1e-6)
    np.testing.assert_allclose(codes["latent_log_variance"], log_variance, atol=1e-6)
    decoded = model.endpoint("decode")(latent=codes["latent"])["reconstruction"]
    np.testing.assert_allclose(
        decoded, model.endpoint("reconstruct")(image=rows)["reconstruction"], atol=1e-5
    )


def test_generate_decodes_the_noise_that_it_is_given(model, rows, rng):
    pixels = (rows * 255).astype("uint8")
    model.adapt(pixels)
    noise = rng.standard_normal((5, 3)).astype("float32")
    pictures = model.endpoint("generate")(noise=noise)["image"]
    np.testing.assert_allclose(pictures, 255 * model.decoder(noise).numpy(), rtol=1e-5)
    with pytest.raises(aezoo.ZooError, match=r"\(batch, 3\)"):
        model.endpoint("generate")(noise=np.zeros((5, 4), "float32"))


def test_fit_takes_rows_alone_pairs_and_validation_data(model, rows, rng):
    noisy = np.clip(rows + rng.normal(0, 0.2, rows.shape), 0, 1).astype("float32")
    start = model.get_weights()
    model.compile(optimizer=keras.optimizers.SGD(1e-3), loss=model.default_loss)  # no state
    histories = []
    for pair in ((rows,), (rows, rows), (noisy, rows), (noisy, noisy)):
        model.set_weights(start)
        fitted = model.fit(*pair, validation_data=(rows, rows), verbose=0)
        histories.append(fitted.history)
        assert set(fitted.history) == {
            f"{part}{term}"
            for part in ("", "val_")
            for term in ("loss", "reconstruction_loss", "kl_loss")
        }
    validation = [history["val_loss"][-1] for history in histories]
    assert validation[2] != validation[3]
    assert np.isfinite(validation).all()


def test_a_hand_written_tape_loop_lowers_the_loss(model, rows):
    optimizer = keras.optimizers.Adam(0.01)
    x = tf.constant(rows)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            answer = model(x, training=True)
            loss = tf.reduce_mean(model.default_loss(x, answer)) + sum(model.losses)
        gradients = tape.gradient(loss, model.trainable_weights)
        optimizer.apply_gradients(zip(gradients, model.trainable_weights, strict=True))
        return loss

    before = model.evaluate(rows, verbose=0)[0]
    for _ in range(20):
        step()
    assert model.evaluate(rows, verbose=0)[0] < before - 1.0


def test_saving_and_cloning_keep_values_and_arguments(model, rows, tmp_path):
    model.fit(rows, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(rows, verbose=0), model.predict(rows, verbose=0))
    assert loaded.evaluate(rows, verbose=0) == model.evaluate(rows, verbose=0)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone(rows), model(rows))
    assert clone.arguments == model.arguments


def test_training_lets_the_code_tell_rows_apart_and_pays_for_it():
    bars = np.repeat(np.eye(4, dtype="float32"), 16, axis=0).repeat(4, axis=1)  # (64, 16), 4 kinds
    with seeded(0):
        model = DenseVAE((16,), (32,), 2)
    model.compile(optimizer=keras.optimizers.Adam(0.02), loss=model.default_loss)
    before = model.evaluate(bars, verbose=0, return_dict=True)
    model.fit(long_epoch(bars, 60), batch_size=64, shuffle=False, verbose=0)
    after = model.evaluate(bars, verbose=0, return_dict=True)
    assert before["reconstruction_loss"] > 10.0  # about 16 log 2
    # Four equally likely rows cannot cost less than log 4 nats; a blind code costs 9.0.
    assert math.log(4) < after["loss"] < 6.0
    assert after["kl_loss"] > 1.0


@pytest.mark.parametrize(
    ("shape", "likelihood"),
    [((27, 31, 3), "bernoulli"), ((140, 1), "gaussian"), ((64, 64, 1), "gaussian")],
)
def test_any_input_size_trains_and_generates(shape, likelihood, rng):
    model = ConvVAE(shape, (4, 4), 3, likelihood)
    model.compile(optimizer="adam", loss=model.default_loss)
    x = rng.random((4, *shape)).astype("float32")
    assert np.isfinite(model.fit(x, verbose=0).history["loss"]).all()
    generated = model.endpoint("generate")(noise=np.zeros((2, 3), "float32"))
    assert generated[model.input_name].shape == (2, *shape)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("name", list(TINY))
def test_half_precision_keeps_the_kl_term_in_float32(name, policy, rows):
    keras.config.set_dtype_policy(policy)
    try:
        model = aezoo.build(name, seed=0, **TINY[name])
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.encoder.layers[-3].compute_dtype == policy.removeprefix("mixed_")
    kernel, bias = model.encoder.get_layer("log_variance").get_weights()
    model.encoder.get_layer("log_variance").set_weights([kernel * 0, bias + 20.0])
    logs = model.evaluate(rows, verbose=0, return_dict=True)
    assert logs["kl_loss"] == pytest.approx(3 * 0.5 * (math.exp(20) - 21), rel=1e-3)  # above 65,504
    assert np.isfinite(list(logs.values())).all()


def test_wrong_arguments_are_refused_with_the_right_ones():
    with pytest.raises(aezoo.ZooError, match="Did you mean 'bernoulli'"):
        aezoo.build("vae", likelihood="bernouli")
    with pytest.raises(aezoo.ZooError, match="kl_weight"):
        aezoo.build("vae", kl_weight=-1.0)
    with pytest.raises(aezoo.ZooError, match="scale"):
        aezoo.build("conv_vae", likelihood="gaussian", scale=0.0)


@pytest.mark.parametrize("name", ["iwae", "vamp_vae", "semi_supervised_vae"])
def test_training_weighs_the_kl_term_by_its_warmth_and_evaluation_does_not(rows, name):
    sizes = {"iwae": {"samples": 1}, "vamp_vae": {"pseudo_rows": 5}}.get(name, {})
    model = aezoo.build(name, seed=0, **TINY["vae"], **sizes)
    y = None
    if name == "semi_supervised_vae":
        y = np.full(64, -1)
    model.warmth.assign(0.25)
    measured = model.evaluate(rows, y, batch_size=64, verbose=0, return_dict=True)
    trained = model.fit(rows, y, batch_size=64, epochs=1, verbose=0).history

    def share(terms):
        others = sum(terms.get(n, 0.0) for n in ("reconstruction_loss", "class_kl_loss"))
        return (terms["loss"] - others) / terms["kl_loss"]

    assert share(measured) == pytest.approx(1.0, rel=1e-3)
    assert share({n: v[0] for n, v in trained.items()}) == pytest.approx(0.25, rel=1e-3)


def test_dropout_hides_values_from_the_encoder_in_training_alone():
    rows = np.ones((64, 6), "float32")
    model = aezoo.build("vae", input_shape=(6,), hidden=(8,), latent_dim=2, dropout=0.5, seed=0)
    plain = aezoo.build("vae", input_shape=(6,), hidden=(8,), latent_dim=2, seed=0)
    plain.set_weights(model.get_weights())
    assert len(np.unique(model.encoder(rows, training=True)[0].numpy(), axis=0)) > 16  # of 2^6
    assert np.array_equal(model.encoder(rows)[0], plain.encoder(rows)[0])
    assert model.evaluate(rows, verbose=0) == plain.evaluate(rows, verbose=0)
