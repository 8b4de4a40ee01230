"""LiteRT and OpenVINO files: they answer as Keras does, or are left out with a reason."""

import numpy as np
import pytest

import aezoo
from aezoo.endpoints import Endpoint
from aezoo.errors import ZooError
from aezoo.export import asking, litert
from aezoo.specs import EndpointSpec, TensorSpec

pytest.importorskip("ai_edge_litert", reason="pip install 'aezoo[litert]'")
pytest.importorskip("openvino", reason="pip install 'aezoo[openvino]'")


@pytest.fixture(scope="module")
def model():
    made = aezoo.build("conv_ae", input_shape=(10, 9, 1), filters=(4, 2), seed=0)
    rows = np.random.default_rng(1).integers(0, 256, (16, 10, 9, 1), dtype="uint8")
    made.adapt(rows)
    made.calibration = {"threshold": 0.05, "alpha": 0.1}
    return made


@pytest.fixture(scope="module")
def bundle(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("formats")
    return aezoo.export_bundle(model, folder / "both", also=("litert", "openvino"))


def test_litert_answers_rows_that_the_export_never_saw(bundle, model, rng):
    from ai_edge_litert.interpreter import Interpreter

    row = rng.integers(0, 256, (1, 10, 9, 1), dtype="uint8")
    expected = model.endpoint("detect")(image=row)
    interpreter = Interpreter(str(bundle.path / "litert" / "detect.tflite"))
    answered = interpreter.get_signature_runner("detect")(
        image=row, threshold=np.full((1, 1), 0.05, "float32")
    )
    assert set(answered) == {"score", "error_map", "anomalous"}
    np.testing.assert_allclose(answered["score"], expected["score"], rtol=1e-5)
    np.testing.assert_array_equal(answered["anomalous"], expected["anomalous"])
    operations = {detail["op_name"] for detail in interpreter._get_ops_details()}
    assert not [name for name in operations if name.startswith("Flex")]


def test_openvino_answers_any_batch(bundle, model, rng):
    import openvino

    rows = rng.integers(0, 256, (7, 10, 9, 1), dtype="uint8")
    graph = bundle.path / "openvino" / "reconstruct.xml"
    compiled = openvino.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    answered = compiled({"image": rows})["reconstruction"]
    expected = model.endpoint("reconstruct")(image=rows)["reconstruction"]
    np.testing.assert_allclose(answered, expected, rtol=1e-5, atol=255e-5)


def test_manifest_and_card_name_the_formats_and_what_was_seen(bundle):
    made = bundle.manifest
    for name, library in (("litert", "ai-edge-litert"), ("openvino", "openvino")):
        seen = made.formats[name].differences
        assert set(seen) == {"reconstruct", "encode", "decode", "score", "detect"}
        assert 0 <= seen["score"]["score"] < 1e-6 and made.formats[name].refused == {}
        assert library in made.versions
        assert f"`{name}/`" in (bundle.path / "README.md").read_text()
    assert "litert/encode.tflite" in made.files and "openvino/encode.bin" in made.files


def test_an_endpoint_that_a_format_answers_differently_is_left_out_with_the_reason(
    model, monkeypatch, tmp_path
):
    other = aezoo.build("conv_ae", input_shape=(10, 9, 1), filters=(4, 2), seed=1)
    other.adapt(np.arange(180, dtype="uint8").reshape(2, 10, 9, 1))
    written = litert.write

    def with_a_wrong_encoder(model, endpoints, folder):
        few = [e for e in endpoints if e.name in ("encode", "score")]
        refused = written(model, few, folder)
        written(other, [other.endpoint("encode")], folder / "other")
        (folder / "other" / "encode.tflite").replace(folder / "encode.tflite")
        (folder / "other").rmdir()
        (folder / "decode.tflite").write_bytes(b"no model")  # ends the process that opens it
        rest = [e.name for e in endpoints if e not in few and e.name != "decode"]
        return refused | dict.fromkeys(rest, "LiteRT needs fixed sizes.")

    monkeypatch.setattr(litert, "write", with_a_wrong_encoder)
    bundle = aezoo.export_bundle(model, tmp_path / "bundle", also=("litert",))
    refused = bundle.manifest.formats["litert"].refused
    assert set(refused) == {"encode", "reconstruct", "decode", "detect"}
    assert refused["decode"].startswith("LiteRT cannot run what was exported")
    assert refused["encode"].startswith("LiteRT answers 'encode' differently from Keras: 'latent'")
    assert [p.name for p in (bundle.path / "litert").iterdir()] == ["score.tflite"]
    assert "- no `encode`: LiteRT answers" in (bundle.path / "README.md").read_text()


def test_a_free_axis_is_the_reason_why_litert_has_no_file(tmp_path):
    free = EndpointSpec("encode", (TensorSpec("series", (None, 2)),), (TensorSpec("latent", (3,)),))
    refused = litert.write(None, [Endpoint(free, None)], tmp_path / "litert")
    assert refused == {"encode": "LiteRT needs fixed sizes, and 'series' has a free axis."}


def test_an_unknown_format_and_a_missing_library_are_one_message(model, monkeypatch, tmp_path):
    with pytest.raises(ZooError, match=r"no further format.*\n.*tflite.*\n.*litert, openvino"):
        aezoo.export_bundle(model, tmp_path / "bundle", also=("tflite",))
    monkeypatch.setattr(asking.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ZooError, match=r"pip install 'aezoo\[litert\]'"):
        aezoo.export_bundle(model, tmp_path / "bundle", also=("litert",))
