"""Two runtimes' answers, compared by the bundle's rule.

    |a - b| <= 1e-5 * (s + |b|)      s: the output's unit scale, b: the answer of Keras

Whole numbers and decisions are equal, except where the value that they follow from lies within
that tolerance of the border: such places are listed.
"""

import dataclasses

import numpy as np

from aezoo.errors import ZooError
from aezoo.export.manifest import RELATIVE_TOLERANCE
from aezoo.specs import EndpointSpec, TensorSpec


@dataclasses.dataclass(frozen=True)
class Difference:
    """How far one output of one case is from the answer of Keras.

    Attributes:
        output: Its name.
        largest: The largest absolute difference, in the output's unit.
        undecided: Places whose decision differs and may.
    """

    output: str
    largest: float
    undecided: tuple[tuple[int, ...], ...] = ()


def compare(
    spec: EndpointSpec,
    inputs: dict[str, np.ndarray],
    expected: dict[str, np.ndarray],
    answered: dict[str, np.ndarray],
    who: str,
) -> list[Difference]:
    """Compare all outputs of one case.

    Args:
        spec: The endpoint.
        inputs: What was asked.
        expected: The answers of Keras.
        answered: The answers of the other runtime.
        who: What to call it in an error.

    Raises:
        ZooError: If an output is missing, of another shape or type, or out of tolerance.
    """
    differences = []
    for tensor in spec.outputs:
        b, a = expected[tensor.name], answered.get(tensor.name)
        if a is None or a.shape != b.shape or a.dtype != b.dtype:
            raise ZooError(
                f"{who} gives another kind of {tensor.name!r} at endpoint {spec.name!r}.",
                received="nothing" if a is None else f"{a.dtype} {a.shape}",
                do=f"Keras gave {b.dtype} {b.shape}.",
            )
        if b.dtype.kind == "f":
            difference = np.abs(a.astype("float64") - b.astype("float64"))
            wrong = ~(difference <= tolerance(tensor, b))  # NaN is wrong
            undecided = ()
        else:
            differs = a != b
            difference = np.abs(a.astype("float64") - b.astype("float64"))
            wrong = differs & ~near_border(spec, tensor, inputs, expected)
            undecided = tuple(tuple(map(int, place)) for place in np.argwhere(differs & ~wrong))
        if wrong.any():
            place = tuple(map(int, np.argwhere(wrong)[0]))
            raise ZooError(
                f"{who} answers {spec.name!r} differently from Keras: {tensor.name!r} in "
                f"{int(wrong.sum())} of {wrong.size} values.",
                received=f"{a[place]} for {b[place]} at {list(place)}, batch {len(b)}",
                do="Report this model and its layers: their conversion changes the answer.",
            )
        differences.append(Difference(tensor.name, float(difference.max(initial=0)), undecided))
    return differences


def tolerance(tensor: TensorSpec, values: np.ndarray) -> np.ndarray:
    """Return the allowed absolute difference per value.

    Example:
        >>> float(tolerance(TensorSpec("image", (1,), unit_scale=255.0), np.zeros(1))[0])
        0.00255
    """
    return RELATIVE_TOLERANCE * (tensor.unit_scale + np.abs(values.astype("float64")))


def near_border(
    spec: EndpointSpec,
    tensor: TensorSpec,
    inputs: dict[str, np.ndarray],
    expected: dict[str, np.ndarray],
) -> np.ndarray:
    """Return where a decision may fall either way: what it follows from is on the border.

    `anomalous` follows from `score` and `threshold`. Whole numbers beside `probabilities` follow
    from them: from the largest along the last axis, or, with one class, from one half.
    """
    by_name = {t.name: t for t in spec.outputs}
    shape = expected[tensor.name].shape
    if tensor.name == "anomalous" and "score" in by_name:
        score = expected["score"]
        near = np.abs(score - inputs["threshold"]) <= tolerance(by_name["score"], score)
    elif "probabilities" in by_name:
        p = expected["probabilities"].astype("float64")
        allowed = tolerance(by_name["probabilities"], p)
        if p.shape[-1] == 1:
            near = np.abs(p - 0.5) <= allowed
        else:
            top = np.sort(p, axis=-1)
            near = top[..., -1:] - top[..., -2:-1] <= 2 * allowed.max(axis=-1, keepdims=True)
    else:
        return np.zeros(shape, bool)
    return near.reshape(shape) if near.size == np.prod(shape) else np.zeros(shape, bool)
