"""Semi-supervised VAEs: their bound by hand, their labels, and what few labels are worth."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from resumption import train_and_resume
from scipy.stats import norm

import aezoo
from aezoo.data import load
from aezoo.errors import ZooError
from aezoo.label_spread import spread_labels
from aezoo.measures import semi_supervised
from aezoo.measures.semi_supervised import spread
from aezoo.models.semi_supervised import SemiSupervisedVAE, StackedSemiSupervisedVAE, UprightVAE
from aezoo.specs import UNLABELLED

TINY = {"input_shape": (4,), "classes": 3, "hidden": (5,), "latent_dim": 2}


@pytest.fixture
def rows(rng):
    return (rng.random((6, 4)) > 0.5).astype("float32")


@pytest.fixture
def model():
    with aezoo.zoo_model.seeded(0):
        made = SemiSupervisedVAE(**TINY)
    made.compile("sgd", made.default_loss)
    return made


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def parts_by_hand(model, x, y):
    """Return the four parts by the paper's sums, a row and a class at a time.

    Styles are drawn as evaluation draws them: all classes of a row one after another.
    """
    log_p = log_softmax(np.asarray(model.classifier(x)))
    every = np.tile(np.eye(3, dtype="float32"), (len(x), 1))
    mean, log_variance = (
        np.asarray(v)
        for v in model.posterior([np.repeat(np.asarray(model.trunk(x)), 3, axis=0), every])
    )
    z = np.asarray(model.sampling.draw(mean, log_variance, 0))
    p = np.asarray(model.decoder(np.concatenate([every, z], -1)))
    totals = np.zeros(4)
    for row in range(len(x)):
        of_class = []
        for label in range(3):
            at = 3 * row + label
            nll = -(x[row] * np.log(p[at]) + (1 - x[row]) * np.log(1 - p[at])).sum()
            kl = 0.5 * (np.exp(log_variance[at]) + mean[at] ** 2 - 1 - log_variance[at]).sum()
            of_class.append((nll, kl))
        if y[row] == UNLABELLED:
            q = np.exp(log_p[row])
            totals[:2] += q @ np.array(of_class)
            totals[2] += (q * (log_p[row] + np.log(3))).sum()
        else:
            totals[:2] += of_class[y[row]]
            totals[2] += np.log(3)
            totals[3] -= log_p[row, y[row]]
    told = max(1, int((y != UNLABELLED).sum()))
    return totals / [len(x), len(x), len(x), told]


@pytest.mark.parametrize("y", [[0, 2, -1, -1, 1, -1], [-1] * 6, [2, 1, 0, 0, 1, 2]])
def test_the_loss_is_the_papers(model, rows, y):
    y = np.array(y)
    logs = model.evaluate(rows, y, batch_size=6, verbose=0, return_dict=True)
    nll, kl, class_kl, missed = parts_by_hand(model, rows, y)
    assert logs["reconstruction_loss"] == pytest.approx(nll, rel=1e-5)
    assert logs["kl_loss"] == pytest.approx(kl, rel=1e-4)
    assert logs["class_kl_loss"] == pytest.approx(class_kl, rel=1e-4, abs=1e-6)
    assert logs["classification_loss"] == pytest.approx(missed, rel=1e-5, abs=1e-6)
    assert logs["loss"] == pytest.approx(nll + kl + class_kl + 10 * missed, rel=1e-5)


def test_agreement_asks_of_rows_as_seen_the_class_of_the_rows_themselves(rows):
    with aezoo.zoo_model.seeded(0):
        model = SemiSupervisedVAE(**TINY, agreement_weight=2.0)
    model.compile("sgd", model.default_loss)
    model.classifier.layers[-1].kernel.assign(5.0 * model.classifier.layers[-1].kernel)
    log_p = log_softmax(np.asarray(model.classifier(rows)))
    certainty = 1.0 + (np.exp(log_p) * log_p).sum(-1) / np.log(3)
    assert certainty.max() - certainty.min() > 0.02  # rows weigh differently
    seen = log_softmax(np.arange(18.0).reshape(6, 3) ** 2 % 7).astype("float32")
    with tf.GradientTape() as tape:
        agreement = model.agreement(rows, tf.convert_to_tensor(seen))
    expected = np.mean(certainty * -seen[np.arange(6), log_p.argmax(-1)])
    assert float(agreement) == pytest.approx(expected, rel=1e-4)
    assert tape.gradient(agreement, model.classifier.trainable_variables)[0] is None
    logs = model.evaluate(rows, np.full(6, UNLABELLED), verbose=0, return_dict=True)
    expected = np.mean(certainty * -log_p.max(-1))
    assert logs["agreement_loss"] == pytest.approx(expected, rel=1e-4)
    bound = logs["reconstruction_loss"] + logs["kl_loss"] + logs["class_kl_loss"]
    assert logs["loss"] == pytest.approx(bound + 2.0 * expected, rel=1e-5)


def test_the_stacked_model_takes_features_for_rows(rows):
    with aezoo.zoo_model.seeded(0):
        model = StackedSemiSupervisedVAE(**TINY, feature_hidden=(5,), features=2)
    model.compile("sgd", model.default_loss)
    mean, log_variance = (np.asarray(v) for v in model.m1.encoder(rows))
    seen = np.asarray(model.sampling.draw(mean, log_variance, 1))
    code = np.random.default_rng(0).random((6, 5)).astype("float32")
    m, lv = (np.asarray(v) for v in model.feature_decoder(code))
    expected = -norm.logpdf(seen, m, np.exp(lv / 2)).sum(-1)
    np.testing.assert_allclose(model.row_nll(seen, code), expected, rtol=1e-5)
    for view in model.views(rows, training=False):
        np.testing.assert_allclose(view, seen)
    np.testing.assert_allclose(model.decoder(code), model.m1.decoder(m), rtol=1e-6)
    np.testing.assert_allclose(
        model.encoder(rows)[:, :3],
        np.exp(log_softmax(np.asarray(model.classifier(mean)))),
        rtol=1e-5,
    )


def test_pretraining_trains_m1_alone_and_fit_all_the_rest(rows):
    with aezoo.zoo_model.seeded(0):
        model = StackedSemiSupervisedVAE(**TINY, feature_hidden=(5,), features=2)
    model.compile(keras.optimizers.Adam(0.01), model.default_loss)

    def weights():
        m1 = [w.numpy() for w in model.m1.weights]
        return m1, [w.numpy() for w in model.trainable_weights]

    def same(a, b):
        return [bool((x == y).all()) for x, y in zip(a, b, strict=True)]

    m1, rest = weights()
    history = model.pretrain(rows, 60)  # an epoch is one step, and draws are not all alike
    assert [row["epoch"] for row in history] == [*range(1, 61)]
    assert np.mean([row["loss"] for row in history[-10:]]) < history[0]["loss"] - 0.05
    m1_after, rest_after = weights()
    assert all(same(rest, rest_after)) and not any(same(m1[:4], m1_after[:4]))
    model.fit(rows, np.array([0, 1, 2, -1, -1, -1]), epochs=2, batch_size=6, verbose=0)
    m1_last, rest_last = weights()
    assert all(same(m1_after[:8], m1_last[:8])) and not any(same(rest_after, rest_last))


@pytest.mark.parametrize("spread", [False, True])
def test_a_run_cut_off_goes_on_to_the_same_bits_with_its_labels(tmp_path, rng, spread):
    rows = (rng.random((60, 4)) > 0.5).astype("float32")
    data = (rows, rng.integers(0, 3, 60))
    recipe = {name: value for name, value in TINY.items() if name != "input_shape"}
    recipe |= {"feature_hidden": (5,), "features": 2, "pretrain_epochs": 2, "batch_size": 16}
    recipe |= {"spread": spread, "schedule": "cosine"}
    whole, resumed = train_and_resume("m1_m2", data, tmp_path, **recipe | {"data.labelled": 6})
    told = [(run.data.train.labels != UNLABELLED).sum() for run in (whole, resumed)]
    assert told == [6, 6]


def test_accuracy_counts_rows_whose_class_is_told(model, rows):
    model.compile("sgd", model.default_loss, metrics=[model.metric("accuracy")])
    label = model.endpoint("classify")(features=rows)["label"][:, 0]
    y = np.where(np.arange(6) < 4, label, UNLABELLED)
    y[0] = (y[0] + 1) % 3
    logs = model.evaluate(rows, y, batch_size=2, verbose=0, return_dict=True)
    assert logs["accuracy"] == pytest.approx(0.75)


def test_codes_are_class_and_style_and_new_rows_have_the_class_that_they_are_asked_for(model, rows):
    code = model.endpoint("encode")(features=rows)["latent"]
    classified = model.endpoint("classify")(features=rows)
    np.testing.assert_allclose(code[:, :3], classified["probabilities"], rtol=1e-6)
    np.testing.assert_array_equal(classified["label"][:, 0], code[:, :3].argmax(-1))
    noise = np.ones((2, 2), "float32")
    made = model.endpoint("generate")(noise=noise, label=np.array([[2], [0]]))["features"]
    asked = np.array([[0, 0, 1, 1, 1], [1, 0, 0, 1, 1]], "float32")
    np.testing.assert_allclose(made, model.endpoint("decode")(latent=asked)["reconstruction"])


def test_few_labels_are_balanced_repeated_and_drawn_by_the_split_seed():
    full = load("sample")
    few = {seed: load("sample", labelled=20, split_seed=seed) for seed in (0, 1)}
    data = few[0]
    labels, index = data.train.labels, data.train.index
    told = labels != UNLABELLED
    assert len(labels) == len(full.train) + 92 and told.sum() == len(full.train) // 16
    kept = np.unique(index[told])
    assert len(kept) == 20 and set(np.bincount(labels[told])) <= set(range(8, 16))
    first = {
        int(i): int(label) for i, label in zip(full.train.index, full.train.labels, strict=True)
    }
    assert all(first[int(i)] == label for i, label in zip(index[told], labels[told], strict=True))
    np.testing.assert_array_equal(np.bincount([first[int(i)] for i in kept]), np.full(10, 2))
    assert set(kept) != set(np.unique(few[1].train.index[few[1].train.labels != UNLABELLED]))
    assert (data.test.labels == full.test.labels).all() and data.validation.labels.min() >= 0
    assert any("20 of 1800 training rows keep their label" in note for note in data.notes)


@pytest.mark.parametrize("count", [9, 1801])
def test_impossible_numbers_of_labels_are_refused(count):
    with pytest.raises(ZooError, match="from 10, one per class, to 1800"):
        load("sample", labelled=count)


def test_targets_that_are_no_classes_are_refused(model, rows):
    with pytest.raises(ZooError, match="-1 where it is not known"):
        model.fit(rows)
    with pytest.raises(ZooError, match="does not know"):
        model.fit(rows, np.full(6, -2))
    with pytest.raises(ZooError, match="no sample weights"):
        model.fit(rows, np.zeros(6, int), sample_weight=np.ones(6), verbose=0)


def test_labels_follow_a_bent_sheet_that_distance_does_not(rng):
    """Two half circles in each other: the far end of the own one is further than the other."""
    angle = rng.uniform(0, np.pi, 400)
    moons = np.stack([np.cos(angle), np.sin(angle)], 1)
    moons[200:] = [1.0, 0.4] - moons[200:]
    codes = moons + 0.05 * rng.normal(size=moons.shape)
    labels = np.full(400, UNLABELLED)
    labels[[np.argmin(angle[:200]), 200 + np.argmin(angle[200:])]] = [5, 2]
    answered = spread_labels(codes, labels)
    assert (answered[:200] == 5).mean() > 0.97 and (answered[200:] == 2).mean() > 0.97
    nearest = np.linalg.norm(codes[:, None] - codes[labels >= 0], axis=-1).argmin(1)
    assert (nearest == np.repeat([0, 1], 200)).mean() < 0.85


def test_rows_beside_the_graph_ask_their_nearest_and_told_ones_stay(rng, monkeypatch):
    monkeypatch.setattr("aezoo.label_spread.GRAPH_ROWS", 40)
    truth = np.repeat([1, 0], 60)
    codes = rng.normal(size=(120, 2)) + 9 * truth[:, None]
    labels = np.full(120, UNLABELLED)
    labels[[3, 4, 80]] = [1, 0, 0]  # the second is wrong, and told
    answered = spread_labels(codes, labels)
    assert answered[4] == 0 and (np.delete(answered == truth, 4)).mean() > 0.6
    assert answered[80] == 0 and answered[3] == 1


def test_a_cluster_that_no_label_reaches_stays_unlabelled(rng):
    codes = rng.normal(size=(90, 2)) + 99 * np.repeat([0, 1, 2], 30)[:, None]
    labels = np.full(90, UNLABELLED)
    labels[[5, 40]] = [3, 8]
    expected = np.repeat([3, 8, UNLABELLED], 30)
    np.testing.assert_array_equal(spread_labels(codes, labels), expected)
    labels[40] = 3  # one class alone has no rival
    assert (spread_labels(codes, labels) == 3).all()


def test_a_model_that_spreads_labels_tells_all_rows(rng):
    rows = aezoo.data.TrainRows(rng.random((30, 4), "float32"), targets=np.full(30, UNLABELLED))
    with aezoo.zoo_model.seeded(0):
        plain, spreading = (
            StackedSemiSupervisedVAE(**TINY, feature_hidden=(5,), features=2, spread=spread)
            for spread in (False, True)
        )
    assert (spreading.targets_of(rows) == UNLABELLED).all()  # nothing is told
    rows.targets[[2, 9]] = [0, 2]
    assert (plain.targets_of(rows) == rows.targets).all()
    told = spreading.targets_of(rows)
    assert told[2] == 0 and told[9] == 2 and set(told) == {0, 2}
    repeated = np.r_[np.arange(30), np.resize([2, 9], 60)]  # as `data.labelled` repeats them
    np.testing.assert_array_equal(spreading.targets_of(rows.take(repeated)), told[repeated])


def test_encoders_see_distorted_pictures_in_training_alone():
    pictures = np.zeros((3, 8, 8, 1), "float32")
    pictures[:, 2:6, 3:5] = 1.0
    with aezoo.zoo_model.seeded(0):
        model = SemiSupervisedVAE(
            input_shape=(8, 8, 1), classes=3, hidden=(5,), latent_dim=2, distortion=1.0
        )
    seen, explained = (np.asarray(v) for v in model.views(pictures, training=True))
    np.testing.assert_array_equal(explained, pictures)
    assert all(np.abs(a - b).max() > 0.05 for a, b in zip(seen, pictures, strict=True))
    for view in model.views(pictures, training=False):
        np.testing.assert_array_equal(view, pictures)
    with aezoo.zoo_model.seeded(0):
        m1 = UprightVAE((8, 8, 1), (5,), 2)
    shown, target = m1.pair(pictures, None, training=True)
    assert np.abs(np.asarray(shown) - pictures).max() > 0.05
    np.testing.assert_array_equal(target, pictures)


def test_labels_of_two_clusters_spread_from_one_row_each(rng):
    codes = np.concatenate([rng.normal(size=(40, 2)), rng.normal(size=(40, 2)) + 9])
    labels = np.full(80, UNLABELLED)
    labels[[3, 50]] = [7, 4]
    answered = spread(codes, labels, np.array([[0.0, 0.0], [9.0, 9.0]]))
    assert answered.tolist() == [7, 4]


def test_labels_spread_over_codes_beside_a_model_that_learns_labels(monkeypatch):
    tiny = {"hidden": (32,), "latent_dim": 8, "epochs": 2}
    monkeypatch.setattr(semi_supervised, "_M1", tiny)
    data = load("sample", labelled=50).with_labels_as_targets()
    assert data.train.targets is not None
    assert 20 < semi_supervised.label_spreading(data)["test_error"] < 70  # ten classes


def test_unlabelled_rows_help(rng):
    """Two crosses that one labelled row each cannot tell apart, but 400 unlabelled rows do."""
    truth = rng.integers(0, 2, 400)
    patterns = np.array([[1] * 8 + [0] * 8, [0] * 8 + [1] * 8])
    x = np.where(rng.random((400, 16)) < 0.25, 1 - patterns[truth], patterns[truth])
    x = x.astype("float32")
    y = np.full(400, UNLABELLED)
    for label in (0, 1):
        y[np.flatnonzero(truth == label)[:2]] = label
    errors = {}
    for name, chosen in (("all", y >= UNLABELLED), ("labelled", y >= 0)):
        with aezoo.zoo_model.seeded(0):
            model = SemiSupervisedVAE(input_shape=(16,), classes=2, hidden=(16,), latent_dim=2)
        model.compile(keras.optimizers.Adam(0.03), model.default_loss)
        often = np.resize(np.flatnonzero(chosen), 80 * 400)  # one long epoch costs the least
        model.fit(x[often], y[often], batch_size=400, shuffle=False, verbose=0)
        answered = model.endpoint("classify")(features=x)["label"][:, 0]
        errors[name] = (answered != truth).mean()
    assert errors["all"] < 0.05 < errors["labelled"]
