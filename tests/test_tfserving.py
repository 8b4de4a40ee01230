"""A bundle's SavedModel by TensorFlow Serving's predict API, asked with the official stubs."""

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
from tensorflow_serving.config import model_server_config_pb2
from tfserving_server import serving

import aezoo
from aezoo.export.compare import compare
from aezoo.export.layouts import write_layout
from aezoo.specs import check_inputs


@pytest.fixture(scope="module")
def model():
    made = aezoo.build("conv_ae", input_shape=(10, 9, 1), filters=(4, 2), seed=0)
    made.adapt(np.random.default_rng(1).integers(0, 256, (16, 10, 9, 1), dtype="uint8"))
    made.calibration = {"threshold": 0.05, "alpha": 0.1}
    return made


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    """The layout `tfserving` of a bundle, version 3."""
    root = tmp_path_factory.mktemp("tfserving")
    bundle = aezoo.export_bundle(model, root / "tiny")
    return write_layout(bundle, "tfserving", root / "served", version=3)


@pytest.fixture(scope="module")
def server(folder):
    with serving(folder) as addresses:
        yield addresses


@pytest.fixture
def questions(model, rng):
    """Arrays for every endpoint, three rows."""
    image = rng.integers(0, 256, (3, 10, 9, 1), dtype="uint8")
    asked = {spec.name: {"image": image} for spec in model.endpoints}
    asked["decode"] = {"latent": model.endpoint("encode")(image=image)["latent"]}
    return {spec.name: check_inputs(spec, asked[spec.name]) for spec in model.endpoints}


def agrees(model, name, asked, answered):
    spec = model.endpoint(name).spec
    compare(spec, asked, model.endpoint(name)(**asked), answered, "the server")


def call(address, signature, arrays, name="tiny", **version):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = name, signature
    request.model_spec.version.value = version.get("version", 0)
    for key, value in arrays.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    with grpc.insecure_channel(address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        return stub.Predict(request, timeout=30)


def test_every_endpoint_answers_as_keras_by_grpc(server, model, questions):
    assert set(questions) == {"reconstruct", "encode", "decode", "score", "detect"}
    for name, asked in questions.items():
        answer = call(server[1], name, asked)
        assert answer.model_spec.version.value == 3
        agrees(model, name, asked, {k: tf.make_ndarray(v) for k, v in answer.outputs.items()})
    first = tf.make_ndarray(call(server[1], "", questions["score"]).outputs["reconstruction"])
    agrees(model, "reconstruct", questions["reconstruct"], {"reconstruction": first})


def test_every_endpoint_answers_as_keras_by_rest_in_rows_and_columns(server, model, questions):
    url = f"{server[0]}/v1/models/tiny/versions/3:predict"
    for name, asked in questions.items():
        spec = model.endpoint(name).spec
        columns = {key: value.tolist() for key, value in asked.items()}
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        if len(columns) == 1:  # then the name may be left out
            columns, rows = columns[next(iter(columns))], [row[next(iter(row))] for row in rows]
        body = {"signature_name": name}
        told = requests.post(url, json=body | {"inputs": columns}, timeout=30).json()["outputs"]
        by_row = requests.post(url, json=body | {"instances": rows}, timeout=30)
        listed = by_row.json()["predictions"]
        names = [t.name for t in spec.outputs]
        if len(names) == 1:
            told, listed = {names[0]: told}, [{names[0]: row} for row in listed]
        for answers in (told, {key: [row[key] for row in listed] for key in names}):
            typed = {t.name: np.array(answers[t.name], t.dtype) for t in spec.outputs}
            agrees(model, name, asked, typed)


def test_the_protocol_tells_the_version_and_refuses_what_is_not_there(server, questions):
    states = requests.get(f"{server[0]}/v1/models/tiny", timeout=30).json()["model_version_status"]
    assert [(s["version"], s["state"]) for s in states] == [("3", "AVAILABLE")]
    asked = questions["score"]
    for wrong, code in (
        ({"name": "other"}, "NOT_FOUND"),
        ({"version": 2}, "NOT_FOUND"),
        ({"signature": "classify"}, "INVALID_ARGUMENT"),
        ({"arrays": {"image": asked["image"][0]}}, "INVALID_ARGUMENT"),
        ({"arrays": {"picture": asked["image"]}}, "INVALID_ARGUMENT"),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call(server[1], **{"signature": "score", "arrays": asked} | wrong)
        assert caught.value.code() == grpc.StatusCode[code]
    url = f"{server[0]}/v1/models/tiny:predict"
    assert requests.post(url, json={}, timeout=30).status_code == 400
    assert requests.post(url.replace("tiny", "other"), json={}, timeout=30).status_code == 404


def test_models_config_is_what_tensorflow_serving_parses(folder):
    text = (folder / "models.config").read_text()
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (entry,) = config.model_config_list.config
    assert (entry.name, entry.base_path) == ("tiny", "/models/tiny")
    assert entry.model_platform == "tensorflow"
    assert (folder / "tiny" / "3" / "saved_model.pb").is_file()
