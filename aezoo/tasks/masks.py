"""Masks: read, paired with pictures, answered tile by tile, compared, laid over pictures."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from aezoo.data.folders import list_files
from aezoo.errors import ZooError, closest_match
from aezoo.tiles import tiled

Ask = Callable[[np.ndarray], np.ndarray]  # tiles (N, h, w, C) -> probabilities (N, h, w, K)
COLOURS = ("#f97316", "#2563eb", "#16a34a", "#db2777", "#eab308", "#0891b2", "#7c3aed", "#65a30d")
_TINT = 0.45  # of a colour in an overlay
_SHOWN = 5


def read_mask(path: Path) -> np.ndarray:
    """Return a label picture as whole numbers, (H, W), as they are stored.

    Raises:
        ZooError: If it cannot be read or holds colours, which are no labels.
    """
    try:
        with Image.open(path) as image:
            labels = np.asarray(image)
    except Exception as error:  # Pillow's plugins raise whatever their parsers meet
        raise ZooError(f"{path} cannot be read: {error}.", do="Replace it.") from None
    if labels.ndim == 3 and (labels == labels[..., :1]).all():
        labels = labels[..., 0]  # grey, stored as colour
    if labels.ndim != 2 or labels.dtype.kind not in "bui":
        raise ZooError(
            "A mask holds one whole number per pixel; this one holds others.",
            received=f"{path}: {labels.shape}, {labels.dtype}",
            do="Store it as a grey picture of labels, such as a PNG of 8 or 16 bits.",
        )
    return labels.astype("int32")


def pairs_of(folder: Path, masks: Path) -> list[tuple[Path, Path]]:
    """Return pictures and their masks, which have the same name but for the suffix.

    Args:
        folder: Of pictures, or one picture.
        masks: Of masks, or one mask, which then is that of the one picture, whatever its name.

    Raises:
        ZooError: For a picture without a mask.
    """
    if folder.is_file() and masks.is_file():
        return [(folder, masks)]
    found = list_files(folder)[0] if folder.is_dir() else [folder]
    root = folder if folder.is_dir() else folder.parent
    by_name = {_stem(path, masks): path for path in list_files(masks)[0]}
    lacking = [path for path in found if _stem(path, root) not in by_name]
    if lacking or not found:
        names = ", ".join(str(path.relative_to(root)) for path in lacking[:_SHOWN])
        raise ZooError(
            f"{len(lacking)} of {len(found)} pictures have no mask of their name.",
            received=names or str(folder),
            closest=closest_match(_stem(lacking[0], root), by_name) if lacking else None,
            do=f"Give each a mask in {masks} with the same name, whatever its suffix.",
        )
    return [(path, by_name[_stem(path, root)]) for path in found]


def _stem(path: Path, root: Path) -> str:
    return path.relative_to(root).with_suffix("").as_posix()


# ---- answering ----


class _LabelRows:
    """Takes bands of probabilities and keeps the most probable class: a byte per pixel."""

    dtype = np.dtype("float32")

    def __init__(self, height: int, width: int):
        self.labels = np.empty((height, width), "uint8")

    def __setitem__(self, rows: slice, probabilities: np.ndarray) -> None:
        single = probabilities.shape[-1] == 1
        self.labels[rows] = probabilities[..., 0] > 0.5 if single else probabilities.argmax(-1)


def segmented(picture: np.ndarray, ask: Ask, shape: tuple[int, int, int]) -> np.ndarray:
    """Return the class of each pixel of a picture of any size, (H, W), uint8.

    Args:
        picture: (H, W) or (H, W, C), uint8.
        ask: Asked about tiles; their probabilities are blended where they overlap.
        shape: Height, width and channels of a tile; a grey picture is shown as a coloured one
            where it takes three channels, a coloured one as grey where it takes one.
    """
    picture = with_channels(picture, shape[-1])
    rows = _LabelRows(*picture.shape[:2])
    tiled(picture, ask, shape[:2], out=rows)
    return rows.labels


def with_channels(picture: np.ndarray, channels: int) -> np.ndarray:
    """Return (H, W) or (H, W, C) as (H, W, channels)."""
    picture = picture[..., None] if picture.ndim == 2 else picture
    if channels == 1 < picture.shape[-1]:
        return np.asarray(Image.fromarray(picture).convert("L"))[..., None]
    return np.repeat(picture, channels, axis=-1) if picture.shape[-1] < channels else picture


# ---- comparing ----


@dataclasses.dataclass
class Overlap:
    """Counts of pixels of each true class that were answered as each class, over many masks.

    Attributes:
        counts: (K, K), true classes down, answered ones across.

    Example:
        >>> overlap = Overlap.of_classes(2)
        >>> overlap.add(np.array([[0, 1, 1]]), np.array([[0, 1, 0]]))
        >>> overlap.dice.round(3).tolist(), overlap.iou.tolist()
        ([0.667, 0.667], [0.5, 0.5])
    """

    counts: np.ndarray

    @classmethod
    def of_classes(cls, classes: int) -> "Overlap":
        """Return counts of nothing yet."""
        return cls(np.zeros((classes, classes), "int64"))

    def add(self, truth: np.ndarray, answer: np.ndarray) -> None:
        """Count one pair of masks of classes, (H, W)."""
        flat = truth.astype("int64").ravel() * len(self.counts) + answer.ravel()
        self.counts += np.bincount(flat, minlength=self.counts.size).reshape(self.counts.shape)

    @property
    def dice(self) -> np.ndarray:
        """2 |T and A| / (|T| + |A|) of each class, (K,); NaN where it occurs in neither."""
        with np.errstate(invalid="ignore"):
            return 2 * np.diag(self.counts) / (self.counts.sum(0) + self.counts.sum(1))

    @property
    def iou(self) -> np.ndarray:
        """|T and A| / |T or A| of each class, (K,); NaN where it occurs in neither."""
        right = np.diag(self.counts)
        with np.errstate(invalid="ignore"):
            return right / (self.counts.sum(0) + self.counts.sum(1) - right)

    def figures(self, labels: Sequence[int]) -> dict[str, float]:
        """Return Dice and IoU by name; of two classes those of the second, the foreground."""
        numbers = [1] if len(labels) == 2 else range(len(labels))
        found = {}
        for number in numbers:
            of = "" if len(labels) == 2 else f" of {labels[number]}"
            found[f"Dice{of}"] = float(self.dice[number])
            found[f"IoU{of}"] = float(self.iou[number])
        return found


def classes_of(mask: np.ndarray, values: Sequence[int], foreground: bool) -> np.ndarray:
    """Return a label picture as classes 0, 1, ...: (H, W), uint8.

    Args:
        mask: Labels.
        values: The label of each class.
        foreground: Whether all labels above 0 are one class.

    Raises:
        ZooError: For a label that is none of them.
    """
    if foreground:
        return (mask > 0).astype("uint8")
    places = np.searchsorted(values, mask).clip(max=len(values) - 1)
    unknown = np.asarray(values)[places] != mask
    if unknown.any():
        raise ZooError(
            "A mask holds a label that the others did not.",
            received=int(mask[unknown][0]),
            do=f"Labels: {', '.join(map(str, values))}.",
        )
    return places.astype("uint8")


def overlay(picture: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return a picture with every class but 0 tinted in a colour of its own, (H, W, 3), uint8."""
    made = with_channels(picture, 3).copy()
    for number in np.unique(classes[classes > 0]):
        of_class = classes == number
        colour = COLOURS[(number - 1) % len(COLOURS)]
        rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
        made[of_class] = ((1 - _TINT) * made[of_class] + _TINT * rgb).astype("uint8")
    return made
