"""What a model can be asked: named endpoints with typed, named inputs and outputs.

Export, servers, the shell and the tests use exactly these; nothing else knows a tensor's name.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from aezoo.errors import ZooError, closest_match

CHUNK = 512  # rows computed at once; larger chunks gain nothing on a CPU and cost memory


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """One input or output of an endpoint.

    Attributes:
        name: Its public name, such as `image` or `score`.
        shape: Without the batch axis; None where an axis may vary.
        dtype: A NumPy dtype name.
        axes: A name per axis of `shape`.
        low: Smallest value that makes sense, None if unbounded.
        high: Largest value that makes sense, None if unbounded.
        unit_scale: The size of one model unit in this tensor's unit, for tolerances: 255 for 8-bit
            pixels, 1 in model units.
        description: One sentence, for the card.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"
    axes: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    unit_scale: float = 1.0
    description: str = ""

    def signature(self) -> tf.TensorSpec:
        """Return the TensorFlow spec, with a free batch axis."""
        return tf.TensorSpec((None, *self.shape), self.dtype, name=self.name)


@dataclasses.dataclass(frozen=True)
class EndpointSpec:
    """The name, inputs, outputs and meaning of one endpoint; plain data."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    description: str = ""

    def to_config(self) -> dict:
        """Return plain JSON values, as the manifest holds them."""
        return dataclasses.asdict(self)


class Endpoint:
    """A spec and the function behind it.

    Args:
        spec: What it takes and gives.
        function: From a dict of input tensors to a dict of output tensors; traceable by
            `tf.function`, with a free batch axis.
    """

    def __init__(self, spec: EndpointSpec, function: Callable[[dict], dict]):
        self.spec, self.function = spec, function
        self._compiled = None

    @property
    def name(self) -> str:
        """The endpoint's public name."""
        return self.spec.name

    def traceable(self) -> tf.function:
        """Return a `tf.function` of positional tensors in the order of the spec's inputs."""
        names = [tensor.name for tensor in self.spec.inputs]
        given = {tensor.name for tensor in self.spec.outputs}

        def call(*tensors):
            outputs = self.function(dict(zip(names, tensors, strict=True)))
            if set(outputs) != given:
                raise ZooError(
                    f"Endpoint {self.name!r} gives other outputs than its spec.",
                    received=sorted(outputs),
                    do=f"Give exactly {sorted(given)}.",
                )
            return {name: tf.identity(value, name=name) for name, value in outputs.items()}

        signature = [tensor.signature() for tensor in self.spec.inputs]
        return tf.function(call, input_signature=signature, autograph=False)

    def __call__(self, **arrays: Any) -> dict[str, np.ndarray]:
        """Answer arrays by public name, in user units.

        Args:
            **arrays: One array per input of the spec, each with a batch axis.

        Raises:
            ZooError: For a missing or unknown input, a wrong shape, NaN or infinity.
        """
        rows = check_inputs(self.spec, arrays)
        if self._compiled is None:
            self._compiled = self.traceable()
        count = len(next(iter(rows.values())))
        parts = []
        for start in range(0, max(count, 1), CHUNK):
            chunk = [tf.constant(rows[t.name][start : start + CHUNK]) for t in self.spec.inputs]
            parts.append({name: v.numpy() for name, v in self._compiled(*chunk).items()})
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}

    def __repr__(self) -> str:
        takes = ", ".join(t.name for t in self.spec.inputs)
        gives = ", ".join(t.name for t in self.spec.outputs)
        return f"<endpoint {self.name}({takes}) -> {gives}>"


def check_inputs(spec: EndpointSpec, arrays: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the arrays in the spec's dtypes, or say what is wrong with them.

    Raises:
        ZooError: For a missing or unknown name, a wrong shape or batch size, or non-finite values.
    """
    names = [tensor.name for tensor in spec.inputs]
    for name in arrays:
        if name not in names:
            raise ZooError(
                f"Endpoint {spec.name!r} has no input of this name.",
                received=name,
                closest=closest_match(name, names),
                do=f"Inputs: {', '.join(names)}.",
            )
    checked = {}
    for tensor in spec.inputs:
        if tensor.name not in arrays:
            raise ZooError(
                f"Endpoint {spec.name!r} needs the input {tensor.name!r}.",
                received=sorted(arrays),
                do=f"Call it with {', '.join(f'{n}=...' for n in names)}.",
            )
        checked[tensor.name] = _checked(spec, tensor, np.asarray(arrays[tensor.name]))
    batches = {len(rows) for rows in checked.values()}
    if len(batches) > 1:
        raise ZooError(
            f"The inputs of endpoint {spec.name!r} have different batch sizes.",
            received={name: len(rows) for name, rows in checked.items()},
            do="Give one row of each input per example.",
        )
    return checked


def _checked(spec: EndpointSpec, tensor: TensorSpec, rows: np.ndarray) -> np.ndarray:
    expected = ("batch", *(str(axis or "any") for axis in tensor.shape))
    fits = rows.ndim == len(expected) and all(
        want is None or have == want
        for have, want in zip(rows.shape[1:], tensor.shape, strict=True)
    )
    if not fits:
        advice = f"Give an array of shape ({', '.join(expected)})"
        if rows.shape == tensor.shape:
            advice += ": add a batch axis, rows[None]"
        elif rows.shape[1:] == tensor.shape[:-1] and tensor.shape[-1] == 1:
            advice += ": add a channel axis, rows[..., None]"
        raise ZooError(
            f"Input {tensor.name!r} of endpoint {spec.name!r} has the wrong shape.",
            received=rows.shape,
            do=advice + ".",
        )
    if rows.dtype.kind not in "buif":
        raise ZooError(
            f"Input {tensor.name!r} of endpoint {spec.name!r} holds no numbers.",
            received=str(rows.dtype),
            do=f"Give {tensor.dtype} values.",
        )
    if rows.dtype.kind == "f" and not np.isfinite(rows).all():
        raise ZooError(
            f"Input {tensor.name!r} of endpoint {spec.name!r} holds NaN or infinity.",
            do="Fill in or drop those rows first.",
        )
    if np.dtype(tensor.dtype).kind in "ui" and rows.size:
        info = np.iinfo(tensor.dtype)
        whole = rows.dtype.kind != "f" or bool((rows == np.round(rows)).all())
        if not whole or rows.min() < info.min or rows.max() > info.max:
            raise ZooError(
                f"Input {tensor.name!r} of endpoint {spec.name!r} takes {tensor.dtype} values.",
                received=f"{rows.dtype} from {rows.min():g} to {rows.max():g}",
                do=f"Give whole numbers from {info.min} to {info.max}.",
            )
    return rows.astype(tensor.dtype, copy=False)
