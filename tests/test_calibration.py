"""Thresholds: the promised false-alarm rate, and what refuses or forgets one."""

import numpy as np
import pytest

import aezoo
from aezoo.calibration import scores
from aezoo.data.rows import CalibrationRows, TestRows, ValidationRows
from aezoo.errors import ZooError, ZooWarning


@pytest.fixture
def model():
    return aezoo.build("vallina_ae", input_shape=(4,), hidden=(3,), latent_dim=2, seed=0)


def draw(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 4), "float32")


def test_the_threshold_is_the_conformal_quantile_of_the_scores(model):
    rows = draw(99)
    threshold = aezoo.calibrate(model, rows, alpha=0.1)
    by_hand = np.sort(((rows - model.predict(rows, verbose=0)) ** 2).mean(1))
    assert threshold == pytest.approx(by_hand[89], rel=1e-5)


def test_the_false_alarm_rate_is_the_promised_one(model):
    alpha, calibration, test, seeds = 0.1, 200, 500, 20
    rates = []
    for seed in range(seeds):
        threshold = aezoo.calibrate(model, draw(calibration, seed), alpha)
        rates.append(float((scores(model, draw(test, 1000 + seed)) > threshold).mean()))
    sigma = np.sqrt(alpha * (1 - alpha) * (1 / calibration + 1 / test) / seeds)
    assert abs(np.mean(rates) - alpha) < 3 * sigma


def test_detect_takes_the_threshold_as_an_input_and_has_a_default(model):
    rows = draw(99)
    threshold = aezoo.calibrate(model, CalibrationRows(rows), alpha=0.1)
    detect = model.endpoint("detect")
    by_default = detect(features=rows)
    np.testing.assert_array_equal(by_default["anomalous"], by_default["score"] > threshold)
    none = detect(features=rows, threshold=np.full((99, 1), 9.0, "float32"))
    assert not none["anomalous"].any()


def test_detect_without_a_calibration_says_what_to_do(model):
    with pytest.raises(ZooError, match=r"aezoo\.calibrate"):
        model.endpoint("detect")


def test_training_forgets_threshold_and_metrics(model):
    aezoo.calibrate(model, draw(99))
    model.metrics_measured = {"test": {"loss": 1.0}}
    model.fit(draw(32), epochs=1, verbose=0)
    assert model.calibration is None
    assert model.metrics_measured is None
    assert "detect" not in [spec.name for spec in model.endpoints]


def test_rows_of_another_role_are_refused(model):
    for role in (ValidationRows, TestRows):
        with pytest.raises(ZooError, match="cannot calibrate"):
            aezoo.calibrate(model, role(draw(99)))


def test_too_few_rows_are_refused_with_the_number_needed(model):
    with pytest.raises(ZooError, match="at least 19 rows"):
        aezoo.calibrate(model, draw(18), alpha=0.05)
    aezoo.calibrate(model, draw(19), alpha=0.05)


def test_equal_scores_are_refused(model):
    with pytest.raises(ZooError, match="same score"):
        aezoo.calibrate(model, np.repeat(draw(1), 50, axis=0))


def test_scoring_the_rows_that_set_the_threshold_warns_and_setting_it_again_does_not(model):
    rows = draw(99)
    aezoo.calibrate(model, rows, 0.1)
    aezoo.calibrate(model, rows, 0.2)
    with pytest.warns(ZooWarning, match="set the threshold"):
        scores(model, rows)
    scores(model, draw(99, seed=1))


def test_threshold_and_metrics_survive_saving(model, tmp_path):
    threshold = aezoo.calibrate(model, draw(99))
    again = aezoo.load(aezoo.save(model, tmp_path / "m.keras"))
    assert again.calibration["threshold"] == threshold
    np.testing.assert_array_equal(
        again.endpoint("detect")(features=draw(9))["anomalous"],
        model.endpoint("detect")(features=draw(9))["anomalous"],
    )
