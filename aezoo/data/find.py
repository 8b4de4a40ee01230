"""From what the user calls the data to a source."""

from pathlib import Path
from typing import Any

import numpy as np

from aezoo.config import DataSection
from aezoo.data import arrays, folders, named, pictures, tables
from aezoo.data.source import Source
from aezoo.errors import ZooError, closest_match


def require_found(source: str) -> None:
    """Refuse what names neither a data set nor a path; reads nothing.

    Raises:
        ZooError: With the closest name.

    Example:
        >>> require_found("digits")
    """
    if not (named.known_name(source) or (source.strip() and Path(source).expanduser().exists())):
        raise _unknown(source)


def read(source: Any, section: DataSection, taken: tuple[str, ...], memory_limit: int) -> Source:
    """Return what `source` names, still in the parts that it came in.

    With a window, the rows returned are time steps: features. `taken` are the modalities that the
    model takes, the preferred one first; empty for any.
    """
    if isinstance(source, Source):
        return source
    if section.window is not None:
        taken = ("features",)
    if isinstance(source, str) and not source.strip():
        raise _unknown(source)  # as a path it would be the current folder
    if isinstance(source, str) and (name := named.known_name(source)):
        found = named.LOADERS[name]()
        if Path(source).exists():
            found.notes.append(f"{source} is the data set; write ./{source} for the path.")
    elif isinstance(source, str | Path):
        found = _from_path(Path(source).expanduser(), section, taken, memory_limit)
    elif type(source).__name__ == "DataFrame":
        found = tables.from_frame(source)
    else:
        found = arrays.from_arrays(_pairs(source, section), taken)
    if section.image_fit is not None and found.pictures is None:
        found.notes.append("data.image_fit is for picture files; these rows came as an array.")
    if section.window is not None and found.modality != "features":
        raise ZooError(
            "data.window cuts a table of time steps into windows; this is no such table.",
            received=f"{found.name}: {found.modality} {found.parts['train'].x.shape[1:]}",
            do="Leave data.window out, or give a table (N, columns).",
        )
    return found


def _from_path(
    path: Path, section: DataSection, taken: tuple[str, ...], memory_limit: int
) -> Source:
    if not path.exists():
        raise _unknown(path)
    kind = path.suffix.lower()
    if path.is_dir() or pictures.is_picture(path):
        return folders.from_folder(path, section, memory_limit)
    if kind in tables.SUFFIXES:
        return tables.from_table_file(path)
    if kind in (".npy", ".npz"):
        given = (
            arrays.read_npz(path) if kind == ".npz" else {"train": (arrays.read_npy(path), None)}
        )
        given = {role: (_steps(x, section), y) for role, (x, y) in given.items()}
        found = arrays.from_arrays(given, taken, origin=str(path))
        found.name = path.stem
        return found
    raise ZooError(
        "Files of this kind are not known.",
        received=str(path),
        do=f"Give a folder of pictures ({pictures.FORMAT_NAMES}), or a .npy, .npz, .csv, .tsv "
        "or .parquet file.",
    )


def _pairs(source: Any, section: DataSection) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Read an array, a pair (x, y), or Keras' two pairs for train and test."""
    if isinstance(source, np.ndarray):
        return {"train": (_steps(source, section), None)}
    if isinstance(source, tuple) and len(source) == 2:
        if all(isinstance(pair, tuple) and len(pair) == 2 for pair in source):
            roles = zip(("train", "test"), source, strict=True)
            return {role: (_steps(np.asarray(x), section), np.asarray(y)) for role, (x, y) in roles}
        x, y = map(np.asarray, source)
        return {"train": (_steps(x, section), y)}
    raise ZooError(
        "Data of this type cannot be loaded.",
        received=type(source).__name__,
        do="Give a name, a path, a numpy array, a pair (x, y) or a pandas table.",
    )


def _steps(x: np.ndarray, section: DataSection) -> np.ndarray:
    """Give one long series its axis of columns."""
    return x.reshape(-1, 1) if section.window is not None and x.ndim == 1 else x


def _unknown(source: str | Path) -> ZooError:
    word, path = str(source), Path(source)
    neighbours = []
    if len(path.parts) > 1 and path.parent.is_dir():
        neighbours = [str(path.parent / p.name) for p in path.parent.iterdir()]
    return ZooError(
        "There is no data set, file or folder of this name.",
        received=word,
        closest=closest_match(word, [*named.LOADERS, *named.ALIASES, *neighbours]),
        do=f"Use one of {', '.join(named.LOADERS)}, or the path of a folder or file.",
    )
