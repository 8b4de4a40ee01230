"""Data sets by name, from folders and from files; rows and their roles."""

from typing import Any

from aezoo.config import DataSection, validated
from aezoo.data.dataset import DataSet, assemble
from aezoo.data.find import read
from aezoo.data.reshape import in_modality, in_size
from aezoo.data.rows import (
    MEMORY_LIMIT,
    CalibrationRows,
    Rows,
    TestRows,
    TrainRows,
    ValidationRows,
)
from aezoo.data.soundness import refuse_unfit
from aezoo.data.windows import windowed

__all__ = [
    "MEMORY_LIMIT",
    "CalibrationRows",
    "DataSet",
    "Rows",
    "TestRows",
    "TrainRows",
    "ValidationRows",
    "load",
]


def load(
    source: Any,
    section: DataSection | None = None,
    *,
    modality: str | tuple[str, ...] | None = None,
    memory_limit: int = MEMORY_LIMIT,
    **overrides: Any,
) -> DataSet:
    """Load data and deal their rows out to train, validation, calibration and test.

    Args:
        source: A name (`sample`, `digits`, `mnist`, `fashion_mnist`, `cifar10`, `cifar100`,
            `ecg5000`, `brain_mri`, `photos`, `movie_reviews`, `reviews_sample`, `movie_ratings`,
            `ratings_sample`, `moving_mnist`, `moving_digits`, `cmudict_letters`,
            `cmudict_phones`, `letters_sample`, `phones_sample`, `sprites`), a folder of pictures,
            a `.npy`, `.npz`, `.csv` or `.parquet` file, an array `(N, ...)`, a pair `(x, y)`, or
            a pandas table.
        section: Size, classes, window, fractions and seed of the split; None takes the defaults.
        modality: What the rows are: `image`, `features`, `series`, `tokens` or `video`; a tuple
            names what a model takes, the preferred one first; None takes what the source says or
            looks like.
        memory_limit: Bytes up to which a role's rows are held in memory.
        **overrides: Of the section, such as `image_size=32` or `validation=0.2`.

    Returns:
        The data set. Pictures are uint8 `(height, width, channels)` from 0 to 255, features
        float32 `(features,)`, series float32 `(time, channels)`, tokens int32 `(time,)`, films
        uint8 `(time, height, width, channels)`.

    Raises:
        ZooError: For data that do not exist, cannot be read or cannot be trained on.

    Example:
        >>> load("sample", validation=0.2)
        <data sample: image (28, 28, 1), 1600 train, 400 validation, 500 test>
    """
    section = section or DataSection()
    if overrides:
        section = validated(DataSection, section.model_dump() | overrides, "load")
    taken = (modality,) if isinstance(modality, str) else tuple(modality or ())
    found = read(source, section, taken, memory_limit)
    refuse_unfit(found)
    if section.window is not None:
        found = windowed(found, section)
    found = in_size(in_modality(found, taken), section.image_size, section.channels)
    return assemble(found, section, memory_limit)
