"""From what the user calls the data to a source."""

from typing import Any

import numpy as np

from aezoo.config import DataSection
from aezoo.data import arrays, named
from aezoo.data.source import Source
from aezoo.errors import ZooError, closest_match


def read(source: Any, section: DataSection, modality: str | None, memory_limit: int) -> Source:
    """Return what `source` names, still in the parts that it came in."""
    if isinstance(source, str) and (name := named.known_name(source)):
        return in_modality(named.LOADERS[name](), modality)
    if isinstance(source, tuple) and len(source) == 2:
        return arrays.from_array(np.asarray(source[0]), np.asarray(source[1]), modality=modality)
    if isinstance(source, np.ndarray):
        return arrays.from_array(source, modality=modality)
    raise ZooError(
        "No data of this name.",
        received=source if isinstance(source, str) else type(source).__name__,
        closest=closest_match(str(source), named.LOADERS),
        do=f"Use a path or one of {', '.join(named.LOADERS)}.",
    )


def in_modality(source: Source, modality: str | None) -> Source:
    """Return the source as the model wants it: pictures and series may be flattened to features."""
    if modality in (None, source.modality):
        return source
    flattened = modality == "features"
    if not flattened and (source.modality, modality) != ("features", "series"):
        raise ZooError(
            f"The model takes {modality}, but {source.name} holds {source.modality}.",
            received=source.name,
            do=f"Choose data of {modality}, or a model for {source.modality}.",
        )
    shape = source.parts["train"].x.shape
    for part in source.parts.values():
        part.x = arrays.as_modality(part.x, modality)
    source.notes.append(
        f"Rows of shape {shape[1:]} were flattened to features."
        if flattened
        else "Each row of the table is taken as one series of one channel."
    )
    source.modality = modality
    return source
