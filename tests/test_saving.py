"""Saved models, read by a process that shares nothing with the one that wrote them."""

import json
import subprocess
import sys

import numpy as np

import aezoo
from aezoo.models.seq2seq import Seq2SeqAE

LENGTH = np.array([[6], [1], [4], [3]], "int32")
READ = """
import json, sys
from pathlib import Path
from aezoo import quiet
quiet.import_tensorflow()
import keras, numpy as np, aezoo.models
for path in map(Path, sys.argv[1:]):
    model = keras.models.load_model(path)
    rows = dict(np.load(path.with_suffix(".npz")))
    y = rows.pop("y", None)
    x = rows if len(rows) > 1 else next(iter(rows.values()))
    np.save(path.with_suffix(".npy"), model.predict(x, verbose=0))
    measured = model.evaluate(x, y, verbose=0, return_dict=True)
    path.with_suffix(".json").write_text(json.dumps(measured))
"""


def test_models_answer_and_are_measured_alike_in_a_fresh_process(rng, tmp_path):
    pictures = rng.random((8, 12, 12, 1), "float32")
    tokens = np.where(np.arange(6) < LENGTH, rng.integers(1, 9, (4, 6)), 0).astype("int32")
    unet = aezoo.build("unet", input_shape=(12, 12, 1), classes=3, filters=(4, 8), seed=1)
    sizes = {"input_shape": (6,), "vocabulary": 9, "embedding_dim": 3, "units": 5, "latent_dim": 4}
    seq2seq = Seq2SeqAE(**sizes, variable_length=True, feedback=True)
    seq2seq.compile("sgd", seq2seq.default_loss)
    given = {
        "unet": (unet, {"image": pictures}, rng.integers(0, 3, (8, 12, 12), dtype="int32")),
        "seq2seq": (seq2seq, {"tokens": tokens, "length": LENGTH}, None),
    }
    expected = {}
    for name, (model, rows, y) in given.items():
        x = rows if len(rows) > 1 else next(iter(rows.values()))
        model.fit(x, y, verbose=0)  # biases and moving averages are not as built
        model.save(tmp_path / f"{name}.keras")
        np.savez(tmp_path / f"{name}.npz", **rows, **({} if y is None else {"y": y}))
        measured = model.evaluate(x, y, verbose=0, return_dict=True)
        expected[name] = model.predict(x, verbose=0), measured
    assert sorted(expected["unet"][1]) == ["dice", "loss", "mean_iou", "segmentation_loss"]
    paths = [str(tmp_path / f"{name}.keras") for name in given]
    done = subprocess.run([sys.executable, "-c", READ, *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name, (answer, measured) in expected.items():
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.npy"), answer, rtol=0, atol=1e-6)
        read = json.loads((tmp_path / f"{name}.json").read_text())
        assert read.keys() == measured.keys()
        np.testing.assert_allclose([*read.values()], [*measured.values()], rtol=1e-5)
