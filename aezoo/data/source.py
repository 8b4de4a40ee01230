"""What every loader hands over: the parts of a source as they were found, not yet split."""

import dataclasses
from typing import Any

import numpy as np

from aezoo.data.rows import Store


@dataclasses.dataclass
class Part:
    """Some rows: `x` `(N, ...)`, classes `(N,)`, other targets `(N, ...)`.

    Attributes:
        x: The rows.
        labels: Classes.
        targets: What to predict where it is not the input.
        groups: `(N,)` which rows must share a role, such as the tiles of one picture.
        index: `(N,)` positions in the source, where they do not count from 0.
    """

    x: np.ndarray | Store
    labels: np.ndarray | None = None
    targets: np.ndarray | None = None
    groups: np.ndarray | None = None
    index: np.ndarray | None = None


@dataclasses.dataclass
class Source:
    """A source as it was found.

    Attributes:
        name: What a person calls it.
        origin: Where it came from, for the record: a name, a path, or `<array>`.
        parts: By role; always has `train`. Parts that the source does not separate are split off.
        modality: What the rows are: `image`, `features`, `series` or `tokens`.
        class_names: From label to name.
        notes: Sentences worth printing.
    """

    name: str
    origin: str
    parts: dict[str, Part]
    modality: str
    class_names: dict[int, str] | None = None
    notes: list[str] = dataclasses.field(default_factory=list)
    details: dict[str, Any] = dataclasses.field(default_factory=dict)
