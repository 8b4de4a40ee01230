"""All endpoints become one TensorFlow SavedModel with the weights stored once.

Keras' own export stores every weight twice; a plain `tf.Module` does not.
"""

import contextlib
import logging
from pathlib import Path

import keras
import tensorflow as tf

from aezoo.endpoints import Endpoint
from aezoo.errors import ZooError


def write(model: keras.Model, endpoints: list[Endpoint], folder: Path) -> None:
    """Write a signature per endpoint; `serving_default` is the first.

    Args:
        model: The float32 model that the endpoints belong to.
        endpoints: In order.
        folder: A folder named by a version number, as TensorFlow Serving wants it.

    Raises:
        ZooError: If the endpoints use variables that are no weights, or TensorFlow cannot write.
    """
    served = tf.Module()
    served.weights = [weight.value for weight in model.weights]
    signatures = {e.name: e.compiled.get_concrete_function() for e in endpoints}
    signatures = {"serving_default": signatures[endpoints[0].name]} | signatures
    _refuse_other_variables(model, signatures)
    try:
        with quiet():
            tf.saved_model.save(served, str(folder), signatures=signatures)
    except tf.errors.OpError as error:
        raise OSError(f"TensorFlow cannot write {folder.name}: {error.message}") from error
    with contextlib.suppress(OSError):
        (folder / "assets").rmdir()  # empty, so lost by git and zip


def _refuse_other_variables(model: keras.Model, signatures: dict) -> None:
    known = {id(weight.value) for weight in model.weights}
    for name, function in signatures.items():
        for variable in function.graph.variables:
            if id(variable) not in known:
                raise ZooError(
                    f"Endpoint {name!r} uses a variable that is no weight of the model: "
                    f"{variable.name}.",
                    do="Nothing random and no counter may run at inference.",
                )


@contextlib.contextmanager
def quiet():
    """Silence TensorFlow's messages below errors."""
    logger = logging.getLogger("tensorflow")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
