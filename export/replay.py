"""Ask a written model questions in a process of its own. Run as a script, never imported.

    python -P replay.py onnx|saved_model

It loads the runtime, then reads three lines: the model's folder, a file of questions, a file for
the answers. It imports nothing of aezoo, so that what it proves holds for a user who has none of
it; asked for ONNX it imports no TensorFlow either. Arrays are named `<endpoint>|<batch>|<tensor>`.
"""

import sys
from pathlib import Path

import numpy as np


def main(kind: str) -> None:
    """Answer every case of every endpoint."""
    load = {"onnx": with_onnxruntime, "saved_model": with_tensorflow}[kind]()
    folder, questions, answers = (sys.stdin.readline().rstrip("\n") for _ in range(3))
    if not answers:
        sys.exit("The export ended before it asked anything.")
    asked: dict[tuple[str, str], dict] = {}
    with np.load(questions, allow_pickle=False) as arrays:
        for key in arrays.files:
            endpoint, batch, tensor = key.split("|")
            asked.setdefault((endpoint, batch), {})[tensor] = arrays[key]
    ask = load(Path(folder))
    answered = {
        f"{endpoint}|{batch}|{tensor}": value
        for (endpoint, batch), inputs in asked.items()
        for tensor, value in ask(endpoint, inputs).items()
    }
    np.savez(answers, **answered)
    foreign = {"aezoo"} | ({"tensorflow", "keras"} if kind == "onnx" else set())
    if foreign & set(sys.modules):
        sys.exit(f"The proof is void: it imported {sorted(foreign & set(sys.modules))}.")


def with_onnxruntime():
    """Load ONNX Runtime; return what opens a folder of graphs."""
    import onnxruntime

    def load(folder: Path):
        sessions = {}

        def ask(endpoint: str, inputs: dict) -> dict:
            if endpoint not in sessions:
                sessions[endpoint] = onnxruntime.InferenceSession(
                    folder / f"{endpoint}.onnx", providers=["CPUExecutionProvider"]
                )
            session = sessions[endpoint]
            names = [output.name for output in session.get_outputs()]
            return dict(zip(names, session.run(names, inputs), strict=True))

        return ask

    return load


def with_tensorflow():
    """Load TensorFlow; return what opens a SavedModel."""
    import tensorflow as tf

    def load(folder: Path):
        served = tf.saved_model.load(str(folder))

        def ask(endpoint: str, inputs: dict) -> dict:
            tensors = {name: tf.constant(value) for name, value in inputs.items()}
            answers = served.signatures[endpoint](**tensors)
            return {name: value.numpy() for name, value in answers.items()}

        return ask

    return load


if __name__ == "__main__":
    main(*sys.argv[1:])
