"""The rows that a bundle is proven on."""

from typing import Any

import keras
import numpy as np

from aezoo.errors import ZooError
from aezoo.specs import EndpointSpec, TensorSpec, check_inputs

ROWS = 8  # at most, kept in probe.npz
_DRAWN = 5  # kept where nothing was given
_SEED = 0

Arrays = dict[str, np.ndarray]
Given = dict[str, tuple[np.ndarray, str]]  # rows by public name, and in words where they are from


def given_rows(model: keras.Model, sample: Any) -> Given:
    """Return the rows that were given, checked: `sample`, else those that training kept.

    Args:
        model: With endpoints.
        sample: Rows for the first endpoint's first input, or a dict of rows by public name.

    Raises:
        ZooError: If the sample does not fit the inputs.
    """
    main, tensors = _inputs(model)
    given = _given(sample, main, tensors, "the sample that was given")
    takes_rows = main == model.input_name and main not in given  # a generator takes noise
    if takes_rows and getattr(model, "probe_rows", None) is not None:
        given |= _given(model.probe_rows, main, tensors, "validation rows kept by training")
    return given


def kept_rows(given: Given, count: int) -> int:
    """Return how many of `count` rows go into `probe.npz`: at most 8, and given ones alone."""
    return min(count, *((ROWS, *(len(r) for r, _ in given.values())) if given else (_DRAWN,)))


def probe_inputs(model: keras.Model, given: Given, count: int) -> tuple[Arrays, dict[str, str]]:
    """Choose `count` different values for every input of every endpoint.

    Given rows come first, then draws from the declared range. An input that another endpoint
    answers (a code) is that answer; one that has a default and no range takes it, except a
    threshold: it is its default, half and twice the row's score in turn, for both decisions.

    Args:
        model: With endpoints.
        given: What `given_rows` returned.
        count: How many rows.

    Returns:
        The rows by input name, and in words where the first of them came from.
    """
    main, tensors = _inputs(model)
    rng = np.random.default_rng(_SEED)
    chosen: Given = {}
    for name in sorted(tensors, key=lambda name: (name != main, name == "threshold")):
        if name in given:
            rows, origin = given[name]
            drawn, _ = _drawn(tensors[name], max(count - len(rows), 0), rng)
            chosen[name] = np.concatenate([rows[:count], drawn]), origin
        else:
            chosen[name] = _derived(model, tensors[name], chosen, count, rng)
    rows = {name: value for name, (value, _) in chosen.items()}
    return rows, {name: origin for name, (_, origin) in chosen.items()}


def _inputs(model) -> tuple[str, dict[str, TensorSpec]]:
    """Return the main input's name, and every input by name, as its first endpoint has it."""
    specs = model.endpoints
    tensors = {t.name: t for spec in reversed(specs) for t in reversed(spec.inputs)}
    return specs[0].inputs[0].name, tensors


def tiled(rows: Arrays, spec: EndpointSpec, batch: int) -> Arrays:
    """Return an endpoint's inputs with `batch` rows, repeating the probe as needed."""
    return {t.name: rows[t.name][np.arange(batch) % len(rows[t.name])] for t in spec.inputs}


def _given(sample: Any, main: str, tensors: dict[str, TensorSpec], origin: str) -> dict:
    if sample is None:
        return {}
    by_name = sample if isinstance(sample, dict) else {main: sample}
    wanted = tuple(tensors[name] for name in by_name if name in tensors)
    checked = by_name and check_inputs(EndpointSpec("the sample", wanted, ()), by_name)
    if not checked or not all(len(rows) for rows in checked.values()):
        raise ZooError("The sample has no rows.", do="Give at least one row.")
    return {name: (rows, origin) for name, rows in checked.items()}


def _derived(model, tensor: TensorSpec, chosen: Given, count: int, rng):
    if tensor.default is not None and (tensor.low is None or tensor.high is None):
        return _by_default(model, tensor, chosen, count)
    for spec in model.endpoints:
        answers = {t.name: t for t in spec.outputs}
        known = all(t.name in chosen for t in spec.inputs)
        if known and tensor.name in answers and answers[tensor.name].shape == tensor.shape:
            asked = {t.name: chosen[t.name][0] for t in spec.inputs}
            return model.endpoint(spec.name)(**asked)[tensor.name], f"the answer of {spec.name}"
    return _drawn(tensor, count, rng)


def _by_default(model, tensor: TensorSpec, chosen: Given, count: int):
    value = np.full((count, *tensor.shape), tensor.default, tensor.dtype)
    for spec in model.endpoints:
        names = [t.name for t in spec.inputs]
        if tensor.name == "threshold" in names and any(t.name == "score" for t in spec.outputs):
            asked = {name: chosen[name][0] for name in names if name != "threshold"}
            score = model.endpoint(spec.name)(**asked)["score"]
            value[1::3], value[2::3] = 0.5 * score[1::3], 2 * score[2::3]
            return value, "its default, half and twice the score in turn"
    return value, "its default"


def _drawn(tensor: TensorSpec, count: int, rng):
    shape = (count, *(size or 4 for size in tensor.shape))
    low = -3.0 if tensor.low is None else tensor.low
    high = low + 6.0 if tensor.high is None else tensor.high
    if np.dtype(tensor.dtype).kind == "f":
        value = rng.uniform(low, high, shape)
    else:
        value = rng.integers(int(low), int(high), shape, endpoint=True)
    span = "each feature's range" if np.ndim(low) else f"{low:g} to {high:g}"
    return value.astype(tensor.dtype), f"uniform draws from {span}, seed {_SEED}"
