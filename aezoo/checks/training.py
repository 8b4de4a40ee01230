"""Checks of `fit` and of what it minimises."""

from unittest import mock

import numpy as np
import tensorflow as tf

from aezoo.checks.bench import (
    bench_of,
    one_step,
    random_state,
    require,
    require_equal,
    require_error,
    tiny,
)
from aezoo.checks.running import check
from aezoo.config import Entry


@check
def training_lowers_the_loss(entry: Entry) -> None:
    """One step of the entry's optimizer lowers the training loss of the same batch.

    What is drawn at random is drawn alike before and after. Of several players, each lowers its
    own loss where the others stand still.
    """
    bench = bench_of(entry)
    model = bench.restored()
    before = one_step(model, bench.x, bench.y)
    for name, weights in model.players.items():
        moved = [weight.numpy() for weight in weights]
        bench.restored()
        for weight, value in zip(weights, moved, strict=True):
            weight.assign(value)
        after = one_step(model, bench.x, bench.y)
        received = f"{name}: {before[name]} -> {after[name]}"
        require(after[name] < before[name], "A step does not lower the loss.", received)


@check
def every_weight_gets_a_gradient(entry: Entry) -> None:
    """In one training pass, no trainable weight is left out, and each gradient is finite."""
    bench = bench_of(entry)
    model = bench.restored()
    taken: dict[int, tf.Tensor] = {}

    def take(pairs):
        taken.update({id(weight): gradient for gradient, weight in pairs})

    with mock.patch.object(model.optimizer, "apply_gradients", take):
        one_step(model, bench.x, bench.y)
    for weight in model.trainable_weights:
        gradient = taken.get(id(weight))
        require(gradient is not None, "A trainable weight has no gradient.", weight.path)
        values = tf.convert_to_tensor(gradient).numpy()
        require(np.isfinite(values).all(), "A gradient is not finite.", weight.path)
        require(values.any(), "The gradient of a weight is zero throughout.", weight.path)


@check
def every_loss_weight_changes_the_loss(entry: Entry) -> str | None:
    """Each argument of the builder that ends in `_weight` has a say in a loss that is trained."""
    bench = bench_of(entry)
    arguments = bench.restored().arguments
    names = [name for name in arguments if name.endswith("_weight")]

    def losses(name: str, value: float) -> list[float]:
        found = [one_step(tiny(entry, **{name: value}), bench.x, bench.y)["loss"]]
        if entry.train.pretrain_epochs:
            rows = (bench.x,) if bench.y is None else (bench.x, bench.y)
            batch = tf.data.Dataset.from_tensors(rows)  # an array would be shuffled
            stages = tiny(entry, **{name: value}).pretrain(batch, 1)
            found += [row["loss"] for row in stages if "loss" in row]
        return found

    for name in names:
        low, high = (losses(name, value) for value in (arguments[name], 2 * arguments[name] + 1))
        require(low != high, f"{name} does not change the loss.", low)
    return None if names else "the builder has no argument that ends in `_weight`"


@check
def the_target_matters(entry: Entry) -> str | None:
    """`fit(noisy, clean)` gives other weights than `fit(noisy, noisy)`."""
    bench = bench_of(entry)
    if not bench.restored().takes_targets:
        return "the model takes no target"
    own = bench.x if bench.y is None else bench.y
    one, two = bench.fit(bench.x, own), bench.fit(bench.x, bench.other_y)
    differs = any((a != b).any() for a, b in zip(one, two, strict=True))
    require(differs, "fit(x, y) does not heed its target.")
    return None


@check
def fit_takes_rows_with_and_without_a_target(entry: Entry) -> str | None:
    """`fit(x)` works; without random draws it is `fit(x, x)`, and so is validation."""
    bench = bench_of(entry)
    if bench.y is not None:
        require_error(lambda: bench.fit(bench.x), "target", "A missing target")
        return None
    if not bench.restored().takes_targets:
        bench.fit(bench.x)
        require_error(lambda: bench.fit(bench.x, bench.x), "target", "A target")
        return None
    alone, twice = bench.fit(bench.x), bench.fit(bench.x, bench.x)
    if not random_state(bench.restored()):
        for one, two in zip(alone, twice, strict=True):
            require_equal(one, two, "fit(x) and fit(x, x) differ.")
    return None
