"""What every loader hands over: the parts of a source as they were found, not yet split."""

import dataclasses

import numpy as np

from aezoo.data.rows import Store
from aezoo.specs import PictureRule


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

    def pick(self, positions: np.ndarray) -> "Part":
        """Return the part's rows at these positions."""

        def of(values):
            return None if values is None else values[positions]

        x = self.x[positions] if isinstance(self.x, np.ndarray) else self.x.take(positions)
        return Part(x, of(self.labels), of(self.targets), of(self.groups), of(self.index))


@dataclasses.dataclass
class Source:
    """A source as it was found.

    Attributes:
        name: What a person calls it.
        origin: Where it came from, for the record: a name, a path, or `<array>`.
        parts: By role; always has `train`. Parts that the source does not separate are split off.
        modality: What the rows are: `video`, `image`, `features`, `series` or `tokens`.
        class_names: From label to name.
        notes: Sentences worth printing.
        complete: Whether its roles are dealt already, so that nothing more is split off.
        pictures: How picture files became rows, None if there were none.
        row_names: What the rows are called, by their position in the source; None where they have
            numbers only.
        columns: What the columns of a table are called, None where they have numbers only.
    """

    name: str
    origin: str
    parts: dict[str, Part]
    modality: str
    class_names: dict[int, str] | None = None
    notes: list[str] = dataclasses.field(default_factory=list)
    complete: bool = False
    pictures: PictureRule | None = None
    row_names: list[str] | None = None
    columns: list[str] | None = None

    def number(self) -> None:
        """Number the rows through all parts, so that no two rows share a position."""
        start = 0
        for part in self.parts.values():
            if part.index is None:
                part.index = np.arange(start, start + len(part.x))
            start += len(part.x)
