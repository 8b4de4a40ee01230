"""Patches of a picture as a row of vectors: where they stand, and which of them are hidden."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="aezoo")
class PatchPositions(keras.layers.Layer):
    """Add to each patch where it stands: sines and cosines of its row and of its column.

        [sin(w_k r), cos(w_k r), sin(w_k c), cos(w_k c)],   w_k = 10000^(-k / (W/4)),  k < W/4

    They are constants, no weights. Source: He et al. (2022), appendix A.1.

    Args:
        grid: Patches down and across, (h, w).

    Example:
        >>> places = PatchPositions((1, 2))(np.zeros((1, 2, 4))).numpy()
        >>> np.round(places[0].astype("float64"), 2).tolist()
        [[0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.84, 0.54]]
    """

    def __init__(self, grid: tuple[int, int], **kwargs):
        super().__init__(**kwargs)
        self.grid = tuple(grid)

    def call(self, patches):
        """Return the patches (B, h*w, W) and their positions, added; W is a multiple of 4."""
        return patches + ops.cast(grid_waves(*self.grid, patches.shape[-1])[None], patches.dtype)

    def get_config(self):
        """Return the arguments."""
        return super().get_config() | {"grid": self.grid}


def grid_waves(height: int, width: int, channels: int) -> np.ndarray:
    """Return the waves of every place of a grid, row by row: (height * width, channels)."""
    quarter = channels // 4
    speed = 10000.0 ** (-np.arange(quarter) / quarter)
    places = np.indices((height, width)).reshape(2, -1, 1) * speed  # (2, N, W/4)
    waves = np.concatenate([np.sin(places), np.cos(places)], axis=-1)  # (2, N, W/2)
    return np.concatenate([*waves], axis=-1).astype("float32")


@keras.saving.register_keras_serializable(package="aezoo")
class PatchMask(keras.layers.Layer):
    """Chooses which patches are seen, and puts one learned vector in place of the others.

    Args:
        patches: N, at least 2.
        ratio: Share of the patches that are hidden; at least one is, and at least one is not.
        width: W, of a patch's vector.
        seed: Makes the choices repeatable from the layer's making on.

    Example:
        >>> layer = PatchMask(patches=4, ratio=0.75, width=2)
        >>> layer.hidden(layer.draw(1, seed=0)).numpy().sum()
        np.int64(3)
    """

    def __init__(self, patches: int, ratio: float, width: int, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.patches, self.ratio, self.width, self.seed = patches, ratio, width, seed
        self.visible = min(max(round(patches * (1.0 - ratio)), 1), patches - 1)
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.token = self.add_weight(
            (width,), keras.initializers.RandomNormal(stddev=0.02), name="token"
        )

    def draw(self, batch, seed=None):
        """Return the patches of each row in random order, int32 (B, N); the first ones are seen.

        Args:
            batch: B.
            seed: A number, which gives the same order each time and to every row.
        """
        if seed is None:
            noise = keras.random.uniform((batch, self.patches), seed=self.seed_generator)
            return ops.argsort(noise, axis=-1)
        noise = keras.random.uniform((1, self.patches), seed=seed)
        return ops.repeat(ops.argsort(noise, axis=-1), batch, axis=0)

    def choice(self, order):
        """Return the choice of the seen patches as a matrix of 0 and 1, float32 (B, K, N)."""
        return ops.one_hot(order[:, : self.visible], self.patches)

    def hidden(self, order):
        """Return which patches an order hides: (B, N) -> booleans (B, N)."""
        return ops.sum(self.choice(order), axis=1) == 0

    def seen(self, vectors, order):
        """Return the vectors of the patches that are seen: (B, N, W) -> (B, K, W)."""
        return ops.matmul(ops.cast(self.choice(order), vectors.dtype), vectors)

    def call(self, codes, order):
        """Return codes (B, K, W) at their patches, the learned vector elsewhere: (B, N, W)."""
        choice = ops.cast(self.choice(order), codes.dtype)  # a product, since a gather's gradient
        placed = ops.matmul(ops.transpose(choice, (0, 2, 1)), codes)  # is slow on a CPU
        hidden = ops.cast(self.hidden(order), codes.dtype)[..., None]  # (B, N, 1)
        return placed + hidden * ops.cast(self.token, codes.dtype)

    def get_config(self):
        """Return the arguments."""
        own = {name: getattr(self, name) for name in ("patches", "ratio", "width", "seed")}
        return super().get_config() | own


def transformer(width: int, depth: int, heads: int, name: str) -> keras.Model:
    """Pre-normalised transformer blocks and a last normalisation: (B, N, W) -> (B, N, W), any N.

    Args:
        width: W.
        depth: Number of blocks.
        heads: Of the attention; divides W.
        name: Of the model.
    """
    x = rows = keras.Input((None, width))
    for _ in range(depth):
        h = keras.layers.LayerNormalization(epsilon=1e-6)(x)
        h = keras.layers.MultiHeadAttention(heads, width // heads)(h, h)
        x = keras.layers.Add()([x, h])
        h = keras.layers.LayerNormalization(epsilon=1e-6)(x)
        h = keras.layers.Dense(4 * width, gelu)(h)
        h = keras.layers.Dense(width)(h)
        x = keras.layers.Add()([x, h])
    x = keras.layers.LayerNormalization(epsilon=1e-6)(x)
    return keras.Model(rows, x, name=name)


@keras.saving.register_keras_serializable(package="aezoo")
def gelu(x):
    """The tanh form of GELU; the exact one does not convert to ONNX."""
    return keras.activations.gelu(x, approximate=True)
