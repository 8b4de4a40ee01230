"""Defects made in normal pictures, and the model that learns from them."""

import keras
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import aezoo
from aezoo.layers.defects import MadeDefects
from aezoo.models.draem import balanced

TINY = {"filters": (8,), "discriminator_filters": (12, 24)}


def stripes(rng, count: int) -> np.ndarray:
    """Pictures of stripes of one width and any phase, 8-bit (N, 24, 24, 1)."""
    phase = rng.random((count, 1, 1))
    waves = 120 + 60 * np.sin(2 * np.pi * (np.arange(24) / 8 + phase))
    noisy = waves + rng.normal(0, 8, (count, 24, 24))
    return np.clip(noisy, 0, 255).astype("uint8")[..., None]


def test_defects_change_their_place_alone_and_leave_some_pictures(rng):
    x = rng.random((200, 24, 20, 3)).astype("float32")
    changed, mask = (np.asarray(values) for values in MadeDefects().change(x, seed=3))
    assert mask.shape == (200, 24, 20, 1) and set(np.unique(mask)) == {0.0, 1.0}
    untouched = mask.reshape(200, -1).max(axis=1) == 0
    assert 0.1 < untouched.mean() < 0.3
    np.testing.assert_array_equal(changed[untouched], x[untouched])
    apart = np.abs(changed - x).mean(axis=-1, keepdims=True)
    assert apart[mask > 0].mean() > 0.1 > 10 * apart[mask == 0].mean()
    assert changed.min() >= 0 and changed.max() <= 1
    assert 0.05 < mask[~untouched].mean() < 0.4


def test_a_number_draws_alike_and_a_generator_anew(rng):
    x = rng.random((8, 16, 16, 1)).astype("float32")
    layer = MadeDefects(seed=1)
    one, two, other = (np.asarray(layer.change(x, seed)[1]) for seed in (5, 5, 60))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()
    first, second = np.asarray(layer(x)[1]), np.asarray(layer(x)[1])
    assert (first != second).any()
    again = MadeDefects.from_config(layer.get_config())
    np.testing.assert_array_equal(np.asarray(again(x)[1]), first)


def test_a_defect_that_nobody_has_shown_is_found_at_its_place(rng):
    keras.utils.set_random_seed(0)  # of the order of the rows
    model = aezoo.build("draem", input_shape=(24, 24, 1), **TINY, seed=0)
    model.optimizer.learning_rate = 0.004
    model.fit(model.adapt(stripes(rng, 320)), epochs=12, batch_size=32, verbose=0)
    odd, truth = stripes(rng, 40), np.zeros((40, 24, 24), bool)
    truth[:, 8:14, 5:12] = True
    odd[:, 8:14, 5:12] = 255 - odd[:, 8:14, 5:12]
    found = model.endpoint("score")(image=odd)
    assert roc_auc_score(truth.ravel(), found["error_map"].ravel()) > 0.9
    assert found["error_map"].min() >= 0 and found["error_map"].max() <= 1
    normal = model.endpoint("score")(image=stripes(rng, 40))["score"]
    scores = np.concatenate([normal, found["score"]])[:, 0]
    assert roc_auc_score(np.repeat([0, 1], 40), scores) > 0.9


def test_the_score_is_the_highest_mean_of_the_map_in_a_window(rng):
    model = aezoo.build("draem", input_shape=(16, 16, 1), **TINY, seed=0)
    found = model.endpoint("score")(image=rng.random((5, 16, 16, 1)).astype("float32"))
    windows = np.lib.stride_tricks.sliding_window_view(found["error_map"], (5, 5), axis=(1, 2))
    by_hand = windows.mean(axis=(-1, -2)).max(axis=(1, 2))
    np.testing.assert_allclose(found["score"][:, 0], by_hand, rtol=1e-5)


def test_defects_and_the_rest_weigh_one_half_each():
    mask = np.zeros((1, 100, 100, 1), "float32")
    mask[0, :10, :10] = 1
    sure = np.where(mask > 0, 9.0, -9.0).astype("float32")
    assert float(balanced(mask, sure)) < 1e-3
    missed = float(balanced(mask, np.full_like(mask, -9.0)))
    assert missed == pytest.approx(0.5 * 9.0 * 100 / 101, rel=1e-3)
    assert float(balanced(mask, np.full_like(mask, 9.0))) == pytest.approx(4.5, rel=1e-2)


def test_the_autoencoder_hears_of_normal_pictures(rng):
    """The answer is compared with the picture as it was, not with the changed one."""
    model = aezoo.build("draem", input_shape=(16, 16, 1), **TINY, seed=0, defect_weight=0.5)
    x = rng.random((8, 16, 16, 1)).astype("float32")
    given, target = model.pair(keras.ops.convert_to_tensor(x), None, training=False)
    np.testing.assert_array_equal(np.asarray(target), x)
    changed = np.abs(np.asarray(given["image"]) - x)[np.asarray(given["mask"]) > 0]
    assert changed.mean() > 0.05
    loss = model.evaluate(x, verbose=0, return_dict=True)
    expected = loss["reconstruction_loss"] + 0.5 * loss["defect_loss"]
    assert loss["loss"] == pytest.approx(expected, rel=1e-5)
