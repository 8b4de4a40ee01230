"""The README: its tables are current, its example models work, its Python runs."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import aezoo

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.S)


def block(language: str, starts_with: str) -> str:
    return next(text for kind, text in BLOCKS if kind == language and text.startswith(starts_with))


def test_the_tables_are_what_registry_and_results_say():
    command = [sys.executable, ROOT / "benchmarks" / "readme_table.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, "run python benchmarks/readme_table.py"


def test_pictures_and_files_that_it_names_exist():
    for path in re.findall(r"!\[.*?\]\((.*?)\)", TEXT):
        assert (ROOT / path).is_file(), path


def test_the_five_lines_of_python_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = block("python", "import aezoo").replace("epochs=20", "epochs=2, verbose=False")
    assert "epochs=2, " in code
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["codes"].shape == (500, 8)
    assert np.ptp(names["codes"], axis=0).min() > 0
    assert (tmp_path / "artifacts" / "conv_ae" / "manifest.json").is_file()


def test_the_detector_of_the_readme_finds_rows_far_away(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = block("python", "import numpy as np").replace("alpha=0.05", "settings={'epochs': 3}")
    assert "settings" in code
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["detector"].predict(names["rows"][:3] + 9).tolist() == [1, 1, 1]
    assert (tmp_path / "artifacts" / "detector" / "onnx" / "detect.onnx").is_file()


def test_the_example_of_an_own_model_trains_from_two_files(tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "half_ae.py").write_text(block("python", "# half_ae.py"))
    (tmp_path / "half_ae.yaml").write_text(block("yaml", "# half_ae.yaml"))
    table = rng.normal(size=(100, 3)) @ rng.normal(size=(3, 8))
    np.savetxt("table.csv", table, delimiter=",", header=",".join("abcdefgh"), comments="")
    run = aezoo.train("half_ae.yaml", "table.csv", epochs=8, batch_size=16, verbose=False)
    assert run.history[-1]["val_loss"] < run.history[0]["val_loss"]
    again = aezoo.load(run.directory)
    rows = table.astype("float32")
    np.testing.assert_array_equal(
        again.endpoint("score")(features=rows)["score"],
        run.model.endpoint("score")(features=rows)["score"],
    )


@pytest.mark.parametrize("name", aezoo.list_models())
def test_every_model_is_in_the_table(name):
    assert f"| `{name}` |" in TEXT
