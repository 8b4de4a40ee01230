"""Labels of a few rows, spread over a graph of nearest codes to all rows.

    w_ij = exp(-4 d_ij^2 / r_i^2)       for the K nearest j of i, at distances up to r_i; symmetric
    S    = D^-1/2 W D^-1/2,  D_ii = sum_j w_ij
    F   <- alpha S F + (1 - alpha) Y    Y (N, C) is 1 where a row's class is told, else 0

The class of a row is the largest of its row of F, that of a row beside the graph the largest of the
mean of F over its K nearest rows, each scaled to a sum of 1.

Sources: Zhou et al., "Learning with local and global consistency" (2004); Calder et al., "Poisson
learning" (2020), for the widths.
"""

import numpy as np
import scipy.sparse as sparse
from sklearn.neighbors import NearestNeighbors

from aezoo.specs import UNLABELLED
from aezoo.spread import evenly

NEIGHBOURS = 10  # K
GRAPH_ROWS = 20_000  # those that tell a class are among them
ALPHA, ROUNDS = 0.99, 100


def spread_labels(codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return a class for each row; those that were told stay.

    Args:
        codes: (N, D), of at least two rows that differ.
        labels: (N,) classes, -1 where none is told; at least one is.

    Returns:
        (N,), int64.

    Example:
        >>> codes = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2]])
        >>> spread_labels(codes, np.array([3, -1, -1, -1, 7, -1])).tolist()
        [3, 3, 3, 7, 7, 7]
    """
    codes, labels = np.asarray(codes, "float32"), np.asarray(labels, np.int64)
    known = np.flatnonzero(labels != UNLABELLED)
    _, first = np.unique(codes[known], axis=0, return_index=True)  # not their repeats
    told = known[first]
    rest = np.flatnonzero(labels == UNLABELLED)
    graph = np.concatenate([told, rest[evenly(len(rest), GRAPH_ROWS - len(told))]])
    classes, member = np.unique(labels[told], return_inverse=True)
    y = np.zeros((len(graph), len(classes)))
    y[np.arange(len(told)), member] = 1.0

    count = min(NEIGHBOURS, len(graph) - 1)
    nearest = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(codes[graph])
    s = _normalised(*nearest.kneighbors())
    f = y
    for _ in range(ROUNDS):
        f = ALPHA * (s @ f) + (1.0 - ALPHA) * y
    f = f / np.maximum(f.sum(axis=1, keepdims=True), 1e-12)
    spread = labels.copy()
    spread[graph] = classes[f.argmax(axis=1)]
    beside = np.setdiff1d(rest, graph)
    if len(beside):
        voters = nearest.kneighbors(codes[beside], return_distance=False)  # (M, K)
        spread[beside] = classes[f[voters].mean(axis=1).argmax(axis=1)]
    spread[known] = labels[known]
    return spread


def _normalised(distances, neighbours):
    """Return S, (N, N) sparse, of distances and positions of the nearest rows, (N, K) each."""
    n, k = distances.shape
    weights = np.exp(-4.0 * np.square(distances / np.maximum(distances[:, -1:], 1e-12)))
    rows = np.repeat(np.arange(n), k)
    w = sparse.csr_matrix((weights.ravel(), (rows, neighbours.ravel())), (n, n))
    w = w.maximum(w.T)
    scale = sparse.diags(1.0 / np.sqrt(np.asarray(w.sum(axis=1)).ravel()))
    return scale @ w @ scale
