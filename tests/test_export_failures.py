"""Exports that fail, and what they leave behind: nothing, or the bundle that stood there."""

import contextlib
import errno
import io
import json
import signal
from pathlib import Path

import keras
import numpy as np
import pytest

import aezoo
from aezoo.errors import ZooError
from aezoo.export import asking, bundle, manifest, onnx_graph, placing, saved_model
from aezoo.export.asking import read_cases
from aezoo.export.compare import compare
from aezoo.export.placing import whole_folder
from aezoo.models.dense import DenseAE
from aezoo.specs import EndpointSpec, TensorSpec, check_inputs


class Answering:
    """Stands for a runtime's process: gives the answers of Keras, changed by `change`."""

    def __init__(self, name, model, change):
        self.name, self.model, self.change = name, model, change

    def start(self, folder: Path, endpoints: list[str], questions: Path, answers: Path):
        self.asked = read_cases(questions)

    def wait(self):
        return {
            (endpoint, batch): self.change(endpoint, self.model.endpoint(endpoint)(**inputs))
            for (endpoint, batch), inputs in self.asked.items()
        }


@pytest.fixture
def quick(monkeypatch, tmp_path_factory):
    """Let `export_bundle` ask the model itself: for tests of what happens around the asking."""

    def same(endpoint, answers):
        return answers

    def install(model, onnx=same, saved_model=same):
        @contextlib.contextmanager
        def processes(*kinds):
            runtime = Answering("ONNX Runtime", model, onnx)
            server = Answering("The SavedModel", model, saved_model)
            yield {"onnx": runtime, "saved_model": server}, tmp_path_factory.mktemp("asked")

        monkeypatch.setattr(bundle, "processes", processes)

    return install


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    return DenseAE(input_shape=(5,), hidden=(4,), latent_dim=2)


def everything_in(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


def full_disk(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def stop(*args, **kwargs):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("writer", "name"),
    [
        (saved_model, "write"),
        (onnx_graph, "write"),
        (np, "savez_compressed"),
        (DenseAE, "save"),
        (manifest, "write"),
    ],
    ids=["SavedModel", "ONNX", "probe", "Keras", "manifest"],
)
def test_a_full_disk_leaves_nothing_and_is_said(model, quick, monkeypatch, tmp_path, writer, name):
    quick(model)
    monkeypatch.setattr(writer, name, full_disk)
    with pytest.raises(ZooError, match=r"cannot be written: No space left on device\."):
        aezoo.export_bundle(model, tmp_path / "new" / "deep" / "bundle")
    assert everything_in(tmp_path) == []


def test_ctrl_c_leaves_nothing_and_goes_on_up(model, quick, monkeypatch, tmp_path):
    quick(model)
    monkeypatch.setattr(onnx_graph, "convert", stop)
    with pytest.raises(KeyboardInterrupt):
        aezoo.export_bundle(model, tmp_path / "bundle")
    assert everything_in(tmp_path) == []


@pytest.fixture
def nobody_rests(monkeypatch):
    """Put the resting processes aside, which other tests will want again."""
    monkeypatch.setattr(asking, "_resting", {})
    yield
    asking.end_resting()


def test_ctrl_c_ends_the_processes_that_were_started(nobody_rests):
    with (
        pytest.raises(KeyboardInterrupt),
        asking.processes("onnx", "saved_model") as (
            started,
            folder,
        ),
    ):
        runtime, server = started.values()
        assert runtime.process.poll() is None and folder.is_dir()
        raise KeyboardInterrupt
    assert runtime.process.returncode is not None and server.process.returncode is not None
    assert not folder.exists()


def test_a_process_that_answered_rests_for_the_next_export_and_one_that_failed_ends(nobody_rests):
    with asking.processes("onnx") as (started, _):
        first = started["onnx"]
    with asking.processes("onnx") as (started, _):
        assert started["onnx"] is first
        with asking.processes("onnx") as (others, _):
            assert others["onnx"] is not first
    with pytest.raises(ValueError), asking.processes("onnx") as (started, _):
        kept = started["onnx"]
        raise ValueError
    assert kept is first and kept.process.returncode is not None
    with asking.processes("onnx") as (started, _):
        assert started["onnx"] is not first
        asking.end_resting()  # it does not rest now
    asking.end_resting("onnx")
    assert started["onnx"].process.returncode is not None


def test_a_process_that_rests_too_long_ends_itself(nobody_rests, monkeypatch):
    monkeypatch.setattr(asking, "RESTS", 1)
    with asking.processes("onnx") as (started, _):
        first = started["onnx"]
    assert first.process.wait(timeout=60) == -signal.SIGALRM
    with asking.processes("onnx") as (started, _):
        assert started["onnx"] is not first


def test_a_process_that_fails_is_quoted(tmp_path):
    with asking.processes("onnx") as (started, folder):
        runtime = started["onnx"]
        asking.write_cases(folder / "q.npz", {("encode", 1): {"x": np.zeros(1)}})
        runtime.start(tmp_path, ["encode"], folder / "q.npz", folder / "a.npz")
        with pytest.raises(ZooError, match=r"ONNX Runtime cannot run.*\n.*encode\.onnx"):
            runtime.wait()


@pytest.mark.parametrize("who", ["onnx", "saved_model"])
def test_a_different_answer_leaves_nothing_and_names_the_endpoint(model, quick, tmp_path, who):
    def change(endpoint, answers):
        return {k: v + 1e-4 * (endpoint == "decode") for k, v in answers.items()}

    quick(model, **{who: change})
    name = {"onnx": "ONNX Runtime", "saved_model": "The SavedModel"}[who]
    with pytest.raises(ZooError, match=rf"{name} answers 'decode' differently.*'reconstruction'"):
        aezoo.export_bundle(model, tmp_path / "bundle")
    assert everything_in(tmp_path) == []


def test_a_runtime_that_decides_otherwise_is_found_on_either_side(model, quick, rng, tmp_path):
    aezoo.calibrate(model, rng.random((40, 5), "float32"), alpha=0.1)
    for decision in (True, False):

        def change(endpoint, answers, decision=decision):
            if endpoint != "detect":
                return answers
            return answers | {"anomalous": np.full_like(answers["anomalous"], decision)}

        quick(model, change)
        with pytest.raises(ZooError, match=r"answers 'detect' differently.*'anomalous'"):
            aezoo.export_bundle(model, tmp_path / "bundle")


def test_a_calibrated_model_detects_alike_in_its_bundle(model, quick, rng, tmp_path):
    entry = aezoo.build("vallina_ae", input_shape=(5,), hidden=(4,), latent_dim=2).entry
    sections = {"export": entry.export.model_copy(update={"endpoints": ("score",)})}
    model.entry = entry.model_copy(update=sections)  # a list that forgets `detect`
    threshold = aezoo.calibrate(model, rng.random((40, 5), "float32"), alpha=0.2)
    quick(model)
    made = aezoo.export_bundle(model, tmp_path / "bundle")
    assert [spec.name for spec in made.endpoints] == ["score", "detect"]
    assert made.manifest.calibration["threshold"] == threshold
    rows = rng.random((60, 5), "float32")
    answer, expected = (
        made.predict("detect", features=rows),
        model.endpoint("detect")(features=rows),
    )
    assert 0 < expected["anomalous"].sum() < 60
    np.testing.assert_array_equal(answer["anomalous"], expected["anomalous"])
    np.testing.assert_allclose(answer["score"], expected["score"], rtol=1e-5)


def test_an_entry_that_exports_nothing_and_figures_that_are_none_are_refused(
    model, quick, tmp_path
):
    quick(model)
    model.metrics_measured = {"test": {"mse": float("nan")}}
    with pytest.raises(ZooError, match=r"NaN or infinite.*\n.*metrics\.test\.mse"):
        aezoo.export_bundle(model, tmp_path / "bundle")
    entry = aezoo.build("vallina_ae", input_shape=(5,), hidden=(4,), latent_dim=2).entry
    model.entry = entry.model_copy(update={"export": type(entry.export)(endpoints=())})
    with pytest.raises(ZooError, match="exports no endpoint"):
        aezoo.export_bundle(model, tmp_path / "bundle")
    assert everything_in(tmp_path) == []


class Ended:
    """Stands for a process that has ended."""

    def __init__(self, returncode, errors):
        self.returncode, self.errors = returncode, errors
        self.stdout = io.StringIO()

    def communicate(self):
        return "", None


@pytest.mark.parametrize(
    ("ended", "message"),
    [
        (Ended(-9, ""), r"ended from outside.*\n.*Killed.*\n.*memory"),
        (Ended(1, "OSError: [Errno 28] No space left on device\n"), r"temporary files is full"),
        (Ended(1, "x\nValueError: no such node\n"), r"cannot run.*\n.*no such node"),
    ],
    ids=["killed", "full", "failed"],
)
def test_what_ended_a_process_is_said(ended, message, tmp_path):
    process = asking.Process.__new__(asking.Process)
    process.name, process.process, process.answers = "ONNX Runtime", ended, tmp_path / "a.npz"
    process.errors = io.StringIO(ended.errors)
    with pytest.raises(ZooError, match=message):
        process.wait()


def test_a_full_disk_of_temporary_files_is_told_from_that_of_the_bundle(monkeypatch, tmp_path):
    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(ZooError, match="TMPDIR"):
        asking.write_cases(tmp_path / "q.npz", {("encode", 1): {"x": np.zeros(1)}})


def test_an_operation_that_onnx_lacks_names_endpoint_operation_and_layer(quick, tmp_path):
    model = DenseAE(input_shape=(5,), hidden=(4,), latent_dim=2, activation="gelu")
    quick(model)
    with pytest.raises(ZooError) as caught:
        aezoo.export_bundle(model, tmp_path / "bundle")
    first, last = str(caught.value).splitlines()
    assert "'reconstruct'" in first and "Erfc" in first and "dense" in first
    assert "approximate=True" in last
    assert everything_in(tmp_path) == []


def test_an_existing_folder_is_refused_and_survives_a_failed_overwrite(
    model, quick, monkeypatch, tmp_path
):
    quick(model)
    path = tmp_path / "bundle"
    aezoo.export_bundle(model, path, sample=np.full((3, 5), 0.25))
    before = {name: (path / name).read_bytes() for name in everything_in(path) if "." in name[-6:]}
    with pytest.raises(ZooError, match="exists already"):
        aezoo.export_bundle(model, path)
    with monkeypatch.context() as patch:
        patch.setattr(np, "savez_compressed", full_disk)
        with pytest.raises(ZooError, match="No space left"):
            aezoo.export_bundle(model, path, overwrite=True)
    assert {n: (path / n).read_bytes() for n in before} == before
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]
    aezoo.verify_bundle(path)

    replaced = aezoo.export_bundle(model, path, overwrite=True)
    assert replaced.manifest.probe.origin["features"].startswith("uniform draws")
    assert replaced.manifest.content_digest == aezoo.export.Bundle(path).manifest.content_digest
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


def test_overwrite_never_replaces_a_folder_that_is_no_bundle(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("words")
    with (
        pytest.raises(ZooError, match="replaces bundles only"),
        whole_folder(tmp_path / "thesis", overwrite=True),
    ):
        pass
    assert everything_in(tmp_path) == ["thesis", "thesis/chapter1.tex"]


def small_bundle(folder: Path, content: str) -> Path:
    """Write what `overwrite` takes for a bundle: a manifest, and one file that it lists."""
    folder.mkdir()
    files = {"weights.bin": {"sha256": "", "bytes": 3}}
    listed = {"schema_version": 1, "content_digest": "", "files": files}
    (folder / "manifest.json").write_text(json.dumps(listed))
    (folder / "weights.bin").write_text(content)
    return folder


def test_a_web_app_with_a_manifest_is_no_bundle(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "manifest.json").write_text("{}")
    (tmp_path / "site" / "app.js").write_text("code")
    with (
        pytest.raises(ZooError, match="replaces bundles only"),
        whole_folder(tmp_path / "site", overwrite=True),
    ):
        pass
    assert everything_in(tmp_path) == ["site", "site/app.js", "site/manifest.json"]


def test_overwrite_deletes_no_file_that_the_old_bundle_does_not_list(tmp_path):
    path = small_bundle(tmp_path / "bundle", "old")
    (path / "notes.txt").write_text("mine")
    before = everything_in(tmp_path)
    with (
        pytest.raises(ZooError, match=r"none of its own.*\n.*notes\.txt"),
        whole_folder(path, overwrite=True),
    ):
        pass
    assert everything_in(tmp_path) == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_that_appears_during_the_export_is_not_replaced(tmp_path, overwrite):
    path = tmp_path / "bundle"
    with pytest.raises(ZooError), whole_folder(path, overwrite) as part:
        (part / "new").write_text("new")
        path.mkdir()
        (path / "thesis.tex").write_text("words")
    assert everything_in(tmp_path) == ["bundle", "bundle/thesis.tex"]


@pytest.mark.parametrize("step", ["before the first", "after the first", "after the second"])
def test_ctrl_c_around_the_renames_leaves_one_whole_bundle(tmp_path, monkeypatch, step):
    path = small_bundle(tmp_path / "bundle", "old")
    rename, calls = Path.rename, []

    def interrupted(self, target):
        calls.append(target)
        if step == "before the first" and len(calls) == 1:
            raise KeyboardInterrupt
        rename(self, target)
        if len(calls) == {"after the first": 1, "after the second": 2}.get(step):
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), whole_folder(path, overwrite=True) as part:
        (part / "weights.bin").write_text("new")
    expected = "new" if step == "after the second" else "old"
    assert (path / "weights.bin").read_text() == expected
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


def test_ctrl_c_while_the_old_bundle_is_deleted_leaves_no_rest(tmp_path, monkeypatch):
    path = small_bundle(tmp_path / "bundle", "old")
    rmtree, calls = placing.shutil.rmtree, []

    def interrupted(folder, ignore_errors=False):
        calls.append(folder)
        if len(calls) == 1:
            raise KeyboardInterrupt
        rmtree(folder, ignore_errors=ignore_errors)

    monkeypatch.setattr(placing.shutil, "rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt), whole_folder(path, overwrite=True) as part:
        (part / "weights.bin").write_text("new")
    assert everything_in(tmp_path) == ["bundle", "bundle/weights.bin"]
    assert (path / "weights.bin").read_text() == "new"


def test_other_models_too_large_ones_and_wrong_samples_are_refused(
    model, quick, monkeypatch, tmp_path
):
    quick(model)
    with pytest.raises(ZooError, match="declare what they can be asked"):
        aezoo.export_bundle(keras.Sequential(), tmp_path / "bundle")
    with pytest.raises(ZooError, match=r"no input of this name"):
        aezoo.export_bundle(model, tmp_path / "bundle", sample={"image": np.zeros((1, 5))})
    for empty in (np.zeros((0, 5)), {}):
        with pytest.raises(ZooError, match="no rows"):
            aezoo.export_bundle(model, tmp_path / "bundle", sample=empty)
    monkeypatch.setattr(bundle, "SIZE_LIMIT", 4 * model.count_params() - 1)
    with pytest.raises(ZooError, match="too large"):
        aezoo.export_bundle(model, tmp_path / "bundle")
    assert everything_in(tmp_path) == []


# ---- the rule itself ----

DETECT = EndpointSpec(
    "detect",
    (TensorSpec("threshold", (1,)),),
    (TensorSpec("score", (1,)), TensorSpec("anomalous", (1,), "bool")),
)
SEGMENT = EndpointSpec(
    "segment",
    (),
    (TensorSpec("probabilities", (2, 3)), TensorSpec("mask", (2,), "int32")),
)


def test_the_tolerance_is_1e5_of_the_unit_and_of_the_value():
    spec = EndpointSpec("e", (), (TensorSpec("image", (1,), unit_scale=255.0),))
    b = np.array([[0.0], [1000.0]], "float32")
    allowed = np.array([[0.00255], [0.01255]])
    seen = compare(spec, {}, {"image": b}, {"image": (b + 0.9 * allowed).astype("float32")}, "X")
    assert seen[0].largest == pytest.approx(0.9 * 0.01255, rel=1e-2)
    with pytest.raises(ZooError, match=r"X answers 'e' differently .* 'image' in 1 of 2 values"):
        compare(spec, {}, {"image": b}, {"image": b + np.float32([[0.003], [0]])}, "X")


def test_a_small_column_is_held_to_its_own_scale(quick, rng, tmp_path):
    rows = (rng.normal(size=(50, 2)) * [3e5, 3e-3]).astype("float32")
    table = DenseAE(input_shape=(2,), hidden=(4,), latent_dim=2)
    table.adapt(rows, "standardize")

    def change(endpoint, answers):
        wrong = np.array([1.0, 1.01], "float32")  # only the small column, by 1 %
        return {k: v * wrong if k == "reconstruction" else v for k, v in answers.items()}

    quick(table, change)
    with pytest.raises(ZooError, match=r"answers 'reconstruct' differently.*'reconstruction'"):
        aezoo.export_bundle(table, tmp_path / "bundle", sample=rows[:8])
    quick(table)
    made = aezoo.export_bundle(table, tmp_path / "bundle").manifest  # draws of both scales
    scale = made.endpoint("reconstruct").tensor("reconstruction").unit_scale
    np.testing.assert_allclose(scale, rows.std(axis=0), rtol=1e-5)
    assert made.verification.comparisons[0].tolerance.endswith("by feature + |value|)")
    drawn = np.load(tmp_path / "bundle" / "probe.npz")["reconstruct.in.features"]
    assert 3e-4 < np.abs(drawn[:, 1]).max() < 3e-2


def test_values_that_float32_cannot_hold_are_refused():
    spec = EndpointSpec("e", (TensorSpec("x", (1,)),), ())
    with pytest.raises(ZooError, match=r"values that float32 cannot\.\n.*1e\+39"):
        check_inputs(spec, {"x": np.array([[1e39]])})
    np.testing.assert_array_equal(
        check_inputs(spec, {"x": np.array([[1e38]])})["x"], np.float32([[1e38]])
    )


def test_an_answer_of_another_shape_than_declared_is_refused():
    spec = EndpointSpec("e", (TensorSpec("x", (1,)),), (TensorSpec("score", (1,)),))
    asked = {"x": np.zeros((2, 1), "float32")}
    for shape in ((2,), (3, 1), (2, 4)):
        same = {"score": np.zeros(shape, "float32")}
        with pytest.raises(ZooError, match="declares another shape of 'score'"):
            compare(spec, asked, same, same, "X")


def test_not_a_number_and_a_missing_output_are_differences():
    spec = EndpointSpec("e", (), (TensorSpec("score", (1,)),))
    nan, one = np.full((1, 1), np.nan, "float32"), np.ones((1, 1), "float32")
    with pytest.raises(ZooError, match="differently"):
        compare(spec, {}, {"score": nan}, {"score": nan}, "X")
    with pytest.raises(ZooError, match="another kind"):
        compare(spec, {}, {"score": one}, {}, "X")
    with pytest.raises(ZooError, match="another kind"):
        compare(spec, {}, {"score": one}, {"score": one.astype("float64")}, "X")


def test_a_decision_may_differ_on_the_threshold_only_and_is_listed():
    asked = {"threshold": np.full((2, 1), 0.5, "float32")}
    keras_says = {
        "score": np.array([[0.5], [0.7]], "float32"),
        "anomalous": np.array([[0], [1]]) > 0,
    }
    on_border = keras_says | {"anomalous": np.array([[True], [True]])}
    seen = compare(DETECT, asked, keras_says, on_border, "X")
    assert [d.undecided for d in seen] == [(), ((0, 0),)]
    with pytest.raises(ZooError, match="'anomalous' in 1 of 2"):
        compare(DETECT, asked, keras_says, keras_says | {"anomalous": np.zeros((2, 1), bool)}, "X")


def test_a_class_may_differ_where_two_are_equally_likely_only():
    p = np.array([[[0.4, 0.4, 0.2], [0.6, 0.3, 0.1]]], "float32")
    keras_says = {"probabilities": p, "mask": np.array([[0, 0]], "int32")}
    seen = compare(SEGMENT, {}, keras_says, keras_says | {"mask": np.array([[1, 0]], "int32")}, "X")
    assert seen[1].undecided == ((0, 0),)
    for mask in ([0, 1], [2, 0], [3, 0], [-1, 0]):  # no tie; a third class; no class at all
        answer = keras_says | {"mask": np.array([mask], "int32")}
        with pytest.raises(ZooError, match="'mask' in 1 of 2"):
            compare(SEGMENT, {}, keras_says, answer, "X")
