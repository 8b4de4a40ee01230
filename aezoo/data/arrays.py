"""Arrays: what their shape and type mean, and whether they can be trained on."""

from pathlib import Path

import numpy as np

from aezoo.data.rows import Mapped, Store, chunks
from aezoo.data.source import Part, Source
from aezoo.errors import ZooError, require_known

MODALITIES = ("image", "features", "series", "tokens", "video")
_NARROWEST = 8  # pixels; (140, 1) may be a picture or a series, and is a series
_ROLE_KEYS = {
    "x": "train",
    "x_train": "train",
    "x_val": "validation",
    "x_validation": "validation",
    "x_calibration": "calibration",
    "x_test": "test",
}
_AXES = {
    "image": "pictures (N, height, width) or (N, height, width, channels)",
    "features": "a table (N, features)",
    "series": "series (N, time) or (N, time, channels)",
    "tokens": "integer tokens (N, time)",
    "video": "films (N, time, height, width, channels)",
}


def from_arrays(
    given: dict[str, tuple[np.ndarray, np.ndarray | None]],
    taken: tuple[str, ...] = (),
    *,
    origin: str = "<array>",
) -> Source:
    """Return the source of arrays.

    Args:
        given: Role -> `x` `(N, ...)`, numeric, and `y`: `(N,)` classes (integers or words),
            `(N, ...)` targets such as masks, or None.
        taken: The modalities that the model takes; the first that the rows fit is chosen. Empty
            guesses from shape and type and says so.
        origin: For the record.

    Raises:
        ZooError: For text, objects, or a shape that the modality does not have.
    """
    notes: list[str] = []
    first = next(iter(given.values()))[0]
    _refuse_non_numbers(first)
    fitting = [m for m in taken if shape_in(m, first.shape[1:]) is not None]
    if first.ndim == 3 and min(first.shape[1:]) < _NARROWEST and fitting[1:]:
        fitting = [m for m in fitting if m != "image"]
    modality = fitting[0] if fitting else taken[0] if taken else _guess(first)
    if not taken:
        notes.append(f"Rows of shape {first.shape[1:]}, {first.dtype}, are taken as {modality}.")
    parts, names = {}, None
    whole = [y for _, y in given.values() if y is not None and _is_labels(y)]
    if whole:
        names = _class_names(whole)
    for role, (x, y) in given.items():
        _refuse_non_numbers(x)
        part = Part(as_modality(x, modality))
        if y is not None:
            if len(y) != len(x):
                raise ZooError(
                    f"There are {len(x)} rows and {len(y)} labels or targets.",
                    do="Give one per row.",
                )
            if _is_labels(y):
                part.labels = _encode(y, names)
            else:
                kind = {"f": "float32", "b": "uint8"}.get(y.dtype.kind, y.dtype)
                part.targets = np.ascontiguousarray(y, kind)
        parts[role] = part
    return Source(origin, origin, parts, modality, names, notes)


def _refuse_non_numbers(x: np.ndarray) -> None:
    if x.dtype.kind not in "buif":
        raise ZooError(
            "The array does not hold numbers.",
            received=str(x.dtype),
            do="Convert it to uint8 pictures or to float32.",
        )
    if x.ndim < 2:
        raise ZooError(
            "The array has no row axis: it needs at least the axes (N, features).",
            received=x.shape,
            do="Use x[:, None] for one feature per row, or window=... for one long series.",
        )


def _guess(x: np.ndarray) -> str:
    if x.ndim == 2:
        return "features"
    if x.ndim == 3 and x.dtype.kind == "f":
        return "series"
    return "video" if x.ndim == 5 else "image"


def _is_labels(y: np.ndarray) -> bool:
    if y.ndim == 1 or (y.ndim == 2 and y.shape[1] == 1 and y.dtype.kind in "iuUSO"):
        if y.dtype.kind == "f" and not np.array_equal(y, np.round(y)):
            raise ZooError(
                "The second array holds real numbers, one per row; labels are classes.",
                received=float(y[y != np.round(y)][0]),
                do="Leave it out, or give integers or words; an autoencoder's target is its input.",
            )
        return True
    return False


def _class_names(labels: list[np.ndarray]) -> dict[int, str] | None:
    values = np.unique(np.concatenate([np.ravel(y) for y in labels]).astype(str))
    if labels[0].dtype.kind in "buif":
        return None
    return {number: str(word) for number, word in enumerate(values)}


def _encode(y: np.ndarray, names: dict[int, str] | None) -> np.ndarray:
    y = np.ravel(y)
    if names is None:
        return y.astype("int64")
    numbers = {word: number for number, word in names.items()}
    return np.array([numbers[str(word)] for word in y], "int64")


def as_modality(x: np.ndarray | Store, modality: str) -> np.ndarray | Store:
    """Return rows with the axes and the type that their modality has.

    Pictures get a channel axis, series a channel axis; integer pictures from 0 to 255 become
    uint8, tokens int32, all else float32.

    Raises:
        ZooError: For a shape that the modality does not have.

    Example:
        >>> as_modality(np.zeros((5, 140)), "series").shape
        (5, 140, 1)
    """
    require_known("modality", modality, MODALITIES)
    shape = tuple(x.shape[1:]) if isinstance(x, np.ndarray) else tuple(x.shape)
    wanted = shape_in(modality, shape)
    dtype = _dtype(x, modality)
    if wanted is None or dtype is None:
        raise ZooError(
            f"These rows are no {modality}: that needs {_AXES[modality]}.",
            received=f"rows of shape {shape}, {x.dtype}",
            do="Reshape them, or choose a model for such rows.",
        )
    if isinstance(x, np.memmap):
        return Mapped(x, shape=wanted, dtype=dtype)
    if isinstance(x, Mapped):
        return Mapped(x.source, x.positions, shape=wanted, dtype=dtype)
    with np.errstate(over="ignore"):  # what overflows is refused as infinite
        return np.ascontiguousarray(x.reshape(len(x), *wanted).astype(dtype, copy=False))


def shape_in(modality: str, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the shape that a row of this shape has in a modality, None if it has none.

    Example:
        >>> shape_in("image", (28, 28)), shape_in("image", (140,)), shape_in("series", (140,))
        ((28, 28, 1), None, (140, 1))
    """
    by_rank = {
        "image": {2: (*shape, 1), 3: shape},
        "features": {n: (int(np.prod(shape)),) for n in range(1, 5)},
        "series": {1: (*shape, 1), 2: shape},
        "tokens": {1: shape},
        "video": {4: shape},
    }
    return by_rank.get(modality, {}).get(len(shape))


def _dtype(x: np.ndarray | Store, modality: str) -> str | None:
    if modality == "tokens":
        return "int32" if np.dtype(x.dtype).kind in "iu" else None
    if modality in ("image", "video"):
        if x.dtype == np.uint8:
            return "uint8"
        if np.dtype(x.dtype).kind in "iu" and len(x):
            bounds = [(part.min(), part.max()) for part in chunks(x)]
            if min(b[0] for b in bounds) >= 0 and max(b[1] for b in bounds) <= 255:
                return "uint8"
    return "float32"


def read_npy(path: Path) -> np.memmap:
    """Map the array in a `.npy` file; nothing is read yet."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise ZooError(
            f"{path} cannot be read: {str(error).splitlines()[0]}",
            do="Write it with numpy.save, as an array of numbers.",
        ) from None


def read_npz(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Return role -> (x, y) of a file with the keys `x` or `x_train`, `x_validation`, `x_test`.

    A file with a single array may call it anything. `y`, `y_train`, ... are classes `(N,)` or
    targets `(N, ...)`.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key.lower(): archive[key] for key in archive.files}
    except Exception as error:  # zip, zlib, header and pickle errors alike
        raise ZooError(
            f"{path} cannot be read: {str(error).splitlines()[0]}",
            do="Write it with numpy.savez, as arrays of numbers.",
        ) from None
    if len(arrays) == 1:
        return {"train": (next(iter(arrays.values())), None)}
    given = {
        role: (arrays[key], arrays.get("y" + key[1:]))
        for key, role in _ROLE_KEYS.items()
        if key in arrays
    }
    if "train" not in given:
        raise ZooError(
            f"{path} has no array 'x' or 'x_train'.",
            received=", ".join(arrays) or "an empty file",
            do="Save it with the keys x (or x_train, x_validation, x_test) and, for classes or "
            "masks, y (or y_train, ...).",
        )
    return given
