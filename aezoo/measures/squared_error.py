"""How well pictures are remembered, beside a plain network and components of as large a code."""

import functools
import tempfile
from pathlib import Path

import numpy as np

from aezoo import metrics
from aezoo.config import TrainSection, override
from aezoo.registry import find
from aezoo.training import train


def beside_conv_ae(model, data) -> dict[str, float]:
    """Return the mean squared error on test rows over that of `conv_ae`.

    `conv_ae` has the same filters and code size, and is trained here by the same recipe on the same
    rows. Beside the ratio: both errors, in squared model units, and those of as many principal
    components as the code has numbers.
    """
    x = np.asarray(model.preprocessing.apply(data.test.array()))
    ours = float(metrics.mse(x, model.predict(x, batch_size=64, verbose=0)).mean())
    settings = (tuple(model.arguments["filters"]), model.arguments["latent_dim"])
    theirs = _of_conv_ae(data.origin, data.section, settings, model.entry.train)
    return {
        "ratio": ours / theirs,
        "mse": ours,
        "mse_of_conv_ae": theirs,
        "mse_of_pca": _of_pca(data, model.arguments["latent_dim"]),
    }


@functools.lru_cache(maxsize=1)  # a model and its untrained self are measured one after another
def _of_conv_ae(source: str, section, settings: tuple, recipe: TrainSection) -> float:
    filters, latent_dim = settings
    changes = {f"train.{name}": value for name, value in recipe.model_dump().items()}
    changes |= {f"data.{name}": value for name, value in section.model_dump().items()}
    changes |= {"args.filters": filters, "args.latent_dim": latent_dim}
    entry = override(find("conv_ae"), changes | {"train.loss": "mean_squared_error"})
    with tempfile.TemporaryDirectory() as scratch:
        run = train(entry, source, out=Path(scratch) / "run", verbose=False)
    return float(run.metrics["test"]["reconstruction_loss"])


def _of_pca(data, components: int) -> float:
    from sklearn.decomposition import PCA

    train_rows, test = (part.array() / 255.0 for part in (data.train, data.test))
    flat = train_rows.reshape(len(train_rows), -1)
    pca = PCA(min(components, *flat.shape), random_state=0).fit(flat)
    answer = pca.inverse_transform(pca.transform(test.reshape(len(test), -1)))
    return float(metrics.mse(test, np.clip(answer, 0.0, 1.0).reshape(test.shape)).mean())
