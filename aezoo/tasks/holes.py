"""Missing cells: where they are, what stands in them at first, and holes made to learn from."""

import contextlib

import numpy as np

from aezoo.data.arrays import as_modality
from aezoo.errors import ZooError

_SHARES = (0.1, 0.6)  # of the cells of a complete row that are hidden in training


def rows_and_known(X, missing=None, modality: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return rows as a modality has them, and which of their cells are known.

    Args:
        X: Rows in user units (N, ...); NaN is missing.
        missing: True where a cell is missing, of the shape of X; None takes the NaN alone.
        modality: `image`, `series` or `features`; None keeps the axes.

    Returns:
        Rows, 0 in missing cells, float32 where a modality is named; booleans of the same shape.

    Raises:
        ZooError: For infinite values, text, or a mask of another shape.

    Example:
        >>> rows, known = rows_and_known([[1.0, float("nan")]])
        >>> rows.tolist(), known.tolist()
        ([[1.0, 0.0]], [[True, False]])
    """
    rows = np.asarray(X)
    if rows.dtype.kind == "O":
        with contextlib.suppress(TypeError, ValueError):  # said below
            rows = rows.astype("float64")
    if rows.dtype.kind not in "buif" or rows.ndim < 2:
        raise ZooError(
            "Rows are numbers, (N, ...), with NaN where one is missing.",
            received=f"{rows.dtype}, {rows.shape}",
            do="Turn words into numbers, or leave them out; one row is x[None].",
        )
    known = ~np.isnan(rows) if rows.dtype.kind == "f" else np.ones(rows.shape, bool)
    if missing is not None:
        missing = np.asarray(missing)
        if missing.shape != rows.shape:
            raise ZooError(
                "The mask has another shape than the rows.",
                received=f"{missing.shape} for rows {rows.shape}",
                do="Give a boolean for each value, True where it is missing.",
            )
        known &= ~missing.astype(bool)
    if np.isinf(rows[known]).any():
        raise ZooError(
            "The rows hold infinity; only NaN stands for a missing cell.",
            do="Write NaN where a value is missing.",
        )
    rows = np.where(known, rows, np.zeros((), rows.dtype))
    if modality is None:
        return rows, known
    rows = as_modality(rows.astype("float32"), modality)
    return rows, known.reshape(rows.shape)


def started(rows: np.ndarray, known: np.ndarray, modality: str, centre) -> np.ndarray:
    """Return rows with a first value in each hole.

    In a table it is the centre; in series the line between the nearest known steps; in pictures
    the nearest known pixel.

    Args:
        rows: (N, ...).
        known: Booleans of the same shape.
        modality: `image`, `series`, `features`.
        centre: For tables, and for what has no known neighbour; broadcasts to a row.

    Example:
        >>> rows, known = np.array([[0.0, 9.0, 2.0]]), np.array([[True, False, True]])
        >>> started(rows[..., None], known[..., None], "series", 0.0)[0, :, 0].tolist()
        [0.0, 1.0, 2.0]
    """
    filled = np.where(known, rows, np.broadcast_to(np.asarray(centre), rows.shape))
    if modality == "features":
        return filled.astype("float32")
    near = _on_the_line if modality == "series" else _nearest_pixel
    for i in np.flatnonzero(~known.reshape(len(known), -1).all(axis=1)):
        for channel in range(rows.shape[-1]):
            seen = known[i, ..., channel]
            if seen.any():
                filled[i, ..., channel] = near(rows[i, ..., channel], seen)
    return filled.astype("float32")


def _on_the_line(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    steps = np.arange(len(values))
    return np.where(seen, values, np.interp(steps, steps[seen], values[seen]))


def _nearest_pixel(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    from scipy.ndimage import distance_transform_edt

    places = distance_transform_edt(~seen, return_distances=False, return_indices=True)
    return values[tuple(places)]


def made(known: np.ndarray, modality: str, rng: np.random.Generator) -> np.ndarray:
    """Return what stays known of each row once more of it is hidden.

    Where rows have gaps, each loses what another row lacks, so that holes are like the gaps of the
    data; in a table half of that, so that the rest is not much less than new rows have. Complete
    rows lose cells drawn one by one; of series and pictures every second row loses a stretch or a
    rectangle instead.

    Args:
        known: (N, ...), what is known; each row keeps at least one cell.
        modality: `image`, `series`, `features`.
        rng: What holes are drawn with.
    """
    count = len(known)
    gapped = np.flatnonzero(~known.reshape(count, -1).all(axis=1))
    if len(gapped) >= 0.1 * count:
        stays = known[rng.choice(gapped, count)]
        if modality == "features":
            stays |= rng.random(known.shape) < 0.5
        kept = known & stays
    else:
        shares = rng.uniform(*_SHARES, count)
        kept = known & (rng.random(known.shape) >= shares.reshape(-1, *[1] * (known.ndim - 1)))
        if modality != "features":
            for i in range(0, count, 2):
                kept[i] = known[i]
                kept[i][_box(known.shape[1:-1], shares[i], rng)] = False
    lost = ~kept.reshape(count, -1).any(axis=1)
    kept[lost] = known[lost]
    return kept


def _box(sides: tuple[int, ...], share: float, rng: np.random.Generator) -> tuple[slice, ...]:
    """Return a stretch of a series, or a rectangle of a picture, of about this share."""
    place = []
    for side in sides:
        size = max(1, round(side * share ** (1 / len(sides))))
        start = rng.integers(0, side - size + 1)
        place.append(slice(start, start + size))
    return tuple(place)
