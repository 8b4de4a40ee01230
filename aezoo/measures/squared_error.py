"""How well pictures are remembered, beside networks and components of as large a code."""

import numpy as np

from aezoo import metrics
from aezoo.config import override
from aezoo.registry import find


def mse(model, data) -> dict[str, float]:
    """Return the mean squared error on test rows, in squared model units, and the mean PSNR."""
    x = np.asarray(model.preprocessing.apply(data.test.array()))
    return _figures(x, model.predict(x, batch_size=64, verbose=0))


def conv_ae_with_a_code_of_128(data) -> dict[str, float]:
    """Return the same of `conv_ae`, trained on the same rows by the recipe of `resnet_ae`.

    Its filters (32, 64, 128) make it as deep and as wide as the residual network.
    """
    import tempfile

    from aezoo.training import train

    recipe = find("resnet_ae")
    changes = {f"train.{name}": value for name, value in recipe.train.model_dump().items()}
    changes |= {k: v for k, v in recipe.reference.overrides.items() if k.startswith("train.")}
    changes |= {"args.filters": (32, 64, 128), "args.latent_dim": 128}
    changes |= {"train.loss": "mean_squared_error"}
    with tempfile.TemporaryDirectory() as scratch:
        entry = override(find("conv_ae"), changes)
        return mse(train(entry, data, out=f"{scratch}/run", verbose=False).model, data)


def pca_of_128(data) -> dict[str, float]:
    """Return the same of as many principal components as the code has numbers."""
    from sklearn.decomposition import PCA

    train, test = (part.array() / 255.0 for part in (data.train, data.test))
    flat = train.reshape(len(train), -1)
    pca = PCA(min(128, *flat.shape), random_state=0).fit(flat)
    answer = pca.inverse_transform(pca.transform(test.reshape(len(test), -1)))
    return _figures(test, np.clip(answer, 0.0, 1.0).reshape(test.shape))


def _figures(x, answer) -> dict[str, float]:
    return {
        "mse": float(metrics.mse(x, answer).mean()),
        "psnr": float(metrics.psnr(x, answer).mean()),
    }
