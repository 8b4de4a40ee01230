"""The mixture of linear autoencoders that fills holes as a mixture of Gaussians would.

    p(x) = sum_k p_k N(x; m_k, C_k)      V_k^T V_k = I - c C_k^-1,   b_k = log p_k - 1/2 log |C_k|

with c the least eigenvalue of all C_k: then the answer of `mixture_ae` is x + c d/dx log p(x), and
holes through which it goes again and again come to rest where rows are likeliest beside what is
known. Rows with gaps give the moments by expectation maximisation, which starts at k-means. Each
part's moments lean on those of all rows, by so many rows, since a part has few of its own.

Sources: Ghahramani & Jordan, "Supervised learning from incomplete data via an EM approach" (1994);
`aezoo.tasks.gaussian` is this with one part.
"""

import dataclasses
import functools

import numpy as np
from scipy.special import logsumexp, softmax
from sklearn.cluster import KMeans

from aezoo.spread import evenly
from aezoo.tasks.gaussian import Moments, patterns_of

ROUNDS = 8  # of expectation and maximisation
_MOST = 2_000  # rows by which it is fitted: each has gaps of its own, which takes time
_RIDGE = 1e-3  # of the mean variance, that all covariances have
_LEANING = 5.0  # rows' worth of the mean of all; of their covariance, half as many as columns


@dataclasses.dataclass(frozen=True)
class Mixture:
    """Shares (K,) of parts and their moments."""

    shares: np.ndarray
    parts: list[Moments]

    @functools.cached_property
    def means(self) -> np.ndarray:
        """Of the parts, (K, N)."""
        return np.stack([part.mean for part in self.parts])

    @functools.cached_property
    def covariances(self) -> np.ndarray:
        """Of the parts, (K, N, N)."""
        return np.stack([part.covariance for part in self.parts])

    @functools.cached_property
    def precisions(self) -> np.ndarray:
        """The inverses of the covariances, (K, N, N)."""
        return np.linalg.inv(self.covariances)

    def weights(self, ridge: float) -> "Weights":
        """Return the weights for a ridge, a share of the mean variance of all parts."""
        covariances = self.covariances
        size = covariances.shape[-1]
        mean = np.tensordot(self.shares, np.trace(covariances, axis1=1, axis2=2), 1) / size
        variances, axes = np.linalg.eigh(covariances + (ridge * mean + 1e-9) * np.eye(size))
        least = variances.min()
        kept = 1 - least / variances  # (K, N), in [0, 1), ascending
        width = max(1, int((kept > 1e-4).sum(axis=1).max()))
        kernels = axes[..., -width:] * np.sqrt(np.maximum(kept[:, None, -width:], 0))  # (K, N, D)
        bias = np.log(self.shares) - 0.5 * np.log(variances).sum(axis=1)
        axes_in_rows = kernels.swapaxes(1, 2).reshape(-1, size)
        arrays = (self.means, axes_in_rows, bias - bias.max(), np.log(least))
        return Weights(*(np.asarray(array, "float32") for array in arrays))


@dataclasses.dataclass(frozen=True)
class Weights:
    """Of `aezoo.layers.linear_mixture.LinearMixture`, in its order."""

    centres: np.ndarray
    axes: np.ndarray
    bias: np.ndarray
    log_temperature: np.ndarray

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Return the reconstructions, (B, N)."""
        parts, size = self.centres.shape
        axes = self.axes.reshape(parts, -1, size)  # (K, D, N)
        z = (rows @ self.axes.T).reshape(len(rows), parts, -1)
        z -= (axes * self.centres[:, None]).sum(axis=-1)  # (B, K, D)
        energy = np.square(self.centres).sum(axis=1) - 2 * rows @ self.centres.T
        energy -= np.square(z).sum(axis=-1)
        shares = softmax(self.bias - 0.5 * energy * np.exp(-self.log_temperature), axis=1)
        return shares @ self.centres + (shares[..., None] * z).reshape(len(rows), -1) @ self.axes


def fit(rows: np.ndarray, known: np.ndarray, parts: int, all_rows: Moments, seed: int) -> Mixture:
    """Return a mixture of rows with gaps.

    Args:
        rows: (B, N), in gaps their first filling; of more than 2,000 an even spread is taken.
        known: (B, N) booleans.
        parts: K.
        all_rows: Moments of all rows.
        seed: Of k-means.

    Example:
        >>> from aezoo.tasks import gaussian
        >>> rng = np.random.default_rng(0)
        >>> rows = rng.normal(size=(300, 2)) + np.repeat([[0.0, 0.0], [9.0, 9.0]], 150, axis=0)
        >>> known = rng.random(rows.shape) > 0.1
        >>> filled = np.where(known, rows, 4.5)
        >>> made = fit(filled, known, 2, gaussian.moments(filled, known), seed=0)
        >>> sorted(part.mean.round(0).tolist() for part in made.parts)
        [[0.0, 0.0], [9.0, 9.0]]
    """
    some = evenly(len(rows), _MOST)
    rows, known, size = rows[some].astype("float64"), known[some], rows.shape[1]
    ridge = _RIDGE * np.trace(all_rows.covariance) / size + 1e-9
    all_rows = Moments(all_rows.mean, all_rows.covariance + ridge * np.eye(size))
    patterns = patterns_of(known)
    filled = _filled(rows, patterns, Mixture(np.ones(1), [all_rows]))[0][:, 0]
    parts = min(parts, len(np.unique(filled, axis=0)))
    found = KMeans(parts, n_init=3, random_state=seed).fit(filled)
    belonging = np.eye(parts)[found.labels_]  # (B, K)
    each = np.repeat(filled[:, None], parts, axis=1)  # (B, K, N): as each part would fill it
    uncertain = np.zeros((parts, size, size))
    mixture = _maximised(each, belonging, uncertain, all_rows)
    for _ in range(ROUNDS):
        each, log_density = _filled(rows, patterns, mixture)
        joint = log_density + np.log(mixture.shares)
        belonging = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
        uncertain = _uncertain(patterns, mixture, belonging)
        mixture = _maximised(each, belonging, uncertain, all_rows)
    return mixture


def _filled(rows, patterns, mixture: Mixture) -> tuple[np.ndarray, np.ndarray]:
    """Return rows as each part would fill them, (B, K, N), and their log-densities, (B, K).

    The log-density is that of the known cells, but for a constant that all parts share.
    """
    means, precisions = mixture.means, mixture.precisions
    volume = np.linalg.slogdet(mixture.covariances)[1]  # (K,)
    each = rows[:, None] - means  # (B, K, N)
    density = np.empty(each.shape[:2])
    for seen, group in patterns:
        hidden, of_known = ~seen, volume
        h = each[group]  # (G, K, N)
        if hidden.any():
            among = precisions[:, hidden][:, :, hidden]  # (K, M, M)
            pull = np.einsum("gks,kms->kmg", h[..., seen], precisions[:, hidden][:, :, seen])
            h[..., hidden] = -np.linalg.solve(among, pull).transpose(2, 0, 1)
            of_known = volume + np.linalg.slogdet(among)[1]
        density[group] = -0.5 * (np.einsum("gkn,knm,gkm->gk", h, precisions, h, optimize=True))
        density[group] -= 0.5 * of_known
        each[group] = h
    return each + means, density


def _uncertain(patterns, mixture: Mixture, belonging) -> np.ndarray:
    """Return what the hidden cells add to each part's covariance, summed over rows, (K, N, N)."""
    precisions, total = mixture.precisions, np.zeros_like(mixture.precisions)
    for seen, group in patterns:
        hidden = np.flatnonzero(~seen)
        if len(hidden):
            left = np.linalg.inv(precisions[:, hidden][:, :, hidden])  # (K, M, M)
            weight = belonging[group].sum(axis=0)[:, None, None]
            total[:, hidden[:, None], hidden] += weight * left
    return total


def _maximised(each, belonging, uncertain, all_rows: Moments) -> Mixture:
    """Return the mixture that rows, as each part fills them, give; see the module's first lines."""
    counts, size = belonging.sum(axis=0), each.shape[-1]
    parts = []
    for k, count in enumerate(counts):
        weight = belonging[:, k, None]
        mean = (weight * each[:, k]).sum(axis=0) + _LEANING * all_rows.mean
        mean = mean / (count + _LEANING)
        apart = each[:, k] - mean
        leaning = 0.5 * size
        covariance = (weight * apart).T @ apart + uncertain[k] + leaning * all_rows.covariance
        parts.append(Moments(mean, covariance / (count + leaning)))
    shares = (counts + 1e-6) / (counts + 1e-6).sum()
    return Mixture(shares, parts)
