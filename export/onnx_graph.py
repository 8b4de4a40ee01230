"""One endpoint becomes one ONNX graph, checked before anyone sees it.

tf2onnx does not raise on an operation that ONNX lacks: it writes a file that no runtime loads. So
every node, those inside loops too, is looked up here.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import warnings
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from onnx import TensorProto, external_data_helper
from tf2onnx.graph import Graph
from tf2onnx.optimizer import MergeDuplicatedNodesOptimizer, _optimizers
from tf2onnx.optimizer.optimizer_base import GraphOptimizerBase
from tf2onnx.utils import make_name

from aezoo.endpoints import Endpoint, signature_of
from aezoo.errors import ZooError
from aezoo.export.canonical import all_nodes, canonical
from aezoo.export.fusing import fused_layers, fusible
from aezoo.export.manifest import SHARED_WEIGHTS
from aezoo.specs import EndpointSpec, TensorSpec
from aezoo.version import __version__

OPSET = 18  # the newest that tf2onnx 1.17 writes
SHARE_ABOVE = 16 * 2**20  # bytes of all graphs together
_EXTERNAL_FROM = 1024  # bytes of one tensor; smaller ones stay in the graph
_ALIGNMENT = 64
_COUNTER = re.compile(r"__\d+$")  # by which tf2onnx tells apart what it names alike

_ADVICE = {
    "Erfc": 'Use gelu(approximate=True): `activation="gelu"` is the exact one.',
    "Expm1": "Use elu in place of celu.",
    "Bitcast": "Use top_k in place of argmin and argmax of floats.",
    "StatelessRandomNormalV2": "Take noise as an input; nothing random may run at inference.",
    "StatelessRandomUniformV2": "Take noise as an input; nothing random may run at inference.",
}


def convert(endpoint: Endpoint, model: keras.Model) -> onnx.ModelProto:
    """Convert an endpoint to a checked ONNX model with canonical bytes.

    Args:
        endpoint: What to convert.
        model: The float32 model that it belongs to; its name is left out of those of nodes.

    Raises:
        ZooError: If an operation has no ONNX counterpart, or the graph does not fit the spec; it
            names the endpoint, and the operation and its layer.
    """
    spec = endpoint.spec
    _patch_tf2onnx()
    function = endpoint.traceable() if fusible(model) else endpoint.compiled
    try:
        made = _converted(function, spec)
    except ZooError:
        raise
    except Exception as error:  # tf2onnx fails in many types
        raise ZooError(
            f"Endpoint {spec.name!r} cannot be converted to ONNX.",
            received=_first_line(error),
            do="Look for an operation that only TensorFlow has in the layers it uses.",
        ) from error
    _refuse_unknown_operations(spec, made)
    _set_interface(spec, made)
    made = canonical(made, root=model.name)
    made.producer_name, made.producer_version = "aezoo", __version__
    card = json.dumps(spec.to_config(), sort_keys=True)
    onnx.helper.set_model_props(made, {"aezoo.endpoint": card})
    _check(spec, made)
    return made


def _converted(function: tf.function, spec: EndpointSpec) -> onnx.ModelProto:
    """Return what tf2onnx makes; if one of its optimizers fails, what it makes without that one.

    To go on without a failed optimizer it copies the graph before each: a quarter of the time.
    """
    by_name = mock.patch.dict(_optimizers, merge_duplication=_MergeByName)
    quick = mock.patch.object(GraphOptimizerBase, "optimize", _optimize)
    with fused_layers(), _quiet(), by_name, quick:
        options = {"opset": OPSET, "custom_op_handlers": {"Log1p": (_log1p, [])}}
        with contextlib.suppress(Exception), _no_copies():
            return tf2onnx.convert.from_function(function, signature_of(spec), **options)[0]
        return tf2onnx.convert.from_function(function, signature_of(spec), **options)[0]


def _optimize(self: GraphOptimizerBase, graph: Graph, iteration: int) -> Graph:
    """Run one of tf2onnx's optimizers; tidy up only if it changed the graph, which few do.

    tf2onnx writes the whole graph anew after each, which for loops is half of the conversion.
    """
    self.opt_iteration = iteration
    graph = self._optimize(graph)
    if getattr(graph, "tidy", None) != _wiring(graph):
        graph.update_proto()
        graph.delete_unused_nodes(graph.outputs)
        graph.tidy = _wiring(graph)
    return graph


def _wiring(graph: Graph) -> list:
    """Return every node with what it takes and gives, those inside loops too."""
    found = [graph.outputs[:]]
    for node in graph.get_nodes():
        found.append((node.name, node.type, node.input[:], node.output[:]))
        found += [(at, _wiring(body)) for at, body in (node.get_body_graphs() or {}).items()]
    return found


def _log1p(graph, node, name, arguments):
    """Write log1p as log(1 + x): tf2onnx knows no other, and likelihoods need it."""
    one = graph.make_const(make_name(f"{name}/one"), np.ones((), "float32"))
    shifted = graph.make_node("Add", [node.input[0], one.output[0]], name=make_name(f"{name}/add"))
    graph.replace_input(node, node.input[0], shifted.output[0], 0)
    node.type = "Log"
    return node


class _MergeByName(MergeDuplicatedNodesOptimizer):
    """Of equal nodes, keep the one whose name comes first.

    The first in the graph is another each time, since TensorFlow writes nodes in no fixed order,
    and its layer would name the node.
    """

    def _merge_nodes_that_are_duplicated(self, nodes_to_process, graph):
        nodes_to_process.sort(key=lambda node: _COUNTER.sub("", node.name))
        super()._merge_nodes_that_are_duplicated(nodes_to_process, graph)


@contextlib.contextmanager
def _no_copies():
    """Let tf2onnx raise what its optimizers raise."""
    name, before = "TF2ONNX_CATCH_ERRORS", os.environ.get("TF2ONNX_CATCH_ERRORS")
    os.environ[name] = "FALSE"
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def activation_bytes(model: onnx.ModelProto) -> int:
    """Return the bytes of all tensors that one row makes, by shape inference."""
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    total = 0
    for value in (*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output):
        tensor = value.type.tensor_type
        sizes = [dim.dim_value or 1 for dim in tensor.shape.dim]
        width = 4 if tensor.elem_type == TensorProto.UNDEFINED else _width(tensor.elem_type)
        total += int(np.prod(sizes, dtype="int64")) * width
    return total


def write(models: dict[str, onnx.ModelProto], folder: Path) -> None:
    """Write the graphs; large ones share their weights in one file.

    Args:
        models: By endpoint.
        folder: Where `<endpoint>.onnx` and, where needed, `weights.bin` go.
    """
    folder.mkdir(parents=True)
    if sum(model.ByteSize() for model in models.values()) > SHARE_ABOVE:
        _share_weights(list(models.values()), folder / SHARED_WEIGHTS)
    for name, model in models.items():
        path = folder / f"{name}.onnx"
        path.write_bytes(model.SerializeToString(deterministic=True))
        onnx.checker.check_model(str(path), full_check=True)


def _share_weights(models: list[onnx.ModelProto], path: Path) -> None:
    offsets: dict[str, int] = {}
    with path.open("wb") as file:
        for tensor in (t for model in models for t in model.graph.initializer):
            raw = tensor.raw_data
            if len(raw) < _EXTERNAL_FROM:
                continue
            digest = hashlib.sha256(raw).hexdigest()
            if digest not in offsets:
                file.write(b"\0" * (-file.tell() % _ALIGNMENT))
                offsets[digest] = file.tell()
                file.write(raw)
            external_data_helper.set_external_data(
                tensor, SHARED_WEIGHTS, offset=offsets[digest], length=len(raw)
            )
            tensor.ClearField("raw_data")


def _refuse_unknown_operations(spec: EndpointSpec, model: onnx.ModelProto) -> None:
    for node in all_nodes(model.graph):
        if not onnx.defs.has(node.op_type, OPSET, node.domain):
            layer = "/".join(node.name.split("/")[:-1]) or node.name
            raise ZooError(
                f"Endpoint {spec.name!r} cannot be exported: ONNX has no operation "
                f"{node.op_type}, which {layer} needs.",
                do=_ADVICE.get(node.op_type, "Build that layer from other operations."),
            )


def _set_interface(spec: EndpointSpec, model: onnx.ModelProto) -> None:
    """Give inputs and outputs the spec's order, shapes and axis names."""
    for values, tensors in ((model.graph.input, spec.inputs), (model.graph.output, spec.outputs)):
        found = {value.name: value for value in values}
        ordered = []
        for tensor in tensors:
            if tensor.name not in found:
                raise ZooError(
                    f"The graph of endpoint {spec.name!r} does not use {tensor.name!r}.",
                    received=sorted(found),
                    do="Remove it from the endpoint's spec.",
                )
            ordered.append(_value_info(spec, tensor, found[tensor.name]))
        del values[:]
        values.extend(ordered)


def _value_info(spec: EndpointSpec, tensor: TensorSpec, found: onnx.ValueInfoProto):
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype))
    dims = [d.dim_value or None for d in found.type.tensor_type.shape.dim]
    shape = ["batch", *(s or _axis(tensor, i) for i, s in enumerate(tensor.shape))]
    fits = found.type.tensor_type.elem_type == kind and (
        not dims
        or (
            len(dims) == len(shape)
            and all(d is None or d == s for d, s in zip(dims, shape, strict=True))
        )
    )
    if not fits:
        raise ZooError(
            f"{tensor.name!r} of endpoint {spec.name!r} is not what its spec says.",
            received=f"{TensorProto.DataType.Name(found.type.tensor_type.elem_type)} {dims}",
            do=f"The spec says {tensor.dtype} {shape}.",
        )
    return onnx.helper.make_tensor_value_info(tensor.name, kind, shape)


def _axis(tensor: TensorSpec, position: int) -> str:
    return tensor.axes[position] if tensor.axes else f"{tensor.name}_{position}"


def _check(spec: EndpointSpec, model: onnx.ModelProto) -> None:
    try:
        onnx.checker.check_model(model, full_check=True)
        onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ZooError(
            f"The ONNX graph of endpoint {spec.name!r} is not valid.",
            received=_first_line(error),
            do="Report this model: its layers convert to a broken graph.",
        ) from error


def _width(kind: int) -> int:
    return onnx.helper.tensor_dtype_to_np_dtype(kind).itemsize


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]


def _patch_tf2onnx() -> None:
    """Apply Keras' repair of tf2onnx 1.17 for NumPy 2."""
    from keras.src.export.tf2onnx_lib import patch_tf2onnx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        patch_tf2onnx()


@contextlib.contextmanager
def _quiet():
    """Silence tf2onnx, whose errors are raised here in our words."""
    logger = logging.getLogger("tf2onnx")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)
