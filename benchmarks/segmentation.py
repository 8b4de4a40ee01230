"""Nuclei in a fluorescence picture: trained on its left half, measured on its right.

    python benchmarks/segmentation.py                  # writes results/tasks

Of the left half the lowest part chooses the epoch. The controls look at one pixel's brightness: by
Otsu's threshold, which needs no mask, and by the threshold of the highest Dice on the left half.
"""

import argparse
from pathlib import Path

import numpy as np
from task_table import Figure, write

from aezoo.data.named import local_folder
from aezoo.data.pictures import pixels_of
from aezoo.drawing import INK, bare, new_figure, write_png
from aezoo.tasks.masks import Overlap, overlay, read_mask
from aezoo.tasks.segmentation import SegmentationTask


def main() -> None:
    """Train one model per seed, measure, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    folder = local_folder("nuclei")
    picture = pixels_of(folder / "dsb2018_img2d.tif")  # (512, 512), uint8
    truth = (read_mask(folder / "dsb2018_mask2d.tif") > 0).astype("uint8")
    half = picture.shape[1] // 2
    train, test = (picture[:, :half], truth[:, :half]), (picture[:, half:], truth[:, half:])

    answers = {"unet": []}
    for seed in range(seeds):
        task = SegmentationTask(random_state=seed, verbose=True).fit([train[0]], [train[1]])
        answers["unet"] += task.predict([test[0]])
        print(seed, overlap(test[1], answers["unet"][-1]).dice, flush=True)
    answers["Otsu's threshold"] = [test[0] > otsu(test[0])]
    dice = [overlap(train[1], train[0] > level).dice[1] for level in range(255)]
    answers["best threshold of the training half"] = [test[0] > int(np.nanargmax(dice))]
    figures = []
    for name in ("dice", "iou"):
        for method, given in answers.items():
            values = [float(getattr(overlap(test[1], one), name)[1]) for one in given]
            goal = ">= 0.90" if (method, name) == ("unet", "dice") else ""
            called = {"dice": "Dice of nuclei", "iou": "IoU of nuclei"}[name]
            figures.append(
                Figure("nuclei, right half", called, method, method == "unet", values, goal)
            )
    write("segmentation", figures, f"python benchmarks/segmentation.py --seeds {seeds}")
    draw(*test, answers["unet"][0], Path("results/segmentation.png"))


def overlap(truth: np.ndarray, answer: np.ndarray) -> Overlap:
    """Return the overlap of two masks of 0 and 1."""
    found = Overlap.of_classes(2)
    found.add(truth, answer)
    return found


def otsu(picture: np.ndarray) -> int:
    """Return the grey level that parts a picture into two classes of least variance within.

    Source: Otsu, "A threshold selection method from gray-level histograms" (1979).
    """
    share = np.bincount(picture.ravel(), minlength=256) / picture.size
    below, mean = share.cumsum(), (share * np.arange(256)).cumsum()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (mean[-1] * below - mean) ** 2 / (below * (1 - below))
    return int(np.nanargmax(between))


def draw(picture: np.ndarray, truth: np.ndarray, answer: np.ndarray, path: Path) -> None:
    """Draw the picture, the true mask over it, and the answered one."""
    brighter = np.clip(picture * (255.0 / np.quantile(picture, 0.995)), 0, 255).astype("uint8")
    figure = new_figure(7.2, 5.2)
    shown = (brighter, overlay(brighter, truth), overlay(brighter, answer))
    titles = ("test half", "true mask", "unet")
    for axis, one, title in zip(figure.subplots(1, 3), shown, titles, strict=True):
        axis.imshow(one, cmap="gray", vmin=0, vmax=255)
        axis.set_title(title, fontsize=9, color=INK)
        bare(axis)
    write_png(figure, path)


if __name__ == "__main__":
    main()
