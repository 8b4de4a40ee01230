"""What does the server add to a graph? `score` of conv_ae by gRPC, one row, beside an echo.

    python benchmarks/serving.py                       # exports conv_ae first
    python benchmarks/serving.py --bundle artifacts/mine

The echo is a model on the same server that takes and gives tensors of the same shapes and computes
nothing. The graph's own time is ONNX Runtime in this process. The three are asked in turn, in an
order drawn anew each round, so that a machine whose speed drifts slows all of them: once each, as
requests come, and 25 times each, where a graph finds its caches warm and is about twice as fast.
results/serving.csv gets the medians and the ratio p50(score) / (p50(echo) + p50(graph)), which
should be at most 1.3.
"""

import argparse
import csv
import json
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import tritonclient.grpc as grpc
from tritonclient.utils import InferenceServerException

from aezoo.export import Bundle
from aezoo.export.serving import find_models, write_settings

RESULTS = Path(__file__).parent.parent / "results" / "serving.csv"
WARM_UP, REQUESTS = 100, 1500
# A file of its own, for the server alone: MLServer and tritonclient do not fit into one process.
ECHO = """
import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class Echo(MLModel):
    async def predict(self, payload):
        rows = NumpyCodec.decode_input(payload.inputs[0])
        outputs = [
            NumpyCodec.encode_output(name, np.zeros((len(rows), *shape), "float32"))
            for name, shape in self._settings.parameters.extra["shapes"].items()
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)
"""


def main() -> None:
    """Start a server, measure in turn, write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, help="Default: conv_ae, exported first.")
    given = parser.parse_args().bundle
    with tempfile.TemporaryDirectory() as scratch:
        folder = given or exported(Path(scratch) / "conv_ae")
        by_size, shape = measured(Bundle(folder), Path(scratch) / "settings")
    command = " ".join(["python", "benchmarks/serving.py", *sys.argv[1:]])
    rows = [("what", "input", "in_a_row", "requests", "p50_ms", "p90_ms", "ratio", "command")]
    for size, times in by_size.items():
        p50 = {name: statistics.median(values) for name, values in times.items()}
        ratio = {"score": f"{p50['score'] / (p50['echo'] + p50['graph']):.3f}"}
        for name, values in times.items():
            figures = (f"{p50[name]:.3f}", f"{np.quantile(values, 0.9):.3f}")
            rows.append((name, shape, size, len(values), *figures, ratio.get(name, ""), command))
    with RESULTS.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    print(RESULTS.read_text(), end="")


def exported(folder: Path) -> Path:
    """Export conv_ae, untrained: a graph's speed does not depend on its weights."""
    import aezoo

    model = aezoo.build("conv_ae", seed=0)
    rows = aezoo.data.load("sample").test.array()[:64]
    model.adapt(rows)
    aezoo.export_bundle(model, folder, sample=rows)
    return folder


def measured(bundle: Bundle, settings: Path) -> tuple[dict, str]:
    """Return milliseconds by how many in a row and what was asked, and the input's shape."""
    spec = bundle.spec("score")
    shape = (1, *spec.inputs[0].shape)
    rows = np.random.default_rng(0).integers(0, 256, shape, dtype="uint8")
    asked = grpc.InferInput(spec.inputs[0].name, shape, "UINT8")
    asked.set_data_from_numpy(rows)
    graph = onnxruntime.InferenceSession(bundle.path / "onnx" / "score.onnx")
    names, feed = [t.name for t in spec.outputs], {spec.inputs[0].name: rows}
    ports = free_ports(2)
    server = started(bundle, settings, ports)
    try:
        client = grpc.InferenceServerClient(f"127.0.0.1:{ports[1]}")
        score = f"{bundle.path.resolve().name}_score"
        wait(client, score, "echo")
        asks = {
            "echo": lambda: client.infer("echo", [asked]),
            "score": lambda: client.infer(score, [asked]),
            "graph": lambda: graph.run(names, feed),
        }
        answer = asks["score"]()
        for name, value in zip(names, asks["graph"](), strict=True):
            np.testing.assert_array_equal(answer.as_numpy(name), value)
        return {size: in_turn(asks, size) for size in (1, 25)}, "x".join(map(str, shape))
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def in_turn(asks: dict, size: int) -> dict[str, list[float]]:
    """Time `size` requests of each per round, in an order drawn anew."""
    times: dict[str, list[float]] = {name: [] for name in asks}
    order = random.Random(0)
    for number in range(0, WARM_UP + REQUESTS, size):
        for name in order.sample([*asks], len(asks)):
            for _ in range(size):
                begun = time.perf_counter()
                asks[name]()
                if number >= WARM_UP:
                    times[name].append(1000 * (time.perf_counter() - begun))
    return times


def started(bundle: Bundle, settings: Path, ports: list[int]) -> subprocess.Popen:
    """Start MLServer with the settings that `aezoo serve` writes, and the echo beside."""
    write_settings(settings, find_models(bundle.path), "127.0.0.1", *ports)
    shapes = {tensor.name: tensor.shape for tensor in bundle.spec("score").outputs}
    echo = {
        "name": "echo",
        "implementation": "echo_model.Echo",
        "parameters": {"extra": {"shapes": shapes}},
    }
    (settings / "echo").mkdir()
    (settings / "echo" / "echo_model.py").write_text(ECHO)
    (settings / "echo" / "model-settings.json").write_text(json.dumps(echo))
    command = [sys.executable, "-c", "from mlserver.cli import main; main()", "start", settings]
    return subprocess.Popen(command)


def wait(client, *models: str, seconds: float = 60) -> None:
    """Wait until the server has loaded the models."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        try:
            if all(client.is_model_ready(model) for model in models):
                return
        except InferenceServerException:
            pass
        time.sleep(0.2)
    raise TimeoutError(f"The server was not ready after {seconds:g} s.")


def free_ports(count: int) -> list[int]:
    """Return ports that nothing listens at."""
    trials = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [trial.getsockname()[1] for trial in trials]
    finally:
        for trial in trials:
            trial.close()


if __name__ == "__main__":
    main()
