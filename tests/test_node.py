"""The graphs of a bundle in Node.js: onnxruntime-node answers as Keras does.

Needs npm, which fetches onnxruntime-node; skipped with a reason where that cannot be.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from test_web import exported

from aezoo.export import probe
from aezoo.specs import tolerance

VERSION = "1.30.0"
ASK = Path(__file__).parent / "node" / "ask.mjs"


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The folder of a Node package that has onnxruntime-node."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        pytest.skip("Node.js is not installed: apt-get install nodejs npm")
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text("{}")
    try:
        done = subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", f"onnxruntime-node@{VERSION}"],
            cwd=folder,
            env=os.environ | {"ONNXRUNTIME_NODE_INSTALL": "skip"},  # no libraries for GPUs
            capture_output=True,
            text=True,
            timeout=600,
        )
        if done.returncode:
            pytest.skip(f"npm cannot install onnxruntime-node {VERSION}: {done.stderr[:300]}")
        yield folder
    finally:
        shutil.rmtree(folder)  # several hundred MB


@pytest.mark.parametrize("kind", ["conv", "vae", "series", "unet"])
@pytest.mark.parametrize("batch", [1, 5])
def test_node_answers_every_endpoint_as_keras_does(
    package, tmp_path, tmp_path_factory, kind, batch
):
    model, folder = exported(kind, tmp_path_factory)
    rows, _ = probe.probe_inputs(model, {}, batch)  # others than those of the bundle
    cases, expected = [], []
    for spec in model.endpoints:
        asked = {t.name: rows[t.name] for t in spec.inputs}
        expected.append(model.endpoint(spec.name)(**asked))
        inputs = [
            {"name": name, "dtype": x.dtype.name, "shape": x.shape, "values": x.ravel().tolist()}
            for name, x in asked.items()
        ]
        cases.append({"graph": str(folder / "onnx" / f"{spec.name}.onnx"), "inputs": inputs})
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    paths = [package, tmp_path / "cases.json", tmp_path / "answers.json"]
    done = subprocess.run(["node", ASK, *paths], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    answers = json.loads((tmp_path / "answers.json").read_text())
    assert len(answers) == len(model.endpoints) > 1
    for spec, answer, keras_says in zip(model.endpoints, answers, expected, strict=True):
        assert set(answer) == {t.name for t in spec.outputs}
        for tensor in spec.outputs:
            told, values = answer[tensor.name], keras_says[tensor.name]
            assert told["dtype"] == tensor.dtype and told["shape"] == list(values.shape)
            difference = np.abs(np.reshape(told["values"], values.shape) - values.astype("float64"))
            assert (difference <= tolerance(tensor, values)).all(), (spec.name, tensor.name)
