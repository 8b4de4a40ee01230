"""Values that nothing can be learned from, or that break training, are refused where they enter."""

import numpy as np

from aezoo.data.rows import chunks
from aezoo.data.source import Source
from aezoo.errors import ZooError


def refuse_unfit(source: Source) -> None:
    """Read everything once, a part at a time.

    Raises:
        ZooError: For values that are not finite, negative tokens, and data in which all training
            values are equal.
    """
    for role, part in source.parts.items():
        for name, values in (("rows", part.x), ("targets", part.targets)):
            if values is not None and np.dtype(values.dtype).kind == "f":
                _refuse_non_finite(values, f"{role} {name}")
        if source.modality == "tokens":
            _refuse_negative(part.x)
    _refuse_constant(source)


def _refuse_non_finite(values, what: str) -> None:
    start = 0
    for rows in chunks(values):
        bad = ~np.isfinite(rows)
        if bad.any():
            place = np.argwhere(bad)[0]
            raise ZooError(
                f"The {what} hold values that are not finite: the first in row "
                f"{start + int(place[0])}.",
                received=float(rows[tuple(place)]),
                do="Remove such rows or fill the gaps before loading.",
            )
        start += len(rows)


def _refuse_negative(tokens) -> None:
    for rows in chunks(tokens):
        if rows.size and rows.min() < 0:
            raise ZooError(
                "Tokens are numbers from 0.",
                received=int(rows.min()),
                do="Number the tokens from 0; 0 is usually the padding.",
            )


def _refuse_constant(source: Source) -> None:
    value = None
    for rows in chunks(source.parts["train"].x):
        if rows.size == 0:
            continue
        value = rows.flat[0] if value is None else value
        if np.any(rows != value):
            return
    if value is not None:  # no rows at all: said where rows are counted
        raise ZooError(
            "The data are constant: every value is the same, so there is nothing to learn.",
            received=value.item(),
            do="Check that the right columns, keys or pictures were loaded.",
        )
