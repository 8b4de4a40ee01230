"""Shared fixtures; the environment is set before TensorFlow is imported."""

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")  # pytest-xdist has a process per core
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import numpy as np
import pytest

gc.disable()  # until all tests are imported, which makes no garbage


def pytest_collection_finish():
    """Collect garbage less often, and never what the imports made: a fifth of the time else."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 10, 10)
    gc.enable()


@pytest.fixture(autouse=True, scope="session")
def graphs_as_they_are():
    """Leave Grappler out, which takes a sixth of the time to optimize graphs as small as these.

    The processes that tests start have it: the shell, notebooks, what answers for exported files.
    """
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


@pytest.fixture(autouse=True, scope="session")
def patient():
    """Let the processes that answer for exported files rest until the tests have ended.

    And time smaller graphs for a moment only: what they cost is not held to a figure.
    """
    from aezoo.export import asking, variants

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(asking, "RESTS", 1800)
        patched.setattr(variants, "SECONDS", 0.01)
        yield
    asking.end_resting()


@pytest.fixture
def rng():
    """A random generator that starts alike in every test."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def full_data():
    """The folder of full data sets; tests that need it are skipped without it."""
    folder = os.environ.get("AEZOO_DATA")
    if not folder:
        pytest.skip("AEZOO_DATA does not name a folder of data sets")
    return folder
