"""Smaller and faster variants of the ONNX graphs: `fp16` storage and `int8`.

A variant answers a little differently from Keras, so it is not proven but measured, on test rows,
and an endpoint that fails its gate has no file in the variant; the manifest says why.
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from aezoo.errors import ZooError
from aezoo.export import gates, onnx_graph
from aezoo.export.canonical import all_nodes
from aezoo.export.gates import Measured, MeasuringRows
from aezoo.export.manifest import Cost, Variant
from aezoo.specs import EndpointSpec

HALF_FROM = 256  # numbers of a tensor; smaller ones save nothing
HALF_LIMIT = float(np.finfo(np.float16).max)
TIMED_BATCHES = (1, 32)
SECONDS = 0.3  # of calls, per graph and batch size


def add(
    kind: str,
    specs: list[EndpointSpec],
    graphs: dict[str, onnx.ModelProto],
    rows: MeasuringRows,
    folder: Path,
) -> Variant:
    """Write the variant of every endpoint that passes its gates.

    Args:
        kind: Of `VARIANTS`.
        specs: The endpoints.
        graphs: Their float32 graphs, weights inside.
        rows: What to calibrate on and what to measure on.
        folder: Where `<endpoint>.onnx` go; it is made.

    Raises:
        ZooError: If no endpoint passes.
    """
    made, costs, refused = {}, {}, {}
    for spec in specs:
        try:
            graph = VARIANTS[kind](graphs[spec.name], rows.calibration(spec))
            costs[spec.name] = _cost(spec, graphs[spec.name], graph, rows)
        except ZooError as error:
            refused[spec.name] = error.what
        except Exception as error:  # the quantiser and ONNX Runtime fail in many types
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            refused[spec.name] = f"ONNX Runtime cannot make or run it: {reason}"
        else:
            made[spec.name] = graph
    if not made:
        raise ZooError(
            f"No endpoint has an {kind} variant.",
            received=next(iter(refused.values())),
            do=f"Export without {kind}.",
        )
    onnx_graph.write(made, folder)
    return Variant(
        measured_on=rows.origin, rows=rows.count, costs=costs, refused=refused, limits=gates.LIMITS
    )


def half_storage(model: onnx.ModelProto, calibration: list[dict] | None = None) -> onnx.ModelProto:
    """Return the graph with large weights stored as float16 and cast back when it is loaded."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    casts = []
    for tensor in made.graph.initializer:
        values = numpy_helper.to_array(tensor)
        small = values.dtype != np.float32 or values.size < HALF_FROM
        if small or not np.abs(values).max() <= HALF_LIMIT:
            continue
        name, stored = tensor.name, f"{tensor.name}/half"
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), stored))
        cast = onnx.helper.make_node("Cast", [stored], [name], f"{name}/Cast")
        cast.attribute.append(onnx.helper.make_attribute("to", onnx.TensorProto.FLOAT))
        casts.append(cast)
    if not casts:
        raise ZooError(f"No tensor has {HALF_FROM} or more numbers that float16 can hold.")
    nodes = [*casts, *made.graph.node]
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made


def eight_bits(model: onnx.ModelProto, calibration: list[dict]) -> onnx.ModelProto:
    """Return the graph with its large products in 8 bits, by what ONNX Runtime is fast at.

    Dense graphs are quantised as they run (dynamic). Convolutional ones are given the ranges of
    their activations beforehand (static, QDQ): there dynamic is up to 17 times slower than
    float32. Recurrent layers and transposed convolutions have no fast kernel and stay float32.
    Weights take 7 of the 8 bits, for on processors without VNNI products of 8 would saturate.
    """
    kinds = {node.op_type for node in all_nodes(model.graph)}
    if not kinds & {"Conv", "MatMul", "Gemm"}:
        raise ZooError("Nothing in it has a fast 8-bit kernel.")
    if kinds & _RECURRENT:
        raise ZooError("Recurrent layers have no fast 8-bit kernel; the rest is too little.")
    with tempfile.TemporaryDirectory(prefix="aezoo-") as scratch:
        path = Path(scratch) / "graph.onnx"
        _quantise(model, path, calibration if "Conv" in kinds else None)
        made = onnx.load(path)
    made.producer_name, made.producer_version = model.producer_name, model.producer_version
    return made


VARIANTS = {"fp16": half_storage, "int8": eight_bits}
_RECURRENT = {"LSTM", "GRU", "RNN", "Loop", "Scan"}
# Products, and what only moves numbers around between them.
_STATIC = ["Conv", "MatMul", "Gemm", "MaxPool", "Concat", "Resize", "Transpose", "Reshape"]


def _quantise(model: onnx.ModelProto, path: Path, calibration: list[dict] | None) -> None:
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = path.with_name("prepared.onnx")
    onnx.save(model, path)  # given a graph in memory, the next line would empty its weights
    quant_pre_process(path, prepared, skip_symbolic_shape=True)
    if calibration is None:
        quantization.quantize_dynamic(
            prepared,
            path,
            op_types_to_quantize=["MatMul", "Gemm"],
            weight_type=quantization.QuantType.QInt8,
            reduce_range=True,
        )
        return

    class Reader(quantization.CalibrationDataReader):
        rest = iter(calibration)

        def get_next(self):
            return next(self.rest, None)

    quantization.quantize_static(
        prepared,
        path,
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=_STATIC,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
    )


def _cost(
    spec: EndpointSpec, before: onnx.ModelProto, after: onnx.ModelProto, rows: MeasuringRows
) -> Cost:
    """Measure what an endpoint's variant costs and gains; refuse it if a gate is closed."""
    sizes = len(after.SerializeToString()), len(before.SerializeToString())
    if sizes[0] >= sizes[1]:
        raise ZooError(f"It is no smaller: {sizes[0]:,} bytes for {sizes[1]:,}.")
    old, new = (_session(graph) for graph in (before, after))
    names = [tensor.name for tensor in spec.outputs]
    answered = rows.answers(spec, lambda x: dict(zip(names, new.run(names, x), strict=True)))
    quality = gates.measure(spec, rows, answered)
    closed = [one for one in quality if not one.value <= gates.LIMITS[one.measure]]
    if closed:
        raise ZooError(f"Its {_words(closed[0])}.")
    asked = rows.test_inputs(spec)
    speed = {
        batch: _milliseconds(old, new, names, {k: v[:batch] for k, v in asked.items()})
        for batch in TIMED_BATCHES
        if batch <= min(rows.count, rows.part)
    }
    return Cost(
        bytes=sizes[0],
        bytes_before=sizes[1],
        milliseconds={batch: after for batch, (_, after) in speed.items()},
        milliseconds_before={batch: before for batch, (before, _) in speed.items()},
        quality={f"{one.output} {one.measure}": one.value for one in quality},
    )


def _words(one: Measured) -> str:
    limit = gates.LIMITS[one.measure]
    return f"{one.output} has {one.measure} of {one.value:.3g}, above {limit:g}"


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def _milliseconds(old, new, names: list[str], inputs: dict) -> tuple[float, float]:
    """Return the median time of a call of each, the two called in turn."""
    taken: tuple[list[float], list[float]] = ([], [])
    end = time.perf_counter() + 2 * SECONDS
    while len(taken[0]) < 3 or time.perf_counter() < end:
        for session, times in zip((old, new), taken, strict=True):
            began = time.perf_counter()
            session.run(names, inputs)
            times.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken[0]), statistics.median(taken[1])
