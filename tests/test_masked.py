"""The masked autoencoder: what is hidden, what the loss counts, and what it learns."""

import keras
import numpy as np
import pytest
from keras import ops
from long_epoch import long_epoch

import aezoo
from aezoo.data import load
from aezoo.layers.patches import PatchMask, grid_waves, transformer
from aezoo.measures import probing
from aezoo.models.masked import EVALUATION_SEED, MaskedAE
from aezoo.zoo_model import seeded

TINY = {"patch_size": 4, "width": 8, "depth": 1, "heads": 2, "decoder_width": 8}


def built(shape=(9, 10, 2), **more):
    with seeded(0):
        model = MaskedAE(input_shape=shape, **TINY | more)
    weights = [
        np.random.default_rng(i).normal(0, 0.4, w.shape) for i, w in enumerate(model.get_weights())
    ]
    state = [w.path.endswith("seed_generator_state") for w in model.weights]
    weights = [
        old if kept else new
        for old, new, kept in zip(model.get_weights(), weights, state, strict=True)
    ]
    model.set_weights(weights)  # no bias is zero
    model.compile(keras.optimizers.SGD(0.1), model.default_loss, run_eagerly=True)
    return model


@pytest.fixture
def rows(rng):
    return rng.random((5, 9, 10, 2)).astype("float32")


def test_positions_are_the_sines_and_cosines_of_row_and_column():
    waves = grid_waves(3, 4, 8).reshape(3, 4, 8)
    row, column = 2, 3
    speed = np.array([1.0, 0.01])
    expected = [f(p * speed) for p in (row, column) for f in (np.sin, np.cos)]
    np.testing.assert_allclose(waves[row, column], np.concatenate(expected), rtol=1e-6)
    assert len(np.unique(waves.reshape(12, 8), axis=0)) == 12  # each place differs


def test_seen_codes_return_to_their_patches_and_the_token_fills_the_others(rng):
    layer = PatchMask(patches=10, ratio=0.7, width=4, seed=0)
    layer.token.assign([9.0, 9.0, 9.0, 9.0])
    vectors = rng.normal(size=(6, 10, 4)).astype("float32")
    order = layer.draw(6)
    hidden = np.asarray(layer.hidden(order))
    filled = np.asarray(layer(layer.seen(vectors, order), order))
    np.testing.assert_array_equal(hidden.sum(axis=1), 7)
    np.testing.assert_array_equal(filled, np.where(hidden[..., None], 9.0, vectors))
    assert len(np.unique(hidden, axis=0)) > 1  # each row has its own choice
    again = np.asarray(layer.hidden(layer.draw(6)))
    assert (again != hidden).any()


def test_every_patch_is_hidden_equally_often():
    layer = PatchMask(patches=8, ratio=0.75, width=4, seed=1)
    share = np.asarray(layer.hidden(layer.draw(4000))).mean(axis=0)
    np.testing.assert_allclose(share, 0.75, atol=0.03)


@pytest.mark.parametrize(("ratio", "seen"), [(0.01, 3), (0.5, 2), (0.99, 1)])
def test_at_least_one_patch_is_hidden_and_one_is_seen(ratio, seen):
    assert PatchMask(patches=4, ratio=ratio, width=4).visible == seen


def test_a_block_is_what_numpy_computes(rng):
    block = transformer(width=6, depth=1, heads=2, name="blocks")
    block.set_weights([rng.normal(0, 0.5, w.shape) for w in block.get_weights()])
    x = rng.normal(size=(2, 5, 6)).astype("float32")
    w = iter(block.get_weights())

    def normalised(x):
        scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
        return scaled * next(w) + next(w)

    def projected(x):
        return np.einsum("btd,dhk->bthk", x, next(w)) + next(w)

    h = normalised(x)
    q, k, v = (projected(h) for _ in range(3))
    scores = np.einsum("bthk,bshk->bhts", q, k) / np.sqrt(3)
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    mixed = np.einsum("bhts,bshk->bthk", weights, v)
    y = x + np.einsum("bthk,hkd->btd", mixed, next(w)) + next(w)
    h = normalised(y) @ next(w) + next(w)
    h = 0.5 * h * (1 + np.tanh(np.sqrt(2 / np.pi) * (h + 0.044715 * h**3)))
    expected = normalised(y + h @ next(w) + next(w))
    np.testing.assert_allclose(block(x), expected, atol=2e-5)


def test_hidden_pixels_are_those_of_hidden_patches_cropped_as_the_picture_is():
    model = built()  # 9x10 in patches of 4: 3x3 patches, padded by (1, 2) and (1, 1)
    order = model.mask.draw(5)
    hidden = np.asarray(model.mask.hidden(order)).reshape(5, 3, 3)
    expected = hidden.repeat(4, axis=1).repeat(4, axis=2)[:, 1:10, 1:11]
    np.testing.assert_array_equal(model.hidden_pixels(order), expected)


def test_the_losses_are_the_mean_errors_at_hidden_pixels_and_of_whole_pictures(rows):
    model = built(whole_weight=0.3)
    seen_by_model, _ = model.pair(rows, None, training=False)
    answer = np.asarray(model(seen_by_model))
    hidden = np.asarray(model.hidden_pixels(seen_by_model["order"]))
    errors = ((answer - rows) ** 2).mean(axis=-1)
    logs = model.evaluate(rows, verbose=0, return_dict=True)
    assert logs["reconstruction_loss"] == pytest.approx(errors[hidden].mean(), rel=1e-5)
    whole = ((np.asarray(model(rows)) - rows) ** 2).mean()
    assert logs["whole_loss"] == pytest.approx(whole, rel=1e-5)
    total = errors[hidden].mean() + 0.3 * whole
    assert logs["loss"] == pytest.approx(total, rel=1e-5)


def test_what_is_hidden_has_no_influence_on_the_answer(rows):
    model = built()
    seen_by_model, _ = model.pair(rows, None, training=True)
    hidden = np.asarray(model.hidden_pixels(seen_by_model["order"]))[..., None]
    answers = [
        np.asarray(model(seen_by_model | {"image": ops.convert_to_tensor(x)}))
        for x in (rows, np.where(hidden, 1 - rows, rows), np.where(hidden, rows, 1 - rows))
    ]
    np.testing.assert_array_equal(answers[0], answers[1])
    assert np.abs(answers[0] - answers[2]).max() > 0.01


def test_evaluation_hides_the_same_patches_whatever_the_batch(rows):
    model = built()
    order = np.asarray(model.pair(rows, None, training=False)[0]["order"])
    np.testing.assert_array_equal(order, np.asarray(model.mask.draw(5, EVALUATION_SEED)))
    assert (order == order[0]).all()
    losses = [model.evaluate(rows, batch_size=size, verbose=0)[0] for size in (1, 5)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_call_predict_and_endpoints_see_the_whole_picture(rows):
    model = built()
    expected = np.asarray(model.decoder(model.encoder(rows)))
    np.testing.assert_array_equal(model(rows, training=True), expected)
    np.testing.assert_allclose(model.predict(rows, verbose=0), expected, atol=1e-6)
    answer = model.endpoint("reconstruct")(image=rows)["reconstruction"]
    np.testing.assert_allclose(answer, expected, atol=1e-6)
    others = np.repeat(rows[:1], 90, axis=0)
    others.reshape(90, 90, 2)[np.arange(90), np.arange(90)] += 1.0  # another pixel in each
    changes = np.abs(np.asarray(model(others)) - expected[:1]).max(axis=(1, 2, 3))
    assert changes.min() > 1e-6


def test_a_target_of_its_own_is_what_the_answer_is_held_to(rows, rng):
    model = built()
    clean = rng.random(rows.shape).astype("float32")
    answer = np.asarray(model(model.pair(rows, clean, training=False)[0]))
    hidden = np.asarray(model.hidden_pixels(model.mask.draw(5, EVALUATION_SEED)))
    errors = ((answer - clean) ** 2).mean(axis=-1)
    logs = model.evaluate(rows, clean, verbose=0, return_dict=True)
    assert logs["reconstruction_loss"] == pytest.approx(errors[hidden].mean(), rel=1e-5)
    whole = ((np.asarray(model(rows)) - clean) ** 2).mean()
    assert logs["whole_loss"] == pytest.approx(whole, rel=1e-5)


def test_it_paints_hidden_patches_from_the_seen_ones_and_reconstructs_whole_pictures():
    kinds = (np.random.default_rng(3).random((4, 8, 8, 1)) > 0.5).astype("float32")
    x = np.repeat(kinds, 32, axis=0)
    with seeded(0):
        model = MaskedAE((8, 8, 1), **TINY | {"width": 16}, mask_ratio=0.5, whole_weight=0.5)
    model.compile(keras.optimizers.Adam(0.01), model.default_loss)
    keras.utils.set_random_seed(0)
    model.fit(long_epoch(x, 60), batch_size=64, shuffle=False, verbose=0)
    shown, _ = model.pair(x, None, training=False)
    hidden = np.asarray(model.hidden_pixels(shown["order"]))
    errors = np.asarray(model.error_map(x, model(shown)))
    blind = x.var(axis=0).mean()  # the error of the mean picture
    assert errors[hidden].mean() < 0.2 * blind
    assert np.square(model(x) - x).mean() < 0.2 * blind


def test_one_patch_and_widths_that_do_not_divide_are_refused():
    with pytest.raises(aezoo.ZooError, match="two patches"):
        MaskedAE((4, 4, 1))
    with pytest.raises(aezoo.ZooError, match="Give 12"):
        MaskedAE((8, 8, 1), width=10, heads=2)
    with pytest.raises(aezoo.ZooError, match="mask_ratio"):
        aezoo.build("masked_ae", mask_ratio=1.0)


def test_a_probe_of_the_untrained_network_gains_nothing_and_one_of_the_label_everything():
    data = load("sample")
    model = aezoo.build("masked_ae", seed=0, depth=1, width=16, decoder_width=8)
    model.fit_preprocessing(data.train.array())
    measured = probing.linear_probe(model, data)
    assert next(iter(measured)) == "gain" and measured["gain"] == 0.0
    assert measured["accuracy"] > 25.0  # ten classes
    told = probing.probe(lambda rows: np.eye(10)[rows.labels], data)
    assert told == 100.0
