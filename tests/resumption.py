"""A run that goes on from where it was cut off, held to the one that was not."""

import shutil
from pathlib import Path

import keras
import numpy as np

import aezoo


class CutOff(keras.callbacks.Callback):
    """Copies the run's folder as an epoch begins: what a kill would leave at this moment."""

    def __init__(self, folder: Path, left: Path, epoch: int):
        super().__init__()
        self.folder, self.left, self.epoch = folder, left, epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            shutil.copytree(self.folder, self.left)


def train_and_resume(entry: str, data, folder: Path, *, epochs=4, cut=2, **recipe):
    """Train a run, and resume what it was after `cut` epochs; require the same bits.

    Returns:
        Both runs, the whole one first.
    """
    quiet = {"figures": False, "verbose": False}
    cut_off = CutOff(folder / "whole", folder / "left", cut)
    whole = aezoo.train(
        entry, data, out=cut_off.folder, epochs=epochs, callbacks=(cut_off,), **quiet, **recipe
    )
    resumed = aezoo.train(resume=cut_off.left, data=data, **quiet)
    assert [row["epoch"] for row in resumed.history] == [*range(1, epochs + 1)]
    assert resumed.history == whole.history
    assert resumed.metrics == whole.metrics
    one, two = ([*run.model.variables, *run.model.optimizer.variables] for run in (whole, resumed))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)
    return whole, resumed
