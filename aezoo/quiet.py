"""TensorFlow without its start-up lines, which no setting of its own turns off."""

import contextlib
import logging
import os
import sys
import warnings


def import_tensorflow() -> None:
    """Import TensorFlow and run one operation while nobody listens to standard error."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    with silent_stderr():
        import tensorflow as tf

        tf.constant(1.0) + 1.0  # the first operation prints as well
    # Models of many shapes in one process are no mistake, so retracing needs no warning.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)


@contextlib.contextmanager
def silent_stderr():
    """Let nobody hear what is written to standard error, C++ included."""
    sys.stderr.flush()
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
