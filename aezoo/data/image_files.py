"""Many picture files as rows of one shape."""

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from aezoo.config import Fit
from aezoo.data import pictures
from aezoo.errors import ZooError
from aezoo.specs import PictureRule

IMAGE_SIZE = 64
FEW = 50  # fewer pictures than this, all of them large, are cut into tiles
LARGE = 4  # times the size of a row, in width and height
_THREADS = min(4, os.cpu_count() or 1)  # Pillow decodes outside Python's lock
_SHOWN = 5


class ImageFiles:
    """Picture files as rows `(height, width, channels)` uint8, decoded when they are read.

    Args:
        files: The files, in the order of their rows.
        size: Height and width of a row; one number for both.
        fit: `fit` resizes whole pictures; `crop` resizes the shorter side and keeps the centre;
            `tile` cuts pictures into squares without resizing; None chooses: tiles of fewer than
            50 pictures that are at least four times as large as a row, `fit` where all pictures
            have one aspect, else `crop`.
        channels: 1 or 3; None takes 1 if all pictures are grey.
        deep_white: The value that is white in files deeper than 8 bits; None takes the smallest
            depth that holds every value.
        stride: Pixels from one tile to the next; None is the size of a row, so that none overlap.

    Raises:
        ZooError: For files that cannot be decoded (the first five are named), a picture that is
            smaller than a tile, or one whose values exceed `deep_white`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "a.png"
        ...     Image.linear_gradient("L").save(file)  # 256x256
        ...     files = ImageFiles([file], size=64)
        ...     rows = files.read(np.array([0, 15]))
        >>> files.note()
        '1 grey picture of 256x256 was tiled into 16 squares of 64x64.'
        >>> rows.shape, rows[:, 0, 0, 0].tolist()
        ((2, 64, 64, 1), [0, 192])
    """

    dtype = np.dtype("uint8")

    def __init__(
        self,
        files: Iterable[Path],
        *,
        size: int | tuple[int, int] = IMAGE_SIZE,
        fit: Fit | None = None,
        channels: int | None = None,
        deep_white: float | None = None,
        stride: int | None = None,
    ):
        self.files = [Path(file) for file in files]
        surveys = self._guarded(pictures.survey, self.files)
        self.sizes = [s.size for s in surveys]
        self.with_frames = sum(s.frames for s in surveys)
        tops = [s.top for s in surveys if s.top is not None]
        if deep_white and tops and max(tops) > deep_white:
            raise ZooError(
                "A picture is deeper than those that the model was trained on.",
                received=f"values up to {max(tops):g}, {deep_white:g} was white",
                do="Convert the pictures to that depth, or train on such pictures.",
            )
        self.deep_white = deep_white or (pictures.white_of(tops) if tops else None)
        self.height, self.width = (size, size) if isinstance(size, int) else size
        self.stride = (stride, stride) if stride else (self.height, self.width)
        self.fit: Fit = fit or self._choose_fit()
        if channels is None:
            unsure = [f for f, s in zip(self.files, surveys, strict=True) if not s.grey]
            channels = 1 if all(map(pictures.is_grey, map(self._decode, unsure))) else 3
        self.shape = (self.height, self.width, channels)
        self.members, self.corners = self._cut()

    def _choose_fit(self) -> Fit:
        large = all(
            width >= LARGE * self.width and height >= LARGE * self.height
            for width, height in self.sizes
        )
        if len(self.files) < FEW and large:
            return "tile"
        aspects = [width / height for width, height in self.sizes]
        return "fit" if max(aspects) <= 1.02 * min(aspects) else "crop"

    def _cut(self) -> tuple[np.ndarray, np.ndarray]:
        """Return for each row its file `(N,)` and its upper left corner `(N, 2)`, x first."""
        if self.fit != "tile":
            return np.arange(len(self.files)), np.zeros((len(self.files), 2), int)
        members, corners = [], []
        for number, (width, height) in enumerate(self.sizes):
            across = 1 + (width - self.width) // self.stride[1]
            down = 1 + (height - self.height) // self.stride[0]
            if across < 1 or down < 1:
                raise ZooError(
                    f"{self.files[number]} is smaller than a tile of {self._row_text()} pixels.",
                    received=f"{width}x{height}",
                    do="Give larger ones, or train with image_fit=crop or a smaller image_size.",
                )
            # The rest that fills no tile is shared between both edges.
            x, y = self.stride[1] * np.arange(across), self.stride[0] * np.arange(down)
            x += (width - self.width - x[-1]) // 2
            y += (height - self.height - y[-1]) // 2
            corners.append(np.stack(np.meshgrid(x, y), -1).reshape(-1, 2))
            members.append(np.full(across * down, number))
        return np.concatenate(members), np.concatenate(corners)

    def __len__(self) -> int:
        return len(self.members)

    @property
    def nbytes(self) -> int:
        """The memory that all rows take once decoded."""
        return len(self) * int(np.prod(self.shape))

    def read(self, positions: np.ndarray) -> np.ndarray:
        """Decode the rows at these positions, `(len(positions), height, width, channels)`."""
        rows = np.empty((len(positions), *self.shape), np.uint8)
        order = np.argsort(self.members[positions], kind="stable")
        numbers, starts = np.unique(self.members[positions][order], return_index=True)

        def fill(number: int, places: np.ndarray) -> None:
            picture = self._decode(self.files[number])
            picture = picture.convert("L" if self.shape[-1] == 1 else "RGB")
            for place in places:  # several, if it is cut into tiles
                rows[place] = self._row(picture, self.corners[positions[place]])

        with ThreadPoolExecutor(_THREADS) as pool:
            for _ in pool.map(fill, numbers, np.split(order, starts[1:])):
                pass
        return rows

    def whole(self, number: int) -> np.ndarray:
        """Decode a file at its own size, `(height, width, channels)` uint8."""
        picture = self._decode(self.files[number])
        picture = picture.convert("L" if self.shape[-1] == 1 else "RGB")
        return np.asarray(picture).reshape(*picture.size[::-1], self.shape[-1])

    def _row(self, picture: Image.Image, corner: np.ndarray) -> np.ndarray:
        box = (self.width, self.height)
        if self.fit == "tile":
            x, y = map(int, corner)
            picture = picture.crop((x, y, x + self.width, y + self.height))
        elif self.fit == "crop":
            picture = ImageOps.fit(picture, box, Image.Resampling.BICUBIC)
        elif picture.size != box:
            picture = picture.resize(box, Image.Resampling.BICUBIC)
        return np.asarray(picture).reshape(self.shape)

    def _decode(self, file: Path) -> Image.Image:
        try:
            return pictures.decode(file, self.deep_white or 255.0)
        except pictures.UnreadablePicture:
            raise self._unreadable() from None

    def check(self) -> None:
        """Decode every file once and forget it.

        Raises:
            ZooError: If some cannot be decoded.
        """
        self._guarded(lambda file: pictures.decode(file) and None, self.files)

    def _guarded(self, function: Callable, files: list[Path]) -> list:
        with ThreadPoolExecutor(_THREADS) as pool:
            try:
                return list(pool.map(function, files))
            except pictures.UnreadablePicture:
                pool.shutdown(cancel_futures=True)
        raise self._unreadable()

    def _unreadable(self) -> ZooError:
        """Find out about all files, so that they can be mended in one go."""

        def reason(file: Path) -> str | None:
            try:
                pictures.survey(file)
                pictures.decode(file)
            except pictures.UnreadablePicture as error:
                return f"{file} ({error})"
            return None

        with ThreadPoolExecutor(_THREADS) as pool:
            bad = [text for text in pool.map(reason, self.files) if text]
        more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        return ZooError(
            f"{len(bad)} of {len(self.files)} pictures cannot be read: "
            f"{'; '.join(bad[:_SHOWN])}{more}.",
            do="Replace or remove these files, then load the folder again.",
        )

    def take(self, positions: np.ndarray) -> "ImageFiles":
        """Return these rows, still undecoded."""
        chosen = object.__new__(ImageFiles)
        chosen.__dict__.update(self.__dict__)
        chosen.members = self.members[positions]
        chosen.corners = self.corners[positions]
        return chosen

    def fingerprint(self) -> str:
        """Return a sha256 of names, sizes and times of the files and of how rows are cut."""
        digest = hashlib.sha256(f"{self.shape} {self.fit} {self.deep_white}".encode())
        root = os.path.commonpath(self.files)  # the folder may have moved
        for number in np.unique(self.members):
            name, stat = os.path.relpath(self.files[number], root), self.files[number].stat()
            digest.update(f"\n{name}\0{stat.st_size}\0{stat.st_mtime_ns}".encode())
        digest.update(np.ascontiguousarray(self.members, "<i8").tobytes())
        digest.update(np.ascontiguousarray(self.corners, "<i8").tobytes())
        return digest.hexdigest()

    def blocks(self) -> np.ndarray | None:
        """Number the squares of 2x2 tiles in which tiles begin, `(N,)`; None without overlap.

        Neighbours that share most of their pixels have one number.
        """
        if self.fit != "tile" or self.stride == (self.height, self.width):
            return None
        corners = self.corners // (2 * self.width, 2 * self.height)
        places = np.column_stack([self.members, corners])
        return np.unique(places, axis=0, return_inverse=True)[1].reshape(-1)

    def rule(self) -> PictureRule:
        """Return what makes rows of other files in the same way."""
        return PictureRule(self.fit, self.deep_white)

    def names(self, folder: Path) -> list[str]:
        """Name each row by its file, seen from a folder, and a tile also by its corner `@x,y`."""
        files = [file.relative_to(folder).as_posix() for file in self.files]
        if self.fit != "tile":
            return [files[number] for number in self.members]
        pairs = zip(self.members, self.corners, strict=True)
        return [f"{files[number]}@{x},{y}" for number, (x, y) in pairs]

    def _row_text(self) -> str:
        return f"{self.width}x{self.height}"

    def note(self) -> str:
        """Say how many pictures there are, of which sizes, and what was done to them."""
        sizes = sorted(set(self.sizes), key=lambda s: (s[0] * s[1], s))
        small, large = (f"{width}x{height}" for width, height in (sizes[0], sizes[-1]))
        of = f"of {small}" if len(sizes) == 1 else f"of {len(sizes)} sizes, {small} to {large},"
        row = self._row_text()
        squeezed = any(
            abs(width * self.height - height * self.width) > max(width, height)
            for width, height in sizes
        )
        if self.fit == "tile":
            done = f"tiled into {len(self)} squares of {row}"
        elif sizes == [(self.width, self.height)]:
            done = "fitted without resizing"
        elif self.fit == "crop":
            done = f"cropped to {row}: shorter side resized, centre kept"
        else:
            done = f"fitted to {row}" + (" by resizing, which changes their aspect" * squeezed)
        one = len(self.files) == 1
        kind = "grey" if self.shape[-1] == 1 else "colour"
        return (
            f"{len(self.files)} {kind} picture{'' if one else 's'} {of} "
            f"{'was' if one else 'were'} {done}."
        )
