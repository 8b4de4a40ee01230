"""Generated pictures beside real ones, in the features of `aezoo.measures.generation`.

    FID         how far apart the two clouds of features lie, as Gaussians
    KID         the same by a kernel, without a bias that shrinks with the number of pictures
    precision   share of generated pictures that lie among real ones: how real they are
    recall      share of real pictures that lie among generated ones: how much is covered

Sources: Binkowski et al., "Demystifying MMD GANs" (2018), for KID; Kynkäänniemi et al., "Improved
precision and recall metric for assessing generative models" (2019).
"""

import numpy as np

from aezoo.errors import ZooError
from aezoo.measures.generation import FEATURES, features, frechet_distance

NEAREST = 3  # neighbours that span a picture's ball
_SUBSETS, _SUBSET = 20, 1000  # of KID
_MOST = 5000  # pictures of each set for precision and recall: all distances are in memory


def likeness(pictures: np.ndarray, real: np.ndarray) -> dict[str, float]:
    """Return FID, KID, precision and recall of pictures, each by its name.

    Args:
        pictures: (N, 28, 28, 1) in [0, 1], at least 65.
        real: (M, 28, 28, 1), alike, that no weight has seen.

    Raises:
        ZooError: For other shapes.

    Example:
        >>> real = np.random.default_rng(0).random((80, 28, 28, 1), "float32")
        >>> found = likeness(real, real)
        >>> found["precision"], found["recall"], round(found["FID"], 6)
        (1.0, 1.0, 0.0)
    """
    made, seen = features(pictures), features(real)
    moments = [(one.mean(axis=0), np.cov(one, rowvar=False)) for one in (made, seen)]
    precision, recall = precision_and_recall(made, seen)
    return {
        "FID": frechet_distance(*moments[0], *moments[1]),
        "KID": kernel_distance(made, seen),
        "precision": precision,
        "recall": recall,
    }


def kernel_distance(made: np.ndarray, real: np.ndarray, seed: int = 0) -> float:
    """Return the squared maximum mean discrepancy, mean over subsets, unbiased: 0 if alike.

        k(a, b) = (a b / D + 1)^3

    Args:
        made: Features (N, D).
        real: Features (M, D).
        seed: Of the subsets.

    Example:
        >>> ones = np.ones((3, 2))
        >>> kernel_distance(0 * ones, ones)  # 1 + (1 + 1)^3 - 2
        7.0
    """
    size, rng = min(_SUBSET, len(made), len(real)), np.random.default_rng(seed)
    if size < 2:
        raise ZooError("A kernel distance needs two of each.", received=size)
    width = made.shape[1]

    def kernel(a, b):
        return (a @ b.T / width + 1) ** 3

    found = []
    for _ in range(_SUBSETS if size < max(len(made), len(real)) else 1):
        x, y = (v[rng.choice(len(v), size, replace=False)] for v in (made, real))
        within = sum(
            (k.sum() - np.trace(k)) / (size * (size - 1)) for k in map(kernel, *[(x, y)] * 2)
        )
        found.append(within - 2 * kernel(x, y).mean())
    return float(np.mean(found))


def precision_and_recall(
    made: np.ndarray, real: np.ndarray, nearest: int = NEAREST
) -> tuple[float, float]:
    """Return the share of made features among real ones, and of real among made ones.

    A point lies among others where it is nearer to one of them than that one's k-th neighbour. Of
    more than 5,000 points the first are taken.

    Args:
        made: Features (N, D).
        real: Features (M, D).
        nearest: k.

    Example:
        >>> line = np.arange(10.0)[:, None]
        >>> precision_and_recall(line[:5], line, nearest=1)
        (1.0, 0.6)
    """
    made, real = made[:_MOST], real[:_MOST]
    if min(len(made), len(real)) <= nearest:
        raise ZooError("There are too few pictures.", received=(len(made), len(real)))
    return _among(made, real, nearest), _among(real, made, nearest)


def _among(points: np.ndarray, others: np.ndarray, nearest: int) -> float:
    own = np.partition(_distances(others, others), nearest, axis=1)[:, nearest]  # itself is first
    return float((_distances(points, others) <= own[None]).any(axis=1).mean())


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return squared distances (N, M), of equal points exactly 0."""
    squared = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1)[None] - 2 * a @ b.T
    return np.where(squared < 1e-9 * (1 + np.square(a).sum(axis=1)[:, None]), 0.0, squared)


def measurable(shape: tuple[int, ...], count: int) -> bool:
    """Whether pictures of this shape, so many of them, have these figures."""
    return tuple(shape) == (28, 28, 1) and count > FEATURES
