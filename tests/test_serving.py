"""`aezoo serve`: MLServer answers as Keras did, by REST and by gRPC, and refuses in words."""

import importlib.util
import json
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import requests

import aezoo
from aezoo.errors import ZooError
from aezoo.export import serving
from aezoo.export.compare import compare
from aezoo.export.verify import PROBE_FILE, read_probe
from aezoo.specs import check_inputs

# Not imported here: MLServer and tritonclient.grpc declare the same messages, one process refuses.
if importlib.util.find_spec("mlserver") is None:
    pytest.skip("the extra `serve` is not installed", allow_module_level=True)
import tritonclient.grpc as grpc


@pytest.fixture(scope="module")
def models():
    """What is served, by bundle and version."""
    rows = np.random.default_rng(1).integers(0, 256, (16, 10, 9, 1), dtype="uint8")
    made = {}
    for version, seed in (("9", 0), ("10", 1)):
        model = aezoo.build("conv_ae", input_shape=(10, 9, 1), filters=(4, 2), seed=seed)
        model.adapt(rows)
        model.calibration = {"threshold": 0.05, "alpha": 0.1}
        made["tiny", version] = model
    table = {"input_shape": (6,), "hidden": (4,), "latent_dim": 2}
    made["table", None] = aezoo.build("vallina_ae", **table, seed=2)
    return made


@pytest.fixture(scope="module")
def folder(models, tmp_path_factory):
    """Two bundles, one of them in two versions, and a file that is none of them."""
    root = tmp_path_factory.mktemp("serving")
    for (name, version), model in models.items():
        aezoo.export_bundle(model, root / name / (version or ""))
    (root / "notes.txt").write_text("not a bundle")
    return root


class Server:
    """A server in a process of its own, and how to ask it."""

    def __init__(self, folder, log):
        self.http, self.grpc = free_port(), free_port()
        self.log = log
        call = f"serve({str(folder)!r}, http_port={self.http}, grpc_port={self.grpc})"
        without = "sys.modules.update(tensorflow=None, keras=None, onnx=None)"  # it needs none
        code = f"import sys; {without}; from aezoo.export.serving import serve; {call}"
        with log.open("w") as file:
            command = [sys.executable, "-c", code]
            self.process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        limit = time.monotonic() + 120
        while "gRPC" not in log.read_text():
            assert self.process.poll() is None and time.monotonic() < limit, log.read_text()
            time.sleep(0.1)
        self.url = f"http://127.0.0.1:{self.http}/v2"

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        finally:
            self.process.kill()

    def post(self, model, **body):
        return requests.post(f"{self.url}/models/{model}/infer", json=body, timeout=30)

    def rest(self, model, version=None, **arrays):
        path = model if version is None else f"{model}/versions/{version}"
        answer = self.post(path, inputs=[tensor(*pair) for pair in arrays.items()])
        assert answer.status_code == 200, answer.text
        kinds = {"FP32": "float32", "BOOL": "bool", "UINT8": "uint8"}
        return {
            o["name"]: np.array(o["data"], kinds[o["datatype"]]).reshape(o["shape"])
            for o in answer.json()["outputs"]
        }

    def call(self, model, version=None, wanted=None, **arrays):
        asked = []
        for name, rows in arrays.items():
            asked.append(grpc.InferInput(name, rows.shape, datatype(rows)))
            asked[-1].set_data_from_numpy(rows)
        outputs = [grpc.InferRequestedOutput(name) for name in wanted] if wanted else None
        with grpc.InferenceServerClient(f"127.0.0.1:{self.grpc}") as client:
            answer = client.infer(model, asked, version or "", outputs)
        return {o.name: answer.as_numpy(o.name) for o in answer.get_response().outputs}


def datatype(rows):
    return {"float32": "FP32", "uint8": "UINT8"}[rows.dtype.name]


def tensor(name, rows, **changes):
    values = {"name": name, "shape": list(rows.shape), "datatype": datatype(rows)}
    return values | {"data": rows.ravel().tolist()} | changes


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as trial:
        return trial.getsockname()[1]


@pytest.fixture(scope="module")
def server(folder, tmp_path_factory):
    running = Server(folder, tmp_path_factory.mktemp("log") / "log.txt")
    try:
        yield running
    finally:
        code = running.stop()
    assert code == 0


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("how", ["rest", "call"])
def test_every_endpoint_of_every_bundle_answers_as_keras(server, models, rng, how, count):
    pictures = rng.integers(0, 256, (count, 10, 9, 1), dtype="uint8")
    table = rng.random((count, 6), "float32")
    for (name, version), model in models.items():
        main = {"image": pictures} if name == "tiny" else {"features": table}
        code = model.endpoint("encode")(**main)["latent"]
        for spec in model.endpoints:
            asked = {"latent": code} if spec.name == "decode" else main
            expected = model.endpoint(spec.name)(**asked)
            answered = getattr(server, how)(f"{name}_{spec.name}", version, **asked)
            compare(spec, check_inputs(spec, asked), expected, answered, f"{name} by {how}")


def test_without_a_version_the_highest_answers(server, models, rng):
    rows = rng.integers(0, 256, (2, 10, 9, 1), dtype="uint8")
    old, new = (models["tiny", v].endpoint("encode")(image=rows)["latent"] for v in ("9", "10"))
    assert abs(old - new).max() > 0.01
    for ask in (server.rest, server.call):
        answered = ask("tiny_encode", image=rows)["latent"]
        np.testing.assert_allclose(answered, new, rtol=1e-5, atol=1e-5)


def test_health_and_metadata_say_what_can_be_asked(server):
    for path in ("health/live", "health/ready", "models/tiny_score/versions/9/ready"):
        assert requests.get(f"{server.url}/{path}", timeout=30).status_code == 200
    told = requests.get(f"{server.url}/models/tiny_detect", timeout=30).json()
    assert told["versions"] == ["9", "10"]
    image, threshold = told["inputs"]
    assert image == {"name": "image", "datatype": "UINT8", "shape": [-1, 10, 9, 1]}
    assert threshold["shape"] == [-1, 1] and threshold["parameters"] == {"default": 0.05}
    kinds = {o["name"]: (o["datatype"], o["shape"]) for o in told["outputs"]}
    assert kinds["anomalous"] == ("BOOL", [-1, 1]) and kinds["error_map"] == ("FP32", [-1, 10, 9])
    with grpc.InferenceServerClient(f"127.0.0.1:{server.grpc}") as client:
        assert client.is_server_ready() and client.is_model_ready("table_encode")
        same = client.get_model_metadata("tiny_detect", "9")
    assert [t.name for t in same.inputs] == ["image", "threshold"]
    assert list(same.inputs[0].shape) == [-1, 10, 9, 1] and same.inputs[0].datatype == "UINT8"


def test_a_threshold_may_be_given_and_outputs_chosen(server, models, rng):
    rows = rng.integers(0, 256, (3, 10, 9, 1), dtype="uint8")
    score = models["tiny", "10"].endpoint("score")(image=rows)["score"]
    assert (score > 0.05).all()  # the default
    high = np.array([[1e9], [0], [1e9]], "float32")
    for ask in (server.rest, server.call):
        assert ask("tiny_detect", image=rows)["anomalous"].all()
        answer = ask("tiny_detect", image=rows, threshold=high)
        np.testing.assert_array_equal(answer["anomalous"], [[False], [True], [False]])
    assert list(server.call("tiny_detect", wanted=["score"], image=rows)) == ["score"]


IMAGE = np.zeros((1, 10, 9, 1), "uint8")
BAD = {
    "another shape": ([tensor("image", IMAGE[0])], "wrong shape.*add a batch axis"),
    "too few values": ([tensor("image", IMAGE, data=[1, 2])], "does not hold what it states"),
    "too large": ([tensor("image", IMAGE, data=[256] * 90)], "does not hold what it states"),
    "fractions": ([tensor("image", IMAGE + np.float32(0.5))], "takes uint8 values"),
    "words": ([tensor("image", IMAGE, datatype="BYTES", data=["a"] * 90)], "holds no numbers"),
    "null": ([tensor("image", IMAGE, datatype="FP32", data=[None] * 90)], "NaN"),
    "no rows": ([tensor("image", IMAGE[:0])], "has no rows"),
    "no input": ([], "needs the input 'image'"),
    "another input": ([tensor("imag", IMAGE)], "Did you mean 'image'"),
}


@pytest.mark.parametrize("inputs, words", BAD.values(), ids=BAD)
def test_a_bad_rest_request_is_400_with_the_words_of_the_error(server, inputs, words):
    answer = server.post("tiny_score", inputs=inputs)
    assert answer.status_code == 400
    with pytest.raises(ZooError, match=f"(?s){words}"):
        raise ZooError(answer.json()["error"])


def test_unknown_endpoints_versions_and_outputs_are_told(server):
    good = [tensor("image", IMAGE)]
    assert server.post("tiny_scor", inputs=good).status_code == 404
    assert server.post("tiny_score/versions/8", inputs=good).status_code == 404
    answer = server.post("tiny_score", inputs=good, outputs=[{"name": "scores"}])
    assert answer.status_code == 400 and "Did you mean 'score'" in answer.json()["error"]


def test_a_bad_grpc_request_is_an_invalid_argument_and_one_line_in_the_log(server):
    nan = np.full((1, 3, 3, 2), np.nan, "float32")
    for model, arrays, words in (
        ("tiny_score", {"image": IMAGE[0]}, "wrong shape"),
        ("tiny_score", {"image": IMAGE + np.float32(0.5)}, "takes uint8 values"),
        ("tiny_score", {"image": IMAGE[:0]}, "has no rows"),
        ("tiny_score", {"imag": IMAGE}, "Did you mean 'image'"),
        ("tiny_decode", {"latent": nan}, "NaN"),
    ):
        with pytest.raises(grpc.InferenceServerException, match=words) as caught:
            server.call(model, **arrays)
        assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
    with pytest.raises(grpc.InferenceServerException, match="not found") as caught:
        server.call("tiny_scor", image=IMAGE)
    assert caught.value.status() == "StatusCode.NOT_FOUND"
    assert "Traceback" not in server.log.read_text()


def test_the_printed_curl_line_asks_a_recorded_question(server, folder):
    lines = [line for line in server.log.read_text().splitlines() if line.startswith("curl")]
    assert len(lines) == 2 * 5 + 4
    line = next(line for line in lines if "tiny_score/versions/9" in line)
    done = subprocess.run(line.split(), capture_output=True, check=True)
    answer = json.loads(done.stdout)["outputs"][0]
    bundle = aezoo.export.Bundle(folder / "tiny" / "9")
    _, expected = read_probe(bundle.path / PROBE_FILE, bundle.spec("score"))
    assert answer["name"] == "score"
    assert answer["data"] == pytest.approx(expected["score"][0].tolist(), rel=1e-4)


def test_a_damaged_bundle_is_refused_before_anything_listens(folder, tmp_path):
    shutil.copytree(folder / "table", tmp_path / "good")
    shutil.copytree(folder / "table", tmp_path / "z")
    graph = tmp_path / "z" / "onnx" / "score.onnx"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    port = free_port()
    with pytest.raises(ZooError, match=r"changed after the export\.\nReceived: 'onnx/score.onnx'"):
        serving.serve(tmp_path, http_port=port, grpc_port=free_port())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_taken_port_and_folders_that_cannot_be_served_are_refused(folder, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ZooError, match="Nothing can listen there"):
            serving.serve(folder / "table", http_port=port)
    with pytest.raises(ZooError, match="no bundle in this folder"):
        serving.serve(tmp_path)
    with pytest.raises(ZooError, match="no file or folder"):
        serving.serve(tmp_path / "nowhere")
    shutil.copytree(folder / "table", tmp_path / "my table")
    with pytest.raises(ZooError, match=r"part of its address.\nReceived: 'my table'"):
        serving.serve(tmp_path)


def test_a_folder_of_versions_is_served_under_its_own_name(folder):
    found = serving.find_models(folder / "tiny")
    assert {model.version for model in found} == {"9", "10"}
    assert found[0].path == "tiny_reconstruct/versions/9"
    assert serving.find_models(folder / "table")[0].path == "table_reconstruct"
