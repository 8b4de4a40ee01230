"""A folder that appears whole or not at all."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from aezoo.errors import ZooError
from aezoo.export.manifest import FILE_NAME
from aezoo.files import umask


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
        part.chmod(0o777 & ~umask())  # mkdtemp lets the owner alone in
        yield part
        _flush(part)
        _refuse_taken(path, overwrite)  # something may have come since
        _place(part, path, overwrite)
    except BaseException as error:
        if part is not None:
            _remove(part)
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
    is_folder = path.is_dir() and not path.is_symlink()
    own = _listed(path) if is_folder else set()
    if not is_folder or not (own or not any(path.iterdir())):
        raise ZooError(
            "overwrite=True replaces bundles only, and this is none.",
            received=str(path),
            do="Choose another folder.",
        )
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if (file.is_symlink() or not file.is_dir()) and name not in own:
            raise ZooError(
                "The bundle there holds a file that is none of its own; overwrite would delete it.",
                received=str(file),
                do="Move the file away, or choose another folder.",
            )


def _listed(folder: Path) -> set[str]:
    """Return the files of the bundle in this folder, its manifest included; none if it is none."""
    try:
        values = json.loads((folder / FILE_NAME).read_bytes())
        version, digest, files = (values[k] for k in ("schema_version", "content_digest", "files"))
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    kinds = ((version, int), (digest, str), (files, dict))
    whole = all(isinstance(value, kind) for value, kind in kinds)
    return {FILE_NAME, *files} if whole else set()


def _place(part: Path, path: Path, overwrite: bool) -> None:
    """Give the new folder its name; whatever stops this, the old or the new one stands there."""
    if not overwrite or not path.exists():
        part.rename(path)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.old-", dir=path.parent))
    try:
        path.rename(old)  # onto an empty folder
        part.rename(path)
    finally:
        if not part.exists():  # the new one stands
            _remove(old)
        elif not os.path.lexists(path):
            old.rename(path)
        else:  # the old one never moved; were it not empty, it would stay
            with contextlib.suppress(OSError):
                old.rmdir()


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder, ignore_errors=True)
    finally:  # Ctrl-C in the middle: finish first
        shutil.rmtree(folder, ignore_errors=True)


def _flush(folder: Path) -> None:
    """Make sure that every file is on the disk before the folder gets its name."""
    for path in [*folder.rglob("*"), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
