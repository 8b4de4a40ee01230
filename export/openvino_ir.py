"""OpenVINO's own files, made from the ONNX graphs: faster on many Intel processors.

On processors with bfloat16 OpenVINO computes in it unless told otherwise, which moves answers by
about 4e-4: for the proven ones compile with `INFERENCE_PRECISION_HINT` set to `f32`.
"""

from pathlib import Path

import keras

from aezoo.endpoints import Endpoint

LIBRARY = "openvino"
NOTE = "proven with INFERENCE_PRECISION_HINT f32"


def write(model: keras.Model, endpoints: list[Endpoint], folder: Path) -> dict[str, str]:
    """Write `<endpoint>.xml` and `<endpoint>.bin` from the graphs in the folder `onnx` beside.

    Args:
        model: Not used: the graphs say it all.
        endpoints: What to convert.
        folder: Where the files go; it is made.

    Returns:
        Why an endpoint has no file, by its name.
    """
    import openvino

    folder.mkdir()
    refused = {}
    for endpoint in endpoints:
        graph = folder.with_name("onnx") / f"{endpoint.name}.onnx"
        try:
            # Not openvino.convert_model: that one reports its use to a server.
            made = openvino.Core().read_model(graph)
        except RuntimeError as error:
            refused[endpoint.name] = f"OpenVINO cannot read the graph: {_reason(error)}"
            continue
        try:
            openvino.save_model(made, folder / f"{endpoint.name}.xml", compress_to_fp16=False)
        except RuntimeError as error:
            raise OSError(f"OpenVINO cannot write: {_reason(error)}") from error
    return refused


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[-1][:200]
