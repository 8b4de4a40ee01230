"""Equal models give equal ONNX bytes, and names that a person can read.

tf2onnx numbers names with counters of the process and writes nodes and constants in an order that
depends on what was converted before. Here nodes are put in the order in which the outputs reach
them, and everything is named after the layer and the operation: `encoder/conv2d/Conv`, its weight
`encoder/conv2d/Conv/W`. Inputs and outputs of the model keep their names.
"""

import itertools
import re

import onnx
from onnx import numpy_helper


def canonical(model: onnx.ModelProto, root: str = "") -> onnx.ModelProto:
    """Return the same computation with canonical order and names.

    Args:
        model: A model without functions and sparse or external tensors, inputs and outputs named.
        root: A scope left out of the names: the model's own.
    """
    graph = _Renaming(root).graph(model.graph, outer={}, prefix="")
    graph.name = "endpoint"
    used = {node.domain for node in all_nodes(model.graph)} | {""}
    opsets = sorted((o for o in model.opset_import if o.domain in used), key=lambda o: o.domain)
    made = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=model.ir_version)
    return made


def all_nodes(graph: onnx.GraphProto):
    """Yield the nodes of a graph and of the graphs inside its nodes."""
    for node in graph.node:
        yield node
        for inner in subgraphs(node):
            yield from all_nodes(inner)


def subgraphs(node: onnx.NodeProto):
    """Yield the bodies of a Loop, If or Scan, by attribute name."""
    for attribute in sorted(node.attribute, key=lambda a: a.name):
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


class _Renaming:
    """The names given so far, over the graph and its subgraphs."""

    def __init__(self, root: str):
        self.root = root
        self.scopes: dict[tuple[str, ...], str] = {}  # as tf2onnx wrote it -> ours
        self.taken: set[str] = set()

    def graph(self, graph: onnx.GraphProto, outer: dict[str, str], prefix: str):
        """Return the graph rewritten; `outer` renames what it takes from around it."""
        names = dict(outer)
        same = _Same(graph)
        inputs = [v.name if not prefix else f"{prefix}input_{i}" for i, v in enumerate(graph.input)]
        outputs = [
            v.name if not prefix else f"{prefix}output_{i}" for i, v in enumerate(graph.output)
        ]
        made = onnx.GraphProto(name=prefix.rstrip("/") or "endpoint")

        def call(name: str, ours: str) -> None:
            names.update(dict.fromkeys(same.names_of(name), ours))

        for name in list(outer):
            call(name, outer[name])
        for value, name in zip(graph.input, inputs, strict=True):
            call(value.name, name)
        copies = []  # outputs that are a second name of something
        for value, name in zip(graph.output, outputs, strict=True):
            source = same.source(value.name)
            if source in same.made and source not in names:
                call(source, name)
            else:
                copies.append((source, name))
        self.taken.update({*names.values(), *outputs})
        constants = {tensor.name: tensor for tensor in graph.initializer}
        by_content: dict[tuple, str] = {}
        for node in _in_order(graph):
            own = self.unique(f"{prefix}{self.scope(node.name)}{node.op_type}")
            for position, name in enumerate(map(same.source, node.input)):
                if name in constants and name not in names:
                    word = f"{own}/{_role(node, position)}"
                    call(name, self.constant(made, constants[name], by_content, word))
            for name in map(same.source, _reads(node)):  # what only a loop's body takes
                if name in constants and name not in names:
                    word = f"{own}/captured"
                    call(name, self.constant(made, constants[name], by_content, word))
            for position, name in enumerate(node.output):
                if name and name not in names:
                    call(name, own if len(node.output) == 1 else f"{own}.{position}")
            made.node.append(self.node(node, own, names))
        for source, output in copies:
            if source in constants and source not in names:
                call(source, self.constant(made, constants[source], by_content, f"{output}/value"))
            own = self.unique(f"{prefix}Identity")
            made.node.append(onnx.helper.make_node("Identity", [names[source]], [output], own))
        inner = bool(prefix)
        made.input.extend(map(_renamed, graph.input, inputs, itertools.repeat(inner)))
        made.output.extend(map(_renamed, graph.output, outputs, itertools.repeat(inner)))
        return made

    def node(self, node: onnx.NodeProto, name: str, names: dict[str, str]) -> onnx.NodeProto:
        made = onnx.NodeProto(op_type=node.op_type, domain=node.domain, name=name)
        made.input.extend(names.get(i, i) for i in node.input)
        made.output.extend(names.get(o, o) for o in node.output)
        for attribute in sorted(node.attribute, key=lambda a: a.name):
            copy = made.attribute.add()
            copy.CopyFrom(attribute)
            copy.doc_string = ""
            if attribute.type == onnx.AttributeProto.GRAPH:
                copy.g.CopyFrom(self.graph(attribute.g, names, f"{name}/{attribute.name}/"))
            elif attribute.type == onnx.AttributeProto.TENSOR:
                copy.t.CopyFrom(_raw(attribute.t))
        return made

    def constant(self, graph, tensor: onnx.TensorProto, by_content: dict, word: str) -> str:
        """Add a constant under a name that tells its use, once per content; return the name."""
        raw = _raw(tensor)
        content = (raw.data_type, tuple(raw.dims), raw.raw_data, tuple(raw.string_data))
        if content not in by_content:
            raw.name = by_content[content] = self.unique(word)
            graph.initializer.append(raw)
        return by_content[content]

    def scope(self, name: str) -> str:
        """Return the layers around a node.

        `conv_ae_1/encoder_1/conv2d_7/Relu__3` is in `encoder/conv2d/`.
        """
        parts = [re.sub(r"^cond___|.*_frozen_\d+_", "", part) for part in name.split("/")[:-1]]
        parts = [part for part in parts if "PartitionedCall" not in part]
        if parts and _plain(parts[0]) == _plain(self.root):
            parts = parts[1:]
        ours = ""
        for depth in range(1, len(parts) + 1):
            theirs = tuple(parts[:depth])
            if theirs not in self.scopes:
                wanted = f"{ours}{_plain(parts[depth - 1])}"
                self.scopes[theirs] = self.unique(wanted) + "/"
            ours = self.scopes[theirs]
        return ours

    def unique(self, wanted: str) -> str:
        name, count = wanted, 0
        while name in self.taken:
            count += 1
            name = f"{wanted}_{count}"
        self.taken.add(name)
        return name


class _Same:
    """Which values are copies of which: tf2onnx puts `Identity` in arbitrary places."""

    def __init__(self, graph: onnx.GraphProto):
        copies = [node for node in graph.node if node.op_type == "Identity"]
        self.origin = {node.output[0]: node.input[0] for node in copies}
        self.made = {o for n in graph.node if n.op_type != "Identity" for o in n.output}
        self.by_source: dict[str, list[str]] = {}
        for name in self.origin:
            self.by_source.setdefault(self.source(name), []).append(name)

    def source(self, name: str) -> str:
        while name in self.origin:
            name = self.origin[name]
        return name

    def names_of(self, source: str) -> list[str]:
        return [source, *self.by_source.get(source, ())]


def _renamed(value: onnx.ValueInfoProto, name: str, inner: bool) -> onnx.ValueInfoProto:
    made = onnx.ValueInfoProto()
    made.CopyFrom(value)
    made.name, made.doc_string = name, ""
    if inner:  # tf2onnx numbers the sizes that it does not know
        for dim in made.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.Clear()
    return made


def _plain(word: str) -> str:
    """Strip the numbers that Keras and TensorFlow put at the end."""
    return re.sub(r"(_+\d+)+$", "", word) or word


def _raw(tensor: onnx.TensorProto) -> onnx.TensorProto:
    """Return a tensor with its values as raw bytes, so that equal values are equal bytes."""
    if tensor.data_type == onnx.TensorProto.STRING:
        return tensor
    return numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name)


def _role(node: onnx.NodeProto, position: int) -> str:
    """Return what the operator's schema calls an input: `W`, `B`, `axes`, ..."""
    if not onnx.defs.has(node.op_type, node.domain):
        return f"input_{position}"
    formal = onnx.defs.get_schema(node.op_type, node.domain).inputs
    return formal[position].name if position < len(formal) else f"{formal[-1].name}_{position}"


def _reads(node: onnx.NodeProto) -> list[str]:
    """Return the values that a node takes, its subgraphs included."""
    taken = [name for name in node.input if name]
    for inner in subgraphs(node):
        own = {v.name for v in inner.input} | {t.name for t in inner.initializer}
        own |= {output for n in inner.node for output in n.output}
        free = [name for n in inner.node for name in _reads(n)] + [v.name for v in inner.output]
        taken += [name for name in free if name not in own]
    return taken


def _in_order(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Return the nodes that the outputs need, each after those that it needs, without copies."""
    maker = {output: node for node in graph.node for output in node.output if output}
    done: set[int] = set()
    order = []
    stack = [maker[v.name] for v in reversed(graph.output) if v.name in maker]
    while stack:
        node = stack[-1]
        waiting = [maker[n] for n in _reads(node) if n in maker and id(maker[n]) not in done]
        if waiting:
            stack.extend(reversed(waiting))
            continue
        stack.pop()
        if id(node) not in done:
            done.add(id(node))
            order.append(node)
    return [node for node in order if node.op_type != "Identity"]
