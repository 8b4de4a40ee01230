"""Checks that wrong rows are refused wherever they enter, with words that help."""

import functools
from collections.abc import Callable

import numpy as np

from aezoo.checks.bench import Bench, bench_of, draw, replaced, require_error
from aezoo.checks.running import check
from aezoo.config import Entry


@check
def wrong_shapes_are_refused_with_the_right_one(entry: Entry) -> None:
    """`fit`, `evaluate`, `predict` and every endpoint say which shape they take."""
    bench = bench_of(entry)
    model = bench.restored()
    wrong_shape = (model.input_shape[0] + 1, *model.input_shape[1:])
    wrong = replaced(bench.x, model.input_name, np.zeros((bench.rows, *wrong_shape), "float32"))
    expected = _axes(model.input_shape)
    for name, call in _ways_in(bench, wrong):
        require_error(call, expected, f"{name} of shape {wrong_shape}")
    for spec in model.endpoints:
        right = {tensor.name: draw(tensor, 2, seed=0) for tensor in spec.inputs}
        for tensor in spec.inputs:
            rows = np.concatenate([right[tensor.name]] * 2, axis=-1)
            call = functools.partial(model.endpoint(spec.name), **right | {tensor.name: rows})
            require_error(call, _axes(tensor.shape), f"{spec.name} with a wrong {tensor.name}")


def _axes(shape) -> str:
    return ", ".join(str(axis or "any") for axis in shape)


@check
def nan_is_refused(entry: Entry) -> str | None:
    """`fit`, `evaluate`, `predict` and every endpoint refuse a row that is not finite."""
    bench = bench_of(entry)
    model = bench.restored()
    for spec in model.endpoints:
        right = {tensor.name: draw(tensor, 2, seed=0) for tensor in spec.inputs}
        for tensor in spec.inputs:
            if np.dtype(tensor.dtype).kind == "f":
                bad = right | {tensor.name: _with_nan(right[tensor.name])}
                call = functools.partial(model.endpoint(spec.name), **bad)
                require_error(call, "NaN", f"NaN in {tensor.name} of {spec.name}")
    rows = bench.x[model.input_name] if isinstance(bench.x, dict) else bench.x
    if rows.dtype.kind != "f":
        return f"{model.input_name} are whole numbers"
    bad = replaced(bench.x, model.input_name, _with_nan(rows))
    for name, call in _ways_in(bench, bad):
        require_error(call, "NaN", f"NaN in {name}")
    return None


def _ways_in(bench: Bench, x) -> list[tuple[str, Callable[[], object]]]:
    """Return the calls by which rows enter a model."""
    model = bench.restored()
    return [
        ("fit", lambda: model.fit(x, bench.y, verbose=0)),
        ("evaluate", lambda: model.evaluate(x, bench.y, verbose=0)),
        ("predict", lambda: model.predict(x, verbose=0)),
    ]


def _with_nan(rows: np.ndarray) -> np.ndarray:
    bad = rows.copy()
    bad.flat[-1] = np.nan
    return bad
