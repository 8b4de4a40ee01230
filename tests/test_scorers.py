"""Scores that are fitted after training, against NumPy; saved, exported, forgotten."""

import numpy as np
import onnxruntime
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial import distance

import aezoo
from aezoo import metrics, scorers
from aezoo.data.rows import TrainRows
from aezoo.errors import ZooError
from aezoo.export import onnx_graph
from aezoo.names import SCORES

VAE = {"input_shape": (12, 12, 1), "filters": (4,), "latent_dim": 3}


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).random((300, 12, 12, 1), "float32")


@pytest.fixture(scope="module")
def model(rows):
    model = aezoo.build("conv_vae", seed=0, **VAE)
    model.fit(rows, epochs=1, verbose=0)
    return model


@pytest.fixture(scope="module")
def other():
    """Rows that were not fitted to."""
    return np.random.default_rng(1).random((40, 12, 12, 1), "float32")


def answered(model, kind, rows, other):
    model.scorer = scorers.fit(model, TrainRows(rows), kind)
    return model.endpoint("score")(image=other)["score"][:, 0].astype("float64")


def codes(model, rows):
    return model.endpoint("encode")(image=rows)["latent"].astype("float64")


def errors(model, rows):
    return np.square(rows - model.predict(rows, verbose=0)).astype("float64")[..., 0]


def test_the_residual_is_the_models_own_score(model, rows, other):
    by_hand = errors(model, other).mean(axis=(1, 2))
    np.testing.assert_allclose(answered(model, "residual", rows, other), by_hand, rtol=1e-5)


def test_a_normalized_residual_measures_each_place_by_its_usual_error(model, rows, other):
    usual = errors(model, rows).mean(axis=0)
    by_hand = (errors(model, other) / np.maximum(usual, 0.01 * usual.mean())).mean(axis=(1, 2))
    found = answered(model, "normalized_residual", rows, other)
    np.testing.assert_allclose(found, by_hand, rtol=1e-4)


def test_the_peak_is_the_largest_error_of_neighbours_together(model, rows, other):
    sigma = max(model.input_shape[:2]) / 32
    far = [
        gaussian_filter(one, sigma, mode="constant", truncate=4.3) for one in errors(model, other)
    ]
    share = gaussian_filter(np.ones_like(far[0]), sigma, mode="constant", truncate=4.3)
    by_hand = (np.array(far) / share).max(axis=(1, 2))  # at a border, of what lies inside
    np.testing.assert_allclose(answered(model, "peak", rows, other), by_hand, rtol=1e-3)


def test_ssim_is_that_of_the_metrics(model, rows, other):
    by_hand = 1 - metrics.ssim(other, model.predict(other, verbose=0))
    np.testing.assert_allclose(answered(model, "ssim", rows, other), by_hand, rtol=1e-4, atol=1e-5)


def test_the_negative_bound_is_at_the_mean_of_the_posterior(model, rows, other):
    mean, log_variance = (np.asarray(v, "float64") for v in model.encoder.predict(other, verbose=0))
    p = model.decoder.predict(mean.astype("float32"), verbose=0).astype("float64")
    nll = -(other * np.log(p) + (1 - other) * np.log(1 - p)).sum(axis=(1, 2, 3))
    kl = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(axis=1)
    np.testing.assert_allclose(answered(model, "elbo", rows, other), nll + kl, rtol=1e-5)


def test_mahalanobis_is_scipys_up_to_the_ridge(model, rows, other):
    known = codes(model, rows)
    precision = np.linalg.inv(np.cov(known.T))
    by_hand = [distance.mahalanobis(z, known.mean(axis=0), precision) for z in codes(model, other)]
    np.testing.assert_allclose(answered(model, "mahalanobis", rows, other), by_hand, rtol=0.01)


def usual_gap(known):
    near = np.sort(distance.cdist(known, known), axis=1)[:, 1 : scorers.NEAREST + 1].mean(axis=1)
    return np.median(near)


def test_neighbours_is_the_mean_distance_of_the_nearest_codes(model, rows, other):
    gaps = distance.cdist(codes(model, other), codes(model, rows))
    by_hand = np.sort(gaps, axis=1)[:, : scorers.NEAREST].mean(axis=1) / usual_gap(
        codes(model, rows)
    )
    np.testing.assert_allclose(answered(model, "neighbours", rows, other), by_hand, rtol=1e-4)


def test_a_row_that_was_fitted_to_is_exactly_near_to_itself(model, rows):
    one = rows[:1]
    near = np.sort(distance.cdist(codes(model, one), codes(model, rows)))[0, 1 : scorers.NEAREST]
    found = answered(model, "neighbours", rows, one)
    by_hand = near.sum() / scorers.NEAREST / usual_gap(codes(model, rows))
    np.testing.assert_allclose(found, by_hand, rtol=1e-4)  # no cancellation


def test_the_hybrid_measures_error_and_distance_by_their_usual_sizes(model, rows, other):
    known, asked = codes(model, rows), codes(model, other)
    covariance = np.cov(known.T)
    ridge = 1e-3 * np.trace(covariance) / 3 + 1e-6 * np.square(known).mean()
    root = np.linalg.cholesky(np.linalg.inv(covariance + ridge * np.eye(3)))
    far = np.sort(distance.cdist(asked @ root, known @ root), axis=1)[:, : scorers.NEAREST]
    far = far.mean(axis=1) / usual_gap(known @ root)
    error = answered(model, "peak", rows, other) / np.median(answered(model, "peak", rows, rows))
    found = answered(model, "hybrid", rows, other)
    np.testing.assert_allclose(found, np.log1p(error + 2 * far**2), rtol=1e-3)


def test_the_hybrid_of_a_table_takes_the_residual_as_it_is():
    table = np.random.default_rng(0).normal(size=(300, 5)).astype("float32")
    model = aezoo.build("vallina_ae", input_shape=(5,), hidden=(4,), latent_dim=2, seed=0)
    model.scorer = scorer = scorers.fit(model, table, "hybrid")
    found = model.endpoint("score")(features=table[:9])["score"][:, 0]
    residual = model.score_endpoint()(features=table)["score"][:, 0]
    known = model.endpoint("encode")(features=table)["latent"] @ scorer.constants["root"]
    far = np.sort(distance.cdist(known[:9], known), axis=1)[:, : scorers.NEAREST].mean(axis=1)
    by_hand = residual[:9] / np.median(residual) + 2 * (far / scorer.constants["gap"]) ** 2
    np.testing.assert_allclose(found, np.log1p(by_hand), rtol=1e-3)


def test_every_score_has_its_name():
    assert tuple(scorers._KINDS) == SCORES


@pytest.mark.parametrize("kind", SCORES)
def test_no_score_is_clamped(model, rows, kind):
    steps = np.array([1.0, 3.0, 10.0, 30.0], "float32")[:, None, None, None]
    odd = 0.5 + steps * (np.random.default_rng(2).random((1, 12, 12, 1), "float32") - 0.5)
    if kind == "ssim":  # which lies between 0 and 2 by its definition
        odd = odd[:2]
    assert (np.diff(answered(model, kind, rows, odd)) > 0).all()


@pytest.mark.parametrize("kind", SCORES)
def test_a_saved_model_scores_and_detects_as_before(model, rows, other, kind, tmp_path):
    before = answered(model, kind, rows, other)
    threshold = aezoo.calibrate(model, other, alpha=0.1)
    again = aezoo.load(aezoo.save(model, tmp_path / "model.keras"))
    found = again.endpoint("detect")(image=other)
    np.testing.assert_allclose(found["score"][:, 0], before, rtol=1e-6)
    assert again.calibration["threshold"] == threshold
    assert again.scorer.constants.keys() == model.scorer.constants.keys()


@pytest.mark.parametrize("kind", ["peak", "ssim", "elbo", "hybrid"])
def test_onnx_scores_alike(model, rows, other, kind):
    expected = answered(model, kind, rows, other)
    graph = onnx_graph.convert(model.endpoint("score"), model)
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    found = session.run(["score"], {"image": other})[0][:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_series_and_tables_have_scores_too():
    rng = np.random.default_rng(0)
    series = aezoo.build("seq2seq_ae", input_shape=(9, 2), units=4, latent_dim=3, seed=0)
    table = aezoo.build("vallina_ae", input_shape=(5,), hidden=(4,), latent_dim=2, seed=0)
    for model, rows in ((series, rng.random((60, 9, 2))), (table, rng.random((60, 5)))):
        rows = rows.astype("float32")
        assert "ssim" not in scorers.kinds_of(model) and "elbo" not in scorers.kinds_of(model)
        for kind in scorers.kinds_of(model):
            model.scorer = scorers.fit(model, rows, kind)
            near, far = (
                model.endpoint("score")(**{model.input_name: x})["score"].mean()
                for x in (rows, 5 * rows)
            )
            assert far > near


def test_training_forgets_the_scorer_and_a_new_scorer_the_threshold(rows):
    model = aezoo.build("conv_vae", seed=0, **VAE)
    model.scorer = scorers.fit(model, rows, "neighbours")
    aezoo.calibrate(model, rows[:50], alpha=0.1)
    model.scorer = scorers.fit(model, rows, "residual")
    assert model.calibration is None
    model.fit(rows[:32], epochs=1, verbose=0)
    assert model.scorer is None
    description = model.endpoint("score").spec.tensor("score").description
    assert description == "Mean squared error."


def test_a_score_that_does_not_exist_or_does_not_fit_is_refused(model, rows):
    with pytest.raises(ZooError, match="Did you mean 'neighbours'"):
        scorers.fit(model, rows, "neighbors")
    plain = aezoo.build("vallina_ae", input_shape=(5,), hidden=(4,), latent_dim=2)
    with pytest.raises(ZooError, match="needs a variational autoencoder"):
        scorers.fit(plain, np.zeros((9, 5), "float32"), "elbo")
    with pytest.raises(ZooError, match="unet has no score"):
        scorers.fit(aezoo.build("unet", input_shape=(16, 16, 1), filters=(4, 8)), rows)


@pytest.mark.parametrize("kind", ["mahalanobis", "normalized_residual", "hybrid"])
def test_narrow_codes_and_small_residuals_are_exported(kind, tmp_path, rng):
    """Where a score magnifies the last digits of float32, its tolerance is magnified alike."""
    model = aezoo.build("vallina_ae", input_shape=(6,), hidden=(5,), latent_dim=3, seed=0)
    shift = model.encoder.trainable_variables[-1]
    shift.assign(shift + 1.5)
    rows = (0.5 + 1e-3 * rng.random((200, 6))).astype("float32")  # codes vary by less than .001
    model.scorer = scorers.fit(model, rows, kind)
    aezoo.calibrate(model, rows[:100], alpha=0.1)
    assert model.endpoint("score").spec.tensor("score").unit_scale > 1
    aezoo.export_bundle(model, tmp_path / "bundle", rows[100:])
