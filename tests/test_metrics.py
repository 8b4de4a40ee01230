"""Metrics of reconstructions and of masks, against hand values and naive loops."""

import keras
import numpy as np
import pytest

from aezoo import metrics
from aezoo.errors import ZooError


def naive_ssim(x, y):
    """One picture (H, W) by the formula, window by window, pixel by pixel."""
    weights = {}
    for i in range(11):
        for j in range(11):
            weights[i, j] = np.exp(-((i - 5) ** 2 + (j - 5) ** 2) / (2 * 1.5**2))
    total = sum(weights.values())
    values = []
    for top in range(x.shape[0] - 10):
        for left in range(x.shape[1] - 10):
            mx = my = xx = yy = xy = 0.0
            for (i, j), weight in weights.items():
                a, b, w = x[top + i, left + j], y[top + i, left + j], weight / total
                mx, my = mx + w * a, my + w * b
                xx, yy, xy = xx + w * a * a, yy + w * b * b, xy + w * a * b
            xx, yy, xy = xx - mx * mx, yy - my * my, xy - mx * my
            above = (2 * mx * my + 0.01**2) * (2 * xy + 0.03**2)
            values.append(above / ((mx * mx + my * my + 0.01**2) * (xx + yy + 0.03**2)))
    return np.mean(values)


def test_ssim_equals_the_formula_worked_out_by_naive_loops(rng):
    x, y = rng.random((2, 3, 14, 12, 2)).astype("float32")
    wanted = [np.mean([naive_ssim(x[n, ..., c], y[n, ..., c]) for c in range(2)]) for n in range(3)]
    np.testing.assert_allclose(metrics.ssim(x, y), wanted, rtol=1e-9)


def test_ssim_of_two_constant_pictures_is_its_luminance_term():
    x, y = np.full((1, 11, 11, 1), 0.2), np.full((1, 11, 11, 1), 0.6)
    wanted = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    np.testing.assert_allclose(metrics.ssim(x, y), [wanted], rtol=1e-9)


def test_ssim_is_one_for_equal_rows_symmetric_and_falls_with_noise(rng):
    x = rng.random((2, 20, 16, 1))
    noise = rng.normal(size=x.shape)
    np.testing.assert_allclose(metrics.ssim(x, x), [1.0, 1.0], rtol=1e-12)
    np.testing.assert_allclose(metrics.ssim(x, x + noise), metrics.ssim(x + noise, x), rtol=1e-12)
    assert (metrics.ssim(x, x + 0.05 * noise) > metrics.ssim(x, x + 0.2 * noise)).all()
    assert metrics.ssim(1 - x, x).max() < 0  # a negative has the structure upside down


def test_ssim_of_many_rows_is_that_of_each_row(rng):
    x, y = rng.random((2, metrics._CHUNK + 3, 11, 11, 1))
    together = metrics.ssim(x, y)
    alone = [metrics.ssim(x[i : i + 1], y[i : i + 1])[0] for i in (0, metrics._CHUNK, len(x) - 1)]
    np.testing.assert_array_equal(together[[0, metrics._CHUNK, -1]], alone)


def test_small_pictures_get_the_largest_window_that_fits():
    x, y = np.full((1, 8, 9, 1), 0.2), np.full((1, 8, 9, 1), 0.6)
    wanted = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    np.testing.assert_allclose(metrics.ssim(x, y), [wanted], rtol=1e-9)
    assert len(metrics._gaussian(7)) == 7


def test_mse_and_psnr_have_the_values_worked_out_by_hand():
    x = np.zeros((3, 2, 2, 1))
    y = np.stack([np.zeros((2, 2, 1)), np.full((2, 2, 1), 0.1), np.full((2, 2, 1), 1.0)])
    np.testing.assert_allclose(metrics.mse(x, y), [0.0, 0.01, 1.0], rtol=1e-12)
    np.testing.assert_allclose(metrics.psnr(x, y), [np.inf, 20.0, 0.0], atol=1e-12)


def test_8_bit_rows_do_not_wrap_around():
    assert metrics.mse(np.zeros((1, 2), "uint8"), np.full((1, 2), 200, "uint8")) == [40_000.0]


@pytest.mark.parametrize("function", [metrics.mse, metrics.psnr, metrics.ssim])
def test_rows_of_different_shapes_are_refused(function):
    with pytest.raises(ZooError, match="different shapes"):
        function(np.zeros((2, 12, 12, 1)), np.zeros((1, 12, 12, 1)))


def test_ssim_refuses_rows_that_are_no_pictures():
    with pytest.raises(ZooError, match="compares pictures"):
        metrics.ssim(np.zeros((2, 12)), np.zeros((2, 12)))


# ---- masks ----

TRUTH = np.array([[[0, 0, 1], [1, 2, 2]], [[0, 1, 1], [0, 0, 0]]])
ANSWER = np.array([[[0, 1, 1], [1, 2, 0]], [[0, 1, 0], [0, 0, 0]]])
# right: 5, 3, 1   true: 6, 4, 2   answered: 7, 4, 1


def test_dice_and_iou_pool_all_pixels_per_class():
    dice, iou = metrics.Dice(3), metrics.MeanIoU(3)
    for metric in (dice, iou):
        metric.update_state(TRUTH[:1], ANSWER[:1])
        metric.update_state(TRUTH[1:, ..., None], ANSWER[1:])
    np.testing.assert_allclose(dice.per_class(), [10 / 13, 6 / 8, 2 / 3], rtol=1e-12)
    np.testing.assert_allclose(iou.per_class(), [5 / 8, 3 / 5, 1 / 2], rtol=1e-12)
    np.testing.assert_allclose(float(dice.result()), np.mean([10 / 13, 6 / 8, 2 / 3]), rtol=1e-6)
    np.testing.assert_allclose(float(iou.result()), np.mean([5 / 8, 3 / 5, 1 / 2]), rtol=1e-6)


def test_mean_iou_agrees_with_that_of_keras(rng):
    truth, answer = rng.integers(0, 4, (2, 3, 8, 8))
    ours, theirs = metrics.MeanIoU(4), keras.metrics.MeanIoU(4)
    ours.update_state(truth, answer)
    theirs.update_state(truth, answer)
    np.testing.assert_allclose(float(ours.result()), float(theirs.result()), rtol=1e-6)


def test_probabilities_count_as_the_most_probable_class():
    probabilities = 0.1 + 0.7 * np.eye(3, dtype="float32")[ANSWER]
    from_masks, from_probabilities = metrics.Dice(3), metrics.Dice(3)
    from_masks.update_state(TRUTH, ANSWER)
    from_probabilities.update_state(TRUTH, probabilities)
    np.testing.assert_array_equal(from_probabilities.per_class(), from_masks.per_class())


def test_a_binary_metric_is_that_of_the_foreground():
    truth = np.array([[[1, 1, 0, 0]]])
    foreground = np.array([[[[0.9], [0.5], [0.6], [0.1]]]], "float32")  # one half is background
    dice, iou = metrics.Dice(1), metrics.MeanIoU(1)
    for metric in (dice, iou):
        metric.update_state(truth, foreground)
    np.testing.assert_allclose(float(dice.result()), 2 / 4, rtol=1e-6)
    np.testing.assert_allclose(float(iou.result()), 1 / 3, rtol=1e-6)


def test_a_class_that_never_occurs_has_no_value_and_does_not_lower_the_mean():
    dice = metrics.Dice(3)
    dice.update_state(np.array([[[0, 1]]]), np.array([[[0, 1]]]))
    np.testing.assert_array_equal(dice.per_class(), [1.0, 1.0, np.nan])
    assert float(dice.result()) == 1.0


def test_a_sample_weight_counts_a_rows_pixels_as_often():
    weighted, repeated = metrics.Dice(3), metrics.Dice(3)
    weighted.update_state(TRUTH, ANSWER, sample_weight=np.array([3.0, 1.0]))
    repeated.update_state(TRUTH[[0, 0, 0, 1]], ANSWER[[0, 0, 0, 1]])
    np.testing.assert_array_equal(weighted.per_class(), repeated.per_class())


def test_counts_stay_exact_beyond_the_whole_numbers_of_float32():
    dice = metrics.Dice(2)
    dice.counts.assign([[2.0**24, 0.0], [0.0, 0.0]])
    dice.update_state(np.array([[[0]]]), np.array([[[0]]]))
    assert float(dice.counts[0, 0]) == 2.0**24 + 1


def test_masks_take_the_lowest_class_of_a_tie():
    rows = np.array([[[[0.4, 0.4, 0.2], [0.2, 0.4, 0.4], [0.1, 0.2, 0.7]]]], "float32")
    np.testing.assert_array_equal(metrics.masks_of(rows), [[[0, 1, 2]]])


def test_metrics_are_rebuilt_from_their_configuration():
    again = metrics.Dice.from_config(metrics.Dice(3, name="overlap").get_config())
    assert (again.classes, again.name) == (3, "overlap")


def test_an_unknown_metric_names_the_closest_one():
    assert metrics.get("mean_squared_error") == "mean_squared_error"
    with pytest.raises(ZooError, match="Did you mean 'mean_iou'"):
        metrics.get("mean_iuo")
    with pytest.raises(ZooError, match="Only a segmenter"):
        metrics.get("dice")
