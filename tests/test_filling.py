"""Filling in: what stands in the holes, how scikit-learn uses it, and the bundle that does it."""

import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from typer.testing import CliRunner

import aezoo
from aezoo.cli import app
from aezoo.data import gapped
from aezoo.errors import ZooError
from aezoo.export import Bundle, fill
from aezoo.tasks import filling, filling_report, gaussian, holes
from aezoo.tasks.imputation import LINEAR, Imputer
from aezoo.tasks.projection import fill as filled_by
from aezoo.tasks.projection import projected
from aezoo.tasks.trial import Trial

NAMES = ["flow", "heat", "speed", "tilt"]


def table(count: int, seed: int = 0) -> np.ndarray:
    """Rows whose last two columns follow from the first two."""
    rows = np.random.default_rng(seed).normal(size=(count, 4)) * [1, 10, 1, 1] + [0, 50, 0, 7]
    rows[:, 2], rows[:, 3] = 10 * rows[:, 0] + rows[:, 1], rows[:, 1] - 5 * rows[:, 0]
    return rows


def with_gaps(rows: np.ndarray, share: float = 0.15, seed: int = 1) -> np.ndarray:
    hidden = np.random.default_rng(seed).random(rows.shape) < share
    hidden[hidden.all(axis=1)] = False
    return np.where(hidden, np.nan, rows)


@pytest.fixture(scope="module")
def imputer():
    return Imputer().fit(with_gaps(table(300)))


def test_a_column_that_follows_from_others_is_found_again(imputer):
    rows = table(50, seed=3)
    open_rows = rows.copy()
    open_rows[:, 2] = np.nan
    filled = imputer.transform(open_rows)
    np.testing.assert_array_equal(filled[:, [0, 1, 3]], rows[:, [0, 1, 3]])
    wrong = np.sqrt(np.mean((filled[:, 2] - rows[:, 2]) ** 2)) / rows[:, 2].std()
    assert wrong < 0.1
    assert imputer.entry_ == LINEAR


def test_rows_without_gaps_pass_untouched_and_input_is_not_written_to(imputer):
    rows = table(5)
    assert imputer.transform(rows).tolist() == rows.tolist()
    open_rows = with_gaps(rows, 0.3)
    before = open_rows.copy()
    found = imputer.fill(open_rows)
    np.testing.assert_array_equal(open_rows, before)
    np.testing.assert_array_equal(found.missing, np.isnan(before))
    assert found.resting.all() and (found.passes[~found.missing.any(axis=1)] == 0).all()


def test_a_mask_says_what_is_missing_as_nan_does(imputer):
    rows, missing = table(6), np.zeros((6, 4), bool)
    missing[:, 1] = True
    opened = np.where(missing, np.nan, rows)
    np.testing.assert_array_equal(imputer.transform(rows, missing), imputer.transform(opened))


def test_an_empty_row_becomes_the_mean(imputer):
    filled = imputer.transform(np.full((1, 4), np.nan))[0]
    np.testing.assert_allclose(filled, np.nanmean(with_gaps(table(300)), axis=0), atol=3)


def test_projection_ends_at_the_conditional_mean_of_a_gaussian(rng):
    factor = rng.normal(size=(5, 5))
    found = gaussian.Moments(rng.normal(size=5), factor @ factor.T)
    weights, rows = found.weights(0.05), rng.normal(size=(20, 5)).astype("float32")
    known = np.tile([True, True, False, True, False], (20, 1))
    ask, start = weights.__call__, np.where(known, rows, 0.0)
    filled, _, resting = projected(ask, start, known, passes=5000, moves=1e-6)
    covariance = found.covariance + 0.05 * np.trace(found.covariance) / 5 * np.eye(5)
    o, m = [0, 1, 3], [2, 4]
    slopes = np.linalg.solve(covariance[np.ix_(o, o)], covariance[np.ix_(o, m)])
    expected = found.mean[m] + (rows[:, o] - found.mean[o]) @ slopes
    assert resting.all()
    np.testing.assert_allclose(filled[:, m], expected, atol=2e-3)


def test_a_column_known_once_and_rows_of_few_kinds_are_fitted_without_a_word():
    rows = np.repeat(table(3), 40, axis=0)
    rows[1:, 3] = np.nan
    filled = Imputer().fit(rows).transform(rows)
    assert np.isfinite(filled).all()
    np.testing.assert_allclose(filled[:, 3], rows[0, 3], rtol=0.2)


def test_moments_of_rows_with_gaps_are_those_of_the_rows(rng):
    rows = rng.normal(size=(4000, 2)) @ [[1.0, 0.8], [0.0, 0.6]] + 3
    known = rng.random(rows.shape) > 0.3
    found = gaussian.moments(np.where(known, rows, 0.0), known)
    np.testing.assert_allclose(found.mean, 3, atol=0.06)
    np.testing.assert_allclose(found.covariance, [[1, 0.8], [0.8, 1]], atol=0.08)


def test_scikit_learn_clones_it_and_takes_it_in_a_pipeline():
    rows = table(200)
    target = rows[:, 2]
    first = Imputer(random_state=3, tolerance=0.01)
    assert clone(first).get_params() == first.get_params()
    pipeline = make_pipeline(Imputer(), LinearRegression()).fit(with_gaps(rows[:, :2]), target)
    mean = make_pipeline(SimpleImputer(), LinearRegression()).fit(with_gaps(rows[:, :2]), target)
    assert pipeline.predict(rows[:, :2]).shape == (200,)
    assert pipeline.score(rows[:, :2], target) > mean.score(rows[:, :2], target) - 0.02
    assert first.fit_transform(with_gaps(rows)).shape == rows.shape
    assert first.get_feature_names_out(NAMES).tolist() == NAMES


def waves(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    phase, steps = rng.uniform(0, 6, (count, 1, 1)), np.arange(24)[None, :, None]
    return np.sin(steps / 3 + phase).astype("float32")


def test_a_trained_entry_fills_a_stretch_better_than_a_line():
    settings = {"hidden": (32,), "latent_dim": 8, "output_activation": "linear"}
    settings |= {"loss": "mean_squared_error", "latent_activation": "linear", "epochs": 4}
    imputer = Imputer("simple_ae", settings=settings | {"learning_rate": 0.005}).fit(waves(200))
    rows, known = waves(40, seed=5), np.ones((40, 24, 1), bool)
    known[:, 8:16] = False
    line = holes.started(rows, known, "series", 0.0)
    filled = imputer.transform(np.where(known, rows, np.nan))
    assert np.square(filled - rows).mean() < 0.2 * np.square(line - rows).mean()
    assert imputer.entry_ == "simple_ae" and imputer.passes_ >= 1


def test_a_fitted_model_fills_pictures_and_keeps_known_pixels(rng):
    model = aezoo.build("conv_ae", input_shape=(8, 8, 1), filters=(4,), seed=0)
    model.adapt(rng.integers(0, 256, (20, 8, 8, 1)).astype("uint8"))
    rows = rng.integers(0, 256, (4, 8, 8, 1)).astype("uint8")
    missing = np.zeros(rows.shape, bool)
    missing[:, 2:5, 2:5] = True
    found = filled_by(model, rows, missing, passes=1)
    np.testing.assert_array_equal(found.rows[~missing], rows[~missing])
    start = holes.started(np.where(missing, 0, rows), ~missing, "image", 0.0)
    once = model.endpoint("reconstruct")(image=start.astype("uint8"))["reconstruction"]
    np.testing.assert_allclose(found.rows[missing], once[missing], rtol=1e-5)
    again = Imputer.of(model, passes=1).transform(rows, missing)
    np.testing.assert_array_equal(again, found.rows)


def test_holes_start_from_their_neighbours():
    picture, known = np.arange(9.0).reshape(1, 3, 3, 1), np.ones((1, 3, 3, 1), bool)
    known[0, 0, :2] = False
    started = holes.started(picture, known, "image", 0.0)[0, :, :, 0]
    assert started[0].tolist() == [3.0, 2.0, 2.0] or started[0].tolist() == [3.0, 4.0, 2.0]


@pytest.mark.parametrize(
    "modality, shape", [("features", (6,)), ("series", (9, 2)), ("image", (7, 5, 1))]
)
def test_made_holes_leave_something_of_every_row(modality, shape, rng):
    known = np.ones((50, *shape), bool)
    kept = holes.made(known, modality, rng)
    assert kept.reshape(50, -1).any(axis=1).all() and 0.05 < 1 - kept.mean() < 0.7
    known[:, 0] = False
    kept = holes.made(known, modality, rng)
    assert not kept[:, 0].any() and kept[:, 1:].all()  # such gaps as the rows have


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("filler")
    frame = pd.DataFrame(with_gaps(table(300)), columns=NAMES)
    frame.to_csv(folder / "measured.csv", index=False)
    return filling.fit(folder / "measured.csv", folder / "filler"), frame


def test_it_beats_the_mean_and_the_neighbours_in_made_holes(made):
    errors = [values["RMSE"] for values in made[0].measured.values()]
    assert len(errors) == 3 and errors[0] < 0.7 * errors[1] and errors[0] < errors[2]


def test_the_bundle_fills_a_file_by_column_name_without_tensorflow(made, tmp_path):
    folder, rows = made[0].folder, with_gaps(table(30, seed=9))
    frame = pd.DataFrame(rows, columns=NAMES)
    mixed = frame[["tilt", "speed", "heat", "flow"]].assign(note="as it is")
    mixed.to_csv(tmp_path / "new.csv", index=False)
    code = "import sys; from aezoo.export import fill; print(fill(*sys.argv[1:]));"
    code += "assert 'tensorflow' not in sys.modules"
    paths = [folder, tmp_path / "new.csv", tmp_path / "full.csv"]
    told = subprocess.run(
        [sys.executable, "-c", code, *map(str, paths)], capture_output=True, text=True
    )
    count = int(np.isnan(rows).sum())
    assert told.returncode == 0, told.stderr
    assert f"{count} cells filled" in told.stdout
    full = pd.read_csv(tmp_path / "full.csv")
    assert [*full] == [*mixed] and (full["note"] == "as it is").all()
    expected = made[0].imputer.transform(rows)
    np.testing.assert_allclose(full[NAMES], expected, atol=0.05)
    marks = pd.read_csv(tmp_path / "full.filled.csv")
    np.testing.assert_array_equal(marks[NAMES], np.isnan(rows))


def test_an_array_is_filled_and_marked(made, tmp_path):
    rows = with_gaps(table(10))
    np.save(tmp_path / "new.npy", rows)
    found = fill(made[0].folder, tmp_path / "new.npy", tmp_path / "full.npy", passes=1)
    assert found.cells == np.isnan(rows).sum() and "still moved" in str(found)
    np.testing.assert_array_equal(np.load(tmp_path / "full.filled.npy"), np.isnan(rows))
    full = filled_by(Bundle(made[0].folder / "bundle"), rows, passes=1).rows
    np.testing.assert_array_equal(np.load(tmp_path / "full.npy"), full)


def test_the_shell_fits_and_fills(tmp_path):
    frame = pd.DataFrame(with_gaps(table(60)), columns=NAMES)
    frame.to_parquet(tmp_path / "measured.parquet")
    told = CliRunner().invoke(
        app, ["fill", "fit", str(tmp_path / "measured.parquet"), "--out", str(tmp_path / "filler")]
    )
    assert told.exit_code == 0, told.output
    assert "5 nearest rows" in told.output and "aezoo fill run" in told.output
    page = (tmp_path / "filler" / "report.html").read_text()
    assert "measured.parquet" in page and "data:image/png" in page and "aezoo fill run" in page
    hidden = int(re.search(r"<p>(\d+) values of 12 rows .* in 17 rounds", page)[1])
    assert 50 < hidden < 17 * 12 * 4  # what 12 rows alone have is too little to tell
    assert json.loads((tmp_path / "filler" / "filling.json").read_text())["passes"] == 500
    run = ["fill", "run", str(tmp_path / "filler"), str(tmp_path / "measured.parquet")]
    told = CliRunner().invoke(app, [*run, "--out", str(tmp_path / "full.parquet")])
    assert told.exit_code == 0 and "cells filled" in told.output
    assert not pd.read_parquet(tmp_path / "full.parquet").isna().any(axis=None)


def test_the_page_shows_the_holes_of_each_kind_of_row(rng, tmp_path):
    """Pictures on one scale, series with a line where a gap is, columns from the worst on."""
    shapes = {"image": (4, 6, 6, 2), "series": (4, 20, 2), "features": (9, 3)}
    for modality, shape in shapes.items():
        truth = rng.normal(50, 20, shape)
        hidden = rng.random(shape) < 0.3
        trial = Trial(truth, hidden, np.full((1,), 2.0), modality, ["a", "b", "c"])
        trial.filled = {"ours": np.where(hidden, truth + 4, truth), "mean": truth + 8.0}
        assert trial.errors() == {"ours": pytest.approx(2.0), "mean": pytest.approx(4.0)}
        page = filling_report.write(tmp_path / modality, trial, "rows", ["next"]).read_text()
        assert f"{hidden.sum():,} values of {len(truth)} rows" in page
        assert "<td>ours</td><td>2</td>" in page and "<td>mean</td><td>4</td>" in page
        with Image.open(tmp_path / modality / "figures" / "filled.png") as drawn:
            red, _, blue = np.asarray(drawn.convert("RGB"), int).reshape(-1, 3).T
        if modality == "image":  # holes have a colour, all else is grey
            holes_of = hidden.sum() / hidden.size / 3  # of three lines, in one
            share = ((red - blue) > 50).mean() / (abs(red - blue) < 50).mean()
            assert 0.3 * holes_of < share < 1.2 * holes_of


@pytest.mark.parametrize(
    "rows, changes, message",
    [
        (np.full((20, 3), np.inf), {}, "infinity"),
        (np.full((20, 3), 2.0), {}, "All known values are the same"),
        (np.zeros((5, 3)), {}, "too few rows"),
        (np.array([["a", "b"]] * 20), {}, "Rows are numbers"),
        (np.array([[1.0, np.nan], [2.0, np.nan]] * 9), {}, "Nothing is known of a column"),
        (table(20), {"missing": np.zeros((20, 3))}, "another shape than the rows"),
    ],
)
def test_what_cannot_be_learned_from_is_said(rows, changes, message):
    with pytest.raises(ZooError, match=message):
        Imputer().fit(rows, **changes)


def test_what_does_not_fit_the_bundle_is_said(made, tmp_path):
    folder, frame = made[0].folder, made[1]
    frame.rename(columns={"heat": "head"}).to_csv(tmp_path / "new.csv", index=False)
    with pytest.raises(ZooError, match=r"Did you mean 'head'(.|\n)*Missing: heat"):
        fill(folder, tmp_path / "new.csv", tmp_path / "full.csv")
    with pytest.raises(ZooError, match=r"is a .csv or .parquet file"):
        frame.to_csv(tmp_path / "new.csv", index=False)
        fill(folder, tmp_path / "new.csv", tmp_path / "full.npy")
    words = frame.head(12).astype(object)
    words.iloc[3, 0] = "?"
    words.to_csv(tmp_path / "words.csv", index=False)
    with pytest.raises(ZooError, match=r"'flow' holds words beside numbers(.|\n)*'\?'"):
        gapped.read(tmp_path / "words.csv")
    with pytest.raises(ZooError, match="shape that the model does not take"):
        made[0].imputer.transform(table(3)[:, :3])
    with pytest.raises(ZooError, match="no file or folder"):
        fill(folder, tmp_path / "nothing.csv", tmp_path / "full.csv")


def test_a_column_without_a_value_is_named(tmp_path):
    frame = pd.DataFrame(table(30), columns=NAMES).assign(heat=np.nan)
    with pytest.raises(ZooError, match=r"Nothing is known of a column(.|\n)*heat"):
        filling.fit(frame, tmp_path / "out")
