"""The fast input pipeline: rows stay where they are, batches are gathered by shuffled index.

One endless dataset serves all epochs, because a new iterator per epoch can stall for longer than a
small epoch takes. The order of epoch `e` depends on `(seed, e)` alone, so a resumed run sees the
rows in the order that the uninterrupted run would have seen.
"""

import dataclasses

import tensorflow as tf

MAX_STEPS_PER_EXECUTION = 16


@dataclasses.dataclass(frozen=True)
class Plan:
    """How an epoch is cut: `steps` batches of `batch_size`, `per_execution` of them per call."""

    batch_size: int
    steps: int
    per_execution: int


def plan_epoch(rows: int, batch_size: int, per_execution: int | None = None) -> Plan:
    """Choose the number of steps in an epoch.

    Batches are all of one size. Where it does not divide the rows, an epoch either leaves out the
    last part of a batch (other rows each time) or fills it up with rows seen before, whichever
    lets more steps run per call: Keras needs steps to be a multiple of the steps per execution.

    Args:
        rows: Training rows, at least 1.
        batch_size: Wanted; capped at `rows`.
        per_execution: Steps per call; None chooses up to 16, and 1 for an epoch that is no longer
            than that: tracing the loop over steps would take longer than it saves.

    Example:
        >>> plan_epoch(60_000, 128)
        Plan(batch_size=128, steps=468, per_execution=13)
    """
    size = min(batch_size, rows)
    candidates = {rows // size, -(-rows // size)}
    limit = per_execution
    if limit is None:
        limit = MAX_STEPS_PER_EXECUTION if max(candidates) > MAX_STEPS_PER_EXECUTION else 1
    best, steps = max(
        (max(d for d in range(1, limit + 1) if steps % d == 0), steps) for steps in candidates
    )
    return Plan(size, steps, best)


def _pinned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.autotune.enabled = False  # autotuning makes epochs wait at random
    options.deterministic = True
    return dataset.with_options(options)


def training_batches(rows, plan: Plan, *, seed: int, first_epoch: int, prepare) -> tf.data.Dataset:
    """Return an endless dataset of training batches.

    Args:
        rows: `aezoo.data.Rows`.
        plan: From `plan_epoch`.
        seed: Of the shuffle.
        first_epoch: The epoch to begin with; counts from 0.
        prepare: From `(indices, step)` to what `fit` gets; `step` counts batches from epoch 0.
    """
    count = len(rows)

    def order(epoch):
        indices = tf.random.experimental.stateless_shuffle(
            tf.range(count), tf.stack([tf.constant(seed, tf.int64), epoch])
        )
        wanted = plan.steps * plan.batch_size
        indices = tf.concat([indices, indices[: max(0, wanted - count)]], 0)[:wanted]
        steps = epoch * plan.steps + tf.range(plan.steps, dtype=tf.int64)
        batches = tf.reshape(indices, (plan.steps, plan.batch_size))
        return tf.data.Dataset.from_tensor_slices((batches, steps))

    dataset = tf.data.Dataset.counter(start=first_epoch).flat_map(order)
    return _pinned(dataset.map(prepare, num_parallel_calls=2).prefetch(2))


def evaluation_batches(rows, batch_size: int, prepare) -> tf.data.Dataset:
    """Return the rows once, in order; `prepare` takes `(indices, step)`."""
    starts = tf.data.Dataset.range(0, len(rows), batch_size)

    def indices(start):
        return tf.range(start, tf.minimum(start + batch_size, len(rows)))

    dataset = starts.map(lambda start: prepare(indices(start), start // batch_size))
    return _pinned(dataset.prefetch(1))
