"""Checks of `fit` and of what it minimises."""

import numpy as np
import tensorflow as tf

from aezoo.checks.bench import (
    bench_of,
    one_step,
    random_state,
    require,
    require_equal,
    require_error,
    tensors,
    tiny,
)
from aezoo.checks.running import check
from aezoo.config import Entry


@check
def training_lowers_the_loss(entry: Entry) -> None:
    """One step of the entry's optimizer lowers the training loss of the same batch.

    What is drawn at random is drawn alike before and after.
    """
    bench = bench_of(entry)
    model = bench.restored()
    draws = [(state, state.numpy()) for state in random_state(model)]
    before = one_step(model, bench.x, bench.y)["loss"]
    for state, value in draws:
        state.assign(value)
    after = one_step(model, bench.x, bench.y)["loss"]
    require(after < before, "A step does not lower the loss.", f"{before} -> {after}")


@check
def every_weight_gets_a_gradient(entry: Entry) -> None:
    """In one training pass, no trainable weight is left out, and each gradient is finite."""
    bench = bench_of(entry)
    model = bench.restored()
    x, y = model.pair(tensors(bench.x), tensors(bench.y), training=True)
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x, y, model(x, training=True))
    gradients = tape.gradient(loss, model.trainable_weights)
    for weight, gradient in zip(model.trainable_weights, gradients, strict=True):
        require(gradient is not None, "A trainable weight has no gradient.", weight.path)
        values = tf.convert_to_tensor(gradient).numpy()
        require(np.isfinite(values).all(), "A gradient is not finite.", weight.path)
        require(values.any(), "The gradient of a weight is zero throughout.", weight.path)


@check
def every_loss_weight_changes_the_loss(entry: Entry) -> str | None:
    """Each argument of the builder that ends in `_weight` has a say in the loss."""
    bench = bench_of(entry)
    arguments = bench.restored().arguments
    names = [name for name in arguments if name.endswith("_weight")]
    for name in names:
        low, high = (
            one_step(tiny(entry, **{name: value}), bench.x, bench.y)["loss"]
            for value in (arguments[name], 2 * arguments[name] + 1)
        )
        require(low != high, f"{name} does not change the loss.", low)
    return None if names else "the builder has no argument that ends in `_weight`"


@check
def the_target_matters(entry: Entry) -> None:
    """`fit(noisy, clean)` gives other weights than `fit(noisy, noisy)`."""
    bench = bench_of(entry)
    own = bench.x if bench.y is None else bench.y
    one, two = bench.fit(bench.x, own), bench.fit(bench.x, bench.other_y)
    differs = any((a != b).any() for a, b in zip(one, two, strict=True))
    require(differs, "fit(x, y) does not heed its target.")


@check
def fit_takes_rows_with_and_without_a_target(entry: Entry) -> str | None:
    """`fit(x)` works; without random draws it is `fit(x, x)`, and so is validation."""
    bench = bench_of(entry)
    if bench.y is not None:
        require_error(lambda: bench.fit(bench.x), "target", "A missing target")
        return None
    alone, twice = bench.fit(bench.x), bench.fit(bench.x, bench.x)
    if not random_state(bench.restored()):
        for one, two in zip(alone, twice, strict=True):
            require_equal(one, two, "fit(x) and fit(x, x) differ.")
    return None
