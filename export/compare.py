"""Two runtimes' answers, compared by the bundle's rule.

    |a - b| <= 1e-5 * (s + |b|)      s: the output's unit scale (by feature), b: what Keras says

Whole numbers and decisions are equal, except where the value that they follow from lies within
that tolerance of the border: such places are listed.
"""

import dataclasses

import numpy as np

from aezoo.errors import ZooError
from aezoo.specs import EndpointSpec, TensorSpec, tolerance

Cases = dict[tuple[str, int], dict[str, np.ndarray]]  # (endpoint, batch) -> arrays by name


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
    batch = len(next(iter((inputs or expected).values())))
    for tensor in spec.outputs:
        b, a = expected[tensor.name], answered.get(tensor.name)
        _require_declared_shape(spec, tensor, b, batch)
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
            wrong = differs & ~may_differ(spec, tensor, inputs, expected, a)
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


def largest_differences(
    spec: EndpointSpec, asked: Cases, expected: Cases, answered: Cases, who: str
) -> tuple[dict[str, float], list[tuple[str, int, tuple[int, ...]]]]:
    """Compare all cases of one endpoint.

    Args:
        spec: The endpoint.
        asked: Inputs by (endpoint, batch); those of other endpoints are passed over.
        expected: What Keras answered.
        answered: What the other runtime answered.
        who: What to call it in an error.

    Returns:
        The largest difference of each output, and the output, batch and place of each decision that
        differs and may.

    Raises:
        ZooError: As `compare`.
    """
    largest: dict[str, float] = {}
    undecided = []
    for case, inputs in asked.items():
        if case[0] == spec.name:
            for one in compare(spec, inputs, expected[case], answered.get(case, {}), who):
                largest[one.output] = max(largest.get(one.output, 0.0), one.largest)
                undecided += [(one.output, case[1], place) for place in one.undecided]
    return largest, undecided


def _require_declared_shape(
    spec: EndpointSpec, tensor: TensorSpec, values: np.ndarray, batch: int
) -> None:
    declared = (batch, *tensor.shape)
    fits = values.ndim == len(declared) and all(
        want in (None, have) for have, want in zip(values.shape, declared, strict=True)
    )
    if not fits:
        raise ZooError(
            f"Endpoint {spec.name!r} declares another shape of {tensor.name!r} than it gives.",
            received=values.shape,
            do=f"It declares {declared}, the batch first.",
        )


def may_differ(
    spec: EndpointSpec,
    tensor: TensorSpec,
    inputs: dict[str, np.ndarray],
    expected: dict[str, np.ndarray],
    answer: np.ndarray,
) -> np.ndarray:
    """Return where a decision may be this answer: what it follows from is on the border.

    `anomalous` follows from `score` and `threshold`. Whole numbers beside `probabilities` follow
    from them: from the largest along the last axis, or, with one class, from one half.
    """
    by_name = {t.name: t for t in spec.outputs}
    nowhere = np.zeros(answer.shape, bool)
    if tensor.name == "anomalous" and "score" in by_name:
        score = expected["score"]
        near = np.abs(score - inputs["threshold"]) <= tolerance(by_name["score"], score)
        return near.reshape(answer.shape) if near.size == answer.size else nowhere
    if "probabilities" not in by_name:
        return nowhere
    p = expected["probabilities"].astype("float64")
    if answer.shape == (*p.shape[:-1], 1):  # a label, a cluster: one number a row
        return may_differ(spec, tensor, inputs, expected, answer[..., 0])[..., None]
    if p.shape[:-1] != answer.shape:
        return nowhere
    allowed = tolerance(by_name["probabilities"], p).max(axis=-1)
    classes = max(p.shape[-1], 2)
    exists = (answer >= 0) & (answer < classes)
    if p.shape[-1] == 1:
        return exists & (np.abs(p[..., 0] - 0.5) <= allowed)
    chosen = np.clip(answer, 0, classes - 1).astype(int)[..., None]
    return exists & (np.take_along_axis(p, chosen, -1)[..., 0] >= p.max(axis=-1) - 2 * allowed)
