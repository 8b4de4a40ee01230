"""How well pictures are remembered, beside a plain network and components of as large a code."""

import numpy as np

from aezoo import metrics
from aezoo.measures.beside import trained_beside
from aezoo.measures.reconstruction import pca


def beside_conv_ae(model, data) -> dict[str, float]:
    """Return the mean squared error on test rows over that of `conv_ae`.

    `conv_ae` has the same filters and code size, and is trained here by the same recipe on the same
    rows. Beside the ratio: both errors, in squared model units, and those of as many principal
    components as the code has numbers.
    """
    settings = model.entry.train.model_dump() | {
        "loss": "mean_squared_error",
        "filters": tuple(model.arguments["filters"]),
        "latent_dim": model.arguments["latent_dim"],
    }
    ours = _error(model, data)
    theirs = _error(trained_beside("conv_ae", data, settings), data)
    return {
        "ratio": ours / theirs,
        "mse": ours,
        "mse_of_conv_ae": theirs,
        "mse_of_pca": pca(data, model.arguments["latent_dim"])["test_mse"],
    }


def _error(model, data) -> float:
    x = np.asarray(model.preprocessing.apply(data.test.array()))
    return float(metrics.mse(x, model.predict(x, batch_size=64, verbose=0)).mean())
