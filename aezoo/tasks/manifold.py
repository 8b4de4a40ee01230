"""UMAP of codes: a flat map, and the groups that show in it.

Rows of one kind often lie on a bent sheet of codes, which no centre describes. UMAP (McInnes, Healy
& Melville 2018) keeps who is near whom, and a mixture on its map finds such sheets: McConville et
al., "N2D: (not too) deep clustering via clustering the local manifold of an autoencoded embedding"
(2021).
"""

import importlib.util
import sys

import numpy as np

from aezoo.errors import ZooError
from aezoo.spread import evenly

_FITTED_ON = 20_000  # codes
_NEIGHBOURS = 20
_VOTES = 10  # nearest codes that say the group of one that is not on the map
_AXES = 5  # of a map that groups are sought on


def has_umap() -> bool:
    """Return whether umap-learn is installed."""
    return importlib.util.find_spec("umap") is not None


def umap_of(codes: np.ndarray, axes: int = 2, min_dist: float = 0.1, seed: int = 0) -> np.ndarray:
    """Return the UMAP of codes (N, D), float32 (N, axes).

    Args:
        codes: At least 4.
        axes: Of the map.
        min_dist: How near points may come; 0 packs groups tight.
        seed: Of the layout.

    Raises:
        ZooError: If umap-learn is not installed.
    """
    if not has_umap():
        raise ZooError(
            "UMAP needs umap-learn, which is not installed.",
            do='Run `pip install "aezoo[maps]"`, or choose another way.',
        )
    umap = _imported()
    fitted = umap.UMAP(
        n_components=axes,
        n_neighbors=min(_NEIGHBOURS, len(codes) - 1),
        min_dist=min_dist,
        init="spectral" if len(codes) > 10 * axes else "random",
        random_state=seed,
        n_jobs=1,  # what repeats has one thread
    )
    return np.asarray(fitted.fit_transform(codes), "float32")


def groups_of(codes: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Return how likely each row is of each group, (N, count), by a mixture on a UMAP of codes.

    Of more than 20,000 codes an even spread makes the map; the others have the groups of their
    nearest codes.

    Args:
        codes: (N, D).
        count: How many groups.
        seed: Of map and mixture.
    """
    from sklearn.mixture import GaussianMixture
    from sklearn.neighbors import KNeighborsClassifier

    chosen = evenly(len(codes), _FITTED_ON)
    placed = umap_of(codes[chosen], _AXES, min_dist=0.0, seed=seed).astype("float64")
    mixture = GaussianMixture(count, n_init=3, random_state=seed, reg_covar=1e-4)
    groups = mixture.fit_predict(placed)
    if len(chosen) == len(codes):
        return mixture.predict_proba(placed)
    voted = KNeighborsClassifier(_VOTES).fit(codes[chosen], groups).predict_proba(codes)
    every = np.zeros((len(codes), count))
    every[:, np.unique(groups)] = voted
    return every


def _imported():
    """Import umap; without its part for TensorFlow, which takes longer than all else."""
    module = sys.modules.get("umap")
    if module is None:
        before = sys.modules.get("tensorflow")
        sys.modules["tensorflow"] = None  # then umap says that ParametricUMAP is not there
        try:
            import warnings

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                import umap as module
        finally:
            if before is None:
                del sys.modules["tensorflow"]
            else:
                sys.modules["tensorflow"] = before
    return module
