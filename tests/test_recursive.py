"""The recursive autoencoder: the tree it grows, its losses, and the reviews it reads."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from long_epoch import long_epoch

import aezoo
from aezoo.data import load, reviews
from aezoo.data.named import review_fold, review_sentences
from aezoo.export.onnx_graph import convert
from aezoo.layers.trees import GreedyTree
from aezoo.measures import recursive as measures
from aezoo.models.recursive import RecursiveAE
from aezoo.zoo_model import seeded

TINY = {"input_shape": (7,), "vocabulary": 11, "width": 4}
LENGTHS = np.array([7, 1, 4, 2])


def grown_by_hand(words, w, b, u, d):
    """Return root, mean of all nodes, mean error, inner nodes and merges, one pair at a time."""
    now, sizes, ids = list(words), [1] * len(words), list(range(len(words)))
    nodes, errors, merges = [], [], []

    def merged(i):
        both = np.concatenate([now[i], now[i + 1]])
        p = np.tanh(both @ w + b)
        p = p / np.linalg.norm(p)
        left, right = np.split((both - (p @ u + d)) ** 2, 2)
        n1, n2 = sizes[i], sizes[i + 1]
        return (n1 * left.sum() + n2 * right.sum()) / (n1 + n2), p

    while len(now) > 1:
        pairs = [merged(i) for i in range(len(now) - 1)]
        place = int(np.argmin([error for error, _ in pairs]))
        error, p = pairs[place]
        now[place : place + 2] = [p]
        merges.append([*ids[place : place + 2], *sizes[place : place + 2]])
        ids[place : place + 2] = [7 + len(nodes)]
        sizes[place : place + 2] = [sum(sizes[place : place + 2])]
        nodes, errors = [*nodes, p], [*errors, error]
    error = np.mean(errors) if errors else 0.0
    return now[0], np.mean([*words, *nodes], axis=0), error, nodes, merges


@pytest.fixture
def tree(rng):
    layer = GreedyTree()
    layer.build([(None, 7, 4), (None, 1)])
    layer.set_weights([rng.normal(0, 0.6, w.shape) for w in layer.get_weights()])
    return layer


@pytest.fixture
def tokens(rng):
    rows = rng.integers(1, 11, (4, 7)).astype("int32")
    return np.where(np.arange(7) < LENGTHS[:, None], rows, 0).astype("int32")


def built(**more):
    with seeded(0):
        model = RecursiveAE(**TINY | {"dropout": 0.0} | more)
    for i, weight in enumerate(model.trainable_weights):
        weight.assign(np.random.default_rng(i).normal(0, 0.6, weight.shape))
    model.compile(keras.optimizers.SGD(0.1), model.default_loss)
    return model


def test_the_tree_is_the_one_grown_by_hand(tree, rng):
    words = rng.normal(size=(4, 7, 4)).astype("float32")
    answers = {k: np.asarray(v) for k, v in tree([words, LENGTHS[:, None]]).items()}
    w, b, u, d = tree.get_weights()
    for i, n in enumerate(LENGTHS):
        root, mean, error, nodes, merges = grown_by_hand(words[i, :n], w, b, u, d)
        np.testing.assert_allclose(answers["root"][i], root, atol=1e-5)
        np.testing.assert_allclose(answers["mean"][i], mean, atol=1e-5)
        np.testing.assert_allclose(answers["error"][i], [error], atol=1e-4)
        np.testing.assert_array_equal(answers["merges"][i], merges + [[0] * 4] * (7 - n))
        np.testing.assert_allclose(answers["nodes"][i, n - 1 :], 0.0)
        if n > 1:
            np.testing.assert_allclose(answers["nodes"][i, : n - 1], nodes, atol=1e-5)


def test_equal_pairs_merge_from_the_left(tree):
    answers = tree([np.ones((1, 7, 4), "float32"), np.array([[4]])])
    assert np.asarray(answers["merges"])[0, 0].tolist() == [0, 1, 1, 1]


def test_gradients_are_those_of_finite_differences(tree, rng):
    words = tf.constant(rng.normal(size=(2, 7, 4)), tf.float32)
    length = np.array([[7], [5]])

    def value():
        answers = tree([words, length])
        return tf.reduce_sum(answers["error"]) + tf.reduce_sum(answers["root"] * words[:, 1])

    with tf.GradientTape() as tape:
        tape.watch(words)
        total = value()
    gradients = tape.gradient(total, tree.trainable_weights)
    before = np.asarray(tree([words, length])["merges"])
    for weight, gradient in zip(tree.trainable_weights, gradients, strict=True):
        start, direction = weight.numpy(), rng.normal(size=weight.shape)
        step = 1e-3 / np.linalg.norm(direction)
        ends = []
        for sign in (1, -1):
            weight.assign(start + sign * step * direction)
            ends.append(float(value()))
            np.testing.assert_array_equal(tree([words, length])["merges"], before)
        weight.assign(start)
        expected = (ends[0] - ends[1]) / (2 * step)
        assert np.sum(gradient * direction) == pytest.approx(expected, rel=0.02, abs=0.02)


def test_longer_padding_changes_no_answer(tokens):
    model, longer = built(), built(input_shape=(12,))
    longer.set_weights(model.get_weights())
    padded = np.pad(tokens, ((0, 0), (0, 5)))
    for name in ("classify", "encode"):
        one, two = model.endpoint(name)(tokens=tokens), longer.endpoint(name)(tokens=padded)
        for key in one:
            np.testing.assert_allclose(one[key], two[key], atol=1e-6)


def test_the_losses_are_those_of_the_tree_grown_by_hand(tokens):
    model = built(reconstruction_weight=0.3, node_weight=0.7)
    y = np.array([1, 0, 0, 1])
    table = model.encoder.get_layer("words").get_weights()[0]
    weights = model.encoder.get_layer("tree").get_weights()
    grown = [
        grown_by_hand(table[row[:n]], *weights) for row, n in zip(tokens, LENGTHS, strict=True)
    ]
    codes = np.array([np.concatenate([root, mean]) for root, mean, *_ in grown])

    def nats(x, kernel, bias, label):
        logits = x @ kernel + bias
        logits -= logits.max()
        return np.log(np.exp(logits).sum()) - logits[label]

    head, node_head = model.decoder.get_weights(), model.node_head.get_weights()
    classified = np.mean([nats(c, *head, label) for c, label in zip(codes, y, strict=True)])
    reconstructed = np.mean([error for _, _, error, *_ in grown])
    told = [
        nats(node, *node_head, label)
        for (_, _, _, nodes, _), label in zip(grown, y, strict=True)
        for node in nodes
    ]
    logs = model.evaluate(tokens, y, verbose=0, return_dict=True)
    assert logs["classification_loss"] == pytest.approx(classified, rel=1e-4)
    assert logs["reconstruction_loss"] == pytest.approx(reconstructed, rel=1e-4)
    assert logs["node_loss"] == pytest.approx(np.mean(told), rel=1e-4)
    total = classified + 0.3 * reconstructed + 0.7 * np.mean(told)
    assert logs["loss"] == pytest.approx(total, rel=1e-4)


def test_classes_and_the_shares_that_say_the_same_have_one_loss(tokens):
    model, y = built(), np.array([1, 0, 0, 1])
    model.compile(keras.optimizers.SGD(0.1), model.default_loss, metrics=[model.metric("accuracy")])
    by_class = model.evaluate(tokens, y, verbose=0, return_dict=True)
    by_share = model.evaluate(tokens, np.eye(2)[y], verbose=0, return_dict=True)
    assert by_class == pytest.approx(by_share, rel=1e-6)
    one, other = (
        model.evaluate(tokens, np.full(4, k), verbose=0, return_dict=True) for k in (0, 1)
    )
    mixed = model.evaluate(tokens, np.tile([0.7, 0.3], (4, 1)), verbose=0, return_dict=True)
    for name in ("classification_loss", "node_loss"):
        assert mixed[name] == pytest.approx(0.7 * one[name] + 0.3 * other[name], rel=1e-5)
    assert mixed["accuracy"] == one["accuracy"]  # of the likelier class


def test_pretraining_counts_how_much_each_class_says_a_word(rng):
    x, y = rng.integers(0, 11, (60, 7)).astype("int32"), rng.dirichlet(np.ones(3), 60)
    with seeded(0):
        model = RecursiveAE(**TINY | {"classes": 3})
    before = model.encoder.get_layer("words").get_weights()[0]
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(20).repeat()
    (history,) = model.pretrain(batches, 2, steps_per_epoch=3)
    table = model.encoder.get_layer("words").get_weights()[0]
    said = np.array(
        [[y[:, k] @ (x == word).sum(axis=1) + 1 for k in range(3)] for word in range(11)]
    )
    said /= said[1:].sum(axis=0)
    ratios = np.log(said[1:, 1:] / said[1:, :1])
    np.testing.assert_allclose(table[1:, :2], 0.5 * ratios, atol=1e-5)
    np.testing.assert_array_equal(table[0, :2], 0.0)
    np.testing.assert_array_equal(table[:, 2:], before[:, 2:])
    assert history == {"epoch": 1, "spread": pytest.approx(np.abs(ratios).mean(), rel=1e-5)}


def test_pretraining_takes_classes_as_well(tokens):
    tables = []
    for y in (np.array([1, 0, 0, 1]), np.eye(2)[[1, 0, 0, 1]]):
        model = built()
        model.pretrain(tf.data.Dataset.from_tensors((tokens, y)), 1)
        tables.append(model.encoder.get_layer("words").get_weights()[0])
    np.testing.assert_array_equal(*tables)


def test_pretraining_needs_targets_and_room(tokens):
    with pytest.raises(aezoo.ZooError, match="needs a target"):
        built().pretrain(tokens, 1)
    with pytest.raises(aezoo.ZooError, match="no room"):
        built(classes=6).pretrain(None, 1)


def test_the_code_is_root_beside_mean_and_the_class_is_read_from_it(tokens):
    model = built()
    codes = model.endpoint("encode")(tokens=tokens)["latent"]
    answers = model.endpoint("classify")(tokens=tokens)
    np.testing.assert_allclose(answers["probabilities"], model.decoder(codes), atol=1e-6)
    np.testing.assert_array_equal(answers["label"][:, 0], answers["probabilities"].argmax(-1))
    np.testing.assert_allclose(codes[1, :4], codes[1, 4:], atol=1e-6)  # one word: it is the tree


def test_the_tree_becomes_one_loop_in_onnx():
    model = built()
    graph = convert(model.endpoint("classify"), model).graph
    assert [node.op_type for node in graph.node].count("Loop") == 1


def test_it_learns_which_of_two_words_came_first():
    rng = np.random.default_rng(0)
    x, y = rng.integers(4, 11, (256, 5)).astype("int32"), rng.integers(0, 2, 256)
    for row, label in zip(x, y, strict=True):
        first, second = sorted(rng.choice(5, 2, replace=False))
        row[[first, second]] = (2, 3) if label else (3, 2)
    with seeded(0):
        model = RecursiveAE(**TINY | {"input_shape": (5,), "dropout": 0.0, "width": 16})
    model.compile(keras.optimizers.Adam(0.02), model.default_loss, metrics=["accuracy"])
    keras.utils.set_random_seed(0)
    model.fit(*long_epoch((x[:192], y[:192]), 40), batch_size=96, shuffle=False, verbose=0)
    held_out = model.evaluate(x[192:], y[192:], verbose=0, return_dict=True)
    assert held_out["accuracy"] > 0.75  # the words alone tell nothing


def test_words_are_numbered_by_the_training_rows_alone():
    sentences, ratings = review_sentences("reviews_sample")
    labels, data = reviews.classes_of(ratings), load("reviews_sample")
    sizes = [len(rows) for rows in data.roles().values()]
    assert sizes == [500, 500, 500] and sorted(labels).count(1) == 750
    every = np.concatenate([rows.index for rows in data.roles().values()])
    assert sorted(every) == list(range(1500))  # no sentence has two roles
    ids = reviews.numbered([sentences[i] for i in data.train.index])
    for rows in data.roles().values():
        np.testing.assert_array_equal(rows.labels, labels[rows.index])
        for row, index in zip(rows.array()[:50], rows.index[:50], strict=True):
            words = reviews.words_of(sentences[index])[: reviews.LENGTH]
            assert row[: len(words)].tolist() == [ids.get(word, 1) for word in words]
            assert not row[len(words) :].any()
    assert (data.train.array() == 1).sum() == 0 and (data.test.array() == 1).sum() > 100


def test_every_row_tests_in_exactly_one_fold():
    tested = [review_fold("reviews_sample", fold).parts["test"].index for fold in range(3)]
    assert sorted(np.concatenate(tested)) == list(range(1500))


def test_rated_reviews_are_the_same_rows_with_the_ratings_as_targets():
    _, ratings = review_sentences("ratings_sample")
    plain, rated = load("reviews_sample").roles(), load("ratings_sample").roles()
    for role, rows in rated.items():
        np.testing.assert_array_equal(rows.array(), plain[role].array())
        np.testing.assert_array_equal(rows.labels, plain[role].labels)
        assert plain[role].targets is None
        log_odds = np.log(rows.targets[:, 1] / rows.targets[:, 0])
        np.testing.assert_allclose(log_odds, ratings[rows.index], atol=1e-5)
        np.testing.assert_array_equal(rows.targets.argmax(axis=1), rows.labels)


def test_missing_reviews_are_named_with_the_embedded_ones(monkeypatch):
    monkeypatch.delenv("AEZOO_DATA", raising=False)
    with pytest.raises(aezoo.ZooError, match="reviews_sample"):
        load("movie_reviews")


def test_train_takes_the_classes_of_rows_as_targets(tmp_path):
    run = aezoo.train(
        "recursive_ae",
        out=tmp_path / "run",
        epochs=1,
        width=4,
        batch_size=250,
        figures=False,
        verbose=False,
    )
    assert 40 < 100 * run.metrics["test"]["accuracy"] < 80
    assert measures.accuracy(run.model, run.data.test) == pytest.approx(
        100 * run.metrics["test"]["accuracy"], abs=0.01
    )
    assert 60 < measures.naive_bayes(run.data)["accuracy"] < 80


def test_folds_are_answered_by_models_that_never_saw_them(monkeypatch):
    data, seen = load("reviews_sample"), []

    class Trained:
        def __init__(self, model):
            self.model = model

    def train(entry, fold, **options):
        seen.append(set(fold.train.index) | set(fold.validation.index))
        return Trained(aezoo.build("recursive_ae", width=4))

    monkeypatch.setattr(measures, "train", train)
    tested = []
    monkeypatch.setattr(measures, "accuracy", lambda model, rows: tested.append(rows.index) or 50.0)
    model = aezoo.build("recursive_ae", width=4)
    assert measures.fold_accuracy(model, data)["accuracy"] == 50.0 and not seen  # never trained
    tested.clear()
    model.optimizer.iterations.assign(1)
    measures.fold_accuracy(model, data)
    assert len(seen) == 2 and len(tested) == 3
    for known, asked in zip(seen, tested[1:], strict=True):
        assert not known & set(asked)


def test_unknown_ids_classes_and_missing_targets_are_refused(tokens):
    model = built()
    with pytest.raises(aezoo.ZooError, match="needs a target"):
        model.fit(tokens)
    with pytest.raises(aezoo.ZooError, match="from 0 to 1"):
        model.fit(tokens, np.array([0, 1, 2, 0]))
    with pytest.raises(aezoo.ZooError, match="no shares of 2 classes"):
        model.fit(tokens, np.full((4, 2), 0.7))
    with pytest.raises(aezoo.ZooError, match="from 0 to 10"):
        model.fit(tokens + 11, np.zeros(4, int))
    with pytest.raises(aezoo.ZooError, match="two tokens"):
        RecursiveAE(input_shape=(1,))
