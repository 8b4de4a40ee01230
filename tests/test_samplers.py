"""Samplers draw from the distribution that they were fitted to."""

import numpy as np
import pytest

import aezoo
from aezoo import samplers


@pytest.fixture(scope="module")
def banana():
    """Codes on a parabola: the second number is the square of the first, nearly."""
    rng = np.random.default_rng(0)
    first = rng.normal(size=2000)
    return np.stack([first, first**2 + 0.1 * rng.normal(size=2000)], axis=1) * [1.0, 3.0] + [5, -2]


def off_the_parabola(codes):
    """Return the typical distance from the parabola."""
    first, second = (codes[:, 0] - 5), (codes[:, 1] + 2) / 3
    return float(np.median(np.abs(second - first**2)))


def test_a_gaussian_has_mean_and_covariance_of_the_codes(banana):
    drawn = samplers.fit(banana, "gaussian").sample(20_000)
    np.testing.assert_allclose(drawn.mean(axis=0), banana.mean(axis=0), atol=0.1)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(banana.T), rtol=0.1, atol=0.1)


@pytest.mark.parametrize(("kind", "limit"), [("mixture", 0.3), ("neighbours", 0.12), ("flow", 0.2)])
def test_the_others_follow_a_curve_that_a_gaussian_misses(banana, kind, limit, monkeypatch):
    monkeypatch.setattr(samplers.Flow, "STEPS", 600)
    gaussian = off_the_parabola(samplers.fit(banana, "gaussian").sample(2000))
    drawn = samplers.fit(banana, kind).sample(2000)
    assert off_the_parabola(drawn) < limit < 0.5 * gaussian
    np.testing.assert_allclose(drawn.std(axis=0), banana.std(axis=0), rtol=0.25)


@pytest.mark.parametrize("kind", ["gaussian", "mixture", "neighbours", "flow"])
def test_equal_seeds_give_equal_codes_of_the_models_shape(kind, monkeypatch):
    monkeypatch.setattr(samplers.Flow, "STEPS", 3)
    monkeypatch.setattr(samplers.Flow, "COUPLINGS", 2)
    codes = np.random.default_rng(0).normal(size=(60, 2, 3, 2))
    one, other = (samplers.fit(codes, kind).sample(5, seed=1) for _ in range(2))
    assert one.shape == (5, 2, 3, 2) and one.dtype == np.float32
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(one, samplers.fit(codes, kind).sample(5, seed=2))


def test_two_clusters_stay_apart():
    rng = np.random.default_rng(0)
    codes = np.concatenate([rng.normal(-5, 0.2, (100, 3)), rng.normal(5, 0.2, (100, 3))])
    for kind in ("mixture", "neighbours"):
        drawn = samplers.fit(codes, kind).sample(500)
        assert np.abs(drawn).min() > 3.5
        assert 0.4 < (drawn[:, 0] > 0).mean() < 0.6


def test_what_cannot_be_fitted_is_refused():
    codes = np.zeros((20, 1))
    with pytest.raises(aezoo.ZooError, match="Did you mean 'mixture'"):
        samplers.fit(codes, "mixtur")
    with pytest.raises(aezoo.ZooError, match="at least 10"):
        samplers.fit(codes[:5])
    with pytest.raises(aezoo.ZooError, match="NaN"):
        samplers.fit(codes * np.nan)
    with pytest.raises(aezoo.ZooError, match="Choose mixture"):
        samplers.fit(codes, "flow")
