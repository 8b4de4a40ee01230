"""The quickstart: its table, its page, its folder; and the pictures that runs draw."""

import io
import re

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import aezoo
from aezoo import figures, quickstart
from aezoo.data.rows import TestRows
from aezoo.errors import ZooError


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A quickstart of few epochs: its folder, its figures and what it printed."""
    folder = tmp_path_factory.mktemp("quick") / "out"
    said = Console(file=io.StringIO(), width=100)
    patch = pytest.MonkeyPatch()
    patch.setitem(quickstart.RECIPE, "epochs", 3)
    measured = quickstart.run_quickstart(folder, said)
    patch.undo()
    return folder, measured, said.file.getvalue()


def test_the_table_compares_with_pca_and_the_untrained_network(finished):
    _, measured, said = finished
    ours, pca, untrained = (values["MSE"] for values in measured.values())
    assert pca == pytest.approx(0.0259, abs=1e-4)  # of 8 components on this sample
    assert ours < 0.5 * untrained
    assert f"{ours:.4f}" in said


def test_it_ends_with_three_commands_to_run_next(finished):
    _, _, said = finished
    assert said.rstrip().splitlines()[-3:] == [f"  {c}" for c in quickstart.next_commands()]


def test_the_page_is_self_contained_and_holds_table_and_pictures(finished):
    folder, measured, _ = finished
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    for values in measured.values():
        assert f"{values['PSNR']:.2f} dB" in page


def test_the_bundle_verifies_and_carries_what_was_measured(finished):
    folder, _, _ = finished
    aezoo.verify_bundle(folder / "bundle")
    manifest = aezoo.export.Bundle(folder / "bundle").manifest
    assert manifest.metrics == aezoo.load(folder / "run").metrics_measured
    assert manifest.metrics["test"]["loss"] > 0


def test_a_folder_of_other_things_is_kept(tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "mine.png").write_text("mine")
    with pytest.raises(ZooError, match="holds other things"):
        quickstart.run_quickstart(tmp_path, Console(file=io.StringIO()))
    assert (tmp_path / "figures" / "mine.png").read_text() == "mine"


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_a_picture_shows_the_rows_that_it_is_given(tmp_path):
    dark = np.zeros((4, 8, 8, 1), "uint8")
    bright = np.full((4, 8, 8, 1), 255, "uint8")
    first = pixels(figures.picture_rows({"a": dark, "b": bright}, tmp_path / "1.png"))
    second = pixels(figures.picture_rows({"a": bright, "b": bright}, tmp_path / "2.png"))
    assert first.shape == second.shape
    changed = np.abs(first - second).max(axis=-1) > 200
    assert changed[: len(changed) // 2].mean() > 0.3
    assert not changed[len(changed) // 2 + 5 :].any()


@pytest.mark.parametrize(
    ("name", "shape", "arguments", "drawn"),
    [
        ("conv_ae", (8, 8, 1), {"filters": (4,)}, {"reconstructions", "latent_map"}),
        ("vallina_ae", (6,), {"hidden": (4,)}, {"reconstructions", "latent_map"}),
        ("vallina_ae", (12, 2), {"hidden": (4,)}, {"reconstructions", "latent_map"}),
        ("unet", (8, 8, 1), {"filters": (4, 8), "classes": 3}, {"masks"}),
    ],
)
def test_every_kind_of_model_is_drawn(name, shape, arguments, drawn, tmp_path, rng):
    model = aezoo.build(name, input_shape=shape, seed=0, **arguments)
    x = rng.random((20, *shape), "float32")
    masks = rng.integers(0, 3, (20, *shape[:-1])) if name == "unet" else None
    made = figures.of_model(model, TestRows(x, targets=masks), tmp_path)
    assert set(made) == drawn
    for path in made.values():
        assert np.ptp(pixels(path)) > 200


def test_loss_curves_draw_every_term(tmp_path):
    history = [
        {"epoch": e, "loss": 3 / e, "reconstruction_loss": 2 / e, "kl_loss": 1 / e, "val_loss": 3}
        for e in range(1, 5)
    ]
    wide = pixels(figures.loss_curves(history, tmp_path / "wide.png"))
    for row in history:
        del row["kl_loss"]
    assert wide.shape[1] > 2 * pixels(figures.loss_curves(history, tmp_path / "one.png")).shape[1]
