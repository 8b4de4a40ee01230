"""TensorFlow Serving's predict API over a folder `NAME/VERSION/saved_model.pb`: gRPC and REST.

This is not TensorFlow Serving, and what passes here proves nothing about its own loader, batching
or speed. It loads SavedModels with `tf.saved_model.load`, knows them by their signatures alone,
and speaks the published protocol (official stubs for gRPC, the documented JSON for REST). So it
shows that a bundle's signatures, names, types and layout are what a client of that protocol asks.
"""

import contextlib
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc


class Refused(Exception):
    """A question that cannot be answered; `code` is gRPC's name for why."""

    def __init__(self, code, words):
        super().__init__(words)
        self.code = code


class Models:
    """Every version of every model in a folder."""

    def __init__(self, folder):
        self.versions = {}
        for path in sorted(Path(folder).glob("*/*/saved_model.pb")):
            versions = self.versions.setdefault(path.parent.parent.name, {})
            versions[int(path.parent.name)] = tf.saved_model.load(str(path.parent))

    def version(self, name, version=None):
        versions = self.versions.get(name, {})
        if not versions or (version and version not in versions):
            raise Refused("NOT_FOUND", f"Servable not found for request: {name} {version or ''}")
        return version or max(versions)

    def signature(self, name, version, signature):
        signatures = self.versions[name][version].signatures
        if signature not in signatures:
            raise Refused("INVALID_ARGUMENT", f"Serving signature name not found: {signature}")
        return signatures[signature]

    def answer(self, signature, arrays):
        specs = signature.structured_input_signature[1]
        if arrays.keys() != specs.keys():
            raise Refused("INVALID_ARGUMENT", f"inputs are {[*specs]}, not {[*arrays]}")
        try:
            given = {name: tf.constant(arrays[name], specs[name].dtype) for name in specs}
            return {name: value.numpy() for name, value in signature(**given).items()}
        except (ValueError, TypeError, tf.errors.OpError) as error:
            raise Refused("INVALID_ARGUMENT", str(error)) from None


class Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    """The gRPC side."""

    def __init__(self, models):
        self.models = models

    def Predict(self, request, context):
        spec = request.model_spec
        try:
            version = self.models.version(spec.name, spec.version.value)
            name = spec.signature_name or "serving_default"
            signature = self.models.signature(spec.name, version, name)
            arrays = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
            answers = self.models.answer(signature, arrays)
        except Refused as error:
            context.abort(grpc.StatusCode[error.code], str(error))
        response = predict_pb2.PredictResponse()
        response.model_spec.name, response.model_spec.signature_name = spec.name, name
        response.model_spec.version.value = version
        for key, value in answers.items():
            if not request.output_filter or key in request.output_filter:
                response.outputs[key].CopyFrom(tf.make_tensor_proto(value))
        return response


def rest_answer(models, path, body):
    """Answer `POST /v1/models/NAME[/versions/N]:predict`, row by row or column by column."""
    match = re.fullmatch(r"/v1/models/([^/:]+)(?:/versions/(\d+))?:predict", path)
    if not match:
        raise Refused("NOT_FOUND", f"Malformed request: POST {path}")
    version = models.version(match[1], int(match[2] or 0))
    name = body.get("signature_name", "serving_default")
    signature = models.signature(match[1], version, name)
    names = [*signature.structured_input_signature[1]]
    if ("instances" in body) == ("inputs" in body):
        raise Refused("INVALID_ARGUMENT", "Give either 'instances' or 'inputs'.")
    if "inputs" in body:
        given = body["inputs"]
        answers = models.answer(signature, given if isinstance(given, dict) else {names[0]: given})
        columns = {key: value.tolist() for key, value in answers.items()}
        return {"outputs": columns if len(columns) > 1 else next(iter(columns.values()))}
    rows = body["instances"]
    if not all(isinstance(row, dict) for row in rows):  # one input needs no name
        rows = [{names[0]: row} for row in rows]
    arrays = {key: [row[key] for row in rows] for key in (rows[0] if rows else names)}
    columns = {key: value.tolist() for key, value in models.answer(signature, arrays).items()}
    told = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return {"predictions": told if len(columns) > 1 else next(iter(columns.values()))}


def status(models, path):
    """Answer `GET /v1/models/NAME`."""
    name = path.removeprefix("/v1/models/")
    models.version(name)
    fine = {"error_code": "OK", "error_message": ""}
    known = sorted(models.versions[name], reverse=True)
    states = [{"version": str(v), "state": "AVAILABLE", "status": fine} for v in known]
    return {"model_version_status": states}


@contextlib.contextmanager
def serving(folder):
    """Serve a folder on free ports; yields the address of REST and that of gRPC."""
    models = Models(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.reply(lambda: status(models, self.path))

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.reply(lambda: rest_answer(models, self.path, json.loads(body)))

        def reply(self, answer):
            try:
                code, values = 200, answer()
            except Refused as error:
                code = {"NOT_FOUND": 404}.get(error.code, 400)
                values = {"error": str(error)}
            content = json.dumps(values).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    rest = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    remote = grpc.server(ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Prediction(models), remote)
    port = remote.add_insecure_port("127.0.0.1:0")
    thread = threading.Thread(target=rest.serve_forever)
    thread.start()
    remote.start()
    try:
        yield f"http://127.0.0.1:{rest.server_port}", f"127.0.0.1:{port}"
    finally:
        remote.stop(None).wait()
        rest.shutdown()
        rest.server_close()
        thread.join()
