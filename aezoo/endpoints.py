"""What a model can be asked: named endpoints with typed, named inputs and outputs.

Export, servers, the shell and the tests use exactly these; nothing else knows a tensor's name.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from aezoo.errors import ZooError
from aezoo.specs import CHUNK, EndpointSpec, TensorSpec, check_inputs

__all__ = ["Endpoint", "EndpointSpec", "TensorSpec", "check_inputs"]


def signature_of(spec: EndpointSpec, batch: int | None = None) -> list[tf.TensorSpec]:
    """Return the TensorFlow specs of the inputs, in order; the batch axis is free unless given."""
    return [tf.TensorSpec((batch, *t.shape), t.dtype, name=t.name) for t in spec.inputs]


class Endpoint:
    """A spec and the function behind it.

    Args:
        spec: What it takes and gives.
        function: From a dict of input tensors to a dict of output tensors; traceable by
            `tf.function`, with a free batch axis.
    """

    def __init__(self, spec: EndpointSpec, function: Callable[[dict], dict]):
        self.spec, self.function = spec, function

    @property
    def name(self) -> str:
        """The endpoint's public name."""
        return self.spec.name

    @functools.cached_property
    def compiled(self) -> tf.function:
        """The function behind `__call__`; traced once, be it asked, converted or saved."""
        return self.traceable()

    def traceable(self, batch: int | None = None) -> tf.function:
        """Return a new `tf.function` of positional tensors in the order of the spec's inputs.

        Args:
            batch: The size of the batch axis; None leaves it free.
        """
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

        return tf.function(call, input_signature=signature_of(self.spec, batch), autograph=False)

    def __call__(self, **arrays: Any) -> dict[str, np.ndarray]:
        """Answer arrays by public name, in user units.

        Args:
            **arrays: One array per input of the spec, each with a batch axis; inputs that have a
                default may be left out.

        Raises:
            ZooError: For a missing or unknown input, a wrong shape, NaN or infinity.
        """
        rows = check_inputs(self.spec, arrays)
        count = len(next(iter(rows.values())))
        parts = []
        for start in range(0, count, CHUNK):
            chunk = [tf.constant(rows[t.name][start : start + CHUNK]) for t in self.spec.inputs]
            parts.append({name: v.numpy() for name, v in self.compiled(*chunk).items()})
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}

    def __repr__(self) -> str:
        takes = ", ".join(t.name for t in self.spec.inputs)
        gives = ", ".join(t.name for t in self.spec.outputs)
        return f"<endpoint {self.name}({takes}) -> {gives}>"
