"""Checks of what a model answers: by which way, in which company, precision and size."""

import inspect

import numpy as np

from aezoo.checks.bench import (
    ask,
    bench_of,
    draw,
    inputs_for,
    model_units,
    one_step,
    random_state,
    require,
    require_equal,
    tiny,
)
from aezoo.checks.running import check
from aezoo.config import Entry
from aezoo.registry import builder_of
from aezoo.zoo_model import precision

ODD_SHAPES = {
    "image": ((27, 31, 3), (64, 64, 1)),
    "series": ((140, 1), (33, 3)),
    "features": ((7,), (1,)),
    "tokens": ((13,),),
    "video": ((5, 9, 7, 3), (2, 13, 13, 1)),
}


@check
def decoding_the_code_reconstructs(entry: Entry) -> str | None:
    """decode(encode(x)) = reconstruct(x)."""
    bench = bench_of(entry)
    model = bench.restored()
    names = {spec.name for spec in model.endpoints}
    if not {"reconstruct", "encode", "decode"} <= names:
        return "the model does not both encode and decode"
    known = bench.inputs | ask(model, "encode", bench.inputs)
    spec = model.endpoint("decode").spec
    decoded = ask(model, "decode", {tensor.name: known[tensor.name] for tensor in spec.inputs})
    direct = ask(model, "reconstruct", bench.inputs)
    for tensor in spec.outputs:
        require_equal(
            decoded[tensor.name],
            direct[tensor.name],
            f"decode(encode(x)) and reconstruct(x) give another {tensor.name}.",
            tensor.unit_scale,
        )
    return None


@check
def predict_and_evaluate_repeat(entry: Entry) -> None:
    """Two calls of each give the same bits, also when the random state has moved on."""
    bench = bench_of(entry)
    model = bench.restored()
    predicted, loss = model.predict(bench.x, verbose=0), bench.loss()
    for state in random_state(model):
        state.assign(state + 1)
    require_equal(model.predict(bench.x, verbose=0), predicted, "predict does not repeat.")
    require(bench.loss() == loss, "evaluate does not repeat.", (loss, bench.loss()))


@check
def a_row_alone_is_answered_as_in_a_batch(entry: Entry) -> None:
    """Each endpoint answers a row alike, whatever stands beside it."""
    bench = bench_of(entry)
    model = bench.restored()
    for spec in model.endpoints:
        inputs = {tensor.name: draw(tensor, bench.rows, seed=0) for tensor in spec.inputs}
        together = ask(model, spec.name, inputs)
        alone = ask(model, spec.name, {name: rows[2:3] for name, rows in inputs.items()})
        for tensor in spec.outputs:
            require_equal(
                alone[tensor.name],
                together[tensor.name][2:3],
                f"{spec.name} gives another {tensor.name} for a row alone.",
                tensor.unit_scale,
            )


@check
def mixed_precision_stays_finite(entry: Entry) -> None:
    """In both half precisions a step and its answers are finite, and answers are float32."""
    bench = bench_of(entry)
    for policy in ("mixed_bfloat16", "mixed_float16"):
        with precision(policy):
            model = tiny(entry)
        logs = one_step(model, bench.x, bench.y)
        require(np.isfinite(list(logs.values())).all(), f"A loss in {policy}.", logs)
        finite = all(np.isfinite(weight).all() for weight in model.get_weights())
        require(finite, f"A step in {policy} makes a weight non-finite.")
        answer = np.asarray(model(bench.x))
        require(answer.dtype == "float32", f"The answer in {policy}.", str(answer.dtype))
        require(np.isfinite(answer).all(), f"An answer in {policy} is not finite.")


@check
def odd_sizes_work(entry: Entry) -> str | None:
    """Sizes that strides do not divide build, train a step and answer in their own shape."""
    if "input_shape" not in inspect.signature(builder_of(entry).__init__).parameters:
        return "the builder has no argument `input_shape`"
    for shape in entry.checks.odd_shapes or ODD_SHAPES[entry.modality]:
        model = tiny(entry, input_shape=shape)
        inputs = inputs_for(model, 2, seed=0)
        x = model_units(model, inputs)
        logs = one_step(model, x, model.example_targets(x))
        require(np.isfinite(list(logs.values())).all(), f"A loss at {shape}.", logs)
        spec = model.endpoints[0]
        asked = {tensor.name: draw(tensor, 2, seed=0) for tensor in spec.inputs}
        answers = ask(model, spec.name, asked)
        for tensor in spec.outputs:
            answer = answers[tensor.name]
            require(answer.shape == (2, *tensor.shape), f"{tensor.name} at {shape}.", answer.shape)
            require(
                tensor.name != "reconstruction" or tensor.shape == shape,
                f"The reconstruction at {shape} has another shape.",
                tensor.shape,
            )
            require(np.isfinite(answer).all(), f"{tensor.name} at {shape} is not finite.")
    return None
