"""Noisy pictures of any size through a denoiser's bundle: clean pictures, and a page to compare."""

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image

from aezoo import report
from aezoo.data import pictures
from aezoo.data.folders import list_files
from aezoo.drawing import INK, as_picture, bare, new_figure, write_png
from aezoo.errors import ZooError
from aezoo.export.runner import Bundle, bundle_of
from aezoo.files import missing, require_apart, whole_file
from aezoo.tasks.restoring import restored

_SHOWN, _SHOWN_SIDE = 4, 320  # pictures on the page, and the pixels of their middle


@dataclasses.dataclass(frozen=True)
class Denoised:
    """What `denoise` wrote.

    Attributes:
        folder: With a PNG per picture, denoised.png and report.html.
        files: The PNGs, in the order of the pictures.
    """

    folder: Path
    files: list[Path]

    def __str__(self) -> str:
        count = len(self.files)
        return (
            f"{count:,} picture{'s' * (count > 1)} without noise in {self.folder / 'pictures'}; "
            f"{self.folder / 'report.html'} shows some beside what they were."
        )


def denoise(
    bundle_dir: str | Path, input_path: str | Path, out: str | Path, variant: str | None = None
) -> Denoised:
    """Remove the noise of pictures of any size with a bundle; needs no TensorFlow.

    One picture is held in memory at a time, answered tile by tile.

    Args:
        bundle_dir: A bundle with an endpoint `reconstruct` of pictures, or the folder that
            `aezoo denoise fit` made.
        input_path: A picture or a folder of pictures.
        out: The folder to write: `pictures/` with a PNG of the size of each picture under its
            name, denoised.png, report.html. What stands there under these names is replaced.
        variant: `fp16` or `int8` where the bundle has it.

    Raises:
        ZooError: For a bundle that restores no pictures, or pictures that cannot be read.

    Example:
        print(aezoo.export.denoise("denoiser", "noisy_photos", "clean_photos"))
    """
    source, out = Path(input_path), Path(out)
    bundle = Bundle(bundle_of(Path(bundle_dir)), variant)
    spec = bundle.spec("reconstruct").inputs[0]
    white = bundle.manifest.preprocessing.get("white", 255.0 if spec.dtype == "uint8" else None)
    if spec.name != "image" or white is None:
        raise ZooError(
            "The bundle restores no pictures.",
            received=f"{bundle.path}: its input is {spec.name}",
            do="Ask it about arrays and tables by aezoo predict.",
        )
    scale = None if spec.dtype == "uint8" else np.float32(white / 255)
    rule = bundle.manifest.preprocessing.get("pictures") or {}

    def restore(tiles: np.ndarray) -> np.ndarray:
        asked = tiles if scale is None else tiles * scale
        answer = bundle.predict("reconstruct", image=asked)["reconstruction"]
        return answer if scale is None else answer / scale

    files = picture_files(source, out)
    root = source if source.is_dir() else source.parent
    written, shown = [], []
    for file in files:
        noisy = pictures.pixels_of(file, rule.get("deep_white"))
        clean = restored(noisy, restore, spec.shape)
        path = out / "pictures" / file.relative_to(root).with_suffix(".png")
        if path in written:  # a.jpg beside a.png
            path = path.with_name(f"{file.name}.png")
        with whole_file(path) as part:
            Image.fromarray(clean).save(part)
        written.append(path)
        if len(shown) < _SHOWN:
            shown.append(
                (file.name, *(pictures.middle_of(p, _SHOWN_SIDE).copy() for p in (noisy, clean)))
            )
    _report(out, source, bundle, shown, len(files))
    return Denoised(out, written)


def picture_files(source: Path, out: Path) -> list[Path]:
    """Return the picture, or those of a folder, that answers will not be mixed with.

    Raises:
        ZooError: If there is none, or `out` is a file or lies inside the folder.
    """
    if not source.exists():
        raise missing(source)
    require_apart(source, out)
    files = list_files(source)[0] if source.is_dir() else [source]
    if not files:
        raise ZooError(
            "The folder holds no picture.", received=str(source), do=pictures.FORMAT_NAMES
        )
    return files


def _report(out: Path, source: Path, bundle: Bundle, shown: list, count: int) -> None:
    figure = new_figure(7.2, 3.4 * len(shown))
    axes = figure.subplots(len(shown), 2, squeeze=False)
    for row, (name, noisy, clean) in zip(axes, shown, strict=True):
        for axis, picture, title in zip(row, (noisy, clean), (name, "without noise"), strict=True):
            picture = picture[..., None] if picture.ndim == 2 else picture
            axis.imshow(as_picture(picture), cmap="gray", vmin=0, vmax=1)
            axis.set_title(title, fontsize=9, color=INK)
            bare(axis)
    path = write_png(figure, out / "denoised.png")
    parts = [
        report.picture(path, "The middle of the first pictures, as they were and without noise."),
        report.paragraph(f"{count:,} pictures, answered by {bundle.path}; all are in pictures/."),
    ]
    report.write(out / "report.html", f"Noise removed from {source.name}", [("", parts)])
