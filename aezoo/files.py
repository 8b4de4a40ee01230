"""Files that are written whole or not at all, and the error for those that are not there."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from aezoo.errors import ZooError, closest_match


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it if the block ends without an error.

    Example:
        >>> folder = Path(tempfile.mkdtemp())
        >>> with whole_file(folder / "a.txt") as part:
        ...     _ = part.write_text("whole")
        >>> (folder / "a.txt").read_text(), len(list(folder.iterdir()))
        ('whole', 1)
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays: Keras and NumPy look at it.
    handle, name = tempfile.mkstemp(prefix=".part-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        part.chmod(0o666 & ~umask())  # a temporary file is private; this one is not
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def umask() -> int:
    """Return the permissions that new files of this process lack."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def missing(path: Path) -> ZooError:
    """Return the error for a path where nothing is, with the neighbour that was probably meant."""
    near = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    return ZooError(
        "There is no file or folder of this name.",
        received=str(path),
        closest=closest_match(path.name, near),
    )


def require_paths(*paths: Path) -> None:
    """Refuse paths where nothing is.

    Raises:
        ZooError: For the first of them.
    """
    for path in paths:
        if not path.exists():
            raise missing(path)


def require_apart(source: Path, out: Path) -> None:
    """Refuse an output that is a file, or would be taken for data by the next run.

    Raises:
        ZooError: If `out` is a file, or lies inside `source`.
    """
    if out.is_file():
        raise ZooError("This is a file; --out names a folder.", received=str(out))
    if out.resolve().is_relative_to(source.resolve()):
        raise ZooError(
            "The output lies inside the input: the next run would take its pictures for data.",
            received=str(out),
            do="Choose another --out.",
        )


def require_new_folder(path: Path, do: str) -> None:
    """Refuse an output folder in which something stands already.

    Raises:
        ZooError: With `do` as the advice.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ZooError(
            "The output folder exists already and is not empty.", received=str(path), do=do
        )


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")
