"""Random changes of training pictures that depend on the step alone, so that runs repeat."""

import math

import tensorflow as tf

from aezoo.errors import ZooError

SHIFT = 0.1  # of the height and width
BRIGHTNESS = 0.1  # in model units
CONTRAST = 1.35  # at most so many times, or a so many times smaller one


def augment(x, y, ways: tuple[str, ...], seed: tuple):
    """Change a batch of pictures, and their masks alike.

    Args:
        x: Pictures in model units, (B, H, W, C).
        y: Masks, (B, H, W) or (B, H, W, 1), which change alike; or anything else, or None.
        ways: Any of `flip_horizontal`, `flip_vertical`, `transpose`, which with both flips turns
            square pictures by quarters, `shift`, `brightness`, `contrast`, `colours`, which changes
            the order of the channels, for all of a batch alike, and turns pictures into their
            negatives, and `draw`, which makes each value 1 with itself as the probability, else 0.
        seed: A number, and the step that the batch belongs to.

    Returns:
        `(x, y)`, of the same shapes.

    Raises:
        ZooError: If the rows are no pictures, or such as are not square are to be transposed.
    """
    if x.shape.rank != 4:
        raise ZooError(
            "Only pictures can be augmented.",
            received=x.shape[1:],
            do="Set train.augment to an empty list.",
        )
    if y is not None and y.shape.rank < 3:  # classes and numbers stay
        return augment(x, None, ways, seed)[0], y
    flat = y is not None and y.shape.rank == 3
    if flat:
        y = y[..., None]  # (B, H, W, 1), like the pictures
    count = tf.shape(x)[0]
    base = tf.stack([tf.cast(s, tf.int64) for s in seed])
    for position, way in enumerate(ways):
        key = base + tf.constant([position + 1, 0], tf.int64) * 7919
        if way in ("flip_horizontal", "flip_vertical"):
            axis = 2 if way == "flip_horizontal" else 1
            chosen = tf.random.stateless_uniform((count,), key) < 0.5
            chosen = chosen[:, None, None, None]
            x = tf.where(chosen, tf.reverse(x, [axis]), x)
            y = y if y is None else tf.where(chosen, tf.reverse(y, [axis]), y)
        elif way == "transpose":
            if x.shape[1] != x.shape[2]:
                raise ZooError(
                    "Only square pictures can be transposed.",
                    received=x.shape[1:],
                    do="Leave transpose out of train.augment.",
                )
            chosen = tf.random.stateless_uniform((count, 1, 1, 1), key) < 0.5
            x = tf.where(chosen, tf.transpose(x, (0, 2, 1, 3)), x)
            y = y if y is None else tf.where(chosen, tf.transpose(y, (0, 2, 1, 3)), y)
        elif way == "shift":
            limit = [max(1, round(SHIFT * x.shape[1])), max(1, round(SHIFT * x.shape[2]))]
            moves = tf.stack(
                [
                    tf.random.stateless_uniform(
                        (), key + axis, minval=-limit[axis], maxval=limit[axis] + 1, dtype=tf.int32
                    )
                    for axis in (0, 1)
                ]
            )  # one move for the whole batch keeps this a copy
            x = _moved(x, moves, limit)
            y = y if y is None else _moved(y, moves, limit)
        elif way == "brightness":
            delta = tf.random.stateless_uniform((count, 1, 1, 1), key, -BRIGHTNESS, BRIGHTNESS)
            x = tf.clip_by_value(x + delta, 0.0, 1.0)
        elif way == "contrast":
            limit = math.log(CONTRAST)
            gain = tf.exp(tf.random.stateless_uniform((count, 1, 1, 1), key, -limit, limit))
            mean = tf.reduce_mean(x, axis=(1, 2), keepdims=True)
            x = tf.clip_by_value(mean + gain * (x - mean), 0.0, 1.0)
        elif way == "colours":
            order = tf.random.experimental.stateless_shuffle(tf.range(x.shape[-1]), key)
            negative = tf.random.stateless_uniform((count, 1, 1, 1), key) < 0.5
            x = tf.gather(tf.where(negative, 1.0 - x, x), order, axis=-1)
        elif way == "draw":
            x = tf.cast(tf.random.stateless_uniform(tf.shape(x), key) < x, x.dtype)
    return x, y[..., 0] if flat else y


def _moved(x, moves, limit):
    """Move pictures by whole pixels; what comes in at the border mirrors the picture."""
    padded = tf.pad(x, [[0, 0], [limit[0]] * 2, [limit[1]] * 2, [0, 0]], mode="SYMMETRIC")
    start = tf.stack([0, limit[0] + moves[0], limit[1] + moves[1], 0])
    moved = tf.slice(padded, start, tf.shape(x))
    return tf.ensure_shape(moved, x.shape)
