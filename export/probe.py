"""The rows that a bundle is proven on."""

from typing import Any

import keras
import numpy as np

from aezoo.errors import ZooError
from aezoo.specs import EndpointSpec, TensorSpec, check_inputs

ROWS = 8  # at most, kept in probe.npz
_DRAWN = 5  # where nothing was given
_SEED = 0

Arrays = dict[str, np.ndarray]


def probe_inputs(model: keras.Model, sample: Any) -> tuple[Arrays, dict[str, str]]:
    """Choose a value for every input of every endpoint.

    The main input is `sample`, else rows that training kept, else draws. An input that another
    endpoint answers (a code) is that answer; others are drawn from their range, or take their
    default where they declare none.

    Args:
        model: With endpoints.
        sample: Rows for the first endpoint's first input, or a dict of rows by public name.

    Returns:
        At most 8 rows per input name, and in words where they came from.

    Raises:
        ZooError: If the sample does not fit the inputs.
    """
    specs = model.endpoints
    tensors = {t.name: t for spec in reversed(specs) for t in reversed(spec.inputs)}
    main = specs[0].inputs[0].name
    given = _given(sample, main, tensors, "the sample that was given")
    if main not in given and getattr(model, "probe_rows", None) is not None:
        given |= _given(model.probe_rows, main, tensors, "validation rows kept by training")
    count = min([ROWS, *(len(rows) for rows, _ in given.values())]) if given else _DRAWN
    chosen = {name: (rows[:count], origin) for name, (rows, origin) in given.items()}
    rng = np.random.default_rng(_SEED)
    for name in [main, *(n for n in tensors if n != main)]:
        if name not in chosen:
            chosen[name] = _derived(model, specs, tensors[name], chosen, count, rng)
    rows = {name: value for name, (value, _) in chosen.items()}
    return rows, {name: origin for name, (_, origin) in chosen.items()}


def tiled(rows: Arrays, spec: EndpointSpec, batch: int) -> Arrays:
    """Return an endpoint's inputs with `batch` rows, repeating the probe as needed."""
    return {t.name: rows[t.name][np.arange(batch) % len(rows[t.name])] for t in spec.inputs}


def _given(sample: Any, main: str, tensors: dict[str, TensorSpec], origin: str) -> dict:
    if sample is None:
        return {}
    by_name = sample if isinstance(sample, dict) else {main: sample}
    wanted = tuple(tensors[name] for name in by_name if name in tensors)
    checked = check_inputs(EndpointSpec("the sample", wanted, ()), by_name)
    if not all(len(rows) for rows in checked.values()):
        raise ZooError("The sample has no rows.", do="Give at least one row.")
    return {name: (rows, origin) for name, rows in checked.items()}


def _derived(model, specs, tensor: TensorSpec, chosen: dict, count: int, rng):
    if tensor.default is not None and (tensor.low is None or tensor.high is None):
        value = np.full((count, *tensor.shape), tensor.default, tensor.dtype)
        return value, "its default"
    for spec in specs:
        answers = {t.name: t for t in spec.outputs}
        known = all(t.name in chosen for t in spec.inputs)
        if known and tensor.name in answers and answers[tensor.name].shape == tensor.shape:
            asked = {t.name: chosen[t.name][0] for t in spec.inputs}
            return model.endpoint(spec.name)(**asked)[tensor.name], f"the answer of {spec.name}"
    low = -3.0 if tensor.low is None else tensor.low
    high = low + 6.0 if tensor.high is None else tensor.high
    shape = (count, *(size or 4 for size in tensor.shape))
    if np.dtype(tensor.dtype).kind == "f":
        value = rng.uniform(low, high, shape)
    else:
        value = rng.integers(int(low), int(high), shape, endpoint=True)
    return value.astype(tensor.dtype), f"uniform draws from {low:g} to {high:g}, seed {_SEED}"
