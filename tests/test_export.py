"""One small bundle: what is in it, what it answers, what is refused."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
from onnx import numpy_helper

import aezoo
from aezoo.errors import ZooError
from aezoo.export import bundle as bundles
from aezoo.export import manifest as manifests
from aezoo.export import probe, verify
from aezoo.export.verify import PROBE_FILE

ENDPOINTS = ["reconstruct", "encode", "decode", "score", "detect"]


@pytest.fixture(scope="module")
def model():
    made = aezoo.build("conv_ae", input_shape=(10, 9, 1), filters=(4, 2), seed=0)
    rows = np.random.default_rng(1).integers(0, 256, (16, 10, 9, 1), dtype="uint8")
    made.adapt(rows)
    made.calibration = {"threshold": 0.05, "alpha": 0.1}
    made.metrics_measured = {"test mse": 0.0123}
    return made


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """A bundle that no test changes."""
    sample = np.random.default_rng(2).integers(0, 256, (6, 10, 9, 1), dtype="uint8")
    return aezoo.export_bundle(model, tmp_path_factory.mktemp("export") / "tiny", sample=sample)


@pytest.fixture
def bundle(exported, tmp_path):
    """A copy that a test may change."""
    return Path(shutil.copytree(exported.path, tmp_path / "bundle"))


def signed_again(folder: Path, **changes):
    """Write the manifest again after a forgery: files measured anew, digests right."""
    old = manifests.read(folder)
    files = {name: manifests.file_record(folder / name) for name in old.files}
    manifests.write(old.model_copy(update={"files": files} | changes), folder)


def test_a_bundle_verifies_and_its_answers_are_those_of_keras(exported, model, rng):
    seen = aezoo.verify_bundle(exported.path)
    assert {endpoint for endpoint, _ in seen.differences} == set(ENDPOINTS)
    assert seen.differences["reconstruct", "reconstruction"] < 255e-5
    assert seen.differences["score", "score"] < 1e-6

    rows = rng.integers(0, 256, (7, 10, 9, 1), dtype="uint8")  # others than the probe
    for name in ("reconstruct", "encode", "score", "detect"):
        keras_says = model.endpoint(name)(image=rows)
        for output, value in exported.predict(name, image=rows).items():
            scale = 255 if output == "reconstruction" else 1
            np.testing.assert_allclose(value, keras_says[output], rtol=1e-5, atol=1e-5 * scale)


def test_more_rows_than_a_chunk_give_each_row_its_own_answer(exported, rng):
    rows = rng.integers(0, 256, (515, 10, 9, 1), dtype="uint8")
    together = exported.predict("score", image=rows)["score"]
    assert together.shape == (515, 1)
    alone = exported.predict("score", image=rows[513:514])["score"]
    np.testing.assert_allclose(together[513:514], alone, rtol=1e-5)


def test_the_threshold_has_the_calibrated_default_and_can_be_given(exported, rng):
    rows = rng.integers(0, 256, (4, 10, 9, 1), dtype="uint8")
    answer = exported.predict("detect", image=rows)
    np.testing.assert_array_equal(answer["anomalous"], answer["score"] > 0.05)
    high = exported.predict("detect", image=rows, threshold=np.full((4, 1), 1e9))
    assert not high["anomalous"].any()


def test_verify_and_predict_need_neither_tensorflow_nor_keras_nor_onnx(exported, model, tmp_path):
    rows = np.random.default_rng(3).integers(0, 256, (2, 10, 9, 1), dtype="uint8")
    np.save(tmp_path / "rows.npy", rows)
    code = f"""
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = sys.modules["onnx"] = None
import numpy as np, aezoo, aezoo.cli, aezoo.export
bundle, rows = {str(exported.path)!r}, {str(tmp_path / "rows.npy")!r}
aezoo.verify_bundle(bundle)
asked = aezoo.export.Bundle(bundle).predict("score", image=np.load(rows))
filed = aezoo.export.predict_file(bundle, rows, "score").answers
aezoo.cli.app(["verify", bundle], standalone_mode=False)
answer = {str(tmp_path / "answer.npz")!r}
aezoo.cli.app(["predict", bundle, rows, "--endpoint", "score", "--output", answer],
              standalone_mode=False)
for values in (asked, filed, np.load(answer)):
    print(float(values["score"][0, 0]), float(values["score"][1, 0]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "all as exported" in done.stdout and "score: 2 rows" in done.stdout
    expected = model.endpoint("score")(image=rows)["score"][:, 0]
    answers = [[float(n) for n in line.split()] for line in done.stdout.splitlines()[-3:]]
    np.testing.assert_allclose(answers, [expected] * 3, rtol=1e-5)


def test_every_row_of_the_largest_batch_is_another_and_both_decisions_occur(model):
    sample = np.zeros((6, 10, 9, 1), "uint8") + np.arange(6, dtype="uint8").reshape(6, 1, 1, 1)
    given = probe.given_rows(model, sample)
    rows, _ = probe.probe_inputs(model, given, 33)
    np.testing.assert_array_equal(rows["image"][:6], sample)
    assert len(np.unique(rows["image"].reshape(33, -1), axis=0)) == 33
    answer = model.endpoint("detect")(image=rows["image"], threshold=rows["threshold"])
    np.testing.assert_array_equal(rows["threshold"][::3], np.full((11, 1), 0.05, "float32"))
    assert answer["anomalous"][1::3].all() and not answer["anomalous"][2::3].any()
    assert probe.kept_rows(given, 33) == 6 and probe.kept_rows({}, 33) == 5
    assert probe.kept_rows(given, 4) == 4 and probe.kept_rows({}, 1) == 1  # memory is short
    with pytest.raises(ZooError, match="the same for every row"):
        bundles._require_both_decisions({("detect", 5): {"anomalous": np.zeros((5, 1), bool)}})


def test_the_first_endpoint_is_also_serving_default(exported, model):
    served = tf.saved_model.load(str(exported.path / "saved_model" / "1"))
    assert set(served.signatures) == {*ENDPOINTS, "serving_default"}
    rows = np.full((3, 10, 9, 1), 128, "uint8")
    answer = served.signatures["serving_default"](image=tf.constant(rows))["reconstruction"]
    expected = model.endpoint("reconstruct")(image=rows)["reconstruction"]
    np.testing.assert_array_equal(answer, expected)


def test_the_saved_model_holds_every_weight_once(exported, model):
    data = exported.path / "saved_model" / "1" / "variables" / "variables.data-00000-of-00001"
    reader = tf.train.load_checkpoint(str(data.with_name("variables")))
    shapes = reader.get_variable_to_shape_map()
    stored = sum(np.prod(s, dtype=int) for name, s in shapes.items() if "weights" in name)
    assert stored == model.count_params()
    assert data.stat().st_size < 4 * model.count_params() + 2000  # and TensorFlow's own object map


def test_the_keras_file_in_the_bundle_goes_on_where_the_model_stood(exported, model):
    loaded = aezoo.load(exported.path)
    rows = np.full((2, 10, 9, 1), 77, "uint8")
    for output, value in loaded.endpoint("detect")(image=rows).items():
        np.testing.assert_array_equal(value, model.endpoint("detect")(image=rows)[output])


def test_the_manifest_says_what_was_measured_and_on_which_rows(exported):
    manifest = exported.manifest
    assert manifest.probe.rows == 6
    assert manifest.probe.origin["image"] == "the sample that was given"
    assert manifest.probe.origin["latent"] == "the answer of encode"
    assert manifest.probe.origin["threshold"].startswith("its default, half and twice")
    assert manifest.probe.compared == 33
    assert manifest.verification.batches == [1, 2, 5, 33]
    seen = {(c.endpoint, c.output): c for c in manifest.verification.comparisons}
    assert 0 <= seen["reconstruct", "reconstruction"].onnx < 1e-2
    assert seen["reconstruct", "reconstruction"].saved_model < 1e-3
    assert seen["detect", "anomalous"].onnx == 0
    assert manifest.metrics == {"test mse": 0.0123}
    assert manifest.calibration["threshold"] == 0.05
    assert manifest.preprocessing["scale"] == [255.0]
    assert manifest.entry.name == "conv_ae" and manifest.parameters == 265
    assert set(manifest.files) == {
        p.relative_to(exported.path).as_posix() for p in exported.path.rglob("*") if p.is_file()
    } - {"manifest.json"}


def test_the_shipped_schema_is_that_of_the_manifest():
    shipped = Path(manifests.__file__).with_name("manifest.schema.json")
    assert json.loads(shipped.read_text()) == manifests.schema()


def test_the_calls_in_the_card_run(exported, monkeypatch):
    monkeypatch.chdir(exported.path)
    text = (exported.path / "README.md").read_text()
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(block, names)
    assert names["reconstruction"].shape == (1, 10, 9, 1)
    for word in (*ENDPOINTS, "threshold", PROBE_FILE, "saved_model/1/saved_model.pb"):
        assert f"`{word}`" in text
    assert "test mse: 0.0123" in text and "0.05" in text


def test_one_flipped_byte_in_any_file_is_refused(exported, bundle):
    for name in [*exported.manifest.files, "manifest.json"]:
        path = bundle / name
        content = path.read_bytes()
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
        with pytest.raises(ZooError, match=re.escape(name)):
            aezoo.verify_bundle(bundle)
        path.write_bytes(content)
    aezoo.verify_bundle(bundle)


def test_a_model_changed_after_the_export_is_not_loaded(bundle):
    aezoo.load(bundle)
    with (bundle / "model.keras").open("ab") as file:
        file.write(b" ")  # a zip archive would still open
    with pytest.raises(ZooError, match=r"model\.keras was changed after the export"):
        aezoo.load(bundle)
    (bundle / "manifest.json").write_text("{}")
    with pytest.raises(ZooError, match="does not list"):
        aezoo.load(bundle)


def test_a_graph_changed_after_the_export_answers_nothing(bundle):
    path = bundle / "onnx" / "score.onnx"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ZooError, match="changed after the export"):
        aezoo.export.Bundle(bundle).predict("score", image=np.zeros((1, 10, 9, 1), "uint8"))


def test_a_missing_and_an_unlisted_file_are_refused(bundle):
    (bundle / "extra.txt").write_text("x")
    with pytest.raises(ZooError, match=r"does not list\.\nReceived: 'extra.txt'"):
        aezoo.verify_bundle(bundle)
    (bundle / "extra.txt").unlink()
    (bundle / "model.keras").unlink()
    with pytest.raises(ZooError, match=r"missing\.\nReceived: 'model.keras'"):
        aezoo.verify_bundle(bundle)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "onnx/../../secret", "link"])
def test_a_path_that_leaves_the_folder_is_refused(bundle, name):
    secret = bundle.parent / "secret"
    secret.write_text("s")
    (bundle / "link").symlink_to(secret)
    record = manifests.file_record(secret)
    old = manifests.read(bundle)
    manifests.write(old.model_copy(update={"files": old.files | {name: record}}), bundle)
    with pytest.raises(ZooError, match="leaves the bundle's folder"):
        aezoo.verify_bundle(bundle)


def test_a_bundle_of_a_newer_version_and_a_folder_without_manifest_are_refused(bundle, tmp_path):
    signed_again(bundle, schema_version=manifests.SCHEMA_VERSION + 1)
    with pytest.raises(ZooError, match="newer aezoo"):
        aezoo.verify_bundle(bundle)
    with pytest.raises(ZooError, match=r"no manifest\.json"):
        aezoo.verify_bundle(tmp_path)


def test_a_graph_or_weights_that_the_manifest_does_not_list_answer_nothing(bundle):
    rows = np.zeros((1, 10, 9, 1), "uint8")
    (bundle / "onnx" / "weights.bin").write_bytes(b"other weights")
    with pytest.raises(ZooError, match=r"does not list.*\n.*weights\.bin"):
        aezoo.export.Bundle(bundle).predict("score", image=rows)
    (bundle / "onnx" / "weights.bin").unlink()
    old = manifests.read(bundle)
    files = {name: record for name, record in old.files.items() if name != "onnx/score.onnx"}
    manifests.write(old.model_copy(update={"files": files}), bundle)
    with pytest.raises(ZooError, match=r"does not list.*\n.*onnx/score\.onnx"):
        aezoo.export.Bundle(bundle).predict("score", image=rows)


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec | {"name": "../../elsewhere/graph"},
        lambda spec: spec | {"outputs": [spec["outputs"][0] | {"name": "Identity:0"}]},
        lambda spec: spec | {"verified": True},
        lambda spec: spec | {"inputs": [spec["inputs"][0] | {"trusted": True}]},
    ],
    ids=["a path", "a node's name", "an unknown key", "an unknown key of a tensor"],
)
def test_endpoints_with_odd_names_or_unknown_keys_are_refused(exported, change):
    values = exported.manifest.model_dump(mode="json")
    manifests.Manifest.model_validate(values)
    values["endpoints"][0] = change(values["endpoints"][0])
    with pytest.raises(ValueError, match=r"no plain word|Unexpected keyword"):
        manifests.Manifest.model_validate(values)


def test_a_damaged_probe_is_one_message(bundle):
    probe_file = bundle / PROBE_FILE
    content = probe_file.read_bytes()
    damages = [content[:100], content[:-30], content.replace(b"PK\x01\x02", b"PK\x01\x03", 1)]
    damages += [content[:place] + b"\xff" * 20 + content[place + 20 :] for place in (90, 300)]
    for damaged in damages:
        probe_file.write_bytes(damaged)
        with pytest.raises(ZooError, match=r"probe\.npz does not hold"):
            for spec in manifests.read(bundle).endpoints:
                verify.read_probe(probe_file, spec)


def test_a_graph_with_another_weight_is_found_by_asking_it(bundle):
    path = bundle / "onnx" / "encode.onnx"
    graph = onnx.load(path)
    weight = max(graph.graph.initializer, key=lambda t: len(t.raw_data))
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * 1.001, weight.name))
    onnx.save(graph, path)
    signed_again(bundle)  # every digest is right
    with pytest.raises(ZooError, match="answers 'encode' differently from Keras"):
        aezoo.verify_bundle(bundle)


def test_wrong_questions_are_refused_in_words(exported):
    rows = np.zeros((2, 10, 9, 1), "uint8")
    with pytest.raises(ZooError, match="Did you mean 'encode'"):
        exported.predict("encod", image=rows)
    with pytest.raises(ZooError, match="add a channel axis"):
        exported.predict("encode", image=rows[..., 0])
    with pytest.raises(ZooError, match="Did you mean 'image'"):
        exported.predict("encode", imag=rows)
    with pytest.raises(ZooError, match="different batch sizes"):
        exported.predict("detect", image=rows, threshold=np.zeros((3, 1)))
    with pytest.raises(ZooError, match="NaN"):
        exported.predict("decode", latent=np.full((1, 3, 3, 2), np.nan))


def test_each_feature_of_a_table_declares_its_own_range(rng, tmp_path):
    table = (rng.normal(size=(200, 3)) * [1e-3, 1, 1e4] + [5, 0, 1e5]).astype("float32")
    model = aezoo.build(
        "vallina_ae",
        input_shape=(3,),
        hidden=(4,),
        latent_dim=2,
        output_activation="linear",
    )
    model.adapt(table)
    bundle = aezoo.export_bundle(model, tmp_path / "bundle")
    spec = bundle.spec("reconstruct").inputs[0]
    np.testing.assert_allclose(spec.low, table.mean(0) - 3 * table.std(0), rtol=1e-4)
    np.testing.assert_allclose(spec.high, table.mean(0) + 3 * table.std(0), rtol=1e-4)
    assert "by feature, see manifest.json" in (bundle.path / "README.md").read_text()
    assert bundle.manifest.probe.origin["features"].startswith("uniform draws from each feature's")


def test_a_bundle_of_the_first_schema_still_verifies_and_answers(tmp_path):
    shutil.unpack_archive(Path(__file__).parent / "data" / "bundle_v1.zip", tmp_path)
    old = aezoo.export.Bundle(tmp_path / "tiny")
    assert old.manifest.schema_version == 1 and old.manifest.formats == {}
    seen = aezoo.verify_bundle(old.path)
    assert len(seen.differences) == 8 and max(seen.differences.values()) < 1e-6
    model = aezoo.load(old.path)
    rows = np.linspace(0, 1, 12, dtype="float32").reshape(2, 6)
    np.testing.assert_allclose(
        old.predict("score", features=rows)["score"],
        model.endpoint("score")(features=rows)["score"],
        rtol=1e-5,
    )


@pytest.mark.parametrize("place", ["../../outside.bin", "/etc/hostname"])
def test_weights_outside_the_bundle_are_not_read(bundle, place):
    path = bundle / "onnx" / "encode.onnx"
    graph = onnx.load(path)
    weight = max(graph.graph.initializer, key=lambda t: len(t.raw_data))
    (bundle.parent / "outside.bin").write_bytes(weight.raw_data)
    onnx.external_data_helper.set_external_data(weight, place, length=len(weight.raw_data))
    weight.ClearField("raw_data")
    path.write_bytes(graph.SerializeToString())
    signed_again(bundle)  # every digest is right
    with pytest.raises(ZooError, match=r"refuses a graph of the bundle.*\n.*onnx/encode\.onnx"):
        aezoo.export.Bundle(bundle).predict("encode", image=np.zeros((1, 10, 9, 1), "uint8"))


def test_no_rows_are_refused_by_model_and_bundle_alike(exported, model, tmp_path):
    none = np.zeros((0, 10, 9, 1), "uint8")
    for ask in (exported.predict, lambda name, **rows: model.endpoint(name)(**rows)):
        with pytest.raises(ZooError, match="'score' was given no rows"):
            ask("score", image=none)
    np.save(tmp_path / "none.npy", none)
    with pytest.raises(ZooError, match="no rows"):
        aezoo.export.predict_file(exported.path, tmp_path / "none.npy")


def test_a_keras_file_with_a_lambda_runs_nothing(tmp_path):
    layers = [keras.Input((3,)), keras.layers.Lambda(lambda x: x * 2)]
    keras.Sequential(layers).save(tmp_path / "model.keras")
    with pytest.raises(ZooError, match="holds a Lambda layer, which is Python code"):
        aezoo.load(tmp_path / "model.keras")
