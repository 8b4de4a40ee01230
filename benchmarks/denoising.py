"""Noise removed from photographs, beside the filters of scikit-image.

    python benchmarks/denoising.py                     # results/tasks/denoising.csv and a picture

Tiles of five photographs train, those of a sixth choose the epoch; the middle 256 pixels of two
others measure, at noise of 15, 25 and 50 of 255, rounded and cut to 8 bits. `denoise_unet` is
trained once, for noise from 5 to 55, and is not told its strength. The filters are told, and are
tuned on training photographs at each strength.
"""

import argparse
import statistics
from pathlib import Path

from task_table import Figure, write

from aezoo.data.named import PHOTOS, local_folder
from aezoo.tasks import denoising_fit
from aezoo.tasks.denoising import TILE, Denoiser

SIDES = {"train": 96, "test": 256}
BATCH = 8  # where epochs are given


def main() -> None:
    """Train, measure, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--epochs", type=int, help="instead of what the task chooses, of batches of 8"
    )
    options = parser.parse_args()
    command, settings = "python benchmarks/denoising.py", {}
    if options.epochs:
        command = f"{command} --epochs {options.epochs}"
        settings = {"epochs": options.epochs, "batch_size": BATCH}
    folder = local_folder("photos")
    tiles = denoising_fit.as_tiles(
        {role: [folder / name for name in names] for role, names in PHOTOS.items()}, TILE
    )
    denoiser = Denoiser(settings=settings, verbose=True).fit_data(tiles)
    train, test = (
        [denoising_fit.middle(folder / name, side, 3) for name in PHOTOS[role]]
        for role, side in SIDES.items()
    )
    found = denoising_fit.measure(denoiser, train, test)
    ours, figures = denoiser.model_.name, []
    for method, measured in found.items():
        for figure, values in measured.items():
            best = max(statistics.fmean(row[figure]) for name, row in found.items() if name != ours)
            name, sigma = figure.split(" at ")
            named = f"photos, noise of {sigma}", name + ", dB" * (name == "PSNR"), method
            goal = f"> {best:.4g}" if method == ours else ""  # the best filter
            figures.append(Figure(*named, method == ours, values, goal))
    figures.sort(key=lambda one: (one.data, one.figure))
    write("denoising", figures, command)
    denoising_fit.draw(denoiser, test[:1] * 3, Path("results/denoising.png"))  # the cat


if __name__ == "__main__":
    main()
