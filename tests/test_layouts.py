"""The folders for other servers: read by their own parsers, and every graph asked."""

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import yaml
from google.protobuf import text_format

import aezoo
from aezoo.errors import ZooError
from aezoo.export import layouts, onnx_graph
from aezoo.export.compare import compare
from aezoo.export.layouts import write_layout
from aezoo.specs import EndpointSpec, TensorSpec, check_inputs

if importlib.util.find_spec("tritonclient") is None:
    pytest.skip("the extra `serve` is not installed", allow_module_level=True)
from tritonclient.grpc.model_config_pb2 import DataType, ModelConfig

KINDS = {
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(float)": "TYPE_FP32",
    "tensor(bool)": "TYPE_BOOL",
}


@pytest.fixture(scope="module")
def model():
    made = aezoo.build("conv_ae", input_shape=(10, 9, 1), filters=(4, 2), latent_dim=16, seed=0)
    made.adapt(np.random.default_rng(1).integers(0, 256, (16, 10, 9, 1), dtype="uint8"))
    made.calibration = {"threshold": 0.05, "alpha": 0.1}
    return made


@pytest.fixture(scope="module")
def bundle(model, tmp_path_factory):
    """A bundle whose endpoints share their weights in one file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_graph, "SHARE_ABOVE", 0)
        made = aezoo.export_bundle(model, tmp_path_factory.mktemp("layouts") / "tiny")
    assert (made.path / "onnx" / "weights.bin").stat().st_size > 1000
    return made


def content(folder):
    files = (path for path in sorted(Path(folder).rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def config(path):
    return text_format.Parse(path.read_text(), ModelConfig())


def require_triton(folder, model, rng):
    """Check every model of a repository: its description against its graph, then its answers."""
    image = rng.integers(0, 256, (3, 10, 9, 1), dtype="uint8")
    given = {"image": image, "latent": model.endpoint("encode")(image=image)["latent"]}
    assert {path.name for path in folder.iterdir()} == {f"tiny_{e.name}" for e in model.endpoints}
    for spec in model.endpoints:
        told = config(folder / f"tiny_{spec.name}" / "config.pbtxt")
        assert told.name == f"tiny_{spec.name}" and told.platform == "onnxruntime_onnx"
        assert told.max_batch_size == 512 and told.HasField("dynamic_batching")
        graph = onnxruntime.InferenceSession(folder / told.name / "1" / "model.onnx")
        for described, real in (
            (told.input, graph.get_inputs()),
            (told.output, graph.get_outputs()),
        ):
            real = {tensor.name: tensor for tensor in real}
            assert {tensor.name for tensor in described} == set(real)
            for tensor in described:
                shape = real[tensor.name].shape
                assert shape[0] == "batch" and list(tensor.dims) == shape[1:]
                assert DataType.Name(tensor.data_type) == KINDS[real[tensor.name].type]
        asked = {t.name: given[t.name] for t in spec.inputs if t.default is None}
        expected = model.endpoint(spec.name)(**asked)
        asked = check_inputs(spec, asked)
        names = [tensor.name for tensor in told.output]
        answered = dict(zip(names, graph.run(names, asked), strict=True))
        compare(spec, asked, expected, answered, "the layout")


def test_triton_reads_what_each_graph_takes_and_gives(bundle, model, tmp_path, rng):
    require_triton(write_layout(bundle, "triton", tmp_path / "repository"), model, rng)


def test_kserve_gets_the_same_models_and_an_inference_service(bundle, model, tmp_path, rng):
    folder = write_layout(bundle, "kserve", tmp_path / "kserve")
    require_triton(folder / "models", model, rng)
    service = yaml.safe_load((folder / "inferenceservice.yaml").read_text())
    assert service["apiVersion"] == "serving.kserve.io/v1beta1"
    assert service["kind"] == "InferenceService" and service["metadata"] == {"name": "tiny"}
    served = service["spec"]["predictor"]["model"]
    assert served["modelFormat"] == {"name": "triton"} and served["protocolVersion"] == "v2"
    assert served["storageUri"] == "pvc://models/tiny"


def test_tfserving_gets_the_saved_model_byte_by_byte(bundle, tmp_path):
    folder = write_layout(bundle, "tfserving", tmp_path / "models", name="other", version=7)
    of_bundle = content(bundle.path / "saved_model" / "1")
    assert content(folder / "other" / "7") == of_bundle
    assert set(content(folder)) == {f"other/7/{name}" for name in of_bundle} | {"models.config"}


def test_axes_that_vary_are_minus_one_and_none_are_reshaped():
    series = TensorSpec("series", (None, 3))
    odd = EndpointSpec("embed", (series,), (TensorSpec("norm", ()),), "Two\nlines.")
    told = text_format.Parse(layouts._config("m_embed", odd), ModelConfig())
    assert list(told.input[0].dims) == [-1, 3]
    assert list(told.output[0].dims) == [1] and list(told.output[0].reshape.shape) == []
    assert told.output[0].HasField("reshape")


@pytest.mark.parametrize("layout", ["tfserving", "triton", "kserve"])
def test_written_again_a_layout_stays_and_anything_else_is_left_alone(bundle, tmp_path, layout):
    folder = write_layout(bundle, layout, tmp_path / "out")
    before = content(folder)
    assert write_layout(bundle, layout, folder) == folder
    assert content(folder) == before
    with pytest.raises(ZooError, match="Something else stands there"):
        write_layout(bundle, layout, folder, version=2)
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(ZooError, match=r"Something else stands there.*\n.*mine\.txt"):
        write_layout(bundle, layout, folder)
    (folder / "mine.txt").unlink()
    changed = folder / next(iter(before))
    changed.write_bytes(b"changed")
    with pytest.raises(ZooError, match="Something else stands there"):
        write_layout(bundle, layout, folder)
    assert changed.read_bytes() == b"changed"


def test_a_damaged_bundle_and_a_stopped_copy_leave_nothing(bundle, tmp_path, monkeypatch):
    damaged = Path(shutil.copytree(bundle, tmp_path / "damaged"))
    (damaged / "model.keras").write_bytes(b"another")
    with pytest.raises(ZooError, match=r"changed after the export\.\nReceived: 'model.keras'"):
        write_layout(damaged, "triton", tmp_path / "new" / "out")
    shutil.rmtree(damaged)

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(layouts.shutil, "copyfile", full)
    with pytest.raises(ZooError, match="No space left"):
        write_layout(bundle, "tfserving", tmp_path / "new" / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_version_names_model_and_version(bundle, tmp_path):
    versioned = shutil.copytree(bundle, tmp_path / "faces" / "12")
    folder = write_layout(versioned, "triton", tmp_path / "out")
    assert (folder / "faces_score" / "12" / "model.onnx").is_file()


def test_wrong_calls_are_refused_in_words(bundle, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ZooError, match="Did you mean 'triton'"):
        write_layout(bundle, "tritn", out)
    with pytest.raises(ZooError, match="part of its address"):
        write_layout(bundle, "tfserving", out, name="../elsewhere")
    with pytest.raises(ZooError, match="from 1"):
        write_layout(bundle, "tfserving", out, version=0)
    with pytest.raises(ZooError, match="its own files only"):
        write_layout(bundle, "triton", bundle.path / "triton")
    assert not out.exists()
    aezoo.verify_bundle(bundle)
