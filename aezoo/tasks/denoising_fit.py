"""A folder of clean pictures becomes a denoiser: its bundle, what it reaches, and a report."""

import dataclasses
import math
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from aezoo import metrics, report
from aezoo.config import DataSection
from aezoo.data import MEMORY_LIMIT, DataSet, load
from aezoo.data.folders import list_files
from aezoo.data.image_files import ImageFiles
from aezoo.data.pictures import middle_of, pixels_of
from aezoo.data.source import Part, Source
from aezoo.drawing import INK, as_picture, bare, new_figure, write_png
from aezoo.errors import ZooError
from aezoo.files import require_new_folder, require_paths
from aezoo.tasks import denoising_baselines as baselines
from aezoo.tasks.denoising import SIGMA, TILE, Denoiser
from aezoo.tasks.restoring import with_noise

LEVELS = (15, 25, 50)  # of 255, that are measured
_TILES = 10_000  # of all pictures, below which they overlap, by three quarters at most
_LEAST = 3  # pictures: one to train on, one to choose the epoch, one to measure
_VALIDATION, _TEST = 0.12, 0.25
_SIDE = 256  # pixels of the middle of a picture, that are measured
_MEASURED, _TUNED, _TUNED_SIDE = 8, 4, 96  # pictures that measure, and tune the baselines
_SHOWN, _SHOWN_SIDE = 3, 160


@dataclasses.dataclass(frozen=True)
class Denoising:
    """What `fit` made.

    Attributes:
        folder: With run, bundle, figures and report.html.
        denoiser: The fitted denoiser.
        test: Names of the pictures that measured.
        measured: Method -> figure -> value: PSNR in dB and SSIM at each level of noise.
        notes: Sentences to print.
    """

    folder: Path
    denoiser: Denoiser
    test: list[str]
    measured: dict[str, dict[str, float]]
    notes: list[str]


def fit(
    pictures: str | Path,
    out: str | Path,
    *,
    sigma: float | tuple[float, float] = SIGMA,
    entry: str | None = None,
    tile: int = TILE,
    seed: int = 0,
    verbose: bool = True,
    **settings: Any,
) -> Denoising:
    """Train a denoiser on a folder of clean pictures, measure, export, and write a report.

    A picture trains, chooses the epoch, or measures: none does two of these.

    Args:
        pictures: A folder of at least 3 pictures, each of a tile or more.
        out: The folder to make.
        sigma: Range of the noise to train for, of 255.
        entry: A zoo entry; None takes `denoise_unet`.
        tile: Pixels a side of what the model sees at once.
        seed: Of the split, the weights, the order and the noise.
        verbose: Whether to show notes and progress.
        **settings: Overrides of recipe and arguments, as `aezoo.train` takes them.

    Returns:
        What was made.

    Raises:
        ZooError: For too few pictures, some that cannot be read, or an `out` that exists.

    Example:
        aezoo.tasks.denoising_fit.fit("photos", "denoiser")
    """
    out = Path(out)
    require_new_folder(out, "Choose another --out, or delete it.")
    denoiser = Denoiser(entry, sigma, settings=settings, random_state=seed, verbose=verbose)
    denoiser.levels()
    data, files = dealt(Path(pictures), tile, seed)
    console = Console(file=sys.stderr, quiet=not verbose, highlight=False)
    denoiser.fit_data(data, out / "run")
    with console.status("measuring, exporting, and asking every exported graph the same"):
        as_data = data.train.shape[-1], data.pictures.deep_white
        test = [middle(path, _SIDE, *as_data) for path in files["test"][:_MEASURED]]
        train = [middle(path, _TUNED_SIDE, *as_data) for path in files["train"][:_TUNED]]
        measured = {
            method: {name: statistics.fmean(values) for name, values in row.items()}
            for method, row in measure(denoiser, train, test, seed).items()
        }
        denoiser.export(out / "bundle")
        notes = [] if baselines.available() else [baselines.MISSING]
        names = [path.name for path in files["test"]]
        made = Denoising(out, denoiser, names, measured, notes)
        _report(made, data, test, seed)
    return made


def next_commands(folder: Path) -> list[str]:
    """Return the commands to run next."""
    return [
        f"aezoo denoise run {folder} NOISY_PICTURES --out {folder}/denoised",
        f"aezoo serve {folder}/bundle",
    ]


def dealt(folder: Path, tile: int, seed: int) -> tuple[DataSet, dict[str, list[Path]]]:
    """Return tiles of the pictures of a folder in their roles, and the files of each role."""
    require_paths(folder)
    files = list_files(folder)[0] if folder.is_dir() else [folder]
    if len(files) < _LEAST:
        raise ZooError(
            f"A denoiser needs at least {_LEAST} pictures: to train, to choose the epoch, and to "
            "measure.",
            received=f"{len(files)} in {folder}",
            do="Give a folder of more clean pictures.",
        )
    order = np.random.default_rng(seed).permutation(len(files))
    test, held = (max(1, round(share * len(files))) for share in (_TEST, _VALIDATION))
    dealt = {
        "train": order[test + held :],
        "validation": order[test : test + held],
        "test": order[:test],
    }
    chosen = {role: [files[i] for i in sorted(numbers)] for role, numbers in dealt.items()}
    return as_tiles(chosen, tile, folder.resolve().name, seed), chosen


def as_tiles(
    files: dict[str, list[Path]],
    tile: int,
    name: str = "pictures",
    seed: int = 0,
    channels: int | None = None,
) -> DataSet:
    """Return squares of pictures in the roles of their files; those of few pictures overlap.

    Args:
        files: Role -> pictures.
        tile: Pixels a side.
        name: Of the data set.
        seed: Kept with it.
        channels: 1 or 3; None takes 1 if all are grey.
    """
    every = [path for of_role in files.values() for path in of_role]
    images = ImageFiles(every, size=tile, fit="tile", channels=channels)
    if len(images) < _TILES:
        stride = max(tile // 4, round(tile * math.sqrt(len(images) / _TILES)))
        images = ImageFiles(every, size=tile, fit="tile", channels=channels, stride=stride)
    parts, first = {}, 0
    for role, of_role in files.items():
        numbers = np.arange(first, first := first + len(of_role))
        rows = images.take(np.flatnonzero(np.isin(images.members, numbers)))
        whole = rows.nbytes <= MEMORY_LIMIT
        parts[role] = Part(rows.read(np.arange(len(rows))) if whole else rows)
    source = Source(
        name,
        name,
        parts,
        "image",
        notes=[images.note(), f"{len(files['test'])} pictures measure and train nothing."],
        complete=True,
        pictures=images.rule(),
    )
    return load(source, DataSection(split_seed=seed))


def measure(
    denoiser: Denoiser, train: list[np.ndarray], test: list[np.ndarray], seed: int = 0
) -> dict[str, dict[str, list[float]]]:
    """Return PSNR and SSIM of each picture by the denoiser, the baselines, and before.

    Args:
        denoiser: A fitted one.
        train: Clean pictures (H, W, C) that the baselines are tuned on.
        test: Clean pictures that measure.
        seed: Of the noise.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for sigma in LEVELS:
        noisy = [with_noise(picture, sigma, (seed, i)) for i, picture in enumerate(test)]
        answers = {denoiser.model_.name: denoiser.denoise(noisy), "noisy pictures": noisy}
        if baselines.available():
            for name, remove in baselines.tuned(train, sigma, seed).items():
                answers[name] = [remove(picture) for picture in noisy]
        for name, answered in answers.items():
            pairs = [(c[None] / 255, a[None] / 255) for c, a in zip(test, answered, strict=True)]
            row = found.setdefault(name, {})
            row[f"PSNR at {sigma}"] = [float(metrics.psnr(*pair)[0]) for pair in pairs]
            row[f"SSIM at {sigma}"] = [float(metrics.ssim(*pair)[0]) for pair in pairs]
    return found


def middle(path: Path, side: int, channels: int, deep_white: float | None = None) -> np.ndarray:
    """Return the middle of a picture file, at most (side, side, channels), uint8."""
    picture = pixels_of(path, deep_white)
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], channels, axis=-1)
    return middle_of(picture, side)[..., :channels]


# ---- report ----


def _report(made: Denoising, data: DataSet, test: list[np.ndarray], seed: int) -> None:
    figures, model = made.folder / "figures", made.denoiser.model_
    path = draw(made.denoiser, test, figures / "denoised.png", seed)
    least, most = made.denoiser.levels()
    text = (
        f"Means over the middle {_SIDE} pixels of pictures that trained nothing: "
        f"{', '.join(made.test)}. PSNR in dB. {model.name} was trained for noise from {least:g} to "
        f"{most:g} of 255 and is not told how strong it is; the baselines are, and were tuned on "
        "training pictures. Noisy pictures are of 8 bits: rounded and cut to 0 to 255."
    )
    loss = made.folder / "run" / "figures" / "loss.png"
    caption = "Loss by epoch; the dot marks the weights that were kept."
    sections = [
        ("", [report.picture(path, "Test pictures: noisy, denoised, clean.")]),
        (
            "Test pictures, which nothing was fitted to",
            [
                report.measured(f"{len(test)} test pictures", made.measured, ".4g"),
                report.paragraph(text),
                *map(report.paragraph, made.notes),
            ],
        ),
        ("Training", [report.picture(loss, caption)]),
        ("The data", [report.paragraph(note) for note in data.notes]),
        ("Next", [report.commands(next_commands(made.folder))]),
    ]
    report.write(made.folder / "report.html", f"Noise removed from {data.name}", sections)


def draw(denoiser: Denoiser, test: list[np.ndarray], path: Path, seed: int = 0) -> Path:
    """Draw parts of test pictures noisy, denoised and clean, one level of noise each."""
    shown = [picture[:_SHOWN_SIDE, :_SHOWN_SIDE] for picture in test[:_SHOWN]]
    figure = new_figure(7.2, 2.5 * len(shown))
    axes = figure.subplots(len(shown), 3, squeeze=False)
    for i, (clean, row) in enumerate(zip(shown, axes, strict=True)):
        sigma = LEVELS[::-1][i % len(LEVELS)]
        noisy = with_noise(clean, sigma, (seed, i))
        (answer,) = denoiser.denoise([noisy])
        for axis, one, title in zip(
            row, (noisy, answer, clean), (f"noise of {sigma}", "denoised", "clean"), strict=True
        ):
            if one is not clean:
                title += f", {metrics.psnr(clean[None] / 255, one[None] / 255)[0]:.1f} dB"
            axis.imshow(as_picture(one), cmap="gray", vmin=0, vmax=1)
            axis.set_title(title, fontsize=9, color=INK)
            bare(axis)
    return write_png(figure, path)
