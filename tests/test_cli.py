"""The shell: what it prints, what it writes, and how it answers mistakes."""

import importlib
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import aezoo
from aezoo.cli import app, main
from aezoo.errors import ZooError
from aezoo.version import __version__

AEZOO = str(Path(sys.executable).parent / "aezoo")


def shell(*arguments, **options) -> subprocess.CompletedProcess:
    return subprocess.run([AEZOO, *map(str, arguments)], capture_output=True, text=True, **options)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table of two hidden causes and five columns."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(120, 2)) @ rng.normal(size=(2, 5)) + 4
    path = tmp_path_factory.mktemp("data") / "table.csv"
    np.savetxt(path, values, delimiter=",", header="a,b,c,d,e", comments="")
    return path


@pytest.fixture(scope="module")
def run(table, tmp_path_factory):
    """A run trained by the shell."""
    out = tmp_path_factory.mktemp("runs") / "run"
    options = ["--epochs", "3", "--set", "args.hidden=[4]", "--set", "train.batch_size=16"]
    done = shell("train", "vallina_ae", "--data", table, "--out", out, *options)
    assert done.returncode == 0, done.stderr
    return out, done


def test_version_and_list_and_show_print_what_the_library_says():
    invoke = CliRunner().invoke
    assert invoke(app, ["--version"]).output == f"{__version__}\n"
    listed = invoke(app, ["list", "*ae"]).output.splitlines()
    assert [line.split()[0] for line in listed[1:]] == aezoo.list_models("*ae")
    assert "3,217" in next(line for line in listed if line.startswith("conv_ae"))
    assert invoke(app, ["show", "VAE"]).output == repr(aezoo.describe("vae")) + "\n"


def test_training_prints_epochs_and_writes_the_run(run):
    out, done = run
    assert "epoch 3/3" in done.stderr
    assert f"aezoo export {out} DIR" in done.stdout
    assert len(aezoo.load(out).probe_rows) > 0
    printed = [line.split() for line in done.stdout.splitlines()]
    assert printed[0] == ["metric", "validation", "test"]
    assert printed[1][0] == "loss" and float(printed[1][2]) > 0


def test_training_is_silent_about_tensorflow(run):
    _, done = run
    for noise in ("oneDNN", "cudart", "InitializeLog", "retracing"):
        assert noise not in done.stderr


def test_a_run_goes_on_where_it_stopped(run):
    out, _ = run
    done = CliRunner().invoke(app, ["train", "--resume", str(out), "--epochs", "5"])
    assert done.exit_code == 0, done.output
    assert "epoch 4/5" in done.stderr
    assert "epoch 3/5" not in done.stderr
    history = (out / "history.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in history] == ["epoch", "1", "2", "3", "4", "5"]


def test_export_verify_and_predict_agree_with_the_model(run, table, tmp_path):
    out, _ = run
    bundle, answer = tmp_path / "bundle", tmp_path / "answer.npz"
    for command in (
        ["export", out, bundle],
        ["verify", bundle],
        ["predict", bundle, table, "--endpoint", "score", "--output", answer],
    ):
        done = CliRunner().invoke(app, [str(part) for part in command])
        assert done.exit_code == 0, done.output
    rows = np.loadtxt(table, delimiter=",", skiprows=1).astype("float32")
    expected = aezoo.load(out).endpoint("score")(features=rows)["score"]
    np.testing.assert_allclose(np.load(answer)["score"], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "conv_ea"], "Did you mean 'conv_ae'?"),
        (["list", "zzz"], "No name matches"),
        (["train", "conv_ea", "--data", "sample"], "Did you mean 'conv_ae'?"),
        (["train", "conv_ae", "--set", "train.epoch=2"], "Did you mean 'epochs'?"),
        (["train", "conv_ae", "--data", "sampel"], "Did you mean 'sample'?"),
        (["export", "no_such_run", "bundle"], "No model here"),
        (["verify", "no_such_bundle"], "no_such_bundle"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_1(
    arguments, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["aezoo", *arguments])
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # put back afterwards
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert message in said
    assert len(said.strip().splitlines()) <= 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "line",
    [
        "segment fit nope --masks nope --out new",
        "denoise fit nope --out new",
        "fill fit nope.csv --out new",
        "detect fit nope --out new",
        "cluster nope --out new",
        "map nope --data sample --out new",
        "transfer nope --data sample --out new",
        "generate nope --data sample --out new",
    ],
)
def test_a_path_where_nothing_is_is_told_before_tensorflow_loads(line, tmp_path, monkeypatch):
    assert "nope" in told_at_once(line, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("detect fit sample --out new --score neighbors", "neighbours"),
        ("cluster sample --out new --method kmean", "kmeans"),
        ("map runs/mine --data sample --out new --kind umpa", "umap"),
        ("generate runs/mine --out new --sampler mixtrue", "mixture"),
    ],
)
def test_a_misspelt_name_is_told_before_tensorflow_loads(line, meant, tmp_path, monkeypatch):
    assert f"Did you mean {meant!r}?" in told_at_once(line, tmp_path, monkeypatch)


def told_at_once(line, folder, monkeypatch) -> str:
    """Return the error of a command that is to fail without TensorFlow, leaving nothing."""
    monkeypatch.chdir(folder)
    name = {"map": "maps"}.get(name := line.split()[0], name)
    module = importlib.import_module(f"aezoo.commands.{name}")
    monkeypatch.setattr(module, "start_tensorflow", lambda: pytest.fail("TensorFlow was loaded"))
    done = CliRunner().invoke(app, line.split())
    assert isinstance(done.exception, ZooError), done.output
    assert list(folder.iterdir()) == []
    return str(done.exception)


def test_the_shell_itself_shows_a_mistake_alike(tmp_path):
    done = shell("train", "conv_ae", "--data", "sampel", cwd=tmp_path)
    assert done.returncode == 1
    assert "Did you mean 'sample'?" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 4
    assert list(tmp_path.iterdir()) == []


def test_what_does_better_than_the_model_is_said_with_what_to_do(capsys):
    from aezoo.commands.shell import say_if_beaten

    ours, filtered = (
        {"PSNR at 15": 30.0, "SSIM at 15": 0.9},
        {"PSNR at 15": 31.0, "SSIM at 15": 0.8},
    )
    say_if_beaten({"model": ours, "a filter": filtered, "noisy": ours}, "Train longer.")
    said = capsys.readouterr().out
    assert said == "a filter does better than the model in PSNR at 15.\nTrain longer.\n"
    say_if_beaten({"model": ours, "noisy": ours}, "Train longer.")
    assert not capsys.readouterr().out
