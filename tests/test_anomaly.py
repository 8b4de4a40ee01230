"""The detector of anomalies: what it finds, what it promises, and how scikit-learn uses it."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import aezoo
from aezoo import scorers
from aezoo.errors import ZooError
from aezoo.export import Bundle
from aezoo.tasks import choosing
from aezoo.tasks.anomaly import AnomalyDetector

FEW = {"epochs": 3}


def table(count: int, seed: int = 0) -> np.ndarray:
    """Rows whose last two columns follow from the first three."""
    rows = np.random.default_rng(seed).normal(size=(count, 5))
    rows[:, 3], rows[:, 4] = rows[:, 0] + rows[:, 1], rows[:, 1] - rows[:, 2]
    return rows


def broken(count: int, seed: int = 1) -> np.ndarray:
    """Rows whose columns have the same values, but do not follow from each other."""
    rows, rng = table(count, seed), np.random.default_rng(seed)
    return np.stack([rng.permutation(column) for column in rows.T], axis=1)


@pytest.fixture(scope="module")
def detector():
    return AnomalyDetector(settings={"epochs": 60}).fit(table(600))


@pytest.fixture(scope="module")
def digits():
    """Digits but 3 to fit to, others of them, and all 3s."""
    x, y = load_digits(return_X_y=True)
    pictures = np.round(x * (255 / 16)).astype("uint8").reshape(-1, 8, 8)
    normal = np.random.default_rng(0).permutation(np.flatnonzero(y != 3))
    return pictures[normal[:1100]], pictures[normal[1100:]], pictures[y == 3]


def test_rows_that_break_the_rule_of_the_others_are_found(detector):
    assert choosing.unexplained(detector.model_, table(200).astype("float32")) > 0.1
    rows = np.concatenate([table(300, seed=2), broken(300)])
    truth = np.repeat([0, 1], 300)
    assert roc_auc_score(truth, detector.decision_function(rows)) > 0.9
    assert f1_score(truth, detector.predict(rows)) > 0.7


def test_an_unknown_digit_is_found_by_the_score_that_auto_chooses(digits):
    known, others, threes = digits
    detector = AnomalyDetector().fit(known)
    assert detector.score_ == "neighbours" and detector.model_.entry.name == "simple_ae"
    assert detector.scores_tried_["neighbours"] > detector.scores_tried_["residual"]
    truth = np.repeat([0, 1], [len(others), len(threes)])
    scores = detector.decision_function(np.concatenate([others, threes]))
    assert roc_auc_score(truth, scores) > 0.97
    residual = AnomalyDetector(score="residual", settings={"epochs": 20}).fit(known)
    scores = residual.decision_function(np.concatenate([others, threes]))
    assert roc_auc_score(truth, scores) < 0.9  # why a choice is needed


def test_the_false_alarm_rate_is_the_one_asked_for():
    alpha, rates, calibration, test = 0.1, [], 120, 400
    for seed in range(20):
        detector = AnomalyDetector(
            score="residual",
            alpha=alpha,
            calibration=0.5,
            random_state=seed,
            settings={"epochs": 1},
        ).fit(table(2 * calibration, seed))
        rates.append(detector.predict(table(test, 100 + seed)).mean())
    sigma = np.sqrt(alpha * (1 - alpha) * (1 / calibration + 1 / test) / 20)
    assert abs(np.mean(rates) - alpha) < 3 * sigma


def test_in_folds_every_row_trains_and_is_scored_by_a_model_that_has_not_seen_it(monkeypatch):
    rows, seen = table(90), []
    trained = AnomalyDetector._trained

    def watched(self, entry, settings, data, out=None):
        seen.append(data.train.array())
        return trained(self, entry, settings, data, out)

    monkeypatch.setattr(AnomalyDetector, "_trained", watched)
    detector = AnomalyDetector(score="residual", alpha=0.2, folds=3, settings={"epochs": 8})
    detector.fit(rows)
    whole, *parts = seen
    assert len(whole) == len(detector.calibration_scores_) == 81  # 9 chose the epoch
    left_out = [{tuple(row) for row in whole} - {tuple(row) for row in part} for part in parts]
    assert [len(part) for part in left_out] == [27, 27, 27]
    assert len(set.union(*left_out)) == 81
    rank = int(np.ceil(82 * 0.8))
    assert detector.threshold_ == detector.calibration_scores_[rank - 1]
    # A row that a model has seen scores lower, so the threshold of seen rows would be too low.
    seen_scores = detector.decision_function(whole)
    assert detector.calibration_scores_.mean() > 1.05 * seen_scores.mean()
    peaks = detector.model_.endpoint("localize")(features=whole)["anomaly_map"].max(axis=1)
    assert 0.1 < (peaks < 1).mean() <= 1  # a limit was found without rows set apart


def test_a_model_that_rebuilds_anything_is_warned_of():
    rows = np.random.default_rng(0).normal(size=(400, 4)).cumsum(axis=1)
    wide = {"latent_dim": 32, "hidden": [], "epochs": 60, "learning_rate": 0.01}
    with pytest.warns(aezoo.ZooWarning, match=r"never seen the like of(.|\n)*than 32 numbers"):
        AnomalyDetector(score="residual", folds=0, settings=wide).fit(rows)
    near = AnomalyDetector(score="neighbours", folds=0, settings=wide).fit(rows)  # no warning
    assert choosing.unexplained(near.model_, rows.astype("float32")) < 0.02


def test_probabilities_agree_with_the_decisions(detector):
    rows = np.concatenate([table(200, seed=3), broken(200)])
    p, scores = detector.predict_proba(rows), detector.decision_function(rows)
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    np.testing.assert_array_equal(p[:, 1] > 1 - detector.alpha, detector.predict(rows) == 1)
    order = np.argsort(scores)
    assert (np.diff(p[order, 1]) >= 0).all()


def test_scores_are_identical_from_run_to_run():
    one, two = (AnomalyDetector(folds=2, settings=FEW).fit(table(200)) for _ in range(2))
    rows = broken(50)
    np.testing.assert_array_equal(one.decision_function(rows), two.decision_function(rows))
    assert (one.score_, one.threshold_) == (two.score_, two.threshold_)
    other = AnomalyDetector(folds=0, settings=FEW, random_state=1).fit(table(200))
    assert (other.decision_function(rows) != one.decision_function(rows)).any()


def test_attributes_are_those_of_pyod(detector):
    assert detector.decision_scores_.shape == detector.labels_.shape == (600,)
    np.testing.assert_array_equal(
        detector.labels_, (detector.decision_scores_ > detector.threshold_).astype(int)
    )
    assert detector.n_features_in_ == 5


def test_labelled_anomalies_train_nothing_and_set_the_best_threshold():
    rows, y = np.concatenate([table(400), broken(100)]), np.repeat([0, 1], [400, 100])
    few = {"score": "residual", "folds": 0, "settings": {"epochs": 20, "latent_dim": 3}}
    best = AnomalyDetector(threshold="best_f1", **few).fit(rows, y)
    plain = AnomalyDetector(**few).fit(table(400))
    new = broken(50, seed=5)
    np.testing.assert_array_equal(best.decision_function(new), plain.decision_function(new))
    held, odd = best.calibration_scores_, best.decision_scores_[400:]
    truth, scores = np.repeat([0, 1], [len(held), 100]), np.concatenate([held, odd])
    reached = f1_score(truth, scores > np.float32(best.threshold_))
    every = [f1_score(truth, scores >= edge) for edge in scores]
    assert reached == pytest.approx(max(every))


def test_the_quantile_is_that_of_the_calibration_scores():
    detector = AnomalyDetector("vallina_ae", "residual", "quantile", 0.25, settings=FEW)
    detector.fit(table(200))
    assert len(detector.calibration_scores_) == 40
    assert (detector.calibration_scores_ > detector.threshold_).sum() == 10


def test_it_clones_pickles_and_works_in_a_pipeline_and_a_grid_search():
    detector = AnomalyDetector(score="residual", alpha=0.2, folds=0, settings=FEW)
    assert clone(detector).get_params() == detector.get_params()
    rows, y = np.concatenate([table(200), broken(60)]), np.repeat([0, 1], [200, 60])
    pipeline = make_pipeline(StandardScaler(), detector).fit(rows, y)
    kept = pickle.loads(pickle.dumps(pipeline))
    new = broken(20, seed=4)
    np.testing.assert_array_equal(kept.predict(new), pipeline.predict(new))
    np.testing.assert_array_equal(kept.decision_function(new), pipeline.decision_function(new))
    grid = {"score": ["residual", "neighbours"]}
    folds = StratifiedKFold(2, shuffle=True, random_state=0)
    search = GridSearchCV(detector, grid, scoring="roc_auc", cv=folds, error_score="raise")
    search.fit(rows, y)
    found = search.cv_results_["mean_test_score"]
    assert found.shape == (2,) and search.best_score_ == max(found) > 0.5


def test_the_bundle_decides_as_the_detector_does(detector, tmp_path):
    bundle = Bundle(detector.export(tmp_path / "bundle"))
    rows = np.concatenate([table(50, seed=6), broken(50)]).astype("float32")
    found = bundle.predict("detect", features=rows)
    np.testing.assert_allclose(
        found["score"][:, 0], detector.decision_function(rows), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_array_equal(found["anomalous"][:, 0], detector.predict(rows) == 1)
    strict = np.full((100, 1), 1e9, "float32")  # changed without another export
    assert not bundle.predict("detect", features=rows, threshold=strict)["anomalous"].any()


@pytest.mark.parametrize(
    "shape, entry",
    [((40, 3), "simple_ae"), ((350, 3), "seq2seq_ae"), ((16, 16, 3), "conv_ae")],
)
def test_series_and_pictures_get_an_entry_of_their_kind(shape, entry):
    rows = np.random.default_rng(0).random((60, *shape), "float32")
    settings = {"epochs": 1, "latent_dim": 3}
    with warnings.catch_warnings(action="ignore", category=aezoo.ZooWarning):
        detector = AnomalyDetector(score="residual", alpha=0.2, folds=0, settings=settings)
        detector.fit(rows)
    assert detector.model_.entry.name == entry
    assert detector.decision_function(5 * rows[:4]).min() > detector.decision_scores_.max()


@pytest.mark.parametrize(
    "arguments, y, message",
    [
        ({"score": "residuals"}, None, "Did you mean 'residual'"),
        ({"threshold": "f1"}, None, "There is no threshold"),
        ({"threshold": "best_f1"}, None, "needs labels"),
        ({"threshold": "best_f1"}, np.zeros(60), "no label is 1"),
        ({}, np.full(60, 2), "Labels are 0 for normal"),
        ({}, np.zeros(9), "9 labels for 60 rows"),
        (
            {"alpha": 0.001, "score": "residual"},
            None,
            "too few train rows .*\\n.*999 are needed",
        ),
        ({"calibration": 0.0, "folds": 0}, None, "too few calibration rows"),
        ({"folds": 1}, None, "0, or from 2 to the number of rows"),
        ({"folds": 61}, None, "0, or from 2 to the number of rows"),
        ({"validation": 0.0, "alpha": 0.1}, None, "too few validation rows to choose"),
        ({"alpha": 1.5}, None, "between 0 and 1"),
        ({"entry": "conv_aee", "alpha": 0.1}, None, "Did you mean 'conv_ae'"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_message(arguments, y, message):
    with pytest.raises(ZooError, match=message):
        AnomalyDetector(**{"settings": {"epochs": 1}} | arguments).fit(table(60), y)


@pytest.mark.parametrize("way", choosing.ways_of("series"))
@pytest.mark.parametrize("shape", [(7,), (9, 2), (8, 8, 3)])
def test_made_anomalies_are_of_the_values_of_two_rows(way, shape, rng):
    rows = rng.integers(0, 255, (20, *shape)).astype("uint8")
    made = choosing.WAYS[way](rows, rng)
    assert made.shape == rows.shape and made.dtype == rows.dtype
    changed = (made != rows).reshape(20, -1).mean(axis=1)
    assert (changed > 0.05).all()
    if way == "patch":
        assert (changed < 0.55).all()
    if way != "blend":
        assert np.isin(made, rows).all()
    else:
        assert made.min() >= rows.min() and made.max() <= rows.max()


def test_a_made_scratch_is_a_thin_line_of_one_colour(rng):
    rows = rng.integers(0, 255, (30, 20, 30, 3)).astype("uint8")
    made = choosing.scratched(rows, rng)
    for row, before in zip(made, rows, strict=True):
        places = np.argwhere((row != before).any(axis=-1))
        assert len(np.unique(row[tuple(places.T)], axis=0)) == 1
        assert 3 <= len(places) <= 20 and np.ptp(places, axis=0).max() <= 12
        axes = np.linalg.svd(places - places.mean(axis=0))[1]
        assert axes[1] < 0.5 * np.sqrt(len(places))  # within a pixel of a straight line


def test_auto_takes_no_hybrid_whose_covariance_is_of_few_rows():
    rows = np.random.default_rng(0).normal(size=(60, 5)).astype("float32")
    model = aezoo.build("vallina_ae", input_shape=(5,), hidden=(4,), latent_dim=3, seed=0)
    for count, enough in ((59, False), (60, True)):  # 20 for each of 3 axes
        hybrid = scorers.fit(model, rows[:count], "hybrid")
        assert choosing._of_enough(hybrid) == enough
    few = {kind: scorers.fit(model, rows[:59], kind) for kind in ("residual", "hybrid")}
    found = choosing.choose(model, few, rows)
    assert next(iter(found)) == "residual" and set(found) == {"residual", "hybrid"}
