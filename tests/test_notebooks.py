"""The notebooks run from top to bottom, and their last cell says that what they claim is so.

Their cells run in this process: a kernel for each would spend half of its time on imports.
"""

import ast
import tempfile
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def outcome_of(notebook) -> dict:
    last = notebook.cells[-1].outputs[-1]
    return ast.literal_eval(last["data"]["text/plain"])


def run(notebook) -> dict:
    """Run the code cells in their order; return the value of the last one."""
    names = {"__name__": "__main__"}
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            exec(compile(cell.source, f"<cell {number}>", "exec"), names)
    return names["outcome"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_its_claims_hold(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    notebook = nbformat.read(path, as_version=4)
    assert notebook.cells[-1].source.endswith("\noutcome")
    outcome = run(notebook)
    assert outcome
    assert all(outcome.values()), outcome


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_committed_outputs_hold_pictures_and_the_same_outcome(path):
    notebook = nbformat.read(path, as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not any(output.output_type == "error" for output in outputs)
    assert all(outcome_of(notebook).values())
