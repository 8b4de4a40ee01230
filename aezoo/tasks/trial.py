"""Holes made in rows that are known, and what each method puts into them."""

import dataclasses

import numpy as np


@dataclasses.dataclass
class Trial:
    """Test rows with made holes.

    Attributes:
        truth: Rows in user units (N, ...), NaN where nobody knows.
        hidden: True where a known value was hidden.
        spread: Standard deviations of training rows that errors are measured in; one for each
            column of a table, one for all values else.
        modality: `image`, `series` or `features`.
        columns: What the columns of a table are called.
        times: How often each row is among the N, each time with other holes.
        filled: Method -> rows without holes; ours is the first.
    """

    truth: np.ndarray
    hidden: np.ndarray
    spread: np.ndarray
    modality: str
    columns: list[str]
    times: int = 1
    filled: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def opened(self) -> np.ndarray:
        """The rows with NaN in the holes."""
        return np.where(self.hidden, np.nan, self.truth)

    def errors(self) -> dict[str, float]:
        """Return the root of the mean squared error in the holes, by method."""
        return {
            method: float(np.sqrt(np.mean(self._squared(method)[self.hidden])))
            for method in self.filled
        }

    def by_column(self, method: str) -> np.ndarray:
        """Return the same of each column of a table (D,), NaN where nothing was hidden.

        Example:
            >>> truth, hidden = np.array([[1.0, 2.0], [3.0, 4.0]]), np.eye(2, dtype=bool)
            >>> trial = Trial(truth, hidden, np.ones((1, 2)), "features", ["a", "b"])
            >>> trial.filled["zeros"] = np.zeros((2, 2))
            >>> trial.by_column("zeros").tolist()
            [1.0, 4.0]
        """
        hidden = self.hidden.sum(axis=0)
        squared = np.where(self.hidden, self._squared(method), 0.0).sum(axis=0)
        return np.sqrt(np.where(hidden > 0, squared / np.maximum(hidden, 1), np.nan))

    def _squared(self, method: str) -> np.ndarray:
        return np.square((self.filled[method] - self.truth) / self.spread)
