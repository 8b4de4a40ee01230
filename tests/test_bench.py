"""Runtimes timed side by side: who is asked, what is written."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import aezoo
from aezoo.cli import app
from aezoo.errors import ZooError
from aezoo.export import bench
from aezoo.export.asking import Process, read_cases, write_cases


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    model = aezoo.build("vallina_ae", input_shape=(6,), hidden=(4,), latent_dim=2, seed=0)
    return aezoo.export_bundle(model, tmp_path_factory.mktemp("bench") / "tiny")


def test_bench_times_every_runtime_and_writes_what_it_prints(bundle, tmp_path, rng, monkeypatch):
    """And what is timed as Keras is Keras: its answers are those of the graph."""
    questions, answered = tmp_path / "q.npz", {}
    features = rng.random((4, 6), "float32")
    write_cases(questions, {("reconstruct", 4): {"features": features}})

    class Asked(Process):
        """Before it ends, it answers what bench does not ask."""

        def end(self):
            answers = tmp_path / f"{self.name}.npz"
            asked = {"endpoints": ["reconstruct"], "questions": questions, "answers": answers}
            self.ask(do="answer", **asked)
            answered[self.name] = read_cases(answers)["reconstruct", 4]
            super().end()

    monkeypatch.setattr(bench, "Process", Asked)
    output = tmp_path / "bench.csv"
    options = ["--batch", "1", "--batch", "3", "--seconds", "0.01", "--output", str(output)]
    result = CliRunner().invoke(app, ["bench", str(bundle.path), *options])
    assert result.exit_code == 0, result.output
    with output.open() as file:
        rows = list(csv.DictReader(file))
    names = ["Keras predict", "tf.function", "SavedModel", "ONNX Runtime"]
    assert [(r["runtime"], r["batch"]) for r in rows] == [(n, b) for n in names for b in "13"]
    for row in rows:
        p50, p99 = float(row["p50_ms"]), float(row["p99_ms"])
        assert 0 < p50 <= p99
        assert float(row["rows_per_s"]) == pytest.approx(1000 * int(row["batch"]) / p50, rel=0.01)
        assert int(row["calls"]) >= 5  # of three rounds, but the very first
        assert 1000 * float(row["cold_start_s"]) > float(row["load_ms"]) > 0
        assert f"{row['runtime']} " in result.output
    memory = {row["runtime"]: float(row["memory_mb"]) for row in rows}
    assert memory["SavedModel"] > 2 * memory["ONNX Runtime"] > 0
    graph = bundle.path / "onnx" / "reconstruct.onnx"
    assert float(rows[-1]["file_mb"]) == pytest.approx(graph.stat().st_size / 2**20, rel=0.01)

    expected = bundle.predict("reconstruct", features=features)["reconstruction"]
    assert len(answered) == len(names)
    for answers in answered.values():  # of `predict`, one without the endpoint's name
        (reconstruction,) = answers.values()
        np.testing.assert_allclose(reconstruction, expected, atol=1e-6)


def test_bench_of_an_endpoint_that_takes_codes_leaves_predict_out(bundle):
    timed = bench._candidates(bundle, bundle.spec("decode"))
    assert [one.name for one in timed] == ["tf.function", "SavedModel", "ONNX Runtime"]


def test_a_changed_bundle_and_odd_batches_are_refused_before_anything_runs(bundle, tmp_path):
    changed = Path(shutil.copytree(bundle.path, tmp_path / "changed"))
    graph = changed / "onnx" / "reconstruct.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"?")
    with pytest.raises(ZooError, match="changed after the export"):
        aezoo.export.bench_bundle(changed)
    with pytest.raises(ZooError, match="Batches are positive"):
        aezoo.export.bench_bundle(bundle.path, batches=(0, 1))
    with pytest.raises(ZooError, match="no endpoint of this name"):
        aezoo.export.bench_bundle(bundle.path, "reconstrukt")
