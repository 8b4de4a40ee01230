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
    counted = np.cumsum(relevant, axis=1)
    precision = counted / np.arange(1, relevant.shape[1] + 1)
    return float(((precision * relevant).sum(axis=1) / np.maximum(counted[:, -1], 1)).mean())
