"""Likelihoods, bounds and priors of the variational family against closed forms."""

import math

import numpy as np
import pytest
from long_epoch import long_epoch

import aezoo
from aezoo.config import DataSection
from aezoo.data import load
from aezoo.losses import gaussian_log_density
from aezoo.models.info_vae import squared_mmd
from aezoo.models.vae import DenseVAE
from aezoo.zoo_model import EVALUATION_SEED


def log_normal(z, mean, log_variance):
    """Return the log density of a diagonal Gaussian, summed over the last axis."""
    squared = (z - mean) ** 2 / np.exp(log_variance)
    return -0.5 * (math.log(2 * math.pi) + log_variance + squared).sum(axis=-1)


def log_mean_exp(values):
    """Return the log of the mean of exponentials along the last axis."""
    return np.logaddexp.reduce(values, axis=-1) - math.log(values.shape[-1])


def test_log_density_is_that_of_a_gaussian(rng):
    z, mean, log_variance = rng.normal(size=(3, 5, 4)).astype("float32")
    ours = gaussian_log_density(z, mean, log_variance)
    np.testing.assert_allclose(ours, log_normal(z, mean, log_variance), rtol=1e-5)
    np.testing.assert_allclose(gaussian_log_density(z), log_normal(z, 0, 0 * z), rtol=1e-5)


def test_the_likelihood_of_a_linear_model_is_that_of_its_closed_form(rng):
    """With x = W z + b + noise of variance s^2, p(x) is N(b, W W' + s^2 I)."""
    model = DenseVAE((5,), (), 2, "gaussian", scale=0.6)
    weights, bias = rng.normal(size=(2, 5)), rng.normal(size=5)
    model.decoder.set_weights([weights, bias])
    x = rng.normal(size=(6, 5)).astype("float32")
    covariance = weights.T @ weights + 0.36 * np.eye(5)
    off = x - bias
    mahalanobis = np.einsum("ni,ij,nj->n", off, np.linalg.inv(covariance), off)
    exact = 0.5 * (mahalanobis + np.linalg.slogdet(2 * math.pi * covariance)[1])
    # The exact posterior as q makes every importance weight p(x): a few draws are enough.
    precision = weights @ weights.T / 0.36 + np.eye(2)
    to_mean = np.linalg.solve(precision, weights / 0.36).T
    diagonal = np.log(np.diag(np.linalg.inv(precision)))
    for layer, kernel, start in (
        ("latent", to_mean, -bias @ to_mean),
        ("log_variance", 0 * to_mean, diagonal),
    ):
        model.encoder.get_layer(layer).set_weights([kernel, start])
    np.testing.assert_allclose(model.nll(x, samples=5000), exact, atol=0.05)
    few, many = (model.nll(x, samples=n).mean() for n in (1, 5000))
    assert few > many  # one draw is the ELBO, a bound
    np.testing.assert_array_equal(model.nll(x[:2], 20, seed=3), model.nll(x[:2], 20, seed=3))
    assert not np.array_equal(model.nll(x[:2], 20, seed=3), model.nll(x[:2], 20, seed=4))


@pytest.fixture
def binary(rng):
    return (rng.random((16, 6, 6, 1)) > 0.6).astype("float32")


def importance_bound(model, x, samples):
    """Return minus the mean bound, and its two parts, by NumPy from the model's own draws."""
    mean, log_variance = (np.repeat(v, samples, axis=0) for v in model.encoder(x))
    z = np.asarray(model.sampling.draw(mean, log_variance, EVALUATION_SEED))
    p = np.asarray(model.decoder(z), "float64").reshape(len(z), -1)
    flat = np.repeat(x.reshape(len(x), -1), samples, axis=0)
    nll = -(flat * np.log(p) + (1 - flat) * np.log1p(-p)).sum(axis=1)
    kl = log_normal(z, mean, log_variance) - log_normal(z, 0, 0 * z)
    bound = log_mean_exp((-nll - kl).reshape(len(x), samples))
    return -bound.mean(), nll.mean(), kl.mean()


@pytest.mark.parametrize("samples", [1, 7])
def test_the_importance_weighted_bound_is_that_of_numpy(binary, samples):
    shape = {"input_shape": (6, 6, 1), "hidden": (8,), "latent_dim": 3}
    model = aezoo.build("iwae", seed=0, samples=samples, **shape)
    logs = model.evaluate(binary, batch_size=16, verbose=0, return_dict=True)
    expected = importance_bound(model, binary, samples)
    for name, value in zip(("loss", "reconstruction_loss", "kl_loss"), expected, strict=True):
        assert logs[name] == pytest.approx(value, rel=1e-5), name


def test_more_draws_give_a_tighter_bound_and_weights_count(binary):
    shape = {"input_shape": (6, 6, 1), "hidden": (8,), "latent_dim": 3}
    models = {k: aezoo.build("iwae", seed=0, samples=k, **shape) for k in (1, 200)}
    bounds = {k: model.evaluate(binary, verbose=0, return_dict=True) for k, model in models.items()}
    assert bounds[200]["loss"] < bounds[1]["loss"] - 0.05
    first = (np.arange(16) < 4).astype("float32")
    weighted = models[1].evaluate(binary, binary, 16, sample_weight=first, verbose=0)[0]
    everyone = models[1].evaluate(binary, binary, 16, sample_weight=first * 0 + 1, verbose=0)[0]
    assert weighted < 0.5 * everyone


def test_the_bound_refuses_what_is_no_likelihood(binary):
    shape = {"input_shape": (6, 6, 1), "hidden": (8,), "latent_dim": 3}
    model = aezoo.build("iwae", **shape)
    model.compile(loss="mse")
    with pytest.raises(aezoo.ZooError, match="needs a likelihood"):
        model.evaluate(binary, verbose=0)


def test_mmd_is_the_mean_over_pairs_and_nil_between_equal_distributions(rng):
    a, b = rng.normal(size=(2, 6, 3)).astype("float32")

    def mean_over_pairs(left, right, equal):
        pairs = [(i, j) for i in range(6) for j in range(6) if not (equal and i == j)]
        return np.mean([6 / (6 + ((left[i] - right[j]) ** 2).sum()) for i, j in pairs])

    expected = mean_over_pairs(a, a, True) + mean_over_pairs(b, b, True)
    expected -= 2 * mean_over_pairs(a, b, False)
    assert float(squared_mmd(a, b)) == pytest.approx(expected, abs=1e-6)
    draws = rng.normal(size=(2, 2000, 3)).astype("float32")
    assert (
        abs(float(squared_mmd(*draws))) < 0.002 < 0.1 < float(squared_mmd(draws[0], 0 * draws[1]))
    )
    assert float(squared_mmd(a[:1], b[:1])) == 0.0


def test_the_mmd_term_brings_the_codes_to_the_prior(rng):
    """Of two models with no KL term, the codes of the one with MMD spread like the prior."""
    rows = (rng.random((256, 6, 6, 1)) > 0.6).astype("float32")
    far = {}
    for weight in (0.0, 500.0):
        shape = {"input_shape": (6, 6, 1), "filters": (4,), "latent_dim": 2}
        model = aezoo.build("info_vae", seed=0, kl_weight=0.0, mmd_weight=weight, **shape)
        model.encoder.get_layer("latent").bias.assign([3.0, -3.0])  # away from the prior
        model.optimizer.learning_rate = 0.01
        model.fit(long_epoch(rows, 10), batch_size=64, shuffle=False, verbose=0)
        far[weight] = model.evaluate(rows, batch_size=256, verbose=0, return_dict=True)["mmd_loss"]
    assert abs(far[500.0]) < 0.05 < 0.2 < far[0.0]


def test_the_vamp_prior_is_the_mixture_of_the_pseudo_rows_posteriors(binary):
    shape = {"input_shape": (6, 6, 1), "hidden": (8,), "latent_dim": 3, "pseudo_rows": 4}
    model = aezoo.build("vamp_vae", seed=0, **shape)
    rows = np.asarray(model.pseudo_rows.rows())
    assert rows.min() >= 0 and rows.max() <= 1
    means, log_variances = (np.asarray(v) for v in model.encoder(rows))
    z = np.random.default_rng(1).normal(size=(5, 3)).astype("float32")
    by_component = log_normal(z[:, None], means, log_variances)
    np.testing.assert_allclose(model.log_prior(z), log_mean_exp(by_component), rtol=1e-5)
    start = means[[2, 0]]
    answer = model.endpoint("generate")(
        noise=np.zeros((2, 3), "float32"), component=np.array([[2], [0]], "int32")
    )
    np.testing.assert_allclose(answer["image"], model.decoder(start), atol=1e-6)


def test_pictures_are_drawn_once_for_the_roles_that_ask_and_alike_each_time():
    whole, drawn, again = (
        load("sample", section(draw)) for draw in ((), ("train", "test"), ("train", "test"))
    )
    assert set(np.unique(drawn.train.array())) == {0, 255}
    np.testing.assert_array_equal(drawn.train.array(), again.train.array())
    np.testing.assert_array_equal(drawn.validation.array(), whole.validation.array())
    grey, binary = whole.test.array() / 255, drawn.test.array() / 255
    assert not np.array_equal(binary, grey)
    for low, high in ((0.2, 0.4), (0.6, 0.8)):
        there = (grey > low) & (grey < high)
        assert binary[there].mean() == pytest.approx(grey[there].mean(), abs=0.01)


def section(draw):
    """Return data settings that draw pixels for these roles."""
    return DataSection(draw=draw)
