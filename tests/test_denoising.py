"""The denoising autoencoder and its corruption layer."""

import keras
import numpy as np
import pytest
from long_epoch import long_epoch

import aezoo
from aezoo.layers.corruption import KINDS, Corruption

TINY = {"input_shape": (8, 8, 1), "filters": (4, 2)}


@pytest.fixture(scope="module")
def rows():
    return (np.random.default_rng(0).random((64, 8, 8, 1)) > 0.6).astype("float32")


def corrupted(kind, x, **arguments):
    return np.asarray(Corruption(kind, seed=1, **arguments)(x, training=True))


def test_gaussian_noise_has_the_level_as_its_standard_deviation():
    noise = corrupted("gaussian", np.full((200, 500), 0.5, "float32"), level=0.1) - 0.5
    assert abs(noise.mean()) < 0.001
    assert noise.std() == pytest.approx(0.1, rel=0.01)


def test_shifted_gaussian_brightens_by_the_shift_and_clips():
    x = np.concatenate([np.full((1, 50_000), 0.2), np.full((1, 50_000), 1.0)]).astype("float32")
    dark, bright = corrupted("shifted_gaussian", x, level=0.05, shift=0.2)
    assert dark.mean() == pytest.approx(0.4, abs=0.001)
    assert dark.std() == pytest.approx(0.05, rel=0.02)
    assert bright.max() == 1.0
    assert (bright == 1.0).mean() > 0.999  # 1 + 0.2 lies four standard deviations above the clip


def test_masking_zeroes_the_stated_share_and_keeps_the_rest():
    masked = corrupted("masking", np.full((200, 500), 0.7, "float32"), level=0.25)
    assert set(np.unique(masked)) == {0.0, np.float32(0.7)}
    assert (masked == 0).mean() == pytest.approx(0.25, abs=0.01)


def test_salt_and_pepper_gives_half_the_share_to_each():
    noisy = corrupted("salt_and_pepper", np.full((200, 500), 0.5, "float32"), level=0.3)
    assert set(np.unique(noisy)) == {0.0, 0.5, 1.0}
    assert (noisy == 0).mean() == pytest.approx(0.15, abs=0.01)
    assert (noisy == 1).mean() == pytest.approx(0.15, abs=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_draws_afresh_stays_in_range_and_passes_rows_at_inference(kind, rows):
    layer = Corruption(kind, level=0.4, seed=3)
    first, second = (np.asarray(layer(rows, training=True)) for _ in range(2))
    assert (first != second).any()
    assert first.min() >= 0 and first.max() <= 1
    np.testing.assert_array_equal(layer(rows), rows)
    again = Corruption.from_config(layer.get_config())
    np.testing.assert_array_equal(again(rows, training=True), first)


def test_a_layer_refuses_an_unknown_kind_and_a_share_above_one():
    with pytest.raises(aezoo.ZooError, match="Did you mean 'masking'"):
        Corruption("maskin")
    with pytest.raises(aezoo.ZooError, match="from 0 to 1"):
        Corruption("masking", level=1.5)
    with pytest.raises(aezoo.ZooError, match="corruption"):
        aezoo.build("denoise_ae", corruption="maskin")


def test_the_entry_has_the_published_size_and_the_noise_of_its_source():
    model = aezoo.build("Denoise_AE")
    assert model.count_params() == 74_497
    assert (model.corruption.kind, model.corruption.level, model.corruption.shift) == (
        "shifted_gaussian",
        0.2,
        0.2,
    )


def test_evaluate_compares_the_restored_corrupted_rows_with_the_clean_ones(rows):
    model = aezoo.build("denoise_ae", seed=0, **TINY)
    noisy = np.asarray(model.corruption.corrupt(rows, 0))
    expected = model.evaluate(noisy, rows, verbose=0, batch_size=64)
    assert model.evaluate(rows, verbose=0, batch_size=64) == expected
    assert model.evaluate(rows, verbose=0, batch_size=64) == expected  # and it repeats
    assert model.evaluate(rows, rows, verbose=0, batch_size=64) != expected


def test_training_draws_afresh_and_takes_pairs_as_given(rows):
    model = aezoo.build("denoise_ae", seed=0, **TINY)
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse")  # the weights stay
    losses = model.fit(rows, epochs=3, batch_size=64, verbose=0).history["loss"]
    assert len(set(losses)) == 3
    given = model.fit(rows, rows, epochs=3, batch_size=64, shuffle=False, verbose=0)
    clean = model.evaluate(rows, rows, batch_size=64, verbose=0)[0]
    np.testing.assert_allclose(given.history["loss"], clean, rtol=1e-6)
    assert abs(losses[0] - clean) > 1e-5


def test_the_same_seed_gives_the_same_draws_in_training(rows):
    def history():
        model = aezoo.build("denoise_ae", seed=7, **TINY)
        return model.fit(rows, epochs=2, shuffle=False, verbose=0).history["loss"]

    assert history() == history()


def test_call_predict_and_endpoints_never_corrupt(rows):
    model = aezoo.build("denoise_ae", corruption="masking", level=1.0, **TINY)
    expected = model.decoder(model.encoder(rows)).numpy()
    np.testing.assert_array_equal(model(rows, training=True), expected)
    np.testing.assert_allclose(model.predict(rows, verbose=0), expected, atol=1e-6)
    answer = model.endpoint("reconstruct")(image=rows)["reconstruction"]
    np.testing.assert_allclose(answer, expected, atol=1e-6)


def test_it_learns_to_remove_noise_that_it_has_not_seen():
    squares = np.zeros((256, 8, 8, 1), "float32")
    for index, (top, left) in enumerate(np.random.default_rng(0).integers(0, 5, (256, 2))):
        squares[index, top : top + 4, left : left + 4] = 1
    model = aezoo.build("denoise_ae", seed=0, input_shape=(8, 8, 1), filters=(8,))
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="binary_crossentropy")
    keras.utils.set_random_seed(0)  # the order of rows
    model.fit(long_epoch(squares[:192], 60), batch_size=64, shuffle=False, verbose=0)
    noisy = np.asarray(Corruption("shifted_gaussian", seed=9).corrupt(squares[192:], 5))
    restored = model.predict(noisy, verbose=0)
    error = ((restored - squares[192:]) ** 2).mean()
    # A shift is free to undo; what is left of the noise itself has mean square 0.04.
    assert error < 0.5 * ((noisy - 0.2 - squares[192:]) ** 2).mean()


def test_the_corruption_survives_saving_and_cloning(tmp_path, rows):
    model = aezoo.build("denoise_ae", corruption="salt_and_pepper", level=0.1, **TINY)
    model.fit(rows, validation_data=(rows, rows), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(rows), model(rows))
    for other in (loaded, keras.models.clone_model(model)):
        assert (other.corruption.kind, other.corruption.level) == ("salt_and_pepper", 0.1)
    assert loaded.evaluate(rows, verbose=0) == model.evaluate(rows, verbose=0)
