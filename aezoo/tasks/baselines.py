"""What two lines of scikit-learn reach: the scores of new rows by PCA and by the nearest row."""

import numpy as np

from aezoo.spread import evenly

_ROWS = 10_000  # that a baseline is fitted to, at most


def pca(train: np.ndarray, size: int):
    """Return a function from rows to the squared residual of as many components, (N,).

    Args:
        train: Normal rows (N, ...).
        size: How many components; fewer where rows or columns are fewer.
    """
    from sklearn.decomposition import PCA

    flat = _flat(train)
    fitted = PCA(components(flat, size), random_state=0).fit(flat)

    def score(rows: np.ndarray) -> np.ndarray:
        x = _flat(rows, every=True)
        return np.square(x - fitted.inverse_transform(fitted.transform(x))).mean(axis=1)

    return score


def components(train: np.ndarray, size: int) -> int:
    """Return how many components `pca` takes where so many are asked for."""
    return min(size, len(train) - 1, int(np.prod(train.shape[1:])) - 1)


def nearest_row(train: np.ndarray):
    """Return a function from rows to the distance of the nearest training row, (N,)."""
    from sklearn.neighbors import NearestNeighbors

    fitted = NearestNeighbors(n_neighbors=1).fit(_flat(train))

    def score(rows: np.ndarray) -> np.ndarray:
        return fitted.kneighbors(_flat(rows, every=True))[0][:, 0]

    return score


def crosswise(fit, train: np.ndarray, folds: int = 5) -> np.ndarray:
    """Return the score of every training row by a baseline fitted without the row's fold, (N,).

    Args:
        fit: `pca` or `nearest_row`: rows to a function of rows.
        train: Normal rows (N, ...).
        folds: How many.
    """
    order = np.random.default_rng(0).permutation(len(train))
    parts = np.array_split(order, folds)
    return np.concatenate([fit(train[np.setdiff1d(order, part)])(train[part]) for part in parts])


def _flat(rows: np.ndarray, every: bool = False) -> np.ndarray:
    chosen = rows if every else rows[evenly(len(rows), _ROWS)]
    return np.asarray(chosen, "float32").reshape(len(chosen), -1)


def imputers(train: np.ndarray):
    """Return scikit-learn's mean and nearest neighbours as functions from rows with NaN to rows.

    Args:
        train: Rows (N, ...), NaN where a cell is missing.
    """
    from sklearn.impute import KNNImputer, SimpleImputer

    chosen = evenly(len(train), _ROWS)
    flat = train[chosen].reshape(len(chosen), -1)

    def filling(imputer):
        fitted = imputer.fit(flat)
        return lambda rows: fitted.transform(rows.reshape(len(rows), -1)).reshape(rows.shape)

    named = {"mean": SimpleImputer, "5 nearest rows": KNNImputer}
    return {name: filling(kind(keep_empty_features=True)) for name, kind in named.items()}
