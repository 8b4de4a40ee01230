"""Picture files and arrays as one small file by a bundle, and back; needs no TensorFlow."""

import dataclasses
import math
from pathlib import Path

import numpy as np
from PIL import Image

from aezoo.data import pictures
from aezoo.data.folders import list_files
from aezoo.errors import ZooError
from aezoo.export.pictures import PictureFiles
from aezoo.export.rows import open_rows
from aezoo.export.runner import Bundle
from aezoo.files import missing, require_new_folder, whole_file
from aezoo.specs import CHUNK
from aezoo.spread import evenly
from aezoo.tasks.compression import Compressed, Compressor, decibels

ROWS_FILE = "rows.npy"
_MEASURED, _PIXELS = 200, 4_000_000  # pictures, and of all together, for a comparison of steps
_LONGEST = 16_000  # pixels of a side, about which WebP ends


@dataclasses.dataclass(frozen=True)
class Shrunk:
    """What `compress_files` made.

    Attributes:
        path: The file.
        bytes: Its size.
        count: Of pictures or rows.
        pixels: Of all pictures, or numbers of all rows.
        decibels: PSNR of what decompressing gives, over all of them; infinite where it is equal.
    """

    path: Path
    bytes: int
    count: int
    pixels: int
    decibels: float

    def __str__(self) -> str:
        bits = 8 * self.bytes / self.pixels
        return (
            f"{self.count:,} in {self.bytes:,} bytes: {bits:.3f} bits per pixel, "
            f"PSNR {self.decibels:.1f} dB"
        )


def compress_files(
    bundle_dir: str | Path,
    inputs: list[str | Path],
    out: str | Path,
    step: float = 64.0,
) -> Shrunk:
    """Write pictures of any size, or the rows of an array or table, as one file of codes.

    Pictures are cut into a grid of the model's size, mirrored at the edge where they do not fill
    it, and joined again by `decompress_file`.

    Args:
        bundle_dir: A bundle that encodes and decodes.
        inputs: Pictures and folders of them, or one `.npy`, `.csv` or `.parquet` file.
        out: The file to write.
        step: How coarse; see `aezoo.tasks.compression.Compressor`.

    Raises:
        ZooError: For inputs that are missing, unreadable or do not fit.

    Example:
        print(aezoo.export.compress_files("artifacts/conv_ae", ["photos"], "photos.aez"))
    """
    compressor = Compressor(Bundle(bundle_dir), step)
    tiles, origin = _read(compressor, inputs)
    made = compressor.compress(tiles, origin)
    size = made.save(out)
    answers = compressor.decompress(made)
    count = len(origin["pictures"]) if origin else len(tiles)
    quality = decibels(tiles, answers, _top(compressor, tiles))
    return Shrunk(Path(out), size, count, _pixels(tiles, origin), quality)


def compare_steps(
    bundle_dir: str | Path, inputs: list[str | Path], step: float, page: str | Path
) -> Path:
    """Write a page of sizes and errors by step, beside JPEG and WebP where rows are pictures.

    Of many pictures or rows some are measured, spread evenly; of large pictures the middle.

    Args:
        bundle_dir: A bundle that encodes and decodes.
        inputs: As for `compress_files`.
        step: In the middle of those that are compared.
        page: The HTML file to write; its pictures stand beside it too.

    Raises:
        ZooError: As `compress_files`.
    """
    from aezoo.export import rate_report  # draws, which a machine that serves may not

    bundle, page = Bundle(bundle_dir), Path(page)
    asked = Compressor(bundle, step)
    tiles, origin = _read(asked, inputs)
    if not origin and tiles.ndim == 4:  # pictures of an array, one tile each
        origin = {"pictures": [["", *tiles.shape[1:3]]] * len(tiles)}
    count, white = len(origin["pictures"] if origin else tiles), _top(asked, tiles)
    tiles, origin = _some(tiles, origin) if origin else (tiles[evenly(count, CHUNK)], {})
    originals = _whole(tiles, origin, white) if origin else None
    kind = "rows" if originals is None else "pictures"
    found_codes, points, written = asked.encode(tiles), [], None
    for factor in (1.0,) if asked.whole else rate_report.FACTORS:
        compressor = Compressor(bundle, step * factor)
        made = compressor.quantise(found_codes, origin)
        try:
            bits = 8 * len(made.to_bytes()) / _pixels(tiles, origin)
        except ZooError:  # a step too small, which nobody asked for
            continue
        answers = compressor.decompress(made)
        if originals is None:
            found, quality = [], decibels(tiles, answers, white)
        else:
            found = _whole(answers, origin, white)
            quality = rate_report.psnr(originals, found)
        setting = "whole codes" if asked.whole else f"step {compressor.step:g}"
        point = rate_report.Point(setting, bits, quality, rate_report.middles(found))
        points.append(point)
        written = point if factor == 1.0 else written
    measured = f"{len(originals or tiles):,} of {count:,} {kind}, spread evenly"
    return rate_report.write(page, points, written, originals, bundle.name, measured)


def decompress_file(bundle_dir: str | Path, path: str | Path, out: str | Path) -> list[Path]:
    """Write the pictures of a compressed file as PNG, or its rows as `rows.npy`.

    Args:
        bundle_dir: The bundle that compressed them.
        path: What `compress_files` wrote.
        out: The folder to make, new.

    Returns:
        The files.

    Raises:
        ZooError: For another bundle, or a file that is damaged or none of ours.
    """
    compressor, out = Compressor(Bundle(bundle_dir)), Path(out)
    made = Compressed.load(path)
    require_new_folder(out, "Choose another --out.")
    rows = compressor.decompress(made)
    if "pictures" not in made.origin:
        with whole_file(out / ROWS_FILE) as part:
            np.save(part, rows)
        return [out / ROWS_FILE]
    wholes = _whole(rows, made.origin, _white(compressor))
    written = []
    for (name, *_), whole in zip(made.origin["pictures"], wholes, strict=True):
        file = (out / name).with_suffix(".png")
        with whole_file(file) as part:
            Image.fromarray(whole[..., 0] if whole.shape[-1] == 1 else whole).save(part)
        written.append(file)
    return written


def _whole(tiles: np.ndarray, origin: dict, white: float) -> list[np.ndarray]:
    """Return 8-bit pictures (H, W, C) of tiles in user units."""
    eight_bit = np.clip(np.round(tiles * (255 / white)), 0, 255).astype("uint8")
    found, start = [], 0
    for _, height, width in origin["pictures"]:
        lines, columns = _grid((height, width), tiles.shape[1:3])
        some = eight_bit[start : start + lines * columns]
        start += lines * columns
        found.append(joined(some, lines, columns)[:height, :width])
    return found


def cut(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Cut a picture into tiles, line by line: (H, W, C) -> (lines * columns, h, w, C).

    Example:
        >>> picture = np.arange(15).reshape(3, 5, 1)
        >>> tiles = cut(picture, (2, 2))
        >>> bool((joined(tiles, 2, 3)[:3, :5] == picture).all())
        True
    """
    lines, columns = _grid(picture.shape[:2], size)
    missing_rows = lines * size[0] - picture.shape[0], columns * size[1] - picture.shape[1]
    filled = np.pad(picture, [*((0, n) for n in missing_rows), (0, 0)], mode="symmetric")
    split = filled.reshape(lines, size[0], columns, size[1], -1)
    return split.swapaxes(1, 2).reshape(lines * columns, *size, picture.shape[-1])


def joined(tiles: np.ndarray, lines: int, columns: int) -> np.ndarray:
    """Put tiles beside each other again: (lines * columns, h, w, C) -> (H, W, C)."""
    _, height, width, channels = tiles.shape
    grid = tiles.reshape(lines, columns, height, width, channels).swapaxes(1, 2)
    return grid.reshape(lines * height, columns * width, channels)


def _grid(size: tuple[int, int], tile: tuple[int, int]) -> tuple[int, int]:
    return -(-size[0] // tile[0]), -(-size[1] // tile[1])


def _some(tiles: np.ndarray, origin: dict) -> tuple[np.ndarray, dict]:
    """Return the tiles of some pictures, of large ones of their middle, and their sizes."""
    told, size = origin["pictures"], tiles.shape[1:3]
    fitting = _PIXELS * len(told) // _pixels(tiles, origin)
    some = evenly(len(told), min(_MEASURED, max(1, fitting)))
    starts = np.cumsum([0, *(int(np.prod(_grid((h, w), size))) for _, h, w in told)])
    taken, sizes = [], []
    for place in some:
        name, *own = told[place]
        lines, columns = _grid(own, size)
        grid = np.arange(starts[place], starts[place + 1]).reshape(lines, columns)
        if own[0] * own[1] > _PIXELS or max(own) > _LONGEST:
            high, wide = (max(1, math.isqrt(_PIXELS) // side) for side in size)
            top, left = max(0, lines - high) // 2, max(0, columns - wide) // 2
            grid = grid[top : top + high, left : left + wide]
            own = [min(n, side * m) for n, side, m in zip(own, size, grid.shape, strict=True)]
        taken.append(grid.reshape(-1))
        sizes.append([name, *own])
    return tiles[np.concatenate(taken)], {"pictures": sizes}


def _read(compressor: Compressor, inputs: list[str | Path]) -> tuple[np.ndarray, dict]:
    """Return rows in user units, and of pictures, which are tiles then, their names and sizes."""
    paths = [Path(path) for path in inputs]
    for path in paths:
        if not path.exists():
            raise missing(path)
    if len(paths) == 1 and not paths[0].is_dir() and not pictures.is_picture(paths[0]):
        rows = open_rows(compressor.model, compressor.model.spec("encode"), paths[0])
        return rows.read(0, len(rows)), {}
    return _tiles_of(compressor, paths)


def _pixels(rows: np.ndarray, origin: dict) -> int:
    """Return how many pixels pictures have, or numbers other rows."""
    if origin:
        return sum(height * width for _, height, width in origin["pictures"])
    return int(np.prod(rows.shape[:3] if rows.ndim == 4 else rows.shape))


def _top(compressor: Compressor, rows: np.ndarray) -> float:
    """Return the largest value that a PSNR is relative to; of no pictures, their range."""
    return _white(compressor) if rows.ndim == 4 else float(np.ptp(rows))


def _tiles_of(compressor: Compressor, paths: list[Path]) -> tuple[np.ndarray, dict]:
    """Return the tiles of all pictures, and their names and sizes."""
    files = [(p, p.name) for p in paths if not p.is_dir()]
    for folder in (p for p in paths if p.is_dir()):
        files += [(p, p.relative_to(folder).as_posix()) for p in list_files(folder)[0]]
    if not files:
        raise ZooError("The folder holds no picture.", received=str(paths[0]))
    names = [str(Path(name).with_suffix("")) for _, name in files]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ZooError(
            "Two pictures would have the same name when they are written again.",
            received=twice[0],
            do="Rename one of them, or compress them into files of their own.",
        )
    bundle = compressor.model
    reader = PictureFiles(bundle, bundle.spec("encode"), files[0][0])  # refuses other models
    height, width, channels = bundle.spec("encode").inputs[0].shape
    tiles, told = [], []
    for file, name in files:
        try:
            picture = pictures.decode(file).convert("L" if channels == 1 else "RGB")
        except pictures.UnreadablePicture as error:
            raise ZooError(f"{file} cannot be read: {error}.") from None
        values = np.asarray(picture).reshape(picture.height, picture.width, channels)
        tiles.append(cut(values, (height, width)))
        told.append([name, picture.height, picture.width])
    found = np.concatenate(tiles)
    return found if reader.scale is None else found * reader.scale, {"pictures": told}


def _white(compressor: Compressor) -> float:
    preprocessing = compressor.model.manifest.preprocessing
    of_dtype = 255.0 if compressor.model.spec("encode").inputs[0].dtype == "uint8" else 1.0
    return preprocessing.get("white") or of_dtype
