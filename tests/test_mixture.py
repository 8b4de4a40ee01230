"""The mixture of linear autoencoders: its formulas, its training, its weights in closed form."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import aezoo
from aezoo.errors import ZooError
from aezoo.export import Bundle
from aezoo.tasks import gaussian, mixtures
from aezoo.tasks.imputation import MIXTURE, Imputer
from aezoo.tasks.projection import projected

K, D, N = 3, 2, 5


@pytest.fixture
def model(rng):
    model = aezoo.build("mixture_ae", input_shape=(N,), components=K, latent_dim=D, seed=0)
    model.set_weights([0.4 * rng.normal(size=w.shape) for w in model.get_weights()])
    return model


@pytest.fixture
def rows(rng):
    return rng.normal(size=(7, N)).astype("float32")


def test_code_and_answer_are_those_of_the_formulas(model, rows):
    centres, axes, bias, log_c = (w.astype("float64") for w in model.get_weights())
    axes = axes.reshape(K, D, N)
    z = np.einsum("kdn,bkn->bkd", axes, rows[:, None] - centres)
    energy = np.square(rows[:, None] - centres).sum(-1) - np.square(z).sum(-1)
    logits = bias - energy / (2 * np.exp(log_c))
    shares = np.exp(logits - logsumexp(logits, axis=1, keepdims=True))
    code = np.concatenate([shares, (shares[..., None] * z).reshape(7, -1)], axis=1)
    answer = (shares[..., None] * (centres + np.einsum("kdn,bkd->bkn", axes, z))).sum(axis=1)
    np.testing.assert_allclose(model.encoder(rows), code, atol=1e-5)
    np.testing.assert_allclose(model(rows), answer, atol=1e-5)
    by_numpy = mixtures.Weights(*model.get_weights())(rows)
    np.testing.assert_allclose(by_numpy, answer, atol=1e-5)


def test_the_answer_goes_to_where_rows_are_likelier(model, rows):
    centres, axes, bias, log_c = (tf.constant(w) for w in model.get_weights())
    x = tf.Variable(rows)
    with tf.GradientTape() as tape:
        apart = x[:, None] - centres  # (B, K, N)
        z = tf.einsum("kdn,bkn->bkd", tf.reshape(axes, (K, D, N)), apart)
        energy = tf.reduce_sum(apart**2, -1) - tf.reduce_sum(z**2, -1)
        log_density = tf.reduce_logsumexp(bias - energy / (2 * tf.exp(log_c)), axis=1)
    pull = np.exp(log_c) * tape.gradient(log_density, x).numpy()
    np.testing.assert_allclose(model(rows) - rows, pull, atol=2e-5)


def test_the_loss_is_the_error_of_noisy_rows_and_what_shares_lack(model, rows):
    loss = model.compute_loss(rows, rows, model(rows))
    shares = model.encoder(rows).numpy()[:, :K]
    mean = shares.mean(axis=0)
    lacking = np.log(K) + (mean * np.log(mean)).sum() - (shares * np.log(shares)).sum() / len(rows)
    error = np.square(model(rows) - rows).mean()
    np.testing.assert_allclose(loss, error + 0.1 * rows.var() * lacking, rtol=1e-5)
    noisy, clean = model.pair(rows, None, training=True)
    np.testing.assert_array_equal(clean, rows)
    assert 0.05 < np.std(noisy - rows) < 0.2  # 0.1 in the long run


def test_the_largest_part_alone_rebuilds_a_row_by_itself(model, rows):
    centres, axes, *_ = (w.astype("float64") for w in model.get_weights())
    axes, code = axes.reshape(K, D, N), model.encoder(rows).numpy()
    answer = model.decoder(model.largest_alone(code)).numpy()
    for row, part, found in zip(rows, code[:, :K].argmax(axis=1), answer, strict=True):
        z = axes[part] @ (row - centres[part])
        np.testing.assert_allclose(found, centres[part] + axes[part].T @ z, atol=1e-4)


def test_training_finds_what_kinds_there_are(rng):
    ends = rng.normal(size=(3, 2, 12))
    kinds = rng.integers(3, size=1500)
    along = rng.uniform(-1, 1, (1500, 1))
    rows = (2 * ends[kinds, 0] + along * ends[kinds, 1]).astype("float32")
    model = aezoo.build(
        "mixture_ae", input_shape=(12,), components=3, latent_dim=1, level=0.05, seed=0
    )
    model.adapt(rows)
    x = np.asarray(model.preprocessing.apply(rows))
    history = model.pretrain(x, epochs=4)
    assert [line["epoch"] for line in history] == [1, 2, 3, 4]
    placed = np.square(model.predict(x, verbose=0) - x).mean()
    assert history[-1]["loss"] == pytest.approx(placed, rel=1e-3)
    model.fit(x, epochs=10, verbose=0)
    error = np.square(model.predict(x, verbose=0) - x).mean()
    lengths = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
    linear = np.square(lengths[1:]).sum() / x.size  # one main component
    assert max(error, placed) < 0.02 * linear
    belongs = model.encoder.predict(x, verbose=0)[:, :3].argmax(axis=1)
    agreed = sum(np.bincount(kinds[belongs == part]).max() for part in np.unique(belongs))
    assert agreed / len(rows) > 0.95


def test_batches_that_never_end_place_parts_as_their_rows_do(rng):
    rows = rng.normal(size=(40, 6)).astype("float32") + np.repeat([[0.0], [9.0]], 20, axis=0)
    rows = rows.astype("float32")
    endless = tf.data.Dataset.from_tensor_slices((rows,)).batch(10).repeat()
    first, second = (
        aezoo.build("mixture_ae", input_shape=(6,), components=2, latent_dim=2, seed=0)
        for _ in range(2)
    )
    first.pretrain(rows, epochs=2)
    second.pretrain(endless, epochs=2, steps_per_epoch=4)
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    with pytest.raises(ZooError, match="holds NaN"):
        first.pretrain(np.where(rows > 9, np.nan, rows), epochs=1)


@pytest.mark.parametrize(
    ("count", "shape", "parts", "width"), [(3, (4,), 5, 6), (9, (40, 1), 2, 3)]
)
def test_few_rows_and_wide_parts_are_placed_too(rng, count, shape, parts, width):
    rows = rng.normal(size=(count, *shape)).astype("float32")
    rows[-1] = rows[0]  # as many kinds as there are rows, but one
    model = aezoo.build(
        "mixture_ae", input_shape=shape, components=parts, latent_dim=width, level=0.0, seed=0
    )
    history = model.pretrain(rows, epochs=2)
    assert np.isfinite(history[-1]["loss"])
    assert history[-1]["loss"] < rows.var()


# ---- in closed form ----


def parts_of(rng, size=4):
    factors = rng.normal(size=(2, size, size))
    means = np.stack([np.full(size, -3.0), np.full(size, 3.0)])
    return means, factors @ factors.swapaxes(1, 2) / size + 0.2 * np.eye(size)


def drawn(rng, means, covariances, count):
    kinds = rng.integers(2, size=count)
    noise = np.einsum(
        "bij,bj->bi", np.linalg.cholesky(covariances)[kinds], rng.normal(size=(count, 4))
    )
    return means[kinds] + noise


def test_moments_of_parts_are_found_in_rows_with_gaps(rng):
    means, covariances = parts_of(rng)
    rows = drawn(rng, means, covariances, 4000)
    known = rng.random(rows.shape) > 0.3
    known[~known.any(axis=1), 0] = True
    opened = np.where(known, rows, 0.0)
    found = mixtures.fit(opened, known, 2, gaussian.moments(opened, known), seed=0)
    for part, mean, covariance in zip(
        sorted(found.parts, key=lambda p: p.mean[0]), means, covariances, strict=True
    ):
        np.testing.assert_allclose(part.mean, mean, atol=0.12)
        np.testing.assert_allclose(part.covariance, covariance, atol=0.15)
    np.testing.assert_allclose(found.shares, 0.5, atol=0.04)


def test_log_densities_are_those_of_the_known_cells(rng):
    means, covariances = parts_of(rng)
    parts = [gaussian.Moments(*pair) for pair in zip(means, covariances, strict=True)]
    rows, known = drawn(rng, means, covariances, 6), rng.random((6, 4)) > 0.4
    known[:, 0] = True
    patterns = [(seen, np.array([i])) for i, seen in enumerate(known)]
    each, density = mixtures._filled(
        np.where(known, rows, 0.0), patterns, mixtures.Mixture(np.ones(2) / 2, parts)
    )
    for i, seen in enumerate(known):
        for k, part in enumerate(parts):
            own = part.covariance[np.ix_(seen, seen)]
            true = multivariate_normal(part.mean[seen], own).logpdf(rows[i, seen])
            constant = 0.5 * seen.sum() * np.log(2 * np.pi)
            np.testing.assert_allclose(density[i, k], true + constant, rtol=1e-6)
            slopes = np.linalg.solve(own, part.covariance[np.ix_(seen, ~seen)])
            expected = part.mean[~seen] + (rows[i, seen] - part.mean[seen]) @ slopes
            np.testing.assert_allclose(each[i, k, ~seen], expected, atol=1e-6)


def test_projection_ends_at_the_conditional_mean_of_the_part(rng):
    means, covariances = parts_of(rng)
    parts = [gaussian.Moments(*pair) for pair in zip(means, covariances, strict=True)]
    weights = mixtures.Mixture(np.full(2, 0.5), parts).weights(0.0)
    rows = drawn(rng, means, covariances, 20).astype("float32")
    known = np.tile([True, True, True, False], (20, 1))
    start = np.where(known, rows, 0.0)
    filled, _, resting = projected(weights.__call__, start, known, passes=5000, moves=1e-6)
    near = np.stack(
        [multivariate_normal(p.mean[:3], p.covariance[:3, :3]).logpdf(rows[:, :3]) for p in parts]
    )
    assert resting.all() and (np.abs(near[0] - near[1]) > 8).all()  # one part has each row
    for row, part in zip(range(20), near.argmax(axis=0), strict=True):
        p = parts[part]
        slope = np.linalg.solve(p.covariance[:3, :3], p.covariance[:3, 3])
        expected = p.mean[3] + (rows[row, :3] - p.mean[:3]) @ slope
        np.testing.assert_allclose(filled[row, 3], expected, atol=5e-3)


def test_the_imputer_takes_parts_where_rows_are_of_several_kinds(rng, tmp_path):
    def table(count):
        kind, x = rng.choice([-1, 1], count), rng.normal(size=count)
        noise = 0.1 * rng.normal(size=(count, 3))
        return (np.stack([2 * kind, x, kind * x], axis=1) + noise).astype("float32")

    rows, new = table(600), table(200)  # the third column is the second or its negative
    hidden = rng.random(rows.shape) < 0.1
    hidden[hidden.all(axis=1), 0] = False
    imputer = Imputer().fit(np.where(hidden, np.nan, rows))
    assert imputer.entry_ == MIXTURE
    opened = new.copy()
    opened[:, 2] = np.nan
    filled = imputer.transform(opened)[:, 2]
    assert np.sqrt(np.mean((filled - new[:, 2]) ** 2)) < 0.2  # 1 by a line or the mean
    bundle = aezoo.export_bundle(imputer.model_, tmp_path / "bundle", sample=rows).path
    by_bundle = Imputer.of(Bundle(bundle)).transform(opened)[:, 2]
    np.testing.assert_allclose(by_bundle, filled, atol=1e-3)
