"""Labels of a few rows, spread over a graph of nearest codes to all rows, by Poisson learning.

    w_ij = exp(-4 d_ij^2 / r_i^2)       for the K nearest j of i, at distances up to r_i; symmetric
    L    = D - W,  D_ii = sum_j w_ij
    L u  = b,  b_i = y_i - mean of y    where a class is told, y_i one-hot, else 0
    u   <- u + D^-1 (b - L u)           from u = 0, ROUNDS times

The class of a row is the largest of its row of u, that of a row beside the graph the largest of the
mean of u over its K nearest rows. A row that no label reaches has none.

Where few rows are told, spreading that holds them to their labels is flat but for spikes at these;
here labels are sources and sinks that the others level out.

Source: Calder, Cook, Thorpe & Slepcev, "Poisson learning: graph based semi-supervised learning at
very low label rates" (2020), algorithm 1.
"""

import numpy as np
import scipy.sparse as sparse
from sklearn.neighbors import NearestNeighbors

from aezoo.specs import UNLABELLED
from aezoo.spread import evenly

NEIGHBOURS = 20  # K
GRAPH_ROWS = 60_000  # those that tell a class are among them
ROUNDS = 300


def spread_labels(codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return a class for each row that a label reaches; those that were told stay.

    Args:
        codes: (N, D), of at least two rows that differ.
        labels: (N,) classes, -1 where none is told; at least one is.

    Returns:
        (N,), int64; -1 where no label reaches a row.

    Example:
        >>> codes = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2]])
        >>> spread_labels(codes, np.array([3, -1, -1, -1, 7, -1])).tolist()
        [3, 3, 3, 7, 7, 7]
    """
    codes, labels = np.asarray(codes, "float32"), np.asarray(labels, np.int64)
    told, rest = np.flatnonzero(labels != UNLABELLED), np.flatnonzero(labels == UNLABELLED)
    classes, member = np.unique(labels[told], return_inverse=True)
    spread = labels.copy()
    if len(classes) == 1:  # no other to tell it from
        spread[rest] = classes[0]
        return spread
    graph = np.concatenate([told, rest[evenly(len(rest), GRAPH_ROWS - len(told))]])
    count = min(NEIGHBOURS, len(graph) - 1)
    nearest = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(codes[graph])
    w = _weights(*nearest.kneighbors())
    b = np.zeros((len(graph), len(classes)))
    b[np.arange(len(told)), member] = 1.0
    b[: len(told)] -= b[: len(told)].mean(axis=0)
    step = 1.0 / np.asarray(w.sum(axis=1))  # (N, 1)
    u = np.zeros_like(b)
    for _ in range(ROUNDS):
        u = step * (b + w @ u)  # u + D^-1 (b - (D - W) u)

    def answered(u):
        return np.where(u.any(axis=1), classes[u.argmax(axis=1)], UNLABELLED)

    spread[graph] = answered(u)
    beside = np.setdiff1d(rest, graph)
    if len(beside):
        voters = nearest.kneighbors(codes[beside], return_distance=False)  # (M, K)
        spread[beside] = answered(u[voters].mean(axis=1))
    spread[told] = labels[told]
    return spread


def _weights(distances, neighbours):
    """Return W, (N, N) sparse, of distances and positions of the nearest rows, (N, K) each."""
    n, k = distances.shape
    weights = np.exp(-4.0 * np.square(distances / np.maximum(distances[:, -1:], 1e-12)))
    rows = np.repeat(np.arange(n), k)
    w = sparse.csr_matrix((weights.ravel(), (rows, neighbours.ravel())), (n, n))
    return w.maximum(w.T)
