"""Rows in the form that a model asks for: another modality, another picture size."""

import numpy as np
from PIL import Image

from aezoo.data.arrays import as_modality
from aezoo.data.rows import Mapped, chunks
from aezoo.data.source import Source
from aezoo.errors import ZooError
from aezoo.specs import PictureRule


def in_modality(source: Source, taken: tuple[str, ...]) -> Source:
    """Flatten rows to features, or take each row of a table as one series, where a model needs it.

    Raises:
        ZooError: For any other change of modality.
    """
    if not taken or source.modality in taken:
        return source
    flattened = "features" in taken and source.modality in ("image", "series")
    modality = "features" if flattened else "series"
    if not flattened and (source.modality != "features" or "series" not in taken):
        raise ZooError(
            f"The model takes {' or '.join(taken)}, but {source.name} holds {source.modality}.",
            received=source.name,
            do=f"Choose data that are {taken[0]}, or a model for {source.modality}.",
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
    source.columns = None  # of features, which each series was made of
    source.notes.append(
        f"Rows of shape {shape} are flattened to features."
        if flattened
        else "Each row of the table is taken as one series of one channel."
    )
    return source


def in_size(source: Source, size: int | None, channels: int | None) -> Source:
    """Bring pictures of an array to `(size, size, channels)`; those of a folder have it already.

    Args:
        source: Of any modality; only pictures are changed.
        size: Width and height; None keeps them.
        channels: 1 or 3; None keeps them.

    Raises:
        ZooError: For pictures that are not 8-bit grey or colour, or have masks.
    """
    x = source.parts["train"].x
    height, width, depth = x.shape[-3:] if source.modality == "image" else (0, 0, 0)
    wanted = (size or height, size or width, channels or depth)
    if source.modality != "image" or wanted == (height, width, depth):
        return source
    masks = any(part.targets is not None for part in source.parts.values())
    if x.dtype != np.uint8 or depth not in (1, 3) or masks:
        raise ZooError(
            "data.image_size and data.channels change 8-bit grey or colour pictures without masks.",
            received=f"{(height, width, depth)}, {x.dtype}{', masks' if masks else ''}",
            do="Leave them out, or change the pictures before loading.",
        )
    for part in source.parts.values():
        part.x = np.concatenate([_changed(rows, wanted) for rows in chunks(part.x)])
    source.pictures = PictureRule("fit")  # what `_changed` does
    source.notes.append(
        f"Pictures of shape {(height, width, depth)} were changed to {tuple(wanted)}."
    )
    return source


def _changed(rows: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    out = np.empty((len(rows), *shape), np.uint8)
    size = shape[1::-1]  # Pillow counts width first
    for row, place in zip(rows, out, strict=True):
        picture = Image.fromarray(row[..., 0] if row.shape[-1] == 1 else row)
        picture = picture.convert("L" if shape[-1] == 1 else "RGB")
        if picture.size != size:
            picture = picture.resize(size, Image.Resampling.BICUBIC)
        place[:] = np.asarray(picture).reshape(shape)
    return out
