"""A codebook: each vector becomes the nearest of K learned ones.

    q = e_k,  k = argmin_j |z - e_j|^2          backward: dL/dz = dL/dq, as if nothing had happened

The codebook follows the vectors that choose it, by moving averages instead of a gradient, with a
decay g and over the vectors z_i of a batch that chose e_k:

    N_k <- g N_k + (1 - g) n_k      m_k <- g m_k + (1 - g) sum_i z_i      e_k = m_k / N_k

A code that is hardly chosen any more starts anew from a vector of the batch. Source: van den Oord,
Vinyals & Kavukcuoglu, "Neural discrete representation learning" (2017), section 3.2 and appendix
A.1; Dhariwal et al., "Jukebox" (2020), section 3, for codes that start anew.
"""

import keras
from keras import ops

START = 1.0  # of N_k, so that new codes are not dead at once
DEAD = 0.02  # of N_k, as a share of what each would have if all were chosen alike


@keras.saving.register_keras_serializable(package="aezoo")
class VectorQuantizer(keras.layers.Layer):
    """From vectors (B, ..., D) to ids of codes (B, ...) and back.

    Args:
        codes: K.
        width: D.
        decay: g of the moving averages.
        seed: Makes the draws of new codes repeatable from the layer's making on.

    Example:
        >>> import numpy as np
        >>> layer = VectorQuantizer(codes=2, width=1)
        >>> _ = layer.codebook.assign([[0.0], [1.0]])
        >>> layer.ids(np.array([[0.2], [0.9]], "float32")).numpy().tolist()
        [0, 1]
    """

    def __init__(
        self,
        codes: int,
        width: int,
        decay: float = 0.99,
        seed: int | None = None,
        name: str | None = None,
    ):
        super().__init__(dtype="float32", name=name)  # distances of half precision tie
        self.codes, self.width, self.decay, self.seed = codes, width, decay, seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        start = keras.initializers.RandomNormal(stddev=1.0)
        self.codebook = self.add_weight((codes, width), start, trainable=False, name="codebook")
        self.counts = self.add_weight(
            (codes,), keras.initializers.Constant(START), trainable=False, name="counts"
        )
        self.built = True

    def ids(self, z):
        """Return which code is nearest to each vector: (B, ..., D) -> int32 (B, ...)."""
        flat = ops.reshape(z, (-1, self.width))
        # |z|^2 is the same for all codes. An argmin of floats becomes an invalid ONNX graph.
        nearness = 2.0 * ops.matmul(flat, ops.transpose(self.codebook)) - ops.sum(
            ops.square(self.codebook), axis=-1
        )  # (N, K)
        _, nearest = ops.top_k(nearness, 1)
        return ops.cast(ops.reshape(nearest, (-1, *z.shape[1:-1])), "int32")

    def vectors(self, ids):
        """Return the vectors of codes: int32 (B, ...) -> (B, ..., D)."""
        return ops.take(self.codebook, ids, axis=0)

    def call(self, z, training=False):
        """Return the nearest codes' vectors (B, ..., D), with the gradient of z, and the ids."""
        z = ops.cast(z, "float32")
        ids = self.ids(z)
        quantized = self.vectors(ids)
        if not training:
            return quantized, ids
        self.follow(ops.stop_gradient(z), ids)
        return z + ops.stop_gradient(quantized - z), ids

    def follow(self, z, ids):
        """Move the codebook towards the vectors that chose each code."""
        flat = ops.reshape(z, (-1, self.width))  # (N, D)
        chosen = ops.one_hot(ops.reshape(ids, (-1,)), self.codes)  # (N, K)
        keep = self.decay
        counts = keep * self.counts + (1.0 - keep) * ops.sum(chosen, axis=0)
        sums = self.codebook * self.counts[:, None]  # m_k, which need not be kept
        sums = keep * sums + (1.0 - keep) * ops.matmul(ops.transpose(chosen), flat)
        fair = ops.cast(ops.shape(flat)[0], "float32") / self.codes
        dead = ops.cast(counts < DEAD * fair, "float32")  # (K,)
        picks = keras.random.randint((self.codes,), 0, ops.shape(flat)[0], seed=self.seed_generator)
        fresh = ops.take(flat, picks, axis=0)  # (K, D)
        counts = dead * START + (1.0 - dead) * counts
        sums = dead[:, None] * fresh * START + (1.0 - dead[:, None]) * sums
        self.counts.assign(counts)
        self.codebook.assign(sums / counts[:, None])

    def get_config(self) -> dict:
        """Return the arguments."""
        own = {name: getattr(self, name) for name in ("codes", "width", "decay", "seed")}
        return own | {"name": self.name}


def perplexity(ids, codes: int):
    """Return how many codes are in use, exp of the entropy of their shares, from 1 to K.

    Example:
        >>> import numpy as np
        >>> round(float(perplexity(np.array([[0, 1], [0, 1]]), 8)), 4)
        2.0
    """
    shares = ops.mean(ops.one_hot(ops.reshape(ids, (-1,)), codes), axis=0)
    return ops.exp(-ops.sum(shares * ops.log(shares + 1e-10)))
