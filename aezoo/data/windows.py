"""A table of one long series becomes many overlapping windows."""

import numpy as np

from aezoo.config import DataSection
from aezoo.data.rows import Mapped
from aezoo.data.source import Part, Source
from aezoo.data.splits import missing_fractions, split_in_time
from aezoo.errors import ZooError


def windowed(source: Source, section: DataSection) -> Source:
    """Cut the time steps of a table into windows `(window, columns)`.

    The time steps are dealt to the roles first, in time order, and windows are cut inside a role,
    so that no window holds a time step of another role. A window's position in the source is its
    first time step; its label, where time steps have one, is the highest in it.

    Args:
        source: Of modality `features`: a row is a time step.
        section: Its `window` and `stride` (None means 1) and the fractions of the roles.

    Raises:
        ZooError: For labels in words, or fewer training rows than a window.

    Example:
        >>> from aezoo.data import load
        >>> data = load(np.arange(20.0), window=4, stride=2, validation=0.2)
        >>> data.train.array()[:3, :, 0].tolist()
        [[0.0, 1.0, 2.0, 3.0], [2.0, 3.0, 4.0, 5.0], [4.0, 5.0, 6.0, 7.0]]
        >>> data.validation.index.tolist(), data.test is None  # 2 steps are no window of 4
        ([14], True)
    """
    window, stride = section.window, section.stride or 1
    if source.class_names is not None and any(p.labels is not None for p in source.parts.values()):
        raise ZooError(
            "Labels in words have no order, so a window of several has no label.",
            received=", ".join(source.class_names.values()),
            do="Give numbers (0 normal, 1 not), or remove the column.",
        )
    source.number()
    parts = dict(source.parts)
    whole = parts.pop("train")
    steps = len(whole.x)
    for role, span in split_in_time(steps, missing_fractions(source, section)).items():
        parts[role] = whole.pick(np.arange(steps)[span])
    cut = {role: _cut(part, window, stride) for role, part in parts.items()}
    if not len(cut["train"].x):
        raise ZooError(
            f"No training window: {len(parts['train'].x)} of {steps} time steps are for training, "
            f"a window takes {window}.",
            received=window,
            do="Choose a smaller window, or give a longer series.",
        )
    spans = [
        f"{role} {len(cut[role].x)} (time steps {part.index[0]} to {part.index[-1]})"
        for role, part in sorted(parts.items(), key=lambda item: _start(item[1]))
        if len(part.x)
    ]
    note = f"Windows of {window} time steps, stride {stride}: {', '.join(spans)}."
    notes = [*source.notes, note]
    if any(part.labels is not None for part in parts.values()):
        notes.append("A window has the highest label of its time steps.")
    short = [role for role, part in cut.items() if not len(part.x)]
    if short:
        notes.append(f"Too few time steps for a window: there are no {' or '.join(short)} rows.")
    cut = {role: part for role, part in cut.items() if len(part.x)}
    return Source(
        source.name,
        source.origin,
        cut,
        "series",
        None,
        notes,
        complete=True,
        columns=source.columns,
        row_names=source.row_names,
    )


def _start(part: Part) -> int:
    return int(part.index[0]) if len(part.x) else -1


def _cut(part: Part, window: int, stride: int) -> Part:
    x = part.x
    if len(x) < window:
        return part.pick(np.arange(0))
    if isinstance(x, Mapped):  # its positions are one stretch of time
        table, dtype = x.source[x.positions[0] : x.positions[-1] + 1], x.dtype
    else:
        table, dtype = x, x.dtype
    table = table.reshape(len(table), *x.shape[-1:])
    views = _views(table, window)[::stride]  # (N, window, columns), nothing is copied
    labels = part.labels
    if labels is not None:
        labels = _views(labels, window)[::stride].max(axis=1)
    return Part(
        Mapped(views, dtype=dtype), labels, index=part.index[: len(x) - window + 1 : stride]
    )


def _views(values: np.ndarray, window: int) -> np.ndarray:
    views = np.lib.stride_tricks.sliding_window_view(values, window, axis=0)
    return np.moveaxis(views, -1, 1)
