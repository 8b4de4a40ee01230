"""What is where: train on pictures and their masks, answer pictures of any size.

task = SegmentationTask().fit(pictures, masks)     # a few marked pictures do
masks = task.predict(new)                          # labels, tile by tile
task.export("artifacts/nuclei")                    # a verified bundle that answers alike
"""

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from aezoo.config import DataSection
from aezoo.data import load
from aezoo.data.source import Part, Source
from aezoo.errors import ZooError
from aezoo.specs import PictureRule
from aezoo.tasks.exported import Exported
from aezoo.tasks.masks import Overlap, classes_of, segmented
from aezoo.tasks.patches import as_pictures, cut
from aezoo.training import train

TILE = 96  # pixels a side
MOST_CLASSES = 32  # more labels than these number things, they do not name classes
AUGMENT = ("flip_horizontal", "flip_vertical", "transpose", "contrast", "brightness")
_STEPS, _EPOCHS, _BATCH = 300, 100, 4
_SEEN = 8  # times that each pixel is in a patch, about
_LEAST, _MOST = 48, 4000  # patches
_HELD = 0.15  # share of the pictures, or of each, that chooses the epoch
_FEW = 5  # pictures, below which a part of each is held back instead of whole ones


class SegmentationTask(Exported, BaseEstimator):
    """Tells the class of each pixel.

    Args:
        entry: Name of a zoo entry of segmentation, or path of a YAML.
        foreground: Whether all labels above 0 are one class: for masks of 0 and 255 it changes
            nothing, of masks that number things it takes the numbers away.
        tile: Pixels a side of what the model sees at once, in training and in answering.
        settings: Overrides of the entry's recipe and arguments, as `aezoo.train` takes them.
        random_state: Seed of the patches, the weights and the order.
        verbose: Whether to show the training.

    Attributes:
        model_: The fitted model.
        classes_: The label of each class, as masks hold it.
        run_: The training run: history and figures.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> pictures = [rng.integers(0, 256, (40, 50), "uint8") for _ in range(6)]
        >>> masks = [np.where(picture > 127, 255, 0) for picture in pictures]
        >>> task = SegmentationTask(tile=16, settings={"epochs": 1, "filters": (4, 8)})
        >>> task.fit(pictures, masks).classes_, task.predict(pictures[:1])[0].shape
        ((0, 255), (40, 50))
    """

    def __init__(
        self,
        entry: str = "unet",
        foreground: bool = False,
        tile: int = TILE,
        settings: dict | None = None,
        random_state: int = 0,
        verbose: bool = False,
    ):
        self.entry = entry
        self.foreground = foreground
        self.tile = tile
        self.settings = settings
        self.random_state = random_state
        self.verbose = verbose

    # ---- fitting ----

    def fit(
        self,
        pictures: Sequence[np.ndarray],
        masks: Sequence[np.ndarray],
        out: str | Path | None = None,
        rule: PictureRule | None = None,
    ) -> "SegmentationTask":
        """Train on patches of pictures and masks, turned, mirrored, brighter and darker.

        A part is held back to choose the epoch: whole pictures, or where they are few the lowest
        part of each.

        Args:
            pictures: (H, W) or (H, W, C), of any sizes, uint8.
            masks: Labels, (H, W), of the sizes of the pictures.
            out: Keep the run folder there.
            rule: How files became pictures, for the bundle.

        Returns:
            The task.

        Raises:
            ZooError: For pictures and masks that do not fit together, masks of one label, or of
                so many that they must be numbers of things.
        """
        pictures, masks = as_pictures(pictures), [np.asarray(mask) for mask in masks]
        _require_pairs(pictures, masks, self.tile)
        self.classes_ = _labels(masks, self.foreground)
        answers = [classes_of(mask, self.classes_, self.foreground) for mask in masks]
        source = self._patches(pictures, answers, rule)
        data = load(source, DataSection(split_seed=self.random_state))
        count = len(self.classes_)
        steps = max(1, len(data.train) // _BATCH)
        recipe = {
            "seed": self.random_state,
            "classes": 1 if count == 2 else count,
            "batch_size": _BATCH,
            "epochs": min(math.ceil(_STEPS / steps), _EPOCHS),
            "augment": AUGMENT,
        }
        with tempfile.TemporaryDirectory(prefix="aezoo-") as folder:
            self.run_ = train(
                self.entry,
                data,
                out=Path(folder) / "run" if out is None else out,
                figures=out is not None,
                verbose=self.verbose,
                **recipe | (self.settings or {}),
            )
        self.model_ = self.run_.model
        return self

    def _patches(self, pictures, answers, rule: PictureRule | None) -> Source:
        """Return patches of what trains, and of what chooses the epoch."""
        rng = np.random.default_rng(self.random_state)
        parts = {}
        for role, (some, of_some) in _held_back(pictures, answers, self.tile, rng).items():
            area = sum(one.shape[0] * one.shape[1] for one in some)
            count = int(np.clip(_SEEN * area / self.tile**2, _LEAST, _MOST))
            count = count if role == "train" else count // 4
            (x, y), _ = cut(self.tile, count, rng, some, of_some)
            parts[role] = Part(x, targets=y.astype("int32"))
        names = {number: str(label) for number, label in enumerate(self.classes_)}
        made = Source("pictures", "<array>", parts, "image", names, complete=True)
        made.pictures = rule
        return made

    # ---- asking ----

    def predict(self, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return a mask of labels for each picture, (H, W).

        Args:
            pictures: (H, W) or (H, W, C), of any sizes, uint8.
        """
        check_is_fitted(self, "model_")
        labels = np.asarray(self.classes_)
        return [labels[segmented(np.asarray(p), self._ask, self._shape)] for p in pictures]

    def overlap(self, pictures: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> Overlap:
        """Return how the answers overlap with true masks; it knows Dice and IoU of each class."""
        check_is_fitted(self, "model_")
        found = Overlap.of_classes(len(self.classes_))
        for picture, mask in zip(pictures, masks, strict=True):
            truth = classes_of(np.asarray(mask), self.classes_, self.foreground)
            found.add(truth, segmented(np.asarray(picture), self._ask, self._shape))
        return found

    @property
    def _shape(self) -> tuple[int, int, int]:
        return self.model_.input_shape

    def _ask(self, tiles: np.ndarray) -> np.ndarray:
        return self.model_.endpoint("segment")(image=tiles)["probabilities"]


def _require_pairs(pictures, masks, tile: int) -> None:
    sizes = [one.shape[:2] for one in pictures]
    if sizes != [mask.shape for mask in masks]:
        raise ZooError(
            "Pictures and masks are not of the same sizes.",
            received=f"{sizes[:3]} and {[mask.shape for mask in masks][:3]}",
            do="Give a mask (H, W) for each picture (H, W, C), in the same order.",
        )
    smallest = min(min(size) for size in sizes)
    if smallest < tile:
        raise ZooError(
            "A picture is smaller than a tile.",
            received=f"{smallest} pixels, and a tile has {tile}",
            do=f"Choose a smaller tile, such as {max(8, smallest // 2)}, or give larger pictures.",
        )


def _labels(masks: list[np.ndarray], foreground: bool) -> tuple[int, ...]:
    """Return the labels that occur, one for each class."""
    found = sorted({int(label) for mask in masks for label in np.unique(mask)})
    if foreground and len(found) > 1:
        return 0, 1
    if len(found) < 2:
        raise ZooError(
            "The masks hold one label only: there is nothing to tell apart.", received=found
        )
    if len(found) > MOST_CLASSES:
        raise ZooError(
            f"The masks hold {len(found)} labels: they seem to number things, not to name classes.",
            received=f"{found[:5]} ...",
            do="Take all above 0 for one class: foreground=True, or --foreground.",
        )
    return tuple(found)


def _held_back(pictures, answers, tile: int, rng: np.random.Generator) -> dict:
    """Return by role the pictures and masks, or parts of them, that train and that choose."""
    if len(pictures) >= _FEW:
        order = rng.permutation(len(pictures))
        held = max(1, round(_HELD * len(pictures)))
        chosen = {"train": order[held:], "validation": order[:held]}
        return {
            role: ([pictures[i] for i in some], [answers[i] for i in some])
            for role, some in chosen.items()
        }
    parts = {"train": ([], []), "validation": ([], [])}
    for picture, answer in zip(pictures, answers, strict=True):
        height = len(picture)
        held = max(tile, round(_HELD * height))
        if height - held < tile:  # too low to be parted: it trains
            parts["train"][0].append(picture)
            parts["train"][1].append(answer)
            continue
        for role, rows in (
            ("train", slice(height - held)),
            ("validation", slice(height - held, None)),
        ):
            parts[role][0].append(picture[rows])
            parts[role][1].append(answer[rows])
    return {role: some for role, some in parts.items() if some[0]}
