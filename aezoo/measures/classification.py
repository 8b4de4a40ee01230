"""What a code is good for: the test error of a classifier that begins as a model's encoder.

The network is the encoder and a softmax; labels train all of it. Called on a new model, the same
measure gives the error of the same network without what the model has learned.

Epochs, rate and dropout were chosen by validation error on MNIST, one seed, for `stacked_ae`.
"""

import math

import keras
import numpy as np
import tensorflow as tf

from aezoo.batches import evaluation_batches, plan_epoch, training_batches
from aezoo.errors import ZooError
from aezoo.models.stacked import classifier_of
from aezoo.optimizers import FusedAdam

EPOCHS, BATCH_SIZE, RATE, DROPOUT = 20, 128, 0.0015, 0.2
_SEED = 0


def fine_tuned_error(model, dataset) -> dict[str, float]:
    """Train a copy of a model's encoder, with a softmax on it, on labels; return its errors.

    Adam on a cosine schedule; what every layer sees is dropped in part. The weights of the epoch
    with the fewest errors on validation rows are kept, and test rows are looked at once. The model
    itself stays as it is.

    Args:
        model: A model whose encoder is a chain of layers to a vector.
        dataset: With labelled training, validation and test rows.

    Returns:
        `test_error` and `validation_error`, in percent of the rows.

    Raises:
        ZooError: If there are no labels, or no validation or test rows.
    """
    parts = dataset.roles()
    roles = ("train", "validation", "test")
    if any(role not in parts or parts[role].labels is None for role in roles):
        raise ZooError(
            "A classifier needs labelled training, validation and test rows.",
            received=repr(dataset),
            do="Give data with labels, and data.validation=0.1.",
        )
    classes = np.unique(dataset.train.labels)
    network = classifier_of(model, len(classes), DROPOUT, _SEED)
    plan = plan_epoch(len(dataset.train), BATCH_SIZE)
    network.compile(
        FusedAdam(RATE),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=plan.per_execution,
    )
    labelled = {role: _labelled(model, parts[role], classes) for role in roles}
    network.fit(
        training_batches(dataset.train, plan, seed=_SEED, first_epoch=0, prepare=labelled["train"]),
        steps_per_epoch=plan.steps,
        epochs=EPOCHS,
        validation_data=evaluation_batches(dataset.validation, 500, labelled["validation"]),
        callbacks=[
            keras.callbacks.LearningRateScheduler(
                lambda epoch: RATE * 0.5 * (1.0 + math.cos(math.pi * epoch / EPOCHS))
            ),
            keras.callbacks.EarlyStopping(
                "val_accuracy", mode="max", patience=EPOCHS, restore_best_weights=True
            ),
        ],
        shuffle=False,
        verbose=0,
    )
    return {
        f"{role}_error": _error(network, parts[role], labelled[role])
        for role in ("test", "validation")
    }


def _labelled(model, rows, classes):
    """Return the function from row indices to rows in model units and numbers of classes."""
    labels = tf.constant(np.searchsorted(classes, rows.labels))

    def prepare(indices, step):
        return model.preprocessing.apply(rows.gather(indices)), tf.gather(labels, indices)

    return prepare


def _error(network, rows, prepare) -> float:
    """Return the share of rows that get another label than their own, in percent."""
    wrong = 0
    for x, labels in evaluation_batches(rows, 500, prepare):
        answer = np.argmax(network.predict_on_batch(x), axis=-1)
        wrong += int((answer != labels.numpy()).sum())
    return 100.0 * wrong / len(rows)
