"""The nearest of many vectors, all of them looked at; and the axes that they are compared along."""

import numpy as np

_AXES, _ROWS_PER_AXIS = 128, 4  # at most, at least
_LEAST = 1e-3  # spread along an axis, of the largest
_BLOCK = 2**26  # distances held at once


def exact(
    among: np.ndarray, asked: np.ndarray, k: int, squares: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return positions and Euclidean distances of the k nearest of all, the nearest first.

    Args:
        among: (N, D).
        asked: (Q, D).
        k: From 1 to N.
        squares: |among|^2 (N,), where they are known.

    Example:
        >>> exact(np.array([[0.0], [3.0], [1.0]]), np.array([[0.9]]), 2)[0].tolist()
        [[2, 0]]
    """
    squares = squares_of(among) if squares is None else squares
    block = max(1, _BLOCK // len(among))
    places, distances = [], []
    for start in range(0, len(asked), block):
        some = asked[start : start + block]
        squared = squares - 2 * some @ among.T  # (q, N), but for |asked|^2
        near = np.argpartition(squared, k - 1, axis=1)[:, :k]
        apart = np.linalg.norm(among[near] - some[:, None], axis=2)  # of these few without rounding
        order = np.lexsort((near, apart), axis=1)  # equal distances by position
        places.append(np.take_along_axis(near, order, 1))
        distances.append(np.take_along_axis(apart, order, 1))
    return np.concatenate(places), np.concatenate(distances).astype("float32")


def squares_of(rows: np.ndarray) -> np.ndarray:
    """Return the squared length of each row, (N, D) -> (N,)."""
    return np.einsum("nd,nd->n", rows, rows)


def main_axes(found: np.ndarray, whiten: float) -> np.ndarray:
    """Return the main axes of codes, divided by the spread along them to a power, (D, K).

    Where nothing is to be whitened or narrowed, or where there are fewer than four rows for each
    axis, which is too few to know the spread by, the axes are those of the code itself.

    Args:
        found: (N, D).
        whiten: The power, from 0 to 1.
    """
    width = min(found.shape[1], _AXES)
    as_they_are = whiten == 0 and found.shape[1] == width
    if as_they_are or len(found) < _ROWS_PER_AXIS * width or not found.any():
        return np.eye(found.shape[1], dtype="float32")
    from sklearn.decomposition import TruncatedSVD  # asking an index needs NumPy alone

    fitted = TruncatedSVD(width, random_state=0).fit(found)
    spread = fitted.singular_values_ / np.sqrt(len(found))  # root mean square
    used = spread > _LEAST * spread[0]
    return (fitted.components_[used].T * spread[used] ** -whiten).astype("float32")
