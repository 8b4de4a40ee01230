"""How well rows are remembered: cross-entropy on test rows, beside that of principal components.

    -(1/D) sum_i [ x_i log p_i + (1 - x_i) log(1 - p_i) ]          nats per value, mean over rows

Grey values x are their own best answer and still cost their entropy, so 0 cannot be reached.
"""

import numpy as np

from aezoo import metrics
from aezoo.layers.preprocessing import Preprocessing

_EDGE = 1e-7  # probabilities keep this distance from 0 and 1, as Keras' loss has it


def binary_cross_entropy(target, answer) -> np.ndarray:
    """Cross-entropy of each row in nats, mean per value; answers are clipped to [0, 1].

    Args:
        target: `(N, ...)` in [0, 1].
        answer: Of the same shape.

    Returns:
        `(N,)`, float64.

    Example:
        >>> binary_cross_entropy(np.ones((1, 4)), np.full((1, 4), 0.5)).round(6).tolist()
        [0.693147]
    """
    x = np.asarray(target, "float64").reshape(len(target), -1)
    p = np.clip(np.asarray(answer, "float64"), _EDGE, 1.0 - _EDGE).reshape(x.shape)
    return -(x * np.log(p) + (1.0 - x) * np.log1p(-p)).mean(axis=1)


def cross_entropy_on_test_rows(model, dataset) -> dict[str, float]:
    """Return the cross-entropy of a model on test rows, and its mean squared error.

    Args:
        model: An autoencoder whose answers lie in [0, 1].
        dataset: Its data set, with test rows.

    Returns:
        `test_cross_entropy` in nats per value, then `test_mse` in squared model units.
    """
    x = np.asarray(model.preprocessing.apply(dataset.test.array()))
    return _figures(x, model.predict(x, batch_size=512, verbose=0))


def sparse_code_on_test_rows(model, dataset) -> dict[str, float]:
    """Return a model's cross-entropy, how sparse its codes are, and what it lets through.

    Returns:
        The figures of `cross_entropy_on_test_rows`; `active_share`, the share of units above 0.1
        in the code of a test row; `shuffled_mse`, the squared error of test rows whose values are
        shuffled: low where a code passes anything on.
    """
    x = np.asarray(model.preprocessing.apply(dataset.test.array()))
    codes = model.encoder.predict(x, batch_size=512, verbose=0)
    flat = np.random.default_rng(0).permuted(x.reshape(len(x), -1), axis=1)
    shuffled = flat.reshape(x.shape)
    answer = model.predict(shuffled, batch_size=512, verbose=0)
    return cross_entropy_on_test_rows(model, dataset) | {
        "active_share": float((codes > 0.1).mean()),
        "shuffled_mse": float(metrics.mse(shuffled, answer).mean()),
    }


def pca_32(dataset) -> dict[str, float]:
    """Return the figures of `cross_entropy_on_test_rows` for 32 principal components."""
    return pca(dataset, 32)


def pca_128(dataset) -> dict[str, float]:
    """Return the figures of `cross_entropy_on_test_rows` for 128 principal components."""
    return pca(dataset, 128)


def pca(dataset, components: int) -> dict[str, float]:
    """Return the figures of `test_cross_entropy` for so many principal components.

    They are fitted on training rows; negative and too bright values are clipped.
    """
    from sklearn.decomposition import PCA

    rows = dataset.train.array()
    units = Preprocessing.fit(rows, "unit" if rows.dtype == np.uint8 else "minmax")
    train, test = (np.asarray(units.apply(part.array())) for part in (dataset.train, dataset.test))
    flat = test.reshape(len(test), -1)
    pca = PCA(components, random_state=0).fit(train.reshape(len(train), -1))
    return _figures(flat, np.clip(pca.inverse_transform(pca.transform(flat)), 0.0, 1.0))


def mse_over_pca(model, dataset) -> dict[str, float]:
    """Return the squared error of a mixture over that of as many main components as a part has.

    Each row is rebuilt by the part that has the largest share of it, alone.

    Args:
        model: A `mixture_ae`.
        dataset: Its data set, with test rows.

    Returns:
        `mse_over_pca`, then `test_mse` in squared model units, that of the largest part alone;
        `mixed_mse`, that of all parts by their shares; and `parts`, how many parts are the largest
        for a hundredth of the test rows or more.
    """
    from sklearn.decomposition import PCA

    train, test = (
        np.asarray(model.preprocessing.apply(part.array()))
        for part in (dataset.train, dataset.test)
    )
    flat = test.reshape(len(test), -1)
    pca = PCA(model.latent_dim, random_state=0).fit(train.reshape(len(train), -1))
    linear = float(metrics.mse(flat, pca.inverse_transform(pca.transform(flat))).mean())
    code = model.encoder.predict(test, batch_size=512, verbose=0)
    mixed, alone = (
        float(metrics.mse(test, model.decoder.predict(made, batch_size=512, verbose=0)).mean())
        for made in (code, model.largest_alone(code))
    )
    largest = code[:, : model.components].argmax(axis=1)
    parts = int((np.bincount(largest, minlength=model.components) >= 0.01 * len(test)).sum())
    return {"mse_over_pca": alone / linear, "test_mse": alone, "mixed_mse": mixed, "parts": parts}


def _figures(x, answer) -> dict[str, float]:
    return {
        "test_cross_entropy": float(binary_cross_entropy(x, answer).mean()),
        "test_mse": float(metrics.mse(x, answer).mean()),
    }
