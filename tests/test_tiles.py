"""Pictures larger than a model's input, answered tile by tile."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aezoo.tiles import tiled


@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.sampled_from([(8, 8), (16, 24), (32, 32)]),
    st.sampled_from([0.0, 0.25, 0.5, 0.9]),
)
def test_tiles_that_are_given_back_are_the_picture_again(height, width, size, overlap):
    picture = np.random.default_rng(height * width).uniform(size=(height, width, 2))
    same = tiled(picture, lambda tiles: tiles, size, overlap=overlap)
    np.testing.assert_allclose(same, picture, rtol=1e-6)


def test_answers_that_differ_from_tile_to_tile_leave_no_seam():
    numbers = iter(range(1000))

    def answer(tiles):  # each tile is off by its own constant
        return np.stack([np.full((32, 32, 1), float(next(numbers) % 2)) for _ in tiles])

    blended = tiled(np.zeros((96, 96, 1)), answer, (32, 32), overlap=0.5)[..., 0]
    steps = np.abs(np.diff(blended, axis=1)).max(), np.abs(np.diff(blended, axis=0)).max()
    assert 0.3 < blended.std() + blended.mean() < 1.2  # it does vary
    assert max(steps) < 0.15  # a hard seam would be a step of 1


def test_a_large_picture_is_answered_band_by_band_into_a_file(tmp_path):
    whole = np.lib.format.open_memmap(tmp_path / "in.npy", "w+", "uint8", (700, 300, 3))
    whole[:] = np.random.default_rng(0).integers(0, 256, whole.shape)
    out = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", "uint8", (700, 300, 3))
    most = 0

    def answer(tiles):
        nonlocal most
        most = max(most, len(tiles))
        return 255.0 - tiles

    tiled(whole, answer, (64, 64), out=out)
    assert np.array_equal(out, 255 - whole)
    assert most <= 16
