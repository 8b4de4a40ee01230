"""Which cluster a row belongs to, told by its code; fitted by `aezoo.tasks.clustering`.

    student    p_k ~ 1 / (1 + |z - c_k|^2 / s)              around centres c_k
    gaussian   p_k ~ w_k N(z; m_k, S_k)                     a mixture

`student` is the soft assignment of deep embedded clustering (Xie et al. 2016); its most probable
cluster is the nearest centre, so that k-means has it too. What is fitted are constants: saved with
the model, exported with it, and no weights.
"""

import dataclasses
import math

import numpy as np
from keras import ops

KINDS = ("student", "gaussian")


@dataclasses.dataclass(frozen=True)
class Assigner:
    """Soft assignment of codes to clusters.

    Attributes:
        kind: One of `KINDS`.
        constants: Of `student`, `centres` (K, D) and `scale` (1,); of `gaussian`, `means` (K, D),
            `roots` (K, D, D) of the precisions, and `logits` (K,), the logarithm of w_k / |S_k|^.5.

    Example:
        >>> centres = np.array([[0.0, 0.0], [3.0, 0.0]], "float32")
        >>> near = Assigner("student", {"centres": centres, "scale": np.ones(1, "float32")})
        >>> print(np.asarray(near(np.zeros((1, 2), "float32"))).round(4))
        [[0.9091 0.0909]]
    """

    kind: str
    constants: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def __call__(self, codes):
        """Return the probabilities of the clusters, (B, K), of codes (B, D) or (B, ...)."""
        return ops.softmax(self.logits(codes), axis=-1)

    def logits(self, codes):
        """Return the logarithms of unnormalised probabilities, (B, K)."""
        c = self.constants
        flat = ops.reshape(ops.cast(codes, "float32"), (-1, self.centres.shape[1]))
        offsets = ops.expand_dims(flat, 1) - self.centres  # (B, K, D): nothing cancels
        if self.kind == "student":
            return -ops.log1p(ops.sum(ops.square(offsets), axis=-1) / c["scale"])
        whitened = ops.sum(ops.expand_dims(offsets, -1) * c["roots"], axis=-2)  # (B, K, D)
        return c["logits"] - 0.5 * ops.sum(ops.square(whitened), axis=-1)

    @property
    def centres(self) -> np.ndarray:
        """The centres of the clusters, (K, D)."""
        return self.constants["centres" if self.kind == "student" else "means"]

    @property
    def unit_scale(self) -> float:
        """By how much an error of the code may grow in the probabilities."""
        if not self.constants:
            return 1.0
        size = 1.0 + float(np.abs(self.centres).max())  # codes are known relative to their size
        if self.kind == "student":  # the slope of log(1 + r^2 / s) is at most 1 / sqrt(s)
            return max(1.0, size / math.sqrt(float(self.constants["scale"][0])))
        steepest = float(np.linalg.norm(self.constants["roots"], 2, axis=(1, 2)).max())
        far = 1.0 + math.sqrt(self.centres.shape[1])  # of a row from its mean, in deviations
        return max(1.0, size * steepest * far)

    @property
    def description(self) -> str:
        """One sentence for the card."""
        if self.kind == "student":
            return "Of each cluster, by the distance of the code from its centre."
        return "Of each cluster, by a mixture of Gaussians over the code."
