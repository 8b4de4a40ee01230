"""An inverted file: codes in cells around centres, of which a query looks at the nearest few.

Source: Jégou, Douze & Schmid, "Product quantization for nearest neighbor search" (2011), without
the quantization.
"""

import math

import numpy as np

from aezoo.errors import ZooError

_LEAST = 4000  # codes, below which one cell holds all
_SEEN = 16  # cells


class InvertedFile:
    """Approximate neighbours, by Faiss.

    Args:
        vectors: (N, D), float32.
        centres: Of the cells (C, D), as an earlier one had them; None finds them by k-means.

    Attributes:
        centres: Of the cells.

    Raises:
        ZooError: If Faiss is not installed.
    """

    def __init__(self, vectors: np.ndarray, centres: np.ndarray | None = None):
        faiss = _faiss()
        width = vectors.shape[1]
        cells = 1 if len(vectors) < _LEAST else 2 ** round(math.log2(math.sqrt(len(vectors))))
        self._quantizer = faiss.IndexFlatL2(width)  # kept here: the inverted file does not own it
        if centres is not None:
            self._quantizer.add(centres)
            cells = len(centres)
        self._cells = faiss.IndexIVFFlat(self._quantizer, width, cells)
        self._cells.cp.seed = 0
        if centres is None:
            self._cells.train(vectors)
        self.centres = self._quantizer.reconstruct_n(0, cells)
        self.add(vectors)

    def add(self, vectors: np.ndarray) -> None:
        """Add vectors; their positions follow the last."""
        self._cells.add(vectors)

    def nearest(self, asked: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return positions and Euclidean distances, (Q, k)."""
        self._cells.nprobe = _SEEN
        squared, places = self._cells.search(asked, k)
        short = (places < 0).any(axis=1)  # the cells seen held fewer than k
        if short.any():
            self._cells.nprobe = self._cells.nlist
            squared[short], places[short] = self._cells.search(asked[short], k)
        return places, np.sqrt(np.maximum(squared, 0))


def _faiss():
    try:
        import faiss
    except ModuleNotFoundError:
        raise ZooError(
            "Approximate search needs Faiss, which is not installed.",
            do="pip install 'aezoo[search]', or search exactly.",
        ) from None
    return faiss
