"""TensorFlow without its start-up lines, which no setting turns off, and without idle imports."""

import contextlib
import gc
import logging
import os
import sys
import warnings

# Keras imports these where they are installed, for plots and wrappers of its own that no command of
# the shell uses; it takes as long as two thirds of TensorFlow.
_IDLE = ("matplotlib", "pandas", "sklearn")


def import_tensorflow() -> None:
    """Import TensorFlow and run one operation while nobody listens to standard error.

    For a process of one's own, such as the shell: Keras has no plots and takes no pandas tables
    afterwards.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    with silent_stderr(), _out_of_sight(_IDLE), without_collecting():
        import tensorflow as tf

        tf.constant(1.0) + 1.0  # the first operation prints as well
    gc.freeze()  # nothing that was imported is garbage
    # Models of many shapes in one process are no mistake, so retracing needs no warning.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)


@contextlib.contextmanager
def _out_of_sight(names: tuple[str, ...]):
    """Let imports of these fail as if they were not installed, unless they have been imported."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextlib.contextmanager
def without_collecting():
    """Import without looking for garbage: there is none, and a fifth of the time goes with it."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


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
