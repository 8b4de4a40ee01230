"""Where a row is odd: the map against NumPy and SciPy, its limit, its life with the model."""

import math

import numpy as np
import pytest
from scipy import ndimage

import aezoo
from aezoo import localizer
from aezoo.errors import ZooError
from aezoo.export import Bundle
from aezoo.smoothing import smooth


@pytest.fixture(scope="module")
def model():
    return aezoo.build("conv_ae", input_shape=(16, 12, 1), filters=(4,), seed=0)


@pytest.fixture
def rows(rng):
    return rng.integers(0, 255, (60, 16, 12, 1)).astype("uint8")


def test_smoothing_is_a_gaussian_whose_weights_add_up_to_one_at_the_border(rng):
    maps = rng.random((3, 40, 30)).astype("float32")
    shared = {"sigma": 1.5, "truncate": 4.29, "mode": "constant"}
    inside = np.stack([ndimage.gaussian_filter(one, **shared) for one in maps])
    share = ndimage.gaussian_filter(np.ones((40, 30)), **shared)
    np.testing.assert_allclose(smooth(maps, 1.5), inside / share, rtol=1e-4)
    np.testing.assert_allclose(smooth(np.ones((1, 9, 7), "float32"), 2.0), 1.0, rtol=1e-6)
    np.testing.assert_array_equal(smooth(maps, 0.0), maps)


def test_the_map_is_the_smoothed_error_over_its_usual_value_and_the_limit(model, rows):
    train, held = rows[:30], rows[30:]
    fitted = localizer.fit(model, train, held, alpha=0.1, sigma=1.0)
    ask = model.score_endpoint()
    usual = smooth(ask(image=train)["error_map"].mean(axis=0, keepdims=True), 1.0)
    by_hand = smooth(ask(image=held)["error_map"] / usual, 1.0)
    limit = np.sort(by_hand.max(axis=(1, 2)))[math.ceil(31 * 0.9) - 1]
    model.localizer = fitted
    found = model.endpoint("localize")(image=held)["anomaly_map"]
    np.testing.assert_allclose(found, by_hand / limit, rtol=1e-4)
    assert (found.max(axis=(1, 2)) > 1 + 1e-5).sum() == 30 - math.ceil(31 * 0.9)
    model.localizer = None
    with pytest.raises(ZooError, match="no endpoint of this name"):
        model.endpoint("localize")


def test_a_place_that_is_always_right_is_not_odd_for_a_trifle(model, rows, monkeypatch):
    """The usual error of such a place counts as a tenth of the mean one, however small it is."""
    maps = np.ones((20, 16, 12), "float32")
    maps[:, 0, 0] = 0.0
    maps[:, 5, 5] += np.linspace(0, 0.5, 20)
    monkeypatch.setattr(localizer, "_error_maps", lambda model, rows: maps)
    weights = localizer.fit(model, rows, rows, alpha=0.1, sigma=0.0).constants["weights"][0]
    assert weights[0, 0] / weights[1, 1] == pytest.approx(1 / (0.1 * maps.mean(0).mean()), rel=1e-3)


def test_it_is_saved_exported_and_forgotten_with_the_weights(rows, tmp_path):
    model = aezoo.build("conv_ae", input_shape=(16, 12, 1), filters=(4,), seed=0)
    model.localizer = localizer.fit(model, rows[:30], rows[30:], alpha=0.1)
    expected = model.endpoint("localize")(image=rows)["anomaly_map"]
    aezoo.save(model, tmp_path / "model.keras")
    again = aezoo.load(tmp_path / "model.keras")
    assert again.localizer.sigma == model.localizer.sigma == 16 / 32
    np.testing.assert_array_equal(again.endpoint("localize")(image=rows)["anomaly_map"], expected)
    aezoo.export_bundle(again, tmp_path / "bundle")
    served = Bundle(tmp_path / "bundle").predict("localize", image=rows)["anomaly_map"]
    np.testing.assert_allclose(served, expected, rtol=1e-4, atol=1e-5)
    again.fit(rows / np.float32(255), epochs=1, verbose=0)
    assert again.localizer is None


@pytest.mark.parametrize("shape, entry", [((40, 2), "seq2seq_ae"), ((6,), "simple_ae")])
def test_series_are_smoothed_in_time_and_tables_are_not(shape, entry, rng):
    model = aezoo.build(entry, input_shape=shape, latent_dim=3, seed=0)
    rows = rng.random((40, *shape)).astype("float32")
    fitted = localizer.fit(model, rows[:20], rows[20:], alpha=0.1)
    assert fitted.sigma == (40 / 32 if len(shape) == 2 else 0.0)
    model.localizer = fitted
    assert model.endpoint("localize").spec.outputs[0].shape == shape[:1]
    odd = rows[:1].copy()
    odd[0, 4] += 9.0
    before = model.endpoint("localize")(**{model.input_name: rows[:1]})["anomaly_map"][0]
    after = model.endpoint("localize")(**{model.input_name: odd})["anomaly_map"][0]
    if len(shape) == 1:
        assert (after - before).argmax() == 4
    else:
        assert abs(int((after - before).argmax()) - 4) <= 1


def test_too_few_rows_and_models_without_a_map_are_refused(model, rows):
    with pytest.raises(ZooError, match="cannot guarantee"):
        localizer.fit(model, rows, rows[:5], alpha=0.1)
    unet = aezoo.build("unet", input_shape=(16, 16, 1), filters=(4, 8), classes=1)
    with pytest.raises(ZooError, match="no error map"):
        localizer.fit(unet, np.zeros((20, 16, 16, 1), "uint8"), np.zeros((20, 16, 16, 1), "uint8"))
