"""A folder that appears whole or not at all."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from aezoo.errors import ZooError
from aezoo.export.manifest import FILE_NAME


@contextlib.contextmanager
def whole_folder(path: Path, overwrite: bool) -> Iterator[Path]:
    """Yield a temporary folder beside `path` that takes its name if the block ends without error.

    Args:
        path: Where the folder is wanted; its parents are made.
        overwrite: Whether a bundle that stands there is replaced. It is untouched until the new
            one is complete.

    Raises:
        ZooError: If something stands at `path` and may not be replaced, or the disk is full.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100  resolve() would follow a link at the end
    _refuse_taken(path, overwrite)
    made = [parent for parent in path.parents if not parent.exists()]
    part = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{path.name}.part-", dir=path.parent))
        part.chmod(0o777 & ~_umask())  # mkdtemp lets the owner alone in
        yield part
        _flush(part)
        _swap(part, path)
    except BaseException as error:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
        for parent in made:
            with contextlib.suppress(OSError):
                parent.rmdir()
        if isinstance(error, OSError):
            raise ZooError(
                f"The bundle cannot be written: {error.strerror or error}.",
                received=str(path),
                do="Nothing was left behind. Make room, or choose another place.",
            ) from error
        raise


def _refuse_taken(path: Path, overwrite: bool) -> None:
    if not os.path.lexists(path):
        return
    if not overwrite:
        raise ZooError(
            "The output folder exists already.",
            received=str(path),
            do="Choose another one, or replace the bundle there with overwrite=True.",
        )
    is_bundle = path.is_dir() and not path.is_symlink() and (path / FILE_NAME).is_file()
    if not is_bundle and not (path.is_dir() and not any(path.iterdir())):
        raise ZooError(
            "overwrite=True replaces bundles only, and this is none.",
            received=str(path),
            do="Choose another folder.",
        )


def _swap(part: Path, path: Path) -> None:
    if not path.exists():
        part.rename(path)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.old-", dir=path.parent))
    path.rename(old)  # onto an empty folder
    try:
        part.rename(path)
    except BaseException:
        old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _flush(folder: Path) -> None:
    """Make sure that every file is on the disk before the folder gets its name."""
    for path in [*folder.rglob("*"), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
