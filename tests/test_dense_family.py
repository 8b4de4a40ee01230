"""Simple, deep and sparse autoencoders, and the figures that they are judged by."""

import keras
import numpy as np
import pytest

import aezoo
from aezoo.data import load
from aezoo.losses import l1_activity, rate_kl
from aezoo.measures import reconstruction


@pytest.fixture(scope="module")
def clothes():
    return load("sample")


@pytest.fixture(scope="module")
def patches(clothes):
    """Patches (N, 36) of pictures of clothes in which something is to be seen."""
    pictures = clothes.train.array()[:600, ..., 0] / np.float32(255)
    windows = np.lib.stride_tricks.sliding_window_view(pictures, (6, 6), axis=(1, 2))
    found = windows[:, ::4, ::4].reshape(-1, 36)
    found = found[found.std(axis=1) > 0.1]
    return np.random.default_rng(0).permutation(found)[:4500].astype("float32")


def shuffled(rows):
    """Return rows of the same values without their order."""
    return np.random.default_rng(1).permuted(rows, axis=1)


# ---- simple and deep ----


def test_simple_and_deep_have_the_layers_of_their_source():
    simple, deep = aezoo.build("simple_ae"), aezoo.build("deep_ae")
    widths = [layer.units for part in (simple, deep) for layer in dense_layers(part)]
    assert widths == [128, 784, 128, 64, 32, 64, 128, 784]
    assert (simple.count_params(), deep.count_params()) == (201_616, 222_384)
    used = [[layer.activation.__name__ for layer in dense_layers(part)] for part in (simple, deep)]
    assert used[0] == ["relu", "sigmoid"]
    # The source's code is relu, too; see the comment in the entry.
    assert used[1] == ["relu", "relu", "linear", "relu", "relu", "sigmoid"]


def dense_layers(model):
    layers = [*model.encoder.layers, *model.decoder.layers]
    return [layer for layer in layers if isinstance(layer, keras.layers.Dense)]


# ---- sparse ----


def test_the_penalties_agree_with_values_worked_out_by_hand():
    code = np.array([[0.2, 0.5], [0.4, 0.5]], "float32")
    np.testing.assert_allclose(l1_activity(code), [0.7, 0.9], rtol=1e-6)
    # mean activities 0.3 and 0.5; 0.3 log(0.3 / 0.5) + 0.7 log(0.7 / 0.5) for the second
    np.testing.assert_allclose(rate_kl(code, 0.3), [0.0, 0.0822830], atol=1e-6)
    assert np.isfinite(rate_kl(np.array([[0.0, 1.0]], "float32"), 0.05)).all()


@pytest.mark.parametrize("sparsity", ["l1", "kl"])
def test_the_loss_is_likelihood_and_weighted_penalty_as_numpy_has_them(sparsity, rng):
    options = {"input_shape": (5,), "latent_dim": 8, "sparsity": sparsity, "target_rate": 0.2}
    model = aezoo.build("sparse_ae", seed=0, sparsity_weight=0.3, **options)
    x = rng.random((7, 5)).astype("float32")
    w, b, v, c = (weight.astype("float64") for weight in model.get_weights())
    h = x @ w + b
    h = np.maximum(h, 0) if sparsity == "l1" else 1 / (1 + np.exp(-h))
    p = 1 / (1 + np.exp(-(h @ v + c)))
    likelihood = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=1).mean()
    if sparsity == "l1":
        penalty = h.sum(axis=1).mean()
    else:
        m = h.mean(axis=0)
        penalty = (0.2 * np.log(0.2 / m) + 0.8 * np.log(0.8 / (1 - m))).sum()
    logs = model.evaluate(x, batch_size=7, verbose=0, return_dict=True)
    assert logs["reconstruction_loss"] == pytest.approx(likelihood, rel=1e-5)
    assert logs["sparsity_loss"] == pytest.approx(penalty, rel=1e-5)
    assert logs["loss"] == pytest.approx(likelihood + 0.3 * penalty, rel=1e-5)


def test_a_sparse_over_complete_code_does_not_pass_everything_through(patches):
    """Of patches shuffled pixel by pixel, the plain code keeps most; the sparse one does not."""
    rows, unseen = patches[:4000], patches[4000:]
    plain, plain_code = errors_of_code_of_100(rows, unseen, "l1", 0.0)
    sparse, sparse_code = errors_of_code_of_100(rows, unseen, "l1", 0.1)
    variance = shuffled(unseen).var(axis=0).mean()
    assert plain["shuffled"] < 0.15 * variance  # close to the identity
    assert sparse["shuffled"] > 3 * plain["shuffled"]
    assert sparse["shuffled"] > 5 * sparse["real"]
    assert sparse["real"] < 0.15 * variance  # and yet it remembers real patches
    assert (plain_code > 0.1).mean() > 0.6
    assert (sparse_code > 0.1).mean() < 0.3


def test_a_target_rate_moves_the_mean_activity_towards_it(patches):
    rows, unseen = patches[:4000], patches[4000:]
    means = [
        errors_of_code_of_100(rows, unseen, "kl", weight, epochs=4)[1].mean()
        for weight in (0.0, 1.0)
    ]
    assert means[0] > 0.35
    assert means[1] == pytest.approx(0.05, abs=0.05)


def errors_of_code_of_100(rows, unseen, sparsity, weight, epochs=14):
    """Train a code of 100 for rows of 36; return errors of real and shuffled rows, and codes."""
    arguments = {"input_shape": (36,), "latent_dim": 100, "sparsity": sparsity}
    model = aezoo.build("sparse_ae", seed=0, sparsity_weight=weight, **arguments)
    model.compile(keras.optimizers.Adam(0.003), model.default_loss, steps_per_execution=16)
    keras.utils.set_random_seed(0)  # the order of rows
    model.fit(rows, epochs=epochs, batch_size=50, verbose=0)
    looked_at = {"real": unseen, "shuffled": shuffled(unseen)}
    found = {name: ((x - model(x)) ** 2).numpy().mean() for name, x in looked_at.items()}
    return found, model.encoder(unseen).numpy()


# ---- figures ----


def test_cross_entropy_is_that_of_the_loss_and_of_entropy_at_best(rng):
    x, p = rng.random((4, 6)).astype("float32"), rng.random((4, 6)).astype("float32")
    expected = keras.losses.binary_crossentropy(x, p)
    np.testing.assert_allclose(reconstruction.binary_cross_entropy(x, p), expected, rtol=1e-5)
    own = reconstruction.binary_cross_entropy(x, x)
    assert (own > 0).all()
    assert (own < reconstruction.binary_cross_entropy(x, p)).all()
    certain = reconstruction.binary_cross_entropy(np.ones((1, 2)), np.zeros((1, 2)))
    assert np.isfinite(certain).all()


def test_the_figure_is_the_loss_that_evaluate_gives_on_test_rows(clothes):
    model = aezoo.build("deep_ae", seed=0)
    model.fit_preprocessing(clothes.train.array())
    x = clothes.test.array() / np.float32(255)
    figure = reconstruction.cross_entropy_on_test_rows(model, clothes)
    loss = model.evaluate(x, batch_size=500, verbose=0, return_dict=True)["loss"]
    assert figure["test_cross_entropy"] == pytest.approx(loss, rel=1e-5)
    assert next(iter(figure)) == "test_cross_entropy"


def test_principal_components_beat_an_untrained_network_and_more_of_them_are_better(clothes):
    few, many = reconstruction.pca_32(clothes), reconstruction.pca_128(clothes)
    assert many["test_mse"] < few["test_mse"] < 0.02
    assert 0.2 < many["test_cross_entropy"] < few["test_cross_entropy"] < 0.5
    untrained = aezoo.build("deep_ae", seed=0)
    untrained.fit_preprocessing(clothes.train.array())
    figure = reconstruction.cross_entropy_on_test_rows(untrained, clothes)
    assert figure["test_cross_entropy"] > few["test_cross_entropy"]


def test_the_figures_of_a_sparse_code_say_how_much_of_it_is_in_use(clothes):
    model = aezoo.build("sparse_ae", seed=0)
    model.fit_preprocessing(clothes.train.array())
    x = clothes.test.array() / np.float32(255)
    figures = reconstruction.sparse_code_on_test_rows(model, clothes)
    assert next(iter(figures)) == "test_cross_entropy"
    assert figures["active_share"] == pytest.approx((model.encoder(x).numpy() > 0.1).mean())
    assert figures["shuffled_mse"] == pytest.approx(0.17, abs=0.1)
    again = reconstruction.sparse_code_on_test_rows(model, clothes)
    assert again == figures  # the shuffle is drawn alike
