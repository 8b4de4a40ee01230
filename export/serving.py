"""A folder of bundles behind KServe's open inference protocol (v2), by MLServer.

    FOLDER is a bundle, or holds bundles NAME/ or versions NAME/1, NAME/2
    http://HOST:8080/v2/models/NAME_ENDPOINT/infer      and gRPC at HOST:8081

Nothing listens before every bundle is verified: its files, and its answers to recorded questions.
"""

import asyncio
import dataclasses
import http.client
import importlib.util
import json
import logging
import re
import socket
import tempfile
from pathlib import Path

from aezoo.errors import ZooError
from aezoo.export.manifest import FILE_NAME
from aezoo.export.runner import Bundle
from aezoo.export.verify import PROBE_FILE, read_probe, verify_bundle
from aezoo.files import missing
from aezoo.specs import EndpointSpec

DATATYPES = {"bool": "BOOL", "float16": "FP16", "float32": "FP32", "float64": "FP64"} | {
    f"{kind}{bits}": f"{kind}{bits}".upper() for kind in ("int", "uint") for bits in (8, 16, 32, 64)
}  # NumPy's names to the protocol's


@dataclasses.dataclass(frozen=True)
class Model:
    """One endpoint of one bundle, as it is served.

    Attributes:
        name: `NAME_ENDPOINT`.
        version: The bundle's folder among versions, None where there is one bundle only.
        bundle: Where its files are.
        spec: The endpoint.
    """

    name: str
    version: str | None
    bundle: Bundle
    spec: EndpointSpec

    @property
    def path(self) -> str:
        """The address behind `/v2/models/`."""
        return self.name if self.version is None else f"{self.name}/versions/{self.version}"


def serve(
    folder: str | Path, host: str = "127.0.0.1", http_port: int = 8080, grpc_port: int = 8081
) -> None:
    """Serve bundles by REST and gRPC until SIGINT or SIGTERM; needs the extra `serve`.

    Prints the addresses and, for each model, a curl line that asks it a recorded question.

    Args:
        folder: A bundle, a folder of bundles `NAME/`, or of versions `NAME/1`, `NAME/2`; asked
            without a version, a model answers by its highest.
        host: The address to listen on; `0.0.0.0` for all, where nothing asks for a password.
        http_port: Of REST.
        grpc_port: Of gRPC.

    Raises:
        ZooError: Before anything listens: for a folder without bundles, a damaged bundle, a port
            that is taken, or where MLServer is not installed.

    Example:
        aezoo.export.serve("artifacts")
    """
    models = find_models(Path(folder))
    for bundle in dict.fromkeys(model.bundle for model in models):
        verify_bundle(bundle)
    if importlib.util.find_spec("mlserver") is None:
        advice = 'Run `pip install "aezoo[serve]"`, with Python 3.11 or 3.12.'
        raise ZooError("MLServer is not installed.", do=advice)
    if http_port == grpc_port:
        raise ZooError("REST and gRPC need a port each.", received=http_port)
    for port in (http_port, grpc_port):
        _require_free(host, port)
    with tempfile.TemporaryDirectory(prefix="aezoo-serve-") as scratch:
        write_settings(Path(scratch), models, host, http_port, grpc_port)
        asyncio.run(_serve(Path(scratch), models, host, http_port, grpc_port))


def find_models(folder: Path) -> list[Model]:
    """Return every endpoint of every bundle in a folder.

    Raises:
        ZooError: If there is no bundle, or a name cannot be part of an address or comes twice.
    """
    if not folder.is_dir():
        raise missing(folder)
    folder = folder.resolve()
    found = {folder.name: _versions(folder)}
    if not found[folder.name]:
        found = {child.name: _versions(child) for child in sorted(folder.iterdir())}
    models: dict[tuple, Model] = {}
    for name, versions in found.items():
        for version, path in versions.items():
            bundle = Bundle(path)
            for spec in bundle.endpoints:
                model = Model(served_name(name, spec), version, bundle, spec)
                other = models.setdefault((model.name, version), model)
                if other is not model:
                    raise ZooError(
                        f"Two bundles would be served as {model.name!r}.",
                        received=f"{other.bundle.path.name} and {path.name}",
                        do="Rename one of the folders.",
                    )
    if not models:
        raise ZooError(
            "There is no bundle in this folder.",
            received=str(folder),
            do="Give a bundle, or a folder that holds NAME/ or NAME/1, NAME/2.",
        )
    return list(models.values())


def _versions(folder: Path) -> dict[str | None, Path]:
    """Return the bundles of one name by version; none if the folder is something else."""
    if (folder / FILE_NAME).is_file():
        return {None: folder}
    numbered = [p for p in folder.glob("*") if p.name.isdecimal() and (p / FILE_NAME).is_file()]
    return {path.name: path for path in sorted(numbered, key=lambda path: int(path.name))}


def served_name(name: str, spec: EndpointSpec | None = None) -> str:
    """Return what an endpoint of a bundle is called by every server, or the bundle's own name.

    Raises:
        ZooError: If the name cannot be part of an address.

    Example:
        >>> served_name("conv_ae", EndpointSpec("score", (), ()))
        'conv_ae_score'
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ZooError(
            "The name of a bundle's folder becomes part of its address.",
            received=name,
            do="Rename it: letters, digits, '.', '_' and '-'.",
        )
    return f"{name}_{spec.name}" if spec else name


def _require_free(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ZooError(
                f"Nothing can listen there: {reason}.",
                received=f"{host}:{port}",
                do="Choose another port or host.",
            ) from None


def write_settings(
    scratch: Path, models: list[Model], host: str, http_port: int, grpc_port: int
) -> None:
    """Write what `mlserver start` reads, and a request per model from the bundle's probe."""
    quiet = {name: {"level": "WARNING"} for name in ("mlserver", "uvicorn")}
    settings = {
        "host": host,
        "http_port": http_port,
        "grpc_port": grpc_port,
        "parallel_workers": 0,  # ONNX Runtime has threads of its own
        "metrics_endpoint": None,  # it would open a third port
        "debug": False,
        "logging_settings": {"version": 1, "disable_existing_loggers": False, "loggers": quiet},
    }
    _write(scratch / "settings.json", settings)
    for model in models:
        folder = scratch / model.name / (model.version or "")
        values = {
            "name": model.name,
            "implementation": "aezoo.export.mlserver_model.BundleModel",
            "platform": "onnxruntime_onnx",
            "versions": [m.version for m in models if m.name == model.name and m.version],
            "parameters": {
                "uri": str(model.bundle.path),
                "version": model.version,
                "extra": {"endpoint": model.spec.name},
            },
        }
        _write(folder / "model-settings.json", values)
        _write(folder / "request.json", example_request(model.bundle, model.spec))


def example_request(bundle: Bundle, spec: EndpointSpec) -> dict:
    """Return a request that holds the first row of the bundle's probe."""
    rows, _ = read_probe(bundle.path / PROBE_FILE, spec)
    inputs = [
        {
            "name": tensor.name,
            "shape": [1, *rows[tensor.name].shape[1:]],
            "datatype": DATATYPES[tensor.dtype],
            "data": rows[tensor.name][0].ravel().tolist(),
        }
        for tensor in spec.inputs
        if tensor.default is None
    ]
    return {"inputs": inputs}


def _write(path: Path, values: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values), encoding="utf-8")


async def _serve(
    scratch: Path, models: list[Model], host: str, http_port: int, grpc_port: int
) -> None:
    from mlserver import MLServer
    from mlserver.cli.serve import load_settings

    settings, found = await load_settings(str(scratch))
    server = MLServer(settings)
    logging.getLogger("mlserver.grpc").addFilter(_in_one_line)
    running = asyncio.create_task(server.start(found))
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    for model in models:
        path = f"/v2/models/{model.path}/ready"
        while not running.done() and not await asyncio.to_thread(_answers, here, http_port, path):
            await asyncio.sleep(0.05)
    if running.done():
        await running  # says why, if it knows
        raise ZooError("The server stopped before it was ready.", do="See its log above.")
    address = f"http://{f'[{here}]' if ':' in here else here}:{http_port}"
    lines = [f"REST {address}/v2/health/ready", f"gRPC {host}:{grpc_port}"]
    for model in models:
        body = scratch / model.name / (model.version or "") / "request.json"
        ask = f"curl -s {address}/v2/models/{model.path}/infer"
        lines.append(f"{ask} -H Content-Type:application/json -d @{body}")
    print(*lines, sep="\n", flush=True)
    await running


def _in_one_line(record: logging.LogRecord) -> bool:
    """Leave out the traceback of a client's mistake."""
    error = record.exc_info and record.exc_info[1]
    if getattr(error, "status_code", 500) < 500:
        record.exc_info = None
    return True


def _answers(host: str, port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
