"""One command from normal pictures, tables or series to a detector, and new data through it."""

import csv
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

import aezoo
from aezoo.cli import app
from aezoo.errors import ZooError
from aezoo.export import Bundle, detect
from aezoo.tasks import detection
from aezoo.tasks.places import Place, find_places

QUICK = {"score": "residual", "alpha": 0.2, "verbose": False}
FEW = {"epochs": 40, "batch_size": 32, "verbose": False}


def picture(rng, place: tuple[int, int] | None = None) -> Image.Image:
    """Stripes of one width and any phase; with a bright square of 5 pixels where asked."""
    x = np.arange(24)
    pixels = (
        100 + 60 * np.sin(2 * np.pi * (x / 8 + rng.random()))[None] + rng.normal(0, 4, (24, 24))
    )
    if place:
        top, left = place
        pixels[top : top + 5, left : left + 5] = 250
    return Image.fromarray(np.clip(pixels, 0, 255).astype("uint8"))


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """A folder of 160 good pictures and 12 with a spot; the corners of the spots by name."""
    folder, rng, corners = tmp_path_factory.mktemp("parts"), np.random.default_rng(0), {}
    for kind in ("good", "spot"):
        (folder / kind).mkdir()
    for i in range(160):
        picture(rng).save(folder / "good" / f"{i:03}.png")
    for i in range(12):
        corners[f"spot/{i:03}.png"] = corner = tuple(map(int, rng.integers(0, 19, 2)))
        picture(rng, corner).save(folder / "spot" / f"{i:03}.png")
    return folder, corners


@pytest.fixture(scope="module")
def made(parts, tmp_path_factory):
    out = tmp_path_factory.mktemp("detection") / "detector"
    return detection.fit(parts[0], out, image_size=24, alpha=0.1, **FEW)


def lines(table: Path) -> list[dict]:
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def test_what_is_not_good_trains_nothing_and_is_measured(made):
    names = {role: made.data.names_of(rows) for role, rows in made.data.roles().items()}
    for role in ("train", "validation", "calibration"):
        assert all(name.startswith("good/") for name in names[role])
    assert sum(name.startswith("spot/") for name in names["test"]) == 12
    assert sum(map(len, names.values())) == 172
    np.testing.assert_array_equal(made.odd, [n.startswith("spot/") for n in names["test"]])


def test_the_spots_are_found_and_marked(made, parts):
    ours = next(iter(made.measured.values()))
    assert ours["AUROC"] > 0.95 and ours["recall"] > 0.9
    found = {line["name"]: line for line in lines(made.folder / "scores.csv")}
    assert len(found) == len(made.data.test)
    hits = 0
    for name, (top, left) in parts[1].items():
        anomaly_map = map_of(made, name)
        row, column = np.unravel_index(anomaly_map.argmax(), anomaly_map.shape)
        hits += top - 1 <= row <= top + 5 and left - 1 <= column <= left + 5
    assert hits >= 11


def map_of(made, name: str) -> np.ndarray:
    rows = made.data.test
    row = rows.take([made.data.names_of(rows).index(name)]).array()
    return made.detector.model_.endpoint("localize")(image=row)["anomaly_map"][0]


def test_at_most_alpha_of_the_calibration_rows_has_a_marked_place(made):
    rows = made.data.calibration.array()
    peaks = made.detector.model_.endpoint("localize")(image=rows)["anomaly_map"].max(axis=(1, 2))
    above = len(rows) - math.ceil(0.9 * (len(rows) + 1))  # the conformal rank
    assert (peaks > 1 + 1e-5).sum() == above


def test_figures_are_those_of_the_rows(made):
    ours, scores = next(iter(made.measured.values())), made.screened.scores
    above = scores > np.float32(made.detector.threshold_)
    np.testing.assert_array_equal(above, made.screened.anomalous)
    assert ours["false alarms"] == pytest.approx(above[~made.odd].mean())
    assert ours["recall"] == pytest.approx(above[made.odd].mean())
    assert ours["best F1 by labels"] >= ours["F1"]
    assert len(made.measured) == 3 and all(v.keys() == ours.keys() for v in made.measured.values())


def test_the_bundle_says_of_the_same_files_what_was_measured(made, parts, tmp_path):
    found = detect(made.folder, parts[0] / "spot", tmp_path / "found")
    before = {line["name"]: line for line in lines(made.folder / "scores.csv")}
    after = lines(tmp_path / "found" / "scores.csv")
    assert found.rows == len(after) == 12
    for line in after:
        was = before["spot/" + line["name"]]
        assert line["anomalous"] == was["anomalous"]
        assert float(line["score"]) == pytest.approx(float(was["score"]), rel=1e-4)
        assert line["where"] == was["where"]
    worst = max(after, key=lambda line: float(line["score"]))
    assert found.worst[0].name == worst["name"] in str(found)
    page = (tmp_path / "found" / "report.html").read_text()
    assert "12 rows are anomalous" in page and "data:image/png;base64," in page
    assert (tmp_path / "found" / "worst.png").stat().st_size > 5_000


def test_the_threshold_is_changed_without_another_export(made, parts, tmp_path):
    assert detect(made.folder, parts[0] / "spot", tmp_path / "found", threshold=1e9).anomalous == 0
    assert all(not line["where"] for line in lines(tmp_path / "found" / "scores.csv"))


def test_the_report_has_the_worst_first_and_the_mistakes(made):
    page = (made.folder / "report.html").read_text()
    assert page.index("The worst come first") < page.index("nothing was fitted to")
    assert "How the score was chosen" in page and "nearest training row" in page
    assert made.screened.worst[0].score == made.screened.scores.max()
    for name in ("worst.png", "scores.png"):
        with Image.open(made.folder / "figures" / name) as drawn:
            assert drawn.size[0] > 300


def test_a_table_names_its_columns_and_the_shell_does_it_all(tmp_path, rng):
    x = rng.normal(size=(240, 4))
    x[:, 3] = x[:, 0] - x[:, 1]
    x[:30, 2] += 9.0
    text = ["flow,heat,pressure,speed,label"]
    text += [",".join(f"{v:.5f}" for v in row) + f",{int(i < 30)}" for i, row in enumerate(x)]
    table, out = tmp_path / "machine.csv", tmp_path / "detector"
    table.write_text("\n".join(text))
    command = [
        "detect",
        "fit",
        str(table),
        "--out",
        str(out),
        "--set",
        "epochs=30",
        "--alpha",
        "0.1",
        "--folds",
        "2",
    ]
    told = CliRunner().invoke(app, command)
    assert told.exit_code == 0, told.output
    assert "detect run" in told.output and "nearest training row" in told.output
    odd = [line["where"] for line in lines(out / "scores.csv") if line["where"]]
    assert sum(where.startswith("pressure") for where in odd) >= 28
    run = ["detect", "run", str(out), str(table), "--out", str(tmp_path / "new")]
    told = CliRunner().invoke(app, run)
    assert told.exit_code == 0 and "of 240 rows are anomalous" in told.output
    found = lines(tmp_path / "new" / "scores.csv")
    flagged = [int(line["row"]) for line in found if line["where"]]
    assert set(range(30)) <= set(flagged)


@pytest.fixture(scope="module")
def sensors(tmp_path_factory):
    """A detector of a table of four named columns, and its rows."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 4)) * [1, 10, 100, 1] + [0, 50, 0, 7]
    frame = pd.DataFrame(rows, columns=["flow", "heat", "speed", "tilt"])
    folder = tmp_path_factory.mktemp("sensors")
    detection.fit(frame, folder / "detector", epochs=3, **QUICK)
    return folder / "detector", frame


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_columns_are_taken_by_name(sensors, kind, tmp_path):
    folder, frame = sensors

    def found(table):
        path = tmp_path / f"new.{kind}"
        table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path)
        detect(folder, path, tmp_path / "out")
        return [float(line["score"]) for line in lines(tmp_path / "out" / "scores.csv")]

    expected = found(frame)
    mixed = frame[["tilt", "speed", "heat", "flow"]].assign(note=1.0)
    assert found(mixed) == pytest.approx(expected, rel=1e-4)
    with pytest.raises(ZooError, match=r"Did you mean 'head'(.|\n)*Missing: heat"):
        found(frame.rename(columns={"heat": "head"}))
    with pytest.raises(ZooError, match="Missing: tilt"):
        found(frame.drop(columns="tilt").assign(label=1.0))


def test_the_kept_run_decides_as_the_bundle_does(sensors):
    folder, frame = sensors
    rows = frame.to_numpy("float32")
    model, bundle = aezoo.load(folder / "run"), Bundle(folder / "bundle")
    assert model.preprocessing.columns == ("flow", "heat", "speed", "tilt")
    ours, theirs = model.endpoint("detect")(features=rows), bundle.predict("detect", features=rows)
    np.testing.assert_allclose(ours["score"], theirs["score"], rtol=1e-4)
    threshold = model.calibration["threshold"]
    clear = abs(ours["score"] - threshold) > 1e-4 * threshold  # one row is the threshold itself
    assert clear.sum() >= 199
    np.testing.assert_array_equal(ours["anomalous"][clear], theirs["anomalous"][clear])
    assert "localize" in {spec.name for spec in model.endpoints}


def test_a_score_that_is_no_number_alarms(sensors, tmp_path):
    folder, frame = sensors
    frame = frame.head(4).copy()
    frame.iloc[2] = [3e38, -3e38, 3e38, -3e38]  # such as what some formats write for "no value"
    frame.to_csv(tmp_path / "new.csv", index=False)
    found = detect(folder, tmp_path / "new.csv", tmp_path / "out")
    assert found.worst[0].row == 2 and found.worst[0].anomalous
    assert lines(tmp_path / "out" / "scores.csv")[2]["where"]


def test_settings_of_the_data_are_heard(tmp_path, rng):
    changes = {"data.window": 16, "data.stride": 4, "data.split_seed": 5}
    made = detection.fit(rng.normal(size=(400, 2)), tmp_path / "out", epochs=2, **QUICK, **changes)
    section = made.data.section
    assert (section.window, section.stride, section.split_seed) == (16, 4, 5)
    assert made.data.train.shape == (16, 2)


def test_one_column_and_few_distinct_values(tmp_path, rng):
    made = detection.fit(rng.normal(size=(200, 1)), tmp_path / "one", epochs=2, **QUICK)
    assert "nearest training row" in made.measured
    few = rng.integers(0, 3, (300, 2)).astype(float)
    made = detection.fit(few, tmp_path / "few", epochs=2, **QUICK)
    assert "nearest training row" not in made.measured  # every normal row has an equal one


@pytest.fixture(scope="module")
def stream(tmp_path_factory):
    """A detector of one long series, windows of 32, and a table as it was fitted to."""
    rng, t = np.random.default_rng(0), np.arange(3000)
    x = np.sin(t / 5) + 0.05 * rng.normal(size=3000)
    x[2700:2712] += 3.0
    stamps = pd.date_range("2026-01-01", periods=3000, freq="10s").astype(str)
    label = (abs(t - 2705.5) < 6).astype(int)
    frame = pd.DataFrame({"time": stamps, "flow": x, "label": label})
    few = {"score": "residual", "alpha": 0.05, "epochs": 6, "verbose": False}
    made = detection.fit(frame, tmp_path_factory.mktemp("stream") / "out", window=32, **few)
    return made, frame


def test_windows_of_a_long_series(stream):
    made, frame = stream
    assert made.data.section.stride == 8 and made.data.train.shape == (32, 1)
    assert made.data.columns == ["flow"]  # the time is no feature
    assert next(iter(made.measured.values()))["AUROC"] > 0.95
    worst = made.screened.worst[0]
    first = made.data.test.index[worst.row] + worst.places[0].start[0]
    assert 2690 <= first <= 2715
    assert worst.name == frame["time"][made.data.test.index[worst.row]]


@pytest.mark.parametrize("kind", ["csv", "parquet", "npy"])
def test_new_time_steps_are_cut_into_windows_and_events_say_when(stream, kind, tmp_path):
    made, frame = stream
    path = tmp_path / f"new.{kind}"
    if kind == "npy":
        np.save(path, frame[["flow"]].to_numpy("float32"))
    else:
        frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
    found = detect(made.folder, path, tmp_path / "found")
    assert found.rows == 1 + math.ceil((3000 - 32) / 8)
    worst = max(found.events, key=lambda event: event.peak)
    assert abs(worst.start - 2700) <= 16 and abs(worst.stop - 2712) <= 16  # two strides
    assert worst.windows >= 3
    assert len(found.events) <= 12 and found.worst[0].row in range(330, 340)
    table = lines(tmp_path / "found" / "events.csv")
    assert len(table) == len(found.events)
    line = max(table, key=lambda line: float(line["peak"]))
    assert int(line["first_step"]) == worst.start and int(line["last_step"]) == worst.stop - 1
    expected = str(worst.start) if kind == "npy" else frame["time"][worst.start]
    assert line["start"] == expected
    page = (tmp_path / "found" / "report.html").read_text()
    assert expected in page and f"in 3,000 time steps: {found.anomalous}" in page


def test_every_time_step_of_a_series_is_in_a_window(stream, tmp_path):
    made, frame = stream
    path = tmp_path / "short.csv"
    frame.head(45).to_csv(path, index=False)
    found = detect(made.folder, path, tmp_path / "found", stride=10)
    names = [line["name"] for line in lines(tmp_path / "found" / "scores.csv")]
    assert names == [frame["time"][first] for first in (0, 10, 13)]  # the last flush with the end
    assert found.rows == 3
    frame.head(31).to_csv(path, index=False)
    with pytest.raises(ZooError, match="shorter than a window"):
        detect(made.folder, path, tmp_path / "found")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"normal": ("bad",)}, "no class of this name.*\n.*'bad'"),
        ({"normal": ("spott",)}, "Did you mean 'spot'"),
        ({"alpha": 0.001}, "too few calibration rows"),
        ({"alpha": 2.0}, "between 0 and 1"),
        ({"score": "auroc"}, "no score of this name"),
        ({"entry": "conv_aee"}, "Did you mean 'conv_ae'"),
        ({"epoch": 3}, "Nothing of this name can be overridden"),
    ],
)
def test_what_cannot_be_done_is_said_before_the_training(parts, tmp_path, changes, message):
    with pytest.raises(ZooError, match=message):
        detection.fit(parts[0], tmp_path / "out", image_size=24, **FEW | changes)
    assert not (tmp_path / "out" / "bundle").exists()


def test_classes_that_nobody_calls_normal_are_listed(tmp_path):
    with pytest.raises(ZooError, match="T-shirt/top, trouser"):
        detection.fit("sample", tmp_path / "out", verbose=False)
    with pytest.raises(ZooError, match="no classes"):
        detection.fit(np.random.rand(50, 3), tmp_path / "out", normal=("good",), verbose=False)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(ZooError, match="not empty"):
        detection.fit("sample", tmp_path / "full", normal=("sneaker",), verbose=False)


def test_a_misspelt_score_is_told_before_the_data_are_read(tmp_path):
    with pytest.raises(ZooError, match="Did you mean 'residual'") as told:
        detection.fit(tmp_path / "nothing", tmp_path / "out", score="residul")
    assert "no score of this name" in str(told.value)
    assert not (tmp_path / "out").exists()


def test_a_bundle_without_a_threshold_is_refused(tmp_path):
    model = aezoo.build("vallina_ae", input_shape=(4,), hidden=(3,), seed=0)
    aezoo.export_bundle(model, tmp_path / "bundle")
    np.save(tmp_path / "rows.npy", np.zeros((3, 4), "float32"))
    with pytest.raises(ZooError, match="decides nothing"):
        detect(tmp_path / "bundle", tmp_path / "rows.npy", tmp_path / "out")


def test_output_inside_the_input_is_refused(made, parts, tmp_path):
    with pytest.raises(ZooError, match="inside the input"):
        detect(made.folder, parts[0] / "spot", parts[0] / "spot" / "found")
    (tmp_path / "file").touch()
    with pytest.raises(ZooError, match="names a folder"):
        detect(made.folder, parts[0] / "spot", tmp_path / "file")


def test_places_of_a_picture_are_boxes():
    anomaly_map = np.zeros((8, 9))
    anomaly_map[1:3, 2:5], anomaly_map[6, 7] = 2.0, 3.0
    found = find_places(anomaly_map)
    assert found == [Place((6, 7), (7, 8), 3.0), Place((1, 2), (3, 5), 2.0)]
    assert [place.text() for place in found] == ["x 7, y 6", "x 2-4, y 1-2"]
    assert find_places(0.3 * anomaly_map) == [Place((6, 7), (7, 8), pytest.approx(0.9))]


def test_the_bundle_has_the_endpoint_localize(made):
    spec = Bundle(made.folder / "bundle").spec("localize")
    assert [t.name for t in spec.outputs] == ["anomaly_map"] and spec.outputs[0].shape == (24, 24)
