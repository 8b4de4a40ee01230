"""The page of a compression: bits and errors by step beside JPEG and WebP, and what comes back."""

import dataclasses
import io
from pathlib import Path

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from PIL import Image

from aezoo import report
from aezoo.data.pictures import middle_of
from aezoo.drawing import (
    ACCENT,
    ALARM,
    INK,
    MUTED,
    as_picture,
    bare,
    name_row,
    new_figure,
    plain,
    write_png,
)

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)  # of the step that was asked for
QUALITIES = {"JPEG": (1, 5, 10, 20, 35, 55, 80), "WebP": (0, 5, 15, 30, 50, 70, 90)}
_COLORS = {"JPEG": MUTED, "WebP": ACCENT}
_SHOWN, _SIDE = 6, 96  # pictures that are drawn, and how much of each


@dataclasses.dataclass(frozen=True, eq=False)
class Point:
    """What one setting of one method gives.

    Attributes:
        setting: As it is called.
        bits: Per pixel, or per number of rows that are no pictures.
        decibels: PSNR over all.
        answers: The middle of what comes back, of the first pictures.
    """

    setting: str
    bits: float
    decibels: float
    answers: list[np.ndarray]


def coded(picture: np.ndarray, kind: str, quality: int) -> tuple[bytes, np.ndarray]:
    """Return the file, `JPEG` or `WebP`, of an 8-bit picture (H, W, C), and what it decodes to."""
    image = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
    file = io.BytesIO()
    options = {"optimize": True} if kind == "JPEG" else {"method": 6}
    image.save(file, kind, quality=quality, **options)
    with Image.open(file) as again:
        decoded = np.asarray(again.convert(image.mode)).reshape(picture.shape)
    return file.getvalue(), decoded


def files_of(pictures: list[np.ndarray], kind: str) -> list[Point]:
    """Return the points of pictures that are files of their own, counted whole."""
    found = []
    for quality in QUALITIES[kind]:
        contents, answers = zip(*(coded(p, kind, quality) for p in pictures), strict=True)
        bits = 8 * sum(map(len, contents)) / sum(p.shape[0] * p.shape[1] for p in pictures)
        made = psnr(pictures, answers), middles(answers)
        found.append(Point(f"quality {quality}", bits, *made))
    return found


def psnr(pictures, answers) -> float:
    """Return the PSNR over all values of 8-bit pictures of any sizes."""
    pairs = zip(pictures, answers, strict=True)
    squares = sum(float(np.square(p.astype("float32") - a).sum(dtype="float64")) for p, a in pairs)
    error = squares / sum(picture.size for picture in pictures)
    return 10 * float(np.log10(255**2 / error)) if error else np.inf


def middles(pictures) -> list[np.ndarray]:
    """Return what is drawn: the middle of the first pictures."""
    return [middle_of(picture, _SIDE).copy() for picture in pictures[:_SHOWN]]


def write(
    path: Path,
    ours: list[Point],
    written: Point,
    pictures: list[np.ndarray] | None,
    name: str,
    measured: str,
) -> Path:
    """Measure JPEG and WebP, draw, write the page.

    Args:
        path: The HTML file; pictures are inside it.
        ours: A point for each step.
        written: That of the file.
        pictures: 8-bit pictures (H, W, C); None for rows of other kinds.
        name: Of the bundle's model.
        measured: What of, such as `32 of 400 pictures`.
    """
    methods = {name: ours}
    unit = "number"
    if pictures:
        methods |= {f"{kind}, a file each": files_of(pictures, kind) for kind in QUALITIES}
        unit = "pixel"
    head = ["Method", "Setting", f"Bits per {unit}", "PSNR, dB"]
    lines = [
        [method, point.setting, f"{point.bits:.3f}", f"{point.decibels:.2f}"]
        for method, points in methods.items()
        for point in points
    ]
    folder = path.parent
    curves = _curves(methods, written, unit, folder / f"{path.stem}_rates.png")
    caption = f"Bits per {unit} and PSNR by --step; the ring is the step that was taken."
    if len(ours) == 1:
        caption = f"Bits per {unit} and PSNR; codes that are whole numbers have one size."
    parts = [report.picture(curves, caption)]
    if pictures:
        beside = [nearest(points, written.bits) for points in list(methods.values())[1:]]
        drawn = _beside(
            middles(pictures),
            [written, *beside],
            list(methods),
            folder / f"{path.stem}_pictures.png",
        )
        parts.append(report.picture(drawn, "The middle of some pictures, and what comes back."))
    text = (
        f"Measured on {measured}. The model's codes are counted as one file, with header and "
        "checksum, which weigh the less the more there are; the model is not counted."
    )
    table = report.table(head, lines, ours=ours.index(written))
    sections = [("", parts), ("By setting", [table, report.paragraph(text)])]
    return report.write(path, f"Compressed by {name}", sections)


def nearest(points: list[Point], bits: float) -> Point:
    """Return the point whose size is the nearest by ratio."""
    return min(points, key=lambda point: abs(np.log(point.bits / bits)))


def _curves(methods: dict[str, list[Point]], written: Point, unit: str, path: Path) -> Path:
    figure = new_figure(7.2, 3.4)
    axes = figure.subplots()
    plain(axes)
    for method, points in methods.items():
        color = _COLORS.get(method.partition(",")[0], ALARM)
        some = sorted((p.bits, p.decibels) for p in points if np.isfinite(p.decibels))
        bits, quality = zip(*some, strict=True) if some else ((), ())
        axes.plot(bits, quality, marker="o", markersize=3, color=color, label=method)
    if np.isfinite(written.decibels):
        axes.scatter(written.bits, written.decibels, 90, facecolors="none", edgecolors=ALARM)
    axes.set(xscale="log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda bits, _: f"{bits:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(f"bits per {unit}", fontsize=8, color=INK)
    axes.set_ylabel("PSNR, dB", fontsize=8, color=INK)
    axes.legend(fontsize=8, frameon=False)
    return write_png(figure, path)


def _beside(pictures: list[np.ndarray], points: list[Point], names: list[str], path: Path) -> Path:
    count = len(pictures)
    lines = [("as it was", pictures)] + [
        (f"{name.partition(',')[0]}\n{p.bits:.2f} bits\n{p.decibels:.1f} dB", p.answers)
        for name, p in zip(names, points, strict=True)
    ]
    figure = new_figure(1.25 * count + 1.2, 1.3 * len(lines))
    grid = figure.subplots(len(lines), count, squeeze=False)
    for axes_of, (label, rows) in zip(grid, lines, strict=True):
        for axes, picture in zip(axes_of, rows, strict=True):
            bare(axes)
            axes.imshow(as_picture(picture / 255.0), cmap="gray", vmin=0, vmax=1)
        name_row(axes_of[0], label)
    return write_png(figure, path)
