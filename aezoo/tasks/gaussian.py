"""The autoencoder that fills holes as a mixture of Gaussians would, without training.

    AE(x) = x - c P (x - sum_k p_k(x) m_k),    P = (S + r I)^-1,    p = softmax(x P m_k + a_k)

m_k are the means of clusters, S their shared covariance, r a ridge, c the least eigenvalue of
S + r I. It moves a row by c times the slope of its log-density. Where the missing cells are put
through it again and again, they come to rest where they are likeliest beside the known ones; with
one cluster that is their conditional mean. Each pass raises the likelihood. The eigenvalues of
I - c P lie in [0, 1), so it is an encoder and its transpose, each V sqrt(w).

Rows with gaps give the mixture by expectation maximisation. Sources: Ghahramani & Jordan,
"Supervised learning from incomplete data via an EM approach" (1994); Alain & Bengio, "What
regularized auto-encoders learn from the data-generating distribution" (2014).
"""

import dataclasses

import numpy as np
from scipy.special import logsumexp

from aezoo.tasks.projection import projected

ROUNDS = 20  # of expectation and maximisation
_WIDEST = 200  # columns up to which gaps are treated so; wider rows are filled and taken for whole
_REFILLS, _PASSES, _RIDGE_OF_FILLS = 2, 20, 0.1  # of wider rows
_MOVES = 0.01  # of a unit; see `projected`
_RIDGE = 1e-3  # of the mean variance, that each round adds


@dataclasses.dataclass(frozen=True)
class Weights:
    """Of `mixture_ae`: kernel (D, L), gates (D, K) and (K,), and what a cluster adds (K, D)."""

    kernel: np.ndarray
    gates: np.ndarray
    bias: np.ndarray
    added: np.ndarray

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Return the reconstructions, (N, D)."""
        logits = rows @ self.gates + self.bias
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        return (rows @ self.kernel) @ self.kernel.T + shares @ self.added


@dataclasses.dataclass(frozen=True)
class Mixture:
    """Gaussians of one covariance: shares (K,), means (K, D), covariance (D, D)."""

    shares: np.ndarray
    means: np.ndarray
    covariance: np.ndarray

    def weights(self, ridge: float) -> Weights:
        """Return the autoencoder's weights for a ridge, a share of the mean variance."""
        size = len(self.covariance)
        ridge = ridge * np.trace(self.covariance) / size + 1e-9
        variances, axes = np.linalg.eigh(self.covariance + ridge * np.eye(size))
        kept = 1 - variances[0] / variances  # in [0, 1), ascending
        chosen = kept > 1e-4
        chosen[-1] = True  # equal variances leave nothing, and a code has a width
        gates = (axes / variances) @ (axes.T @ self.means.T)  # P m_k
        bias = np.log(self.shares) - 0.5 * np.sum(self.means.T * gates, axis=0)
        kernel = axes[:, chosen] * np.sqrt(kept[chosen])
        arrays = (kernel, gates, bias, variances[0] * gates.T)
        return Weights(*(array.astype("float32") for array in arrays))


def fit(rows: np.ndarray, known: np.ndarray, components: int = 1, seed: int = 0) -> Mixture:
    """Return the mixture of rows with gaps.

    Args:
        rows: (N, D), in gaps their first filling.
        known: (N, D) booleans.
        components: Clusters.
        seed: Of the first clusters, by k-means.

    Example:
        >>> rows = np.random.default_rng(0).normal(size=(400, 1)) @ [[1.0, 2.0]] + [5.0, 0.0]
        >>> known = np.ones(rows.shape, bool)
        >>> known[:200, 1] = False
        >>> fit(np.where(known, rows, 0.0), known).means.round(1).tolist()
        [[5.0, 0.0]]
    """
    rows = rows.astype("float64")
    mixture = _first(rows, components, seed)
    if rows.shape[1] > _WIDEST:
        for _ in range(0 if known.all() else _REFILLS):
            filling = mixture.weights(_RIDGE_OF_FILLS)
            rows = projected(filling, rows, known, _PASSES, _MOVES)[0].astype("float64")
            mixture = _first(rows, components, seed)
        return mixture
    if known.all() and components == 1:
        return mixture
    patterns, of_row = np.unique(known, axis=0, return_inverse=True)
    groups = [np.flatnonzero(of_row.reshape(-1) == i) for i in range(len(patterns))]
    for _ in range(ROUNDS):
        mixture = _round(mixture, rows, patterns, groups)
    return mixture


def _first(rows: np.ndarray, components: int, seed: int) -> Mixture:
    if components == 1:
        labels = np.zeros(len(rows), int)
    else:
        from sklearn.cluster import KMeans

        labels = KMeans(components, n_init=3, random_state=seed).fit_predict(rows)
    shares = np.bincount(labels, minlength=components) / len(rows)
    means = np.stack([rows[labels == k].mean(axis=0) for k in range(components)])
    within = rows - means[labels]
    return Mixture(shares, means, _with_ridge(within.T @ within / len(rows)))


def _with_ridge(covariance: np.ndarray) -> np.ndarray:
    size = len(covariance)
    return covariance + (_RIDGE * np.trace(covariance) / size + 1e-12) * np.eye(size)


def _round(mixture: Mixture, rows: np.ndarray, patterns, groups) -> Mixture:
    """Return the mixture after one expectation and maximisation."""
    covariance, means = mixture.covariance, mixture.means
    counts, sums = np.zeros(len(means)), np.zeros_like(means)
    squares, uncertain = np.zeros_like(covariance), np.zeros_like(covariance)
    for seen, group in zip(patterns, groups, strict=True):
        hidden, within = ~seen, rows[group][:, None] - means  # (n, K, D)
        own, across = covariance[np.ix_(seen, seen)], covariance[np.ix_(seen, hidden)]
        inverse = np.linalg.inv(own)
        slopes = inverse @ across
        off = within[..., seen]
        logits = np.log(mixture.shares) - 0.5 * np.einsum(
            "nko,op,nkp->nk", off, inverse, off, optimize=True
        )
        shares = np.exp(logits - logsumexp(logits, axis=1, keepdims=True))  # (n, K)
        within[..., hidden] = off @ slopes
        counts += shares.sum(axis=0)
        sums += np.einsum("nk,nkd->kd", shares, within)
        weighted = (within * np.sqrt(shares)[..., None]).reshape(-1, rows.shape[1])
        squares += weighted.T @ weighted
        left = covariance[np.ix_(hidden, hidden)] - across.T @ slopes
        uncertain[np.ix_(hidden, hidden)] += len(group) * left
    counts = np.maximum(counts, 1e-6)
    moved = sums / counts[:, None]
    squares -= (moved * counts[:, None]).T @ moved  # about the new means
    covariance = _with_ridge((squares + uncertain) / len(rows))
    return Mixture(counts / counts.sum(), means + moved, covariance)
