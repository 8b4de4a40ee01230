"""Noise removed: the class, the command that fits, and the one that needs no TensorFlow."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

import aezoo
from aezoo import metrics
from aezoo.cli import app
from aezoo.data.pictures import pixels_of
from aezoo.errors import ZooError
from aezoo.export import denoise
from aezoo.layers.corruption import Corruption
from aezoo.tasks import denoising_baselines, denoising_fit
from aezoo.tasks.denoising import Denoiser
from aezoo.tasks.restoring import restored, with_noise

TINY = {"filters": (8, 16), "learning_rate": 0.003, "batch_size": 5}
ONE = {"export.endpoints": ("reconstruct",)}  # the fewer, the quicker


def picture(seed: int, height: int = 64, width: int = 64) -> np.ndarray:
    """Coloured rectangles on a slope, (H, W, 3)."""
    rng = np.random.default_rng(seed)
    made = np.linspace(40, 200, width)[None, :, None] + rng.uniform(0, 40, (height, 1, 3))[:1]
    made = np.repeat(made, height, axis=0)
    for _ in range(6):
        top, left = rng.integers(0, height - 16), rng.integers(0, width - 16)
        made[top : top + 16, left : left + 16] = rng.integers(20, 235, 3)
    return made.astype("uint8")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for i in range(8):
        Image.fromarray(picture(i)).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def made(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "denoiser"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(denoising_baselines, "available", lambda: False)  # slow; tested on its own
        return denoising_fit.fit(
            photos, out, sigma=(10, 50), tile=16, epochs=3, verbose=False, **TINY, **ONE
        )


def gained(denoiser, clean, sigma=25) -> float:
    """Return by how many dB a picture is nearer to the clean one."""
    noisy = with_noise(clean, sigma, seed=7)
    (answer,) = denoiser.denoise([noisy])
    assert answer.shape == clean.shape and answer.dtype == np.uint8
    after, before = (metrics.psnr(clean[None] / 255, p[None] / 255)[0] for p in (answer, noisy))
    return after - before


def test_it_removes_noise_of_any_strength_from_pictures_of_any_size(made):
    assert gained(made.denoiser, picture(50)) > 2.5
    assert gained(made.denoiser, picture(51, 45, 101), sigma=45) > 2.5  # tiles, and a rest


def test_pictures_that_measure_train_nothing(made, photos):
    data, files = denoising_fit.dealt(photos, 16, seed=0)
    assert {role: len(names) for role, names in files.items()} == {
        "train": 5,
        "validation": 1,
        "test": 2,
    }
    assert [path.name for path in files["test"]] == made.test
    kept = {tile.tobytes() for tile in data.train.array()}
    for path in files["test"]:
        assert pixels_of(path)[:16, :16].tobytes() not in kept


def test_what_is_measured_is_the_mean_over_the_test_pictures(made, photos):
    found = made.measured[made.denoiser.model_.name]
    clean = [pixels_of(photos / name) for name in made.test]
    noisy = [with_noise(c, 25, (0, i)) for i, c in enumerate(clean)]
    answers = made.denoiser.denoise(noisy)
    of = [
        metrics.psnr(c[None] / 255, a[None] / 255)[0] for c, a in zip(clean, answers, strict=True)
    ]
    assert found["PSNR at 25"] == pytest.approx(np.mean(of), abs=1e-6)
    before = made.measured["noisy pictures"]
    assert all(found[f"PSNR at {s}"] > before[f"PSNR at {s}"] + 1.5 for s in (25, 50))
    assert all(found[f"SSIM at {s}"] > before[f"SSIM at {s}"] for s in (15, 25, 50))
    page = (made.folder / "report.html").read_text()
    assert "PSNR at 50" in page and "scikit-image" in page


def test_the_bundle_answers_as_the_denoiser_does(made, tmp_path):
    noisy = {
        "a.png": with_noise(picture(60, 50, 70), 30, 1),
        "b/deep.png": with_noise(picture(61), 30, 2)[..., 0],
    }
    for name, one in noisy.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(one).save(tmp_path / "in" / name)
    done = denoise(made.folder, tmp_path / "in", tmp_path / "out")
    assert "2 pictures without noise" in str(done)
    for name, one in noisy.items():
        answer = np.asarray(Image.open(tmp_path / "out" / "pictures" / name))
        (expected,) = made.denoiser.denoise([one])
        assert answer.shape == one.shape
        assert np.abs(answer.astype(int) - expected).max() <= 1  # rounded on either side
    assert (tmp_path / "out" / "report.html").is_file()


def test_the_shell_runs_without_tensorflow(made, tmp_path):
    Image.fromarray(with_noise(picture(62), 30, 3)).save(tmp_path / "noisy.png")
    code = (
        "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None\n"
        "from aezoo.cli import app; app()"
    )
    given = ["denoise", "run", made.folder, tmp_path / "noisy.png", "--out", tmp_path / "out"]
    command = [sys.executable, "-c", code, *map(str, given)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "pictures" / "noisy.png").is_file()


def test_pairs_are_learnt_from_as_they_are():
    clean = [picture(i) for i in range(6)]
    darker = [(one * 0.5).astype("uint8") for one in clean]  # noise of a kind that is not made
    few = TINY | {"epochs": 25, "filters": (8,)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aezoo.tasks.denoising.TILE", 16)
        patch.setattr("aezoo.tasks.denoising._PATCHES", 120)
        denoiser = Denoiser(settings=few).fit(clean, darker)
    (answer,) = denoiser.denoise([(picture(9) * 0.5).astype("uint8")])
    before = np.abs(picture(9) * 0.5 - picture(9)).mean()
    assert np.abs(answer - picture(9).astype(float)).mean() < 0.4 * before


def test_series_lose_their_noise_too():
    rng = np.random.default_rng(0)
    phases = rng.uniform(0, 6, (160, 1))
    waves = 50 * np.sin(np.linspace(0, 9, 40) + phases)[..., None]  # (160, 40, 1)
    few = {"epochs": 8, "filters": (16, 8), "learning_rate": 0.005}
    denoiser = Denoiser(sigma=50, settings=few).fit(waves[:120])
    noisy = waves[120:] + rng.normal(0, 0.5 * waves.std(), waves[120:].shape)
    error = np.square(denoiser.denoise(noisy) - waves[120:]).mean()
    assert error < 0.4 * np.square(noisy - waves[120:]).mean()


def test_noise_has_its_strength_and_filters_are_tuned_to_it():
    flat = np.full((64, 64, 3), 128, "uint8")
    assert with_noise(flat, 15, 0).std() == pytest.approx(15, rel=0.02)
    pytest.importorskip("skimage")
    with pytest.MonkeyPatch.context() as patch:
        grids = {"wavelets": {"method": ("BayesShrink",), "share": (0.01, 1.0)}}
        patch.setattr(denoising_baselines, "_GRIDS", grids)
        (remove,) = denoising_baselines.tuned([picture(1)], 25).values()
    assert remove.keywords["settings"]["share"] == 1.0
    noisy = with_noise(picture(2), 25, 5)
    before, after = (np.square(p - picture(2).astype(float)).mean() for p in (noisy, remove(noisy)))
    assert after < 0.5 * before


def test_each_row_has_a_level_of_its_own():
    x = np.full((400, 50), 0.5, "float32")
    spread = np.asarray(Corruption("gaussian", level=0.1, least=0.05, seed=0)(x, training=True))
    spread = spread.std(axis=1)
    assert 0.03 < spread.min() < 0.06 and 0.085 < spread.max() < 0.13
    with pytest.raises(ZooError, match="least level"):
        Corruption("gaussian", level=0.1, least=0.2)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([(), (1,), (3,)]), st.integers(1, 3))
def test_any_picture_comes_back_in_its_shape(height, width, channels, of_model):
    shape = (8, 12, 3 if of_model > 1 else 1)
    given_ = np.random.default_rng(0).integers(0, 256, (height, width, *channels), "uint8")
    np.testing.assert_array_equal(restored(given_, lambda tiles: tiles, shape), given_)


def test_mistakes_are_told(photos, made, tmp_path):
    with pytest.raises(ZooError, match="at least 3 pictures"):
        denoising_fit.fit(photos / "0.png", tmp_path / "x")
    with pytest.raises(ZooError, match="exists already"):
        denoising_fit.fit(photos, made.folder)
    with pytest.raises(ZooError, match="range of standard deviations"):
        Denoiser(sigma=(50, 5)).fit([picture(0)] * 2)
    with pytest.raises(ZooError, match="different shapes"):
        Denoiser().fit([picture(0)] * 2, [picture(0), picture(1, 32, 32)])
    with pytest.raises(ZooError, match="lies inside the input"):
        denoise(made.folder, photos, photos / "out")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"no")
    with pytest.raises(ZooError, match="cannot be read"):
        denoise(made.folder, tmp_path / "broken", tmp_path / "y")
    told = CliRunner().invoke(app, ["denoise", "run", str(made.folder), str(tmp_path / "nothing")])
    assert "no file or folder" in str(told.exception)


def test_the_entry_has_no_code_to_decode(made):
    names = [spec.name for spec in made.denoiser.model_.endpoints]
    assert names == ["reconstruct", "encode", "score"]
    assert aezoo.build("denoise_unet").count_params() == 850_659
