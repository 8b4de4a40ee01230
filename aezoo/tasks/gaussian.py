"""The linear autoencoder that fills holes as a Gaussian would, without training.

    AE(x) = mu + (x - mu) W,      W = I - c (S + r I)^-1,      c the least eigenvalue of S + r I

mu and S are mean and covariance of the rows, r a ridge. Where the missing cells are put through it
again and again, x_m <- AE(x)_m, they come to rest where ((S + r I)^-1 (x - mu))_m = 0: at their
conditional mean given the known ones. Rows with gaps give mu and S by expectation maximisation.
The eigenvalues of W lie in [0, 1), so it is an encoder and its transpose, each V sqrt(w).

Sources: Dempster, Laird & Rubin (1977), section 4.1.3, for the moments; Alain & Bengio, "What
regularized auto-encoders learn from the data-generating distribution" (2014), for why a denoising
autoencoder points to where rows are likely.
"""

import dataclasses

import numpy as np

from aezoo.tasks.projection import projected

ROUNDS = 20  # of expectation and maximisation
_WIDEST = 200  # columns up to which gaps are treated so; wider rows are filled and taken for whole
_REFILLS, _PASSES, _RIDGE_OF_FILLS, _MOVES = 2, 20, 0.1, 0.01  # of wider rows
_RIDGE = 1e-3  # of the mean variance, that each round adds


@dataclasses.dataclass(frozen=True)
class Weights:
    """Of the linear autoencoder: encoder's kernel (D, K) and bias (K,), decoder's bias (D,).

    The decoder's kernel is the encoder's, transposed.
    """

    kernel: np.ndarray
    bias: np.ndarray
    mean: np.ndarray

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Return the reconstructions, (N, D)."""
        return (rows @ self.kernel + self.bias) @ self.kernel.T + self.mean


@dataclasses.dataclass(frozen=True)
class Moments:
    """Mean (D,) and covariance (D, D) of rows."""

    mean: np.ndarray
    covariance: np.ndarray

    def weights(self, ridge: float) -> Weights:
        """Return the weights for a ridge, a share of the mean variance."""
        size = len(self.mean)
        ridge = ridge * np.trace(self.covariance) / size + 1e-9
        variances, axes = np.linalg.eigh(self.covariance + ridge * np.eye(size))
        kept = 1 - variances[0] / variances  # in [0, 1), ascending
        chosen = kept > 1e-4
        chosen[-1] = True  # equal variances leave nothing, and a code has a width
        kernel = axes[:, chosen] * np.sqrt(kept[chosen])
        arrays = (kernel, -self.mean @ kernel, self.mean)
        return Weights(*(array.astype("float32") for array in arrays))


def moments(rows: np.ndarray, known: np.ndarray) -> Moments:
    """Return mean and covariance of rows with gaps.

    Args:
        rows: (N, D), in gaps their first filling.
        known: (N, D) booleans.

    Example:
        >>> rows = np.random.default_rng(0).normal(size=(400, 1)) @ [[1.0, 2.0]] + [5.0, 10.0]
        >>> known = np.ones(rows.shape, bool)
        >>> known[:200, 1] = False
        >>> moments(np.where(known, rows, 0.0), known).mean.round(0).tolist()
        [5.0, 10.0]
    """
    rows = rows.astype("float64")
    if rows.shape[1] > _WIDEST and not known.all():
        for _ in range(_REFILLS):
            filling = _moments(rows).weights(_RIDGE_OF_FILLS)
            rows = projected(filling, rows, known, _PASSES, _MOVES)[0].astype("float64")
        return _moments(rows)
    if known.all():
        return _moments(rows)
    known = known | ~known.any(axis=0)  # what is never known is as it was filled
    counts = known.sum(axis=0)
    mean = np.where(known, rows, 0).sum(axis=0) / counts
    spread = np.where(known, np.square(rows - mean), 0).sum(axis=0) / counts
    ridge = _RIDGE * spread.mean() + 1e-12
    covariance = np.diag(spread + ridge)
    patterns = patterns_of(known)
    for _ in range(ROUNDS):
        filled, uncertain = rows - mean, np.zeros_like(covariance)
        for seen, group in patterns:
            hidden = ~seen
            if not hidden.any():
                continue
            across = covariance[np.ix_(seen, hidden)]
            slopes = np.linalg.solve(covariance[np.ix_(seen, seen)], across)
            filled[np.ix_(group, hidden)] = filled[np.ix_(group, seen)] @ slopes
            left = covariance[np.ix_(hidden, hidden)] - across.T @ slopes
            uncertain[np.ix_(hidden, hidden)] += len(group) * left
        shift = filled.mean(axis=0)
        mean, filled = mean + shift, filled - shift
        covariance = (filled.T @ filled + uncertain) / len(rows) + ridge * np.eye(len(mean))
    return Moments(mean, covariance)


def patterns_of(known: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return what is known, (N,), and the positions of the rows of which just this is.

    Args:
        known: (B, N) booleans.

    Example:
        >>> [rows.tolist() for _, rows in patterns_of(np.eye(2, dtype=bool)[[0, 1, 0]])]
        [[1], [0, 2]]
    """
    patterns, of_row = np.unique(known, axis=0, return_inverse=True)
    of_row = of_row.reshape(-1)
    return [(seen, np.flatnonzero(of_row == i)) for i, seen in enumerate(patterns)]


def _moments(rows: np.ndarray) -> Moments:
    """Return mean and covariance of complete rows."""
    covariance = np.cov(rows.T, bias=True).reshape(2 * rows.shape[1:])
    return Moments(rows.mean(axis=0), covariance)
