"""Rows in the form that a model asks for: another modality, another picture size."""

import numpy as np
from PIL import Image

from aezoo.data.arrays import as_modality
from aezoo.data.rows import Mapped, chunks
from aezoo.data.source import Source
from aezoo.errors import ZooError


def in_modality(source: Source, modality: str | None) -> Source:
    """Flatten rows to features, or take each row of a table as one series, where a model needs it.

    Raises:
        ZooError: For any other change of modality.
    """
    if modality in (None, source.modality):
        return source
    flattened = modality == "features" and source.modality in ("image", "series")
    if not flattened and (source.modality, modality) != ("features", "series"):
        raise ZooError(
            f"The model takes {modality}, but {source.name} holds {source.modality}.",
            received=source.name,
            do=f"Choose data that are {modality}, or a model for {source.modality}.",
        )
    x = source.parts["train"].x
    if not isinstance(x, np.ndarray | Mapped):
        raise ZooError(
            "Pictures that are read from their files cannot be flattened to features.",
            received=source.name,
            do="Choose a smaller image_size, or raise memory_limit.",
        )
    shape = tuple(x.shape[1:] if isinstance(x, np.ndarray) else x.shape)
    for part in source.parts.values():
        part.x = as_modality(part.x, modality)
    source.modality = modality
    source.notes.append(
        f"Rows of shape {shape} are flattened to features."
        if flattened
        else "Each row of the table is taken as one series of one channel."
    )
    return source


def resized(source: Source, size: int | None) -> Source:
    """Resize pictures of an array to `(size, size, channels)`; those of a folder have it already.

    Raises:
        ZooError: For pictures that are not uint8, or have masks.
    """
    x = source.parts["train"].x
    if size is None or source.modality != "image":
        return source
    shape = tuple(x.shape[-3:])
    if shape[:2] == (size, size):
        return source
    if x.dtype != np.uint8 or source.parts["train"].targets is not None:
        raise ZooError(
            "data.image_size resizes 8-bit pictures without masks.",
            received=f"{shape} {x.dtype}",
            do="Leave image_size out, or resize before loading.",
        )
    for part in source.parts.values():
        part.x = np.concatenate([_resize(rows, size) for rows in chunks(part.x)])
    source.notes.append(f"Pictures of {shape[1]}x{shape[0]} were resized to {size}x{size}.")
    return source


def _resize(rows: np.ndarray, size: int) -> np.ndarray:
    out = np.empty((len(rows), size, size, rows.shape[-1]), np.uint8)
    for row, place in zip(rows, out, strict=True):
        for channel in range(rows.shape[-1]):
            picture = Image.fromarray(np.ascontiguousarray(row[..., channel]))
            place[..., channel] = picture.resize((size, size), Image.Resampling.BICUBIC)
    return out
