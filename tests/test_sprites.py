"""Drawn shapes of known causes, and the measure of how a code keeps the causes apart."""

import numpy as np
import pytest

from aezoo.data import load, sprites
from aezoo.measures.disentanglement import mutual_information_gap


def test_a_shape_lies_where_and_is_as_large_as_its_causes_say():
    causes = np.array(
        [[s / 2, size, 0.3, x, 0.5] for s in range(3) for size in (0, 1) for x in (0, 1)]
    )
    pictures = sprites.draw(causes).astype("float64")[..., 0] / 255
    areas = pictures.sum(axis=(1, 2)).reshape(3, 2, 2)
    of_squared_radius = np.array([2.0, np.pi / 2, 0.75 * np.sqrt(3)])
    expected = of_squared_radius[:, None] * np.array([5.0, 9.0]) ** 2
    np.testing.assert_allclose(areas, np.repeat(expected[..., None], 2, axis=2), rtol=0.05)
    middles = (pictures * (np.arange(32) + 0.5)).sum(axis=(1, 2)) / areas.reshape(-1)
    wanted = [size if x == 0 else 32 - size for _ in range(3) for size in (5, 9) for x in (0, 1)]
    np.testing.assert_allclose(middles, wanted, atol=0.15)


def test_a_shape_never_leaves_the_picture():
    causes = sprites.factors(300, seed=5)
    causes[:, 3:] = np.round(causes[:, 3:])  # in the corners
    inside = np.pad(sprites.draw(causes)[..., 0], ((0, 0), (1, 1), (1, 1)))
    areas = inside.astype("float64").sum(axis=(1, 2)) / 255
    centred = causes.copy()
    centred[:, 3:] = 0.5
    whole = sprites.draw(centred).astype("float64").sum(axis=(1, 2, 3)) / 255
    np.testing.assert_allclose(areas, whole, rtol=0.08)  # edges lie on thirds of a pixel


def test_sprites_are_drawn_alike_each_time_and_test_rows_are_others():
    first, again = load("sprites"), load("sprites")
    assert first.train.fingerprint() == again.train.fingerprint()
    assert first.test.array()[:500].tobytes() != first.train.array()[:500].tobytes()
    assert first.class_names == {0: "square", 1: "ellipse", 2: "triangle"}
    counts = np.bincount(first.test.labels)
    assert counts.min() > 600  # the shapes are equally probable


@pytest.mark.parametrize("copies, expected", [(1, 1.0), (2, 0.0)])
def test_the_gap_is_one_for_a_number_per_cause_and_none_for_two(copies, expected):
    causes = np.random.default_rng(0).integers(0, 20, (20_000, 3)) / 19
    codes = np.concatenate(
        [causes] * copies + [np.random.default_rng(1).random((20_000, 1))], axis=1
    )
    assert mutual_information_gap(codes, causes) == pytest.approx(expected, abs=0.01)
