"""The same model exported by two processes that share nothing but its file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import aezoo
from aezoo.checks.bench import bench_of
from aezoo.registry import find

EXPORT = """
import pathlib, sys, warnings
warnings.simplefilter("ignore")
import aezoo.quiet
aezoo.quiet.import_tensorflow()
bundles = pathlib.Path(sys.argv[1])
for path in sys.argv[2:]:
    aezoo.export_bundle(aezoo.load(path), bundles / pathlib.Path(path).stem)
"""
WITHOUT_GRAPPLER = """
import tensorflow as tf
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
"""
MADE_ANEW = ("saved_model/1/", "model.keras", "README.md")  # by TensorFlow, by Keras, with the time


def test_two_exports_have_equal_graphs_and_manifests_that_differ_in_the_time(tmp_path):
    model = aezoo.build("vae", input_shape=(5, 4, 1), hidden=(4,), latent_dim=3, seed=0)
    model.save(tmp_path / "vae.keras")
    other = exporting(tmp_path / "1", [tmp_path / "vae.keras"], first=WITHOUT_GRAPPLER)  # as here
    aezoo.export_bundle(aezoo.load(tmp_path / "vae.keras"), tmp_path / "2" / "vae")
    ended(other)
    graphs = equal_graphs(tmp_path / "1", tmp_path / "2")
    assert "vae/onnx/generate.onnx" in graphs

    first, second = (manifest(tmp_path / place / "vae") for place in "12")
    assert first["content_digest"] == second["content_digest"]
    for made in (first, second):
        for key in ("created", "sha256", "bytes"):
            made.pop(key)
        made["files"] = {k: v for k, v in made["files"].items() if not k.startswith(MADE_ANEW)}
    assert first == second and len(first["files"]) == len(graphs) + 1  # the probe


@pytest.mark.slow
def test_two_processes_write_the_same_onnx_files_of_every_entry(tmp_path):
    models = []
    for name in aezoo.list_models():
        models.append(tmp_path / f"{name}.keras")
        bench_of(find(name)).seasoned.save(models[-1])
    processes = [exporting(tmp_path / place, models, hashes=place) for place in "12"]
    for process in processes:
        ended(process)
    graphs = equal_graphs(tmp_path / "1", tmp_path / "2")
    assert {name.split("/")[0] for name in graphs} == {*aezoo.list_models()}
    for name in aezoo.list_models():
        first, second = (manifest(tmp_path / place / name) for place in "12")
        assert first["content_digest"] == second["content_digest"], name


def manifest(bundle: Path) -> dict:
    return json.loads((bundle / "manifest.json").read_text())


def exporting(
    bundles: Path, models: list[Path], *, first: str = "", hashes: str = "1"
) -> subprocess.Popen:
    """Start a process that exports these models; its hashes of strings are seeded."""
    return subprocess.Popen(
        [sys.executable, "-c", first + EXPORT, str(bundles), *map(str, models)],
        env=os.environ | {"PYTHONHASHSEED": hashes},
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen) -> None:
    """Wait for a process that must succeed."""
    said = process.communicate()[1]
    assert process.returncode == 0, said


def equal_graphs(first: Path, second: Path) -> list[str]:
    """Return the names of the ONNX files, which have the same bytes in both folders."""
    names, others = (
        sorted(str(path.relative_to(root)) for path in root.rglob("*.onnx"))
        for root in (first, second)
    )
    assert names == others
    assert [n for n in names if (first / n).read_bytes() != (second / n).read_bytes()] == []
    return names
