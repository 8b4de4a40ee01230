"""A machine that only serves: a real environment without TensorFlow, as the README installs it."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import aezoo

ROOT = Path(__file__).parent.parent


def serving_packages() -> list[str]:
    """Return what the README tells a serving machine to install."""
    line = re.search(
        r"^pip install (numpy onnxruntime .*)$", (ROOT / "README.md").read_text(), re.M
    )
    return line[1].split()


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    """Make an environment of its own and install aezoo there as the README says."""
    folder = tmp_path_factory.mktemp("serving") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    pins = ["-c", str(ROOT / "constraints.txt")]
    subprocess.run([*pip, *pins, *serving_packages()], check=True)
    subprocess.run([*pip, "--no-deps", str(ROOT)], check=True)
    return folder / "bin"


@pytest.mark.slow
def test_verify_and_predict_work_on_a_machine_without_tensorflow(serving, tmp_path):
    code = "import importlib.util as u; print(*[u.find_spec(m) for m in ('tensorflow', 'keras')])"
    seen = subprocess.run([serving / "python", "-c", code], capture_output=True, text=True)
    assert seen.stdout.strip() == "None None"

    rows = aezoo.data.load("sample").test.array()[:4]
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, row in enumerate(rows):
        Image.fromarray(row[..., 0]).save(photos / f"{number}.png")
    model = aezoo.build("conv_ae", latent_dim=4, seed=0)
    model.adapt(rows)
    bundle = tmp_path / "bundle"
    aezoo.export_bundle(model, bundle, sample=rows)

    for command in (
        ["verify", bundle],
        ["predict", bundle, photos, "--endpoint", "score", "--output", tmp_path / "answer.npz"],
        ["score", bundle, "--input", photos, "--output", tmp_path / "scores.parquet"],
        ["list"],
        ["show", "vae"],
    ):
        done = subprocess.run(
            [serving / "aezoo", *map(str, command)], capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
    expected = model.endpoint("score")(image=rows)["score"]
    np.testing.assert_allclose(
        np.load(tmp_path / "answer.npz")["score"], expected, atol=1e-5, rtol=1e-5
    )

    done = subprocess.run(
        [serving / "aezoo", "train", "conv_ae"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 1
    assert "TensorFlow is not installed" in done.stderr
