"""The built wheel: what it holds, that it imports, and the order of its layers."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONTRACTS = """
[importlinter]
root_package = aezoo

[importlinter:contract:layers]
name = imports run one way
type = layers
layers =
    aezoo.cli
    aezoo.commands
    aezoo.quickstart
    aezoo.checks
    aezoo.export
    aezoo.tasks
    aezoo.training
    aezoo.recipes
    aezoo.storage | aezoo.data | aezoo.figures
    aezoo.models
    aezoo.autoencoder | aezoo.segmenter
    aezoo.zoo_model
    aezoo.localizer | aezoo.assigner
    aezoo.scorers
    aezoo.calibration
    aezoo.layers | aezoo.losses | aezoo.metrics | aezoo.endpoints
    aezoo.specs
    aezoo.registry
    aezoo.config
    aezoo.yaml_text
    aezoo.errors
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel from a copy of the sources, offline.

    Two that are built in one folder at once would write the same files, and an old `build/` would
    put what is deleted into the wheel.
    """
    folder, sources = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("sources") / "all"
    shutil.copytree(ROOT, sources, ignore=shutil.ignore_patterns(".*", "build", "*.egg-info"))
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
    command += ["--outdir", folder, sources]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The wheel's files in a folder of their own, as an installer would lay them out."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(code: str, installed: Path) -> subprocess.CompletedProcess:
    # -S leaves out site-packages' .pth files, and with them the editable install.
    site = next(p for p in sys.path if p.endswith("site-packages"))
    code = f"import sys; sys.path[:0] = [{str(installed)!r}, {site!r}]\n" + code
    return subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, cwd=installed
    )


def test_the_wheel_holds_code_entries_sample_and_notices(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    entries = {f"aezoo/zoo_configs/{p.name}" for p in (ROOT / "zoo_configs").glob("*.yaml")}
    exported = {f"aezoo/export/{p.name}" for p in (ROOT / "export").glob("*.py")}
    exported |= {f"aezoo/export/web/{p.name}" for p in (ROOT / "export" / "web").iterdir()}
    assert entries | exported <= names
    assert "aezoo/py.typed" in names
    embedded = ("fashion_sample.npz", "brain_mri.npz", "reviews_sample.tsv", "words_sample.dict")
    samples = {f"aezoo/data/samples/{name}" for name in embedded}
    assert samples <= names
    licences = {name.rsplit("/", 1)[-1] for name in names if ".dist-info/" in name}
    assert {"LICENSE", "THIRD_PARTY_NOTICES.md"} <= licences
    assert not [name for name in names if name.startswith(("tests/", "export/", "notebooks/"))]


def test_the_wheel_imports_and_lists_the_zoo(installed):
    done = run(
        "import aezoo, aezoo.export, aezoo.zoo_configs\n"
        f"assert aezoo.__file__.startswith({str(installed)!r}), aezoo.__file__\n"
        f"assert aezoo.export.__file__.startswith({str(installed)!r}), aezoo.export.__file__\n"
        "print(aezoo.list_models())",
        installed,
    )
    assert done.returncode == 0, done.stderr
    assert "'conv_ae'" in done.stdout


def test_imports_run_one_way(installed, tmp_path):
    config = tmp_path / "importlinter.ini"
    config.write_text(CONTRACTS)
    done = run(
        "from importlinter.cli import lint_imports\n"
        f"sys.exit(lint_imports(config_filename={str(config)!r}, no_cache=True))",
        installed,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 kept, 0 broken" in done.stdout


def test_the_layer_test_would_see_a_wrong_import(installed, tmp_path):
    wrong = tmp_path / "site"
    subprocess.run(["cp", "-r", str(installed), str(wrong)], check=True)
    errors = wrong / "aezoo" / "errors.py"
    errors.write_text(errors.read_text() + "\nimport aezoo.export\n")
    config = tmp_path / "importlinter.ini"
    config.write_text(CONTRACTS)
    done = run(
        "from importlinter.cli import lint_imports\n"
        f"sys.exit(lint_imports(config_filename={str(config)!r}, no_cache=True))",
        wrong,
    )
    assert done.returncode != 0
    assert "aezoo.errors" in done.stdout


def test_pinned_versions_name_no_address():
    text = (ROOT / "constraints.txt").read_text()
    assert "://" not in text
    assert all("==" in line for line in text.splitlines() if line and not line.startswith("#"))
