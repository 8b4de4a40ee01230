"""Rate and distortion of codes beside JPEG and WebP: small pictures, and tiles of photos.

    python benchmarks/compression.py  # results/compression.csv, .png, results/tasks/compression.csv

Fashion-MNIST: the 10,000 test pictures in one file, by a dense autoencoder of 64 numbers that the
60,000 training pictures trained. Photos: tiles of 64x64 pixels of two of them, cut into tiles of
16, by an autoencoder of 96 numbers that five others trained. Our files are counted whole, with
header and checksum; the model is not counted, nor is what stands in the decoders of JPEG and WebP.
These are counted as files, one per picture, without their headers and containers (the coded data
alone), and as one sheet of all pictures, padded to whole 16x16 so that no block has two of them.
The control is linear: as many main components, quantised and coded as the codes are.
"""

import argparse
import csv
import tempfile
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from task_table import Figure, write

import aezoo
from aezoo.data import load
from aezoo.drawing import ACCENT, ALARM, INK, MUTED, new_figure, plain, write_png
from aezoo.export.compressing import cut, joined
from aezoo.export.rate_report import QUALITIES, coded, psnr
from aezoo.files import whole_file
from aezoo.tasks.compression import Compressor, decibels
from aezoo.tasks.entropy import pack

STEPS = (48, 96, 160, 256, 400, 640)
RECIPE = {
    "latent_activation": "linear",
    "loss": "mean_squared_error",
    "batch_size": 128,
    "learning_rate": 2e-3,
    "schedule": "cosine",
    "seed": 0,
}
TILE = 16
LEVELS = {"fashion_mnist": (18, 20, 22), "tiles of photos": (20, 23, 26)}
_WEBP_HEAD = 30  # bytes: RIFF and chunk heads, and that of the frame


def trained(data, **settings):
    """Return a simple_ae trained on the rows."""
    with tempfile.TemporaryDirectory() as folder:
        run = aezoo.train(
            "simple_ae", data, out=f"{folder}/run", figures=False, **RECIPE | settings
        )
    return run.model


def ours(model, rows, pixels: int, original, back) -> list[tuple]:
    """Return (setting, bits per pixel, decibels) for each step; `back` joins rows to pictures."""
    points = []
    for step in STEPS:
        compressor = Compressor(model, step)
        made = compressor.compress(rows)
        answer = np.clip(np.rint(compressor.decompress(made)), 0, 255)
        size = len(made.to_bytes())
        points.append((f"step {step}", 8 * size / pixels, decibels(original, back(answer), 255)))
    return points


def linear(train, width: int, rows, pixels: int, original, back) -> list[tuple]:
    """Return the same of main components."""
    fitted = PCA(width, svd_solver="covariance_eigh").fit(train.reshape(len(train), -1) / 1.0)
    found, points = fitted.transform(rows.reshape(len(rows), -1)), []
    for step in STEPS:
        symbols = np.rint(found / step).astype("int32")
        answer = fitted.inverse_transform(symbols * float(step)).reshape(rows.shape)
        answer = np.clip(np.rint(answer), 0, 255)
        size = len(pack(symbols))
        points.append((f"step {step}", 8 * size / pixels, decibels(original, back(answer), 255)))
    return points


def bare(content: bytes, kind: str) -> int:
    """Return the bytes of the coded data alone."""
    if kind == "WebP":
        return len(content) - _WEBP_HEAD
    start = content.index(b"\xff\xda")  # start of scan; its own head follows
    return len(content) - start - 2 - int.from_bytes(content[start + 2 : start + 4]) - 2


def one_by_one(pictures, kind: str) -> dict[str, list[tuple]]:
    """Return the points of pictures that are files of their own, with heads and without."""
    pixels = sum(p.shape[0] * p.shape[1] for p in pictures)
    found = {f"{kind}, files": [], f"{kind}, without headers": []}
    for quality in QUALITIES[kind]:
        made = [coded(picture, kind, quality) for picture in pictures]
        told = f"quality {quality}", psnr(pictures, [decoded for _, decoded in made])
        for name, count in (("files", len), ("without headers", lambda c: bare(c, kind))):
            bits = 8 * sum(count(content) for content, _ in made) / pixels
            found[f"{kind}, {name}"].append((told[0], bits, told[1]))
    return found


def sheet(rows: np.ndarray, kind: str) -> list[tuple]:
    """Return the points of all pictures in one."""
    side, high, wide = int(np.sqrt(len(rows))), *rows.shape[1:3]
    rows = rows[: side * side]
    even = np.pad(rows, ((0, 0), (0, -high % 16), (0, -wide % 16), (0, 0)), mode="edge")
    points = []
    for quality in QUALITIES[kind]:
        content, decoded = coded(joined(even, side, side), kind, quality)
        back = cut(decoded, even.shape[1:3])[:, :high, :wide]
        bits = 8 * len(content) / (len(rows) * high * wide)
        points.append((f"quality {quality}", bits, decibels(rows, back, 255)))
    return points


def beside(rows: np.ndarray, few: int) -> dict[str, list[tuple]]:
    """Return the points of JPEG and WebP; of files of their own, those of the first few rows."""
    found = {}
    for kind in QUALITIES:
        found |= one_by_one(list(rows[:few]), kind)
        found[f"{kind}, one sheet"] = sheet(rows, kind)
    return found


def fashion(count: int, epochs: int) -> dict[str, list[tuple]]:
    """Return method -> points, of the test pictures."""
    data = load("fashion_mnist", validation=0.0)
    rows, few = data.test.array()[:count], data.train.array()[:20_000]
    model = trained(data, hidden=(512,), latent_dim=64, epochs=epochs)
    of_rows = (rows, rows.size, rows, lambda answer: answer)
    found = {"codes of simple_ae": ours(model, *of_rows)}
    found["64 main components"] = linear(few, 64, *of_rows)
    return found | beside(rows, 1000)


def photos(epochs: int) -> dict[str, list[tuple]]:
    """Return method -> points, of the tiles of photos that trained nothing."""
    data, size = load("photos"), (TILE, TILE)
    rows = data.test.array()  # (N, 64, 64, 3)
    count, lines = len(rows), rows.shape[1] // TILE

    def small(whole: np.ndarray) -> np.ndarray:
        return np.concatenate([cut(one, size) for one in whole])

    def back(answer: np.ndarray) -> np.ndarray:
        return np.stack([joined(some, lines, lines) for some in np.split(answer, count)])

    train = small(data.train.array())
    model = trained(train, hidden=(768,), latent_dim=96, epochs=epochs)
    of_rows = (small(rows), rows[..., 0].size, rows, back)
    found = {"codes of simple_ae": ours(model, *of_rows)}
    found["96 main components"] = linear(train, 96, *of_rows)
    return found | beside(rows, count)


def main() -> None:
    """Measure, draw, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--photo-epochs", type=int, default=8)
    args = parser.parse_args()
    command = (
        f"python benchmarks/compression.py --count {args.count} --epochs {args.epochs} "
        f"--photo-epochs {args.photo_epochs}"
    )
    measured = {
        "fashion_mnist": fashion(args.count, args.epochs),
        "tiles of photos": photos(args.photo_epochs),
    }
    points = [
        (data, method, setting, f"{bits:.5g}", f"{quality:.4g}", command)
        for data, methods in measured.items()
        for method, found in methods.items()
        for setting, bits, quality in found
    ]
    with whole_file(Path("results/compression.csv")) as part, part.open("w", newline="") as file:
        head = ("data", "method", "setting", "bits_per_pixel", "psnr_db", "command")
        csv.writer(file).writerows([head, *points])
    draw(measured)
    write("compression", at_levels(measured), command)


def at_levels(measured: dict) -> list[Figure]:
    """Return the bits that each method takes for a PSNR, between its points by a line.

    A method that is better than this with its smallest file counts by that file.
    """
    figures = []
    for data, methods in measured.items():
        for level in LEVELS[data]:
            for method, found in methods.items():
                bits, quality = zip(*sorted(point[1:] for point in found), strict=True)
                if max(quality) >= level:
                    value = float(np.interp(level, quality, bits))
                    ours = method.startswith("codes")
                    name = f"bits per pixel at {level} dB"
                    figures.append(Figure(data, name, method, ours, [value]))
    return figures


def draw(measured: dict) -> None:
    """Draw rate against distortion."""
    figure = new_figure(9.6, 3.8)
    for axes, (data, methods) in zip(figure.subplots(1, 2), measured.items(), strict=True):
        for method, points in methods.items():
            kind = method.partition(",")[0]
            color = {"JPEG": MUTED, "WebP": INK, "codes of simple_ae": ALARM}.get(kind, ACCENT)
            style = ":" if "without" in method else "--" if "sheet" in method else "-"
            bits, quality = zip(*[p[1:] for p in points], strict=True)
            axes.plot(bits, quality, style, marker="o", markersize=3, color=color, label=method)
        axes.set(xscale="log", xlabel="bits per pixel", ylabel="PSNR, dB")
        axes.set_title(data, fontsize=9, color=INK, loc="left")
        axes.legend(fontsize=6, frameon=False)
        plain(axes)
    write_png(figure, "results/compression.png")


if __name__ == "__main__":
    main()
