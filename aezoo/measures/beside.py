"""Another entry, trained on the same rows, for a figure that is a ratio."""

import functools
import tempfile
from pathlib import Path

import keras

from aezoo.data import DataSet
from aezoo.data.rows import Rows
from aezoo.training import train


def trained_beside(entry: str, data: DataSet, settings: dict) -> keras.Model:
    """Return the model of an entry, trained on the same training and validation rows.

    Args:
        entry: Its name.
        data: Whose rows.
        settings: Overrides, as `aezoo.train` takes them, of values that can be hashed.
    """
    return _trained(entry, data.modality, data.train, data.validation, tuple(settings.items()))


@functools.lru_cache(maxsize=1)  # the untrained network is measured beside the same one
def _trained(
    entry: str, modality: str, rows: Rows, validation: Rows | None, settings: tuple
) -> keras.Model:
    data = DataSet("the same rows", modality, rows, validation)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        return train(entry, data, out=out, figures=False, verbose=False, **dict(settings)).model
