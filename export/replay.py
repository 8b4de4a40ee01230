"""A runtime in a process of its own, which answers and is timed. Run as a script, never imported.

    python -P replay.py onnx|saved_model|litert|openvino|keras|function

It loads the runtime, then reads commands, a line of JSON each, and answers each by one:

    {"do": "load", "folder": ...}                      what was exported
    {"do": "answer", "endpoints": [...], "questions": ..., "answers": ...}
    {"do": "time", "questions": ..., "endpoint": ..., "batch": ..., "seconds": ...}
    {"do": "forget", "seconds": ...}                   end after so long without another command

Questions and answers are .npz files of arrays named `<endpoint>|<batch>|<tensor>`.
What proves a file imports nothing of aezoo, so that it holds for a user who has none of it; but for
the SavedModel it imports no TensorFlow either. The last two are Keras itself, to be timed.
"""

import gc
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

import numpy as np


def main(kind: str) -> None:
    """Obey commands until there are no more."""
    told = os.fdopen(os.dup(1), "w")  # for replies alone
    os.dup2(2, 1)
    gc.disable()
    load = LOADERS[kind]()
    gc.freeze()  # nothing that was imported is garbage
    gc.enable()
    ask, asked = None, {}
    for line in sys.stdin:
        _end_in(0)
        command = json.loads(line)
        reply: dict = {}
        if command["do"] == "load":
            began = time.perf_counter()
            ask = load(Path(command["folder"]))
            reply["took"] = time.perf_counter() - began
        elif command["do"] == "answer":
            asked = _read(command["questions"])
            wanted = {case: x for case, x in asked.items() if case[0] in command["endpoints"]}
            np.savez(command["answers"], **_answers(ask, wanted))
        elif command["do"] == "forget":
            ask, asked = None, {}
            gc.collect()  # mapped files, too
            _end_in(command["seconds"])
        else:
            asked = asked or _read(command["questions"])
            inputs = asked[command["endpoint"], str(command["batch"])]
            reply["seconds"] = _timed(ask, command["endpoint"], inputs, command["seconds"])
            reply["memory"] = _memory()
        if foreign := FOREIGN[kind] & set(sys.modules):
            sys.exit(f"The proof is void: it imported {sorted(foreign)}.")
        print(json.dumps(reply), file=told, flush=True)


def _end_in(seconds: int) -> None:
    """Let the system end this process after so long, 0 for never, where it can."""
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)


def _read(path: str) -> dict[tuple[str, str], dict]:
    asked: dict[tuple[str, str], dict] = {}
    with np.load(path, allow_pickle=False) as arrays:
        for key in arrays.files:
            endpoint, batch, tensor = key.split("|")
            asked.setdefault((endpoint, batch), {})[tensor] = arrays[key]
    return asked


def _answers(ask, asked: dict) -> dict[str, np.ndarray]:
    return {
        f"{endpoint}|{batch}|{tensor}": value
        for (endpoint, batch), inputs in asked.items()
        for tensor, value in ask(endpoint, inputs).items()
    }


def _timed(ask, endpoint: str, inputs: dict, seconds: float) -> list[float]:
    """Return how long each call took, called for about so many seconds, at least twice."""
    taken, end = [], time.perf_counter() + seconds
    while len(taken) < 2 or time.perf_counter() < end:
        began = time.perf_counter()
        ask(endpoint, inputs)
        taken.append(time.perf_counter() - began)
    return taken


def _memory() -> int:
    """Return the bytes that this process holds in memory, 0 where the system does not tell."""
    status = Path("/proc/self/statm")
    pages = int(status.read_text().split()[1]) if status.exists() else 0
    return pages * resource.getpagesize()


def with_onnxruntime():
    """Load ONNX Runtime; return what opens a folder of graphs."""
    import onnxruntime

    def load(folder: Path):
        sessions = {}

        def ask(endpoint: str, inputs: dict) -> dict:
            if endpoint not in sessions:
                session = onnxruntime.InferenceSession(
                    folder / f"{endpoint}.onnx", providers=["CPUExecutionProvider"]
                )
                sessions[endpoint] = session, [output.name for output in session.get_outputs()]
            session, names = sessions[endpoint]
            return dict(zip(names, session.run(names, inputs), strict=True))

        return ask

    return load


def with_tensorflow():
    """Load TensorFlow; return what opens a SavedModel."""
    # TensorFlow imports Keras where it is installed, half of the time: a server needs none of it.
    sys.modules["keras"] = None
    import tensorflow as tf

    def load(folder: Path):
        served = tf.saved_model.load(str(folder))

        def ask(endpoint: str, inputs: dict) -> dict:
            tensors = {name: tf.constant(value) for name, value in inputs.items()}
            answers = served.signatures[endpoint](**tensors)
            return {name: value.numpy() for name, value in answers.items()}

        return ask

    return load


def with_litert():
    """Load LiteRT; return what opens a folder of its files, which take one row at a time."""
    from ai_edge_litert.interpreter import Interpreter

    def load(folder: Path):
        runners = {}

        def ask(endpoint: str, inputs: dict) -> dict:
            if endpoint not in runners:
                interpreter = Interpreter(str(folder / f"{endpoint}.tflite"))
                runners[endpoint] = interpreter.get_signature_runner(endpoint)
            run = runners[endpoint]
            count = len(next(iter(inputs.values())))
            rows = [run(**{k: v[i : i + 1] for k, v in inputs.items()}) for i in range(count)]
            return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

        return ask

    return load


def with_openvino():
    """Load OpenVINO; return what opens a folder of its files, computing in float32."""
    import openvino

    def load(folder: Path):
        core, compiled = openvino.Core(), {}

        def ask(endpoint: str, inputs: dict) -> dict:
            if endpoint not in compiled:
                hint = {"INFERENCE_PRECISION_HINT": "f32"}  # without it, bfloat16 where it is fast
                made = core.compile_model(folder / f"{endpoint}.xml", "CPU", hint)
                compiled[endpoint] = made, made.create_infer_request()
            made, request = compiled[endpoint]
            answers = request.infer(inputs)
            return {n: answers[port].copy() for port in made.outputs for n in port.get_names()}

        return ask

    return load


def with_keras():
    """Load TensorFlow and the zoo; return what lets the model `predict` rows in model units."""
    import keras

    import aezoo

    def load(folder: Path):
        model, rows = aezoo.load(folder / "model.keras"), {}

        def ask(endpoint: str, inputs: dict) -> dict:
            count = len(next(iter(inputs.values())))
            if count not in rows:
                rows[count] = keras.tree.map_structure(np.asarray, model.rows_of(inputs))
            return {"answer": model.predict(rows[count], batch_size=count, verbose=0)}

        return ask

    return load


def with_function():
    """Load TensorFlow and the zoo; return what asks the model's own compiled endpoints."""
    import aezoo

    def load(folder: Path):
        model = aezoo.load(folder / "model.keras")

        def ask(endpoint: str, inputs: dict) -> dict:
            return model.endpoint(endpoint)(**inputs)

        return ask

    return load


FOREIGN = {
    "onnx": {"aezoo", "tensorflow", "keras"},
    "saved_model": {"aezoo"},
    "litert": {"aezoo", "tensorflow", "keras"},
    "openvino": {"aezoo", "tensorflow", "keras"},
    "keras": set(),
    "function": set(),
}
LOADERS = {
    "onnx": with_onnxruntime,
    "saved_model": with_tensorflow,
    "litert": with_litert,
    "openvino": with_openvino,
    "keras": with_keras,
    "function": with_function,
}

if __name__ == "__main__":
    main(*sys.argv[1:])
