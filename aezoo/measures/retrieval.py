"""How good a ranking is: precision of the first hits, mean average precision of all.

P@k = relevant among the first k / k
AP  = mean over relevant places r of (relevant among the first r / r)          mAP: mean of AP
"""

import numpy as np


def precision_at(relevant: np.ndarray, k: int = 10) -> float:
    """Return P@k, the mean over queries.

    Args:
        relevant: Whether the row at each place is relevant, the nearest first: booleans (Q, N).
        k: From 1 to N.

    Example:
        >>> precision_at(np.array([[True, False, True]]), 2)
        0.5
    """
    return float(relevant[:, :k].mean())


def mean_average_precision(relevant: np.ndarray) -> float:
    """Return the mean over queries of the average precision; a query without relevant rows is 0.

    Args:
        relevant: Whether the row at each place is relevant, the nearest first: booleans (Q, N).

    Example:
        >>> mean_average_precision(np.array([[True, False, True]])) == (1 + 2 / 3) / 2
        True
    """
    queries, places = np.nonzero(relevant)
    counts = relevant.sum(axis=1)
    starts = np.cumsum(counts) - counts
    precision = (np.arange(len(places)) - np.repeat(starts, counts) + 1) / (places + 1)
    sums = np.bincount(queries, weights=precision, minlength=len(relevant))
    return float((sums / np.maximum(counts, 1)).mean())
