"""Figures are reproduced by one command, and an interrupted one goes on."""

import numpy as np
import pytest

import aezoo
from aezoo import samplers
from aezoo.config import ReferenceSection
from aezoo.measures import classification, conditional, likelihood, sampling
from aezoo.registry import find, list_models
from aezoo.reproduce import Row, _Clock, _with_summary, read, reproduce

JUDGED = [name for name in list_models() if find(name).reference]
READ_AS_ASKED = {"cvae": 0.5, "cgan": 0.25}  # shares that even the small runs reach


def error(model, data) -> dict[str, float]:
    """A measure: the mean squared error on test rows, and how many they are."""
    x = np.asarray(model.preprocessing.apply(data.test.array()))
    return {"mse": float(np.square(x - model.predict(x, verbose=0)).mean()), "rows": len(x)}


def of_the_mean(data) -> dict[str, float]:
    """A control: the error of answering the mean of the training rows."""
    test = data.test.array() / 255
    return {"mse": float(np.square(test - data.train.array().mean(axis=0) / 255).mean())}


@pytest.fixture
def entry():
    reference = ReferenceSection(
        figure="test error",
        goal=0.05,
        published="nobody",
        measure="tests.test_reproduce:error",
        controls=("tests.test_reproduce:of_the_mean",),
        seeds=(0, 1),
        overrides={"train.epochs": 2, "args.hidden": [8]},
        full={"train.epochs": 3},
        variants={
            "long": {"figure": "test error, long", "overrides": {"train.epochs": 6}},
        },
    )
    found = find("vallina_ae")
    return found.model_copy(update={"reference": reference})


@pytest.fixture(autouse=True)
def measures(monkeypatch):
    """Let this module be found by the name that the entry gives."""
    monkeypatch.setitem(__import__("sys").modules, "tests.test_reproduce", _this())


def _this():
    import sys

    return sys.modules[__name__]


def test_the_table_has_every_seed_their_mean_and_what_stands_beside_them(entry, tmp_path):
    said = []
    rows = {row.what: row for row in reproduce(entry, tmp_path, say=said.append)}
    assert list(rows) == ["seed 0", "seed 1", "mean", "spread", "untrained", "of the mean"]
    values = [rows[f"seed {seed}"].value for seed in (0, 1)]
    assert rows["mean"].value == pytest.approx(np.mean(values))
    assert rows["spread"].value == pytest.approx(abs(values[0] - values[1]) / np.sqrt(2))
    assert max(values) < rows["untrained"].value
    assert rows["seed 0"].best_epoch == 2 and rows["seed 0"].beside == "rows=500"
    assert rows["mean"].beside == "not reached"  # .05, after two epochs
    text = (tmp_path / "vallina_ae.csv").read_text()
    assert text.startswith("# aezoo reproduce vallina_ae\n# test error: aim <= 0.05 (mean")
    assert len(said) == 4 and "seed 1: test error" in said[-1]


@pytest.mark.parametrize(
    ("told", "values", "said"),
    [
        ({"goal": 2.0}, [1.0, 2.9], "reached"),
        ({"goal": 2.0}, [1.0, 3.1], "not reached"),
        ({"goal": 2.0, "better": "higher"}, [1.0, 2.9], "not reached"),
        ({"goal": 2.0, "better": "higher", "of_seeds": "best"}, [1.0, 2.9], "reached"),
        ({"goal": 2.0, "of_seeds": "best"}, [1.0, 9.0], "reached"),
        ({"goal": None}, [1.0, 2.9], ""),
    ],
)
def test_the_row_of_the_mean_says_whether_the_aim_is_reached(entry, told, values, said):
    reference = entry.reference.model_copy(update={"of_seeds": "mean", **told})
    rows = [Row(f"seed {n}", value, "", 1, 1, "x") for n, value in enumerate(values)]
    summary = {row.what: row.beside for row in _with_summary(rows, reference, "x")}
    assert summary["mean"] == said


def test_seeds_that_stand_in_the_table_are_kept_unless_the_recipe_changed(entry, tmp_path):
    first = reproduce(entry, tmp_path, seeds=[0], say=lambda line: None)
    said = []
    both = reproduce(entry, tmp_path, say=said.append)
    assert both[0] == next(row for row in read(tmp_path / "vallina_ae.csv"))
    assert both[0].seconds == first[0].seconds and len(said) == 1
    changed = entry.reference.model_copy(update={"overrides": {"train.epochs": 1}})
    said.clear()
    reproduce(entry.model_copy(update={"reference": changed}), tmp_path, seeds=[0], say=said.append)
    assert len(said) == 3
    assert "seed 1" not in (tmp_path / "vallina_ae.csv").read_text()


def test_a_variant_has_a_recipe_and_a_table_of_its_own(entry, tmp_path):
    short = reproduce(entry, tmp_path, seeds=[0], say=lambda line: None)
    long = reproduce(entry, tmp_path, seeds=[0], variant="long", say=lambda line: None)
    assert long[0].recipe != short[0].recipe and long[0].value < short[0].value
    text = (tmp_path / "vallina_ae_long.csv").read_text()
    assert text.startswith(
        "# aezoo reproduce vallina_ae --variant long\n# test error, long: no aim"
    )
    assert "seed 0" in (tmp_path / "vallina_ae.csv").read_text()
    with pytest.raises(aezoo.ZooError, match=r"no variant of this name(.|\n)*long"):
        reproduce(entry, tmp_path, variant="lon")
    with pytest.raises(aezoo.ZooError, match="has no variants"):
        reproduce("vae", tmp_path, variant="long")


def test_an_interrupted_training_goes_on_as_if_nothing_had_happened(entry, tmp_path, monkeypatch):
    whole = reproduce(entry, tmp_path / "whole", seeds=[0], say=lambda line: None)
    write = _Clock.on_epoch_end
    epochs = []

    def stopped_in_the_second(clock, epoch, logs=None):
        epochs.append(epoch)
        if len(epochs) == 2:
            raise KeyboardInterrupt
        write(clock, epoch, logs)

    monkeypatch.setattr(_Clock, "on_epoch_end", stopped_in_the_second)
    said = []
    with pytest.raises(KeyboardInterrupt):
        reproduce(entry, tmp_path / "parts", seeds=[0], say=said.append)
    assert said == ["vallina_ae: stopped. The same command goes on from here."]
    (kept,) = (tmp_path / "parts" / "runs").iterdir()
    (kept / "seconds.txt").write_text("1000")
    parts = reproduce(entry, tmp_path / "parts", seeds=[0], say=said.append)
    assert epochs == [0, 1, 1]  # the first epoch was not trained again
    assert [row.value for row in parts] == [row.value for row in whole]
    assert parts[0].seconds >= 1000 > whole[0].seconds
    assert not kept.exists()


def test_what_cannot_be_reproduced_is_said(entry, tmp_path):
    with pytest.raises(aezoo.ZooError, match="names no figure"):
        reproduce(entry.model_copy(update={"reference": None}), tmp_path)
    no_more = entry.reference.model_copy(update={"full": {}})
    with pytest.raises(aezoo.ZooError, match="source's own"):
        reproduce(entry.model_copy(update={"reference": no_more}), tmp_path, full=True)
    wrong = entry.reference.model_copy(update={"measure": "aezoo.measures:nothing"})
    with pytest.raises(aezoo.ZooError, match="no such measure"):
        reproduce(entry.model_copy(update={"reference": wrong}), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def few_draws(monkeypatch):
    """Let measures draw a few rows; how many they draw is theirs to say, not the entry's."""
    monkeypatch.setattr(likelihood, "SAMPLES", 20)
    monkeypatch.setattr(likelihood, "MANY", 20)
    monkeypatch.setattr(classification, "EPOCHS", 1)
    monkeypatch.setattr(sampling, "GENERATED", 200)
    monkeypatch.setattr(conditional, "PER_LABEL", 100)
    monkeypatch.setattr(samplers.Flow, "STEPS", 20)
    monkeypatch.setattr(samplers.Flow, "COUPLINGS", 2)
    monkeypatch.setattr(samplers.Autoregressive, "STEPS", 20)
    monkeypatch.setattr(samplers.Autoregressive, "BLOCK", 10)
    monkeypatch.setattr(samplers.Autoregressive, "WIDTH", 16)


@pytest.mark.usefixtures("few_draws")
@pytest.mark.parametrize("name", JUDGED)
def test_every_figure_can_be_reproduced_in_small(name, tmp_path):
    rows = reproduce(name, tmp_path, quick=True, say=lambda line: None)
    assert [row.what for row in rows] == ["seed 0", "mean", "untrained"]
    assert all(np.isfinite(row.value) for row in rows)
    learned, untrained = ((row.value, row.beside) for row in (rows[0], rows[2]))
    assert learned != untrained
    if name in READ_AS_ASKED:
        assert untrained[0] == pytest.approx(0.1, abs=0.06) and learned[0] > READ_AS_ASKED[name]
        accuracies = {beside.partition("reader=")[2] for _, beside in (learned, untrained)}
        assert len(accuracies) == 1 and float(accuracies.pop()) > 0.7  # one reader of both
