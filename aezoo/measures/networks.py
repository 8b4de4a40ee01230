"""The small classifier that measures look through: it reads labels, and its inside is a feature."""

import functools

import keras
import tensorflow as tf

from aezoo.batches import plan_epoch, training_batches
from aezoo.data.rows import Rows
from aezoo.zoo_model import seeded

EPOCHS, BATCH, SEED = 4, 128, 0


def small_classifier(
    input_shape: tuple[int, int, int],
    classes: int,
    filters: tuple[int, int] = (32, 64),
    features: int = 128,
) -> keras.Model:
    """Return an untrained network from pictures in [0, 1], (B, H, W, C), to (B, classes).

    Example:
        >>> small_classifier((28, 28, 1), 10).get_layer("features").output.shape
        (None, 128)
    """
    k = keras.layers
    x = keras.Input(input_shape)
    h = x
    for width in filters:
        h = k.Conv2D(width, 3, padding="same", activation="relu")(h)
        h = k.MaxPooling2D(2, padding="same")(h)  # halves H and W
    h = k.Dropout(0.25)(k.Flatten()(h))  # (B, H/4 * W/4 * F)
    h = k.Dense(features, "relu", name="features")(h)
    return keras.Model(x, k.Dense(classes, "softmax")(k.Dropout(0.5)(h)), name="classifier")


def unit(rows):
    """Return pictures in [0, 1], float32: 8-bit ones divided by 255, others as they are.

    Example:
        >>> import numpy as np
        >>> unit(np.array([0, 255], "uint8")).numpy().tolist()
        [0.0, 1.0]
    """
    rows = tf.convert_to_tensor(rows)
    return tf.cast(rows, "float32") / (255.0 if rows.dtype == tf.uint8 else 1.0)


def fit_classifier(network: keras.Model, rows: Rows, epochs: int = EPOCHS) -> None:
    """Train a classifier on labelled rows; the same rows give the same bits.

    Args:
        network: Built with a seed.
        rows: Pictures with labels from 0, 8-bit or in [0, 1].
        epochs: How many.
    """
    plan, labels = plan_epoch(len(rows), BATCH), tf.constant(rows.labels)

    def prepare(indices, step):
        return unit(rows.gather(indices)), tf.gather(labels, indices)

    rate = keras.optimizers.schedules.CosineDecay(2e-3, epochs * plan.steps)
    network.compile(
        keras.optimizers.Adam(rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=plan.per_execution,
        jit_compile=False,
    )
    batches = training_batches(rows, plan, seed=SEED, first_epoch=0, prepare=prepare)
    network.fit(batches, steps_per_epoch=plan.steps, epochs=epochs, shuffle=False, verbose=0)


@functools.lru_cache(maxsize=1)  # one serves every model that is measured on the same rows
def reader_of(rows: Rows, classes: int) -> keras.Model:
    """Return a classifier that was trained on these rows, with a fixed seed."""
    with seeded(SEED):
        network = small_classifier(rows.shape, classes)
    fit_classifier(network, rows)
    return network
