"""LiteRT files, for phones and small boards: one per endpoint, which takes one row at a time.

Only built-in operations are allowed. With a free batch axis or TensorFlow's own operations (`Flex`)
the converter writes files that no LiteRT interpreter can run, and does not say so.
"""

from pathlib import Path

import keras
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from aezoo.endpoints import Endpoint
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
    with quiet(), silent_stderr():
        for endpoint in (e for e in endpoints if e.name not in refused):
            try:
                made = _convert(endpoint)
            except Exception as error:  # the converter fails in many types
                refused[endpoint.name] = f"LiteRT lacks an operation: {_reason(error)}"
                continue
            (folder / f"{endpoint.name}.tflite").write_bytes(made)
    return refused


def _convert(endpoint: Endpoint) -> bytes:
    function = endpoint.traceable(batch=1).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    converter.exclude_conversion_metadata = True  # a hash that differs each time, slowly written
    made = flatbuffer_utils.convert_bytearray_to_object(converter.convert())
    outputs = tf.nest.flatten({name: name for name in function.structured_outputs})
    made.signatureDefs = [_signature(made.subgraphs[0], endpoint, outputs)]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(made))


def _signature(graph, endpoint: Endpoint, outputs: list[str]) -> schema.SignatureDefT:
    """Return what the converter writes for a SavedModel only, and through that 4 times slower."""
    signature = schema.SignatureDefT()
    signature.signatureKey = endpoint.name
    signature.inputs = [_named(graph.tensors[at].name.decode(), at) for at in graph.inputs]
    signature.outputs = [_named(*pair) for pair in zip(outputs, graph.outputs, strict=True)]
    return signature


def _named(name: str, index: int) -> schema.TensorMapT:
    pair = schema.TensorMapT()
    pair.name, pair.tensorIndex = name, index
    return pair


def _reason(error: Exception) -> str:
    """Return the line that names the operation, else the first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if "op:" in line or "Flex" in line or "tf." in line]
    return (named or lines or [type(error).__name__])[0][:200]
