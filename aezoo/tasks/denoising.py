"""Remove noise: train on clean rows with made noise, or on pairs of noisy and clean ones.

denoiser = Denoiser(sigma=(5, 55)).fit(photos)
clean = denoiser.denoise(noisy)          # pictures of any size, tile by tile
denoiser.export("artifacts/denoiser")    # a verified bundle that answers alike
"""

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from aezoo.config import DataSection
from aezoo.data import DataSet, load
from aezoo.data.arrays import as_modality, from_arrays
from aezoo.data.source import Part, Source
from aezoo.errors import ZooError
from aezoo.tasks.exported import Exported
from aezoo.tasks.patches import as_pictures, cut
from aezoo.tasks.restoring import restored
from aezoo.training import train

SIGMA = (5.0, 55.0)  # of 255; for series and tables, percent of their standard deviation
TILE = 64  # pixels a side
_STEPS, _EPOCHS, _BATCH = 4000, 300, 4  # few patches a step, many steps
_COPIES = 10  # of a series or of a table's row, each with noise of its own
_PATCHES = 2000  # cut from pictures that come as arrays
_HELD = 0.1  # share of the rows, or of the pictures, that choose the epoch
_MANY = 32  # rows of a batch of series or of a table


class Denoiser(Exported, BaseEstimator):
    """Removes noise from pictures, series and tables.

    Args:
        entry: Name of a zoo entry, or path of a YAML; None takes `denoise_unet` for pictures,
            `denoise_ae` for series, `simple_ae` for tables.
        sigma: Standard deviation of the noise to train for, from the least to the largest; one
            number for both. Of 255 for pictures of 8 bits and, in proportion, for those in
            [0, 1]; for series and tables, percent of the standard deviation of each column.
        modality: `image`, `series` or `features`; None takes what the array looks like.
        settings: Overrides of the entry's recipe and arguments, as `aezoo.train` takes them.
        random_state: Seed of the split, the weights, the order and the noise.
        verbose: Whether to show the training.

    Attributes:
        model_: The fitted model.
        run_: The training run: history and figures.

    Example:
        >>> waves = np.sin(np.linspace(0, 9, 40) + np.arange(60)[:, None])[..., None]  # (60, 40, 1)
        >>> denoiser = Denoiser(sigma=50, settings={"epochs": 1}).fit(waves)
        >>> denoiser.denoise(waves[:2]).shape
        (2, 40, 1)
    """

    def __init__(
        self,
        entry: str | None = None,
        sigma: float | tuple[float, float] = SIGMA,
        modality: str | None = None,
        settings: dict | None = None,
        random_state: int = 0,
        verbose: bool = False,
    ):
        self.entry = entry
        self.sigma = sigma
        self.modality = modality
        self.settings = settings
        self.random_state = random_state
        self.verbose = verbose

    # ---- fitting ----

    def fit(self, clean, noisy=None) -> "Denoiser":
        """Train on clean rows to which noise is added, or on pairs.

        Args:
            clean: Pictures (N, H, W) or (N, H, W, C), or a list of pictures of any sizes, from
                which patches are cut; series (N, T, C); a table (N, F).
            noisy: The same rows with noise of their own, in the same order; None makes noise.

        Returns:
            The denoiser.

        Raises:
            ZooError: For rows that do not fit together, or a sigma out of range.
        """
        least, most = self.levels()
        rng = np.random.default_rng(self.random_state)
        if isinstance(clean, list | tuple):
            clean, noisy, groups = _patches(clean, noisy, rng)
        else:
            clean = np.asarray(clean)
            groups = np.arange(len(clean))
        if noisy is not None and np.shape(noisy) != np.shape(clean):
            raise ZooError(
                "Noisy and clean rows have different shapes.",
                received=f"{np.shape(noisy)} and {np.shape(clean)}",
                do="Give one noisy row for each clean one, in the same order.",
            )
        modality = self.modality or from_arrays({"train": (clean, None)}).modality
        clean = as_modality(clean, modality)
        if noisy is None and modality != "image":
            levels = rng.uniform(least, most, (_COPIES, len(clean), *[1] * (clean.ndim - 1)))
            spread = clean.std(axis=tuple(range(clean.ndim - 1)))  # (C,)
            noise = rng.normal(size=(_COPIES, *clean.shape)) * levels / 100 * spread
            noisy = (clean + noise).reshape(-1, *clean.shape[1:]).astype("float32")
            clean = np.tile(clean, (_COPIES, *[1] * (clean.ndim - 1)))
            groups = np.tile(groups, _COPIES)
        part = Part(clean, groups=groups)
        if noisy is not None:
            noisy = as_modality(np.asarray(noisy), modality)
            part = Part(noisy, targets=clean.astype(noisy.dtype), groups=groups)
        source = Source("rows", "<array>", {"train": part}, modality)
        section = DataSection(validation=_HELD, test=0.0, split_seed=self.random_state)
        return self.fit_data(load(source, section))

    def fit_data(self, data: DataSet, out: str | Path | None = None) -> "Denoiser":
        """Train on a data set whose roles are dealt: clean rows, or noisy ones with clean targets.

        Args:
            data: From `aezoo.data.load`; its test rows play no part.
            out: Keep the run folder there.

        Returns:
            The denoiser.
        """
        entry, settings = self._recipe(data)
        with tempfile.TemporaryDirectory(prefix="aezoo-") as folder:
            self.run_ = train(
                entry,
                data,
                out=Path(folder) / "run" if out is None else out,
                figures=out is not None,
                verbose=self.verbose,
                **{"seed": self.random_state} | settings,
            )
        self.model_ = self.run_.model
        return self

    def levels(self) -> tuple[float, float]:
        """Return the least and the largest `sigma`.

        Raises:
            ZooError: If they are no such range.
        """
        least, most = np.broadcast_to(np.asarray(self.sigma, "float64"), (2,)).tolist()
        if not 0 <= least <= most or not 0 < most < math.inf:
            raise ZooError(
                "The noise needs a range of standard deviations, from the least to the largest.",
                received=self.sigma,
                do="Give such as sigma=(5, 55) or sigma=25.",
            )
        return least, most

    def _recipe(self, data: DataSet) -> tuple[str, dict]:
        """Return the entry and the overrides to train."""
        given, count = dict(self.settings or {}), len(data.train)
        if data.modality == "image":
            least, most = (value / 255 for value in self.levels())
            recipe = {"batch_size": _BATCH, "epochs": _epochs(count, _BATCH)}
            recipe |= {"corruption": "gaussian", "level": most, "least": least}
            return self.entry or "denoise_unet", recipe | given
        if data.modality == "series":
            recipe = {"batch_size": _MANY, "epochs": _epochs(count, _MANY)}
            return self.entry or "denoise_ae", recipe | {"loss": "mean_squared_error"} | given
        if data.modality == "features":
            columns = data.train.shape[0]
            recipe = {"batch_size": _MANY, "epochs": _epochs(count, _MANY)}
            recipe |= {"hidden": (4 * columns,), "latent_dim": max(1, columns // 2)}
            recipe |= {"latent_activation": "linear", "output_activation": "linear"}
            return self.entry or "simple_ae", recipe | given
        raise ZooError(
            "There is no recipe for rows of this kind.",
            received=data.modality,
            do="Give pictures, series or a table.",
        )

    # ---- asking ----

    def denoise(self, rows):
        """Return rows without their noise.

        Args:
            rows: Pictures (N, H, W) or (N, H, W, C) or a list of them, of any size: others than
                the model's are answered tile by tile; series (N, T, C); a table (N, F).

        Returns:
            Of the same kind, shape and type; a list for a list.

        Raises:
            ZooError: For series and tables of another shape, NaN or infinity.
        """
        check_is_fitted(self, "model_")
        model = self.model_
        if model.input_name != "image":
            rows = np.asarray(rows)
            return self._restore(as_modality(rows, model.input_name)).reshape(rows.shape)
        pictures = [restored(np.asarray(p), self._restore, model.input_shape) for p in rows]
        return pictures if isinstance(rows, Sequence) else np.stack(pictures)

    def _restore(self, rows: np.ndarray) -> np.ndarray:
        model = self.model_
        return model.endpoint("reconstruct")(**{model.input_name: rows})["reconstruction"]


def _epochs(rows: int, batch: int) -> int:
    """Return how often to go over the rows: few ones more often."""
    return min(max(1, math.ceil(_STEPS / max(1, rows // batch))), _EPOCHS)


def _patches(clean: Sequence, noisy: Sequence | None, rng: np.random.Generator):
    """Return patches of clean pictures, of noisy ones or None, and which picture each is of."""
    kinds = [as_pictures(one) for one in (clean, noisy) if one is not None]
    shapes = [[picture.shape for picture in kind] for kind in kinds]
    if shapes[0] != shapes[-1]:
        raise ZooError(
            "Noisy and clean pictures have different shapes.",
            received=f"{shapes[1][:3]} and {shapes[0][:3]}",
            do="Give one noisy picture for each clean one, in the same order.",
        )
    patches, groups = cut(TILE, _PATCHES, rng, *kinds)
    return patches[0], patches[1] if noisy is not None else None, groups
