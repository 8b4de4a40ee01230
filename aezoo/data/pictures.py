"""One picture file: what it is, and its 8-bit pixels."""

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from aezoo.errors import ZooError

FORMATS = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "WebP": (".webp",),
}
SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)
FORMAT_NAMES = ", ".join(FORMATS)

_ORIENTATION = 0x0112  # the EXIF tag
_TURNED = (5, 6, 7, 8)  # its values that swap width and height
_HOLDS_EXIF = {"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"}  # in PNG files
_WHITES = (1.0, 255.0, 1023.0, 4095.0, 16383.0, 65535.0)  # real numbers, 8, 10, 12, 14, 16 bits


@dataclasses.dataclass(frozen=True)
class Survey:
    """What the head of a picture file says.

    Attributes:
        size: Width and height after turning it upright.
        grey: Whether its format stores grey values only; a colour format may hold grey as well.
        top: The largest value, for pictures of more than 8 bits; else None.
        frames: Whether it has more than one frame or page; the first is used.
    """

    size: tuple[int, int]
    grey: bool
    top: float | None
    frames: bool


class UnreadablePicture(Exception):
    """Why a file cannot be decoded."""


def is_picture(path: Path) -> bool:
    """Whether the name says that it is a picture.

    Example:
        >>> is_picture(Path("a.JPG")), is_picture(Path("a.txt"))
        (True, False)
    """
    return path.suffix.lower() in SUFFIXES


def survey(path: Path) -> Survey:
    """Read the head of a picture file; of a picture deeper than 8 bits, also its values.

    Raises:
        UnreadablePicture: If it is damaged or of an unknown format.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            if image.format != "TIFF" and _orientation(image) in _TURNED:  # TIFF's is upright
                width, height = height, width
            deep = _is_deep(image)
            grey = deep or image.mode in ("L", "LA", "La", "1")
            frames = bool(getattr(image, "is_animated", False))
            top = _top(np.asarray(image)) if deep else None
            return Survey((width, height), grey, top, frames)
    except UnreadablePicture:
        raise
    except Exception as error:  # Pillow's plugins raise whatever their parsers meet
        raise UnreadablePicture(_reason(error)) from None


def decode(path: Path, white: float = 255.0) -> Image.Image:
    """Return the picture upright, 8-bit: mode `L` if stored as grey, else `RGB`.

    Transparency is laid over white. Of several frames the first is taken.

    Args:
        path: The file.
        white: The value that becomes 255, for pictures deeper than 8 bits.

    Raises:
        UnreadablePicture: If it is damaged or of an unknown format.
    """
    try:
        with Image.open(path) as image:
            if _orientation(image) != 1:
                image = ImageOps.exif_transpose(image)
            if _is_deep(image):
                values = np.asarray(image, "float64") * (255.0 / white)
                return Image.fromarray(np.clip(np.round(values), 0, 255).astype("uint8"))
            if image.has_transparency_data:
                image = image.convert("RGBA")
                paper = Image.new("RGBA", image.size, "white")
                image = Image.alpha_composite(paper, image)
            return image.convert("L" if image.mode in ("L", "1") else "RGB")
    except Exception as error:
        raise UnreadablePicture(_reason(error)) from None


def pixels_of(path: Path, white: float | None = None) -> np.ndarray:
    """Return the pixels of a file at its own size: (H, W) if stored as grey, else (H, W, 3), uint8.

    Args:
        path: The file.
        white: As for `decode`; None takes the smallest depth that holds the values.

    Raises:
        ZooError: If it cannot be read, or holds values above white.
    """
    try:
        top = survey(path).top
        if white and top and top > white:
            raise ZooError(
                "A picture is deeper than those that the model was trained on.",
                received=f"{path}: values up to {top:g}, {white:g} was white",
                do="Convert the pictures to that depth, or train on such pictures.",
            )
        return np.asarray(decode(path, white or white_of([] if top is None else [top])))
    except UnreadablePicture as error:
        raise ZooError(
            f"{path} cannot be read: {error}.", do="Replace or remove it, then run again."
        ) from None


def is_grey(image: Image.Image) -> bool:
    """Whether a decoded picture holds no colour, whatever its mode.

    Channels may lie one level apart: WebP rounds grey so.
    """
    if image.mode == "L":
        return True
    values = np.asarray(image)  # (H, W, 3)
    return bool(np.all(values.max(axis=-1) - values.min(axis=-1) <= 1))


def white_of(tops: list[float]) -> float:
    """Return the value that is white in pictures deeper than 8 bits, from their largest values.

    Cameras often store 12 bits in 16: the smallest depth that holds every value is meant.

    Example:
        >>> white_of([3071.0, 4095.0]), white_of([0.7]), white_of([])
        (4095.0, 1.0, 255.0)
    """
    if not tops:
        return 255.0
    return next(white for white in _WHITES if white >= max(tops))


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 if there is none in the head of the file."""
    if image.format == "PNG" and not _HOLDS_EXIF & image.info.keys():
        return 1  # Pillow would decode the whole picture to look for it at the end
    return image.getexif().get(_ORIENTATION, 1)


def _is_deep(image: Image.Image) -> bool:
    return image.mode[0] in "IF"  # I;16, I;16B, I, F


def _top(values: np.ndarray) -> float:
    if not np.isfinite(values).all():
        raise UnreadablePicture("it holds values that are not finite")
    if values.min() < 0 or values.max() > _WHITES[-1]:
        raise UnreadablePicture("its values do not lie between 0 and 65535")
    if values.dtype.kind in "iu":  # whole numbers mean at least 8 bits
        return max(float(values.max()), 255.0)
    return float(values.max())


def _reason(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "no picture format is recognised"
    return (str(error).splitlines() or [type(error).__name__])[0]


def middle_of(picture: np.ndarray, side: int) -> np.ndarray:
    """Return the middle of a picture (H, W, ...), at most `side` pixels high and wide, a view.

    Example:
        >>> middle_of(np.arange(15).reshape(3, 5), 1).tolist()
        [[7]]
    """
    top, left = (max(0, (n - side) // 2) for n in picture.shape[:2])
    return picture[top : top + side, left : left + side]
