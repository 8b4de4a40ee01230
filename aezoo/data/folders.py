"""Folders of pictures: subfolders are classes, or roles."""

import os
from collections import Counter
from pathlib import Path

import numpy as np

from aezoo.config import DataSection
from aezoo.data import pictures
from aezoo.data.image_files import IMAGE_SIZE, ImageFiles
from aezoo.data.rows import size_text
from aezoo.data.source import Part, Source
from aezoo.errors import ZooError

_ROLE_FOLDERS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "calibration": "calibration",
    "test": "test",
}
_ENOUGH_PICTURES = 10  # to keep the tiles of one picture in one role


def from_folder(path: Path, section: DataSection, memory_limit: int) -> Source:
    """Return the pictures in a folder, or one picture file that is large enough to be tiled.

    Subfolders `train`, `validation`, `test` are roles if nothing else lies beside them; other
    subfolders are classes if every picture lies in one. Pictures are decoded at once where they
    fit into `memory_limit` bytes, else read again in each epoch.

    Raises:
        ZooError: For a folder that is empty or has no pictures, one picture only, or pictures
            that cannot be decoded.
    """
    root = path if path.is_dir() else path.parent
    files, others = list_files(path) if path.is_dir() else ([path], [])
    if not files:
        raise _no_pictures(path, others)
    images = ImageFiles(
        files,
        size=section.image_size or IMAGE_SIZE,
        fit=section.image_fit,
        channels=section.channels,
        stride=section.stride,
    )
    if len(images) == 1:
        raise ZooError(
            "There is one picture only; training needs at least 2 rows.",
            received=str(files[0]),
            do="Give more pictures, or one so large that it can be cut into tiles "
            f"(image_size={images.width} needs {4 * images.width} pixels each way) with "
            "image_fit=tile.",
        )
    notes = [images.note()]
    if images.with_frames:
        notes.append(f"Files of several frames, of which the first is used: {images.with_frames}.")
    if images.deep_white is not None:
        notes.append(f"Pictures deeper than 8 bits were scaled: {images.deep_white:g} is white.")
    if others:
        kinds = ", ".join(sorted({f.suffix or f.name for f in others})[:5])
        notes.append(f"Ignored files that are no pictures: {len(others)} ({kinds}).")
    whole = Part(_in_memory(images, memory_limit, notes))
    if images.fit == "tile":
        if len(files) >= _ENOUGH_PICTURES:
            whole.groups = images.members
        else:
            whole.groups = images.blocks()
            notes.append("Tiles of one picture may play several roles: the pictures are few.")
    parts, names = _parts(whole, [f.relative_to(root) for f in files], images.members)
    name = path.resolve().name
    row_names = images.names(root)
    return Source(
        name, str(path), parts, "image", names, notes, pictures=images.rule(), row_names=row_names
    )


def list_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the pictures and the other files below a folder, hidden ones left out, sorted."""
    found = []
    for directory, subfolders, names in os.walk(folder, followlinks=True):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        found += [Path(directory) / name for name in names if not name.startswith(".")]
    found.sort(key=lambda file: file.relative_to(folder).as_posix())
    return (
        [file for file in found if pictures.is_picture(file)],
        [file for file in found if not pictures.is_picture(file)],
    )


def _no_pictures(folder: Path, others: list[Path]) -> ZooError:
    if not others:
        return ZooError(
            "The folder is empty.",
            received=str(folder),
            do=f"Put pictures into it ({pictures.FORMAT_NAMES}); subfolders are classes.",
        )
    kinds = Counter(file.suffix.lower() or file.name for file in others)
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5))
    return ZooError(
        f"The folder has no pictures among its {len(others)} files ({listed}).",
        received=str(folder),
        do=f"Pictures are {pictures.FORMAT_NAMES} files; arrays and tables are loaded by the "
        "path of their file.",
    )


def _in_memory(images: ImageFiles, memory_limit: int, notes: list[str]):
    if images.nbytes <= memory_limit:
        return images.read(np.arange(len(images)))
    images.check()
    notes.append(
        f"Decoded, they would take {size_text(images.nbytes)}, above the limit of "
        f"{size_text(memory_limit)}: they are read from their files in each epoch."
    )
    return images


def _parts(whole: Part, paths: list[Path], members: np.ndarray):
    """Take the first folder of each path for its role or its class."""
    folders = [path.parts[:-1] for path in paths]
    tops = {folder[0] if folder else "" for folder in folders}
    roles = None
    if "train" in tops and tops <= _ROLE_FOLDERS.keys():
        roles = np.array([_ROLE_FOLDERS[folder[0]] for folder in folders])[members]
        folders = [folder[1:] for folder in folders]
    names = None
    if all(folders):
        names = dict(enumerate(sorted({folder[0] for folder in folders})))
        numbers = {name: number for number, name in names.items()}
        whole.labels = np.array([numbers[folder[0]] for folder in folders])[members]
    whole.index = np.arange(len(members))
    if roles is None:
        return {"train": whole}, names
    parts = {}
    for role in dict.fromkeys(roles):
        chosen = np.flatnonzero(roles == role)
        parts[str(role)] = whole.pick(chosen)
    return parts, names
