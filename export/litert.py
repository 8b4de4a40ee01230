"""LiteRT files, for phones and small boards: one per endpoint, which takes one row at a time.

Only built-in operations are allowed. With a free batch axis or TensorFlow's own operations (`Flex`)
the converter writes files that no LiteRT interpreter can run, and does not say so.
"""

import tempfile
from pathlib import Path

import keras
import tensorflow as tf

from aezoo.endpoints import Endpoint
from aezoo.export.fusing import without_cudnn
from aezoo.export.saved_model import quiet
from aezoo.quiet import silent_stderr

LIBRARY = "ai-edge-litert"
NOTE = "one row at a time, built-in operations only"


def write(model: keras.Model, endpoints: list[Endpoint], folder: Path) -> dict[str, str]:
    """Write `<endpoint>.tflite`, each with one signature of the endpoint's name.

    Args:
        model: The float32 model that the endpoints belong to.
        endpoints: What to convert.
        folder: Where the files go; it is made.

    Returns:
        Why an endpoint has no file, by its name.
    """
    folder.mkdir()
    refused = {
        e.name: f"LiteRT needs fixed sizes, and {t.name!r} has a free axis."
        for e in endpoints
        for t in (*e.spec.inputs, *e.spec.outputs)
        if None in t.shape
    }
    rest = [e for e in endpoints if e.name not in refused]
    if not rest:
        return refused
    with tempfile.TemporaryDirectory(prefix="aezoo-") as scratch, quiet(), silent_stderr():
        served = tf.Module()
        served.weights = [weight.value for weight in model.weights]
        with without_cudnn(model):
            one_row = {e.name: e.traceable(batch=1).get_concrete_function() for e in rest}
        tf.saved_model.save(served, scratch, signatures=one_row)
        for endpoint in rest:
            converter = tf.lite.TFLiteConverter.from_saved_model(
                scratch, signature_keys=[endpoint.name]
            )
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
            try:
                made = converter.convert()
            except Exception as error:  # the converter fails in many types
                refused[endpoint.name] = f"LiteRT lacks an operation: {_reason(error)}"
                continue
            (folder / f"{endpoint.name}.tflite").write_bytes(made)
    return refused


def _reason(error: Exception) -> str:
    """Return the line that names the operation, else the first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if "op:" in line or "Flex" in line or "tf." in line]
    return (named or lines or [type(error).__name__])[0][:200]
