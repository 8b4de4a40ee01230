"""The same model exported by two processes that share nothing but its file."""

import json
import os
import subprocess
import sys

import aezoo

EXPORT = """
import sys, warnings
warnings.simplefilter("ignore")
import aezoo
aezoo.export_bundle(aezoo.load(sys.argv[1]), sys.argv[2])
"""
MADE_ANEW = ("saved_model/1/", "model.keras", "README.md")  # by TensorFlow, by Keras, with the time


def test_two_exports_have_equal_graphs_and_manifests_that_differ_in_the_time(tmp_path):
    model = aezoo.build("conv_vae", input_shape=(9, 8, 1), latent_dim=3, seed=0)
    model.save(tmp_path / "model.keras")
    other = subprocess.Popen(
        [sys.executable, "-c", EXPORT, str(tmp_path / "model.keras"), str(tmp_path / "1")],
        env=os.environ | {"PYTHONHASHSEED": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    aezoo.export_bundle(aezoo.load(tmp_path / "model.keras"), tmp_path / "2")
    said = other.communicate()[1]
    assert other.returncode == 0, said
    graphs = sorted(path.name for path in (tmp_path / "1" / "onnx").iterdir())
    assert "generate.onnx" in graphs
    for name in graphs:
        first, second = ((tmp_path / seed / "onnx" / name).read_bytes() for seed in "12")
        assert first == second, name

    first, second = (json.loads((tmp_path / seed / "manifest.json").read_text()) for seed in "12")
    assert first["content_digest"] == second["content_digest"]
    for made in (first, second):
        for key in ("created", "sha256", "bytes"):
            made.pop(key)
        made["files"] = {k: v for k, v in made["files"].items() if not k.startswith(MADE_ANEW)}
    assert first == second and len(first["files"]) == len(graphs) + 1  # the probe
