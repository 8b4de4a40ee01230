"""Mixture of linear autoencoders: rows of several kinds, each kind flat.

    x^ = sum_k r_k(x) (m_k + V_k^T V_k (x - m_k))
    loss = mean squared error, from noisy rows
           + share_weight * variance * ( log K - H(mean of r) + mean of H(r) )

A row is rebuilt by the part that it belongs to, so that a few numbers tell more than as many main
components of all rows. Trained to undo small noise it points to where rows are likely; with weights
in closed form it does so exactly for a mixture of Gaussians (`aezoo.tasks.mixtures`). The formulas
stand in `aezoo.layers.linear_mixture`. The second term, of the entropy H of shares, is what these
lack of telling as much about a row of the batch as they could: without it one part takes all rows,
or all parts share in each, which then has the numbers of all to be told by. It is in units of the
variance of the batch's values, as the error is.

`pretrain` places the parts before: by k-means, then by the main axes of each part's rows.

Sources: Hinton, Dayan & Revow, "Modeling the manifolds of images of handwritten digits" (1997);
Tipping & Bishop, "Mixtures of probabilistic principal component analyzers" (1999), section 3, for
the weights that `pretrain` gives; Shazeer et al., "Outrageously large neural networks" (2017),
section 4, for balance among experts.
"""

import math
from typing import Annotated

import keras
import numpy as np
from keras import ops
from pydantic import Field
from sklearn.cluster import KMeans
from sklearn.utils.extmath import randomized_svd

from aezoo.autoencoder import Autoencoder
from aezoo.layers.linear_mixture import LinearMixture, MixedBack
from aezoo.zoo_model import EVALUATION_SEED, Weight, Width

_SOFT = 0.002  # the first temperature for each value of a row
_PLACED, _BATCH = 5_000, 512  # rows that parts are placed by


@keras.saving.register_keras_serializable(package="aezoo")
class MixtureAE(Autoencoder):
    """Linear autoencoders side by side, and a share of each row for each of them.

    The code is K shares, which sum to 1, then D numbers of each part, times its share.

    Args:
        input_shape: Shape of one row; pictures and series are flattened inside.
        components: K.
        latent_dim: D.
        level: Standard deviation of the noise in training, in model units; 0 for none.
        share_weight: Of the term that makes shares even over rows and certain for each; too small
            a one lets parts share rows in long trainings.

    Example:
        >>> model = MixtureAE(input_shape=(6,), components=3, latent_dim=2)
        >>> model.latent_shape
        (9,)
    """

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (28, 28, 1),
        components: Width = 10,
        latent_dim: Width = 16,
        level: Annotated[float, Field(ge=0)] = 0.1,
        share_weight: Weight = 0.1,
    ):
        values = math.prod(input_shape)
        layer = LinearMixture(
            components, latent_dim, temperature=_SOFT * values, dtype="float32", name="latent"
        )
        flatten = [keras.layers.Flatten()] if len(input_shape) > 1 else []  # (B, N)
        encoder = keras.Sequential([keras.Input(input_shape), *flatten, layer], name="encoder")
        back = [MixedBack(layer, dtype="float32")]
        if len(input_shape) > 1:
            back.append(keras.layers.Reshape(input_shape, dtype="float32"))  # (B, H, W, C)
        code = keras.Input((components * (1 + latent_dim),))
        super().__init__(
            encoder=encoder,
            decoder=keras.Sequential([code, *back], name="decoder"),
            output_range="real",
            loss="mean_squared_error",
            terms=("share_loss",),
        )
        self.components, self.latent_dim = components, latent_dim
        self.share_weight = share_weight
        self.level, self.seed_generator = level, keras.random.SeedGenerator()

    def call(self, x, training=False):
        """Return the reconstruction of `x`, both (B, *input_shape); adds the term of shares."""
        code = self.encoder(x, training=training)  # (B, K + K * D)
        shares = code[:, : self.components]
        told = _entropy(ops.mean(shares, axis=0)) - ops.mean(_entropy(shares))
        lacking = ops.var(ops.cast(x, "float32")) * (math.log(self.components) - told)
        self.add_term("share_loss", lacking, self.share_weight)
        return self.decoder(code, training=training)

    def largest_alone(self, code: np.ndarray) -> np.ndarray:
        """Return codes (B, K + K * D) as if the part with the largest share had all of the row."""
        shares, numbers = np.split(np.asarray(code), [self.components], axis=1)
        only = np.eye(self.components, dtype="float32")[shares.argmax(axis=1)]  # (B, K)
        whole = numbers.reshape(*shares.shape, -1) / np.maximum(shares, 1e-9)[..., None]
        return np.concatenate([only, (only[..., None] * whole).reshape(len(code), -1)], axis=1)

    def pretrain(
        self, x, epochs: int, *, batch_size: int = 128, steps_per_epoch=None, callbacks=()
    ) -> list[dict]:
        """Place centres and axes by expectation maximisation, from k-means on; no gradient is used.

        Arguments are those of `ZooModel.pretrain`; of more than 5,000 rows the first are taken, and
        an epoch is a round.

        Returns:
            One dict per round: `epoch`, from 1, and `loss`, the mean squared error.
        """
        if isinstance(x, np.ndarray):
            self.check_rows(x, "x")
        rows = _first_rows(x, steps_per_epoch)  # (B, *input_shape)
        self.forget()
        flat = rows.reshape(len(rows), -1).astype("float64")
        parts = min(self.components, len(np.unique(flat, axis=0)))
        labels = KMeans(parts, n_init=3, random_state=0).fit(flat).labels_
        shares = np.eye(self.components)[labels]  # (B, K)
        layer, history = self.encoder.get_layer("latent"), []
        for epoch in range(1, epochs + 1):
            layer.set_weights(local_axes(flat, shares, self.latent_dim, self.level))
            code = self.encoder.predict(rows, batch_size=_BATCH, verbose=0)
            shares = code[:, : self.components].astype("float64")
            answer = self.decoder.predict(code, batch_size=_BATCH, verbose=0)
            history.append({"epoch": epoch, "loss": float(np.square(answer - rows).mean())})
        return history

    def pair(self, x, y, training: bool):
        """Return `(noisy x, x)`, or `(x, y)` as given where there is a target."""
        if y is not None:
            return x, y
        x = ops.cast(x, "float32")
        seed = self.seed_generator if training else EVALUATION_SEED
        return x + self.level * keras.random.normal(ops.shape(x), seed=seed), x


def _entropy(shares):
    """Return the entropy of shares in nats, (..., K) -> (...)."""
    return -ops.sum(shares * ops.log(shares + 1e-9), axis=-1)


def local_axes(rows: np.ndarray, shares: np.ndarray, width: int, noise: float) -> list[np.ndarray]:
    """Return the weights of a `LinearMixture`, the likeliest ones for these shares.

    Args:
        rows: (B, N).
        shares: What each part has of each row, (B, K).
        width: D.
        noise: Standard deviation of what will be added to the rows.

    Source: Tipping & Bishop (1999), section 3, with one variance off the axes for all parts.
    """
    size, counts = rows.shape[1], shares.sum(axis=0) + 1e-6
    kept = min(width, size - 1)
    centres, off = [], []
    along, axes = np.zeros((len(counts), width)), np.zeros((len(counts), width, size))
    for part, (share, count) in enumerate(zip(shares.T, counts, strict=True)):
        weight = (share + 1e-6 / len(rows)) / count  # (B,), a part without rows has all alike
        centres.append(weight @ rows)
        near = weight > 1e-4 * weight.max()
        apart = np.sqrt(weight[near])[:, None] * (rows[near] - centres[-1])
        if kept:
            _, lengths, found = randomized_svd(apart, kept, random_state=0)
            along[part, : len(found)], axes[part, : len(found)] = np.square(lengths), found
        left = np.square(apart).sum() - along[part].sum()
        off.append(max(left, 0.0) / (size - kept) + noise**2)
    share = counts / counts.sum()
    off = float(share @ off) + 1e-6
    along = np.maximum(along + noise**2, off)
    bias = np.log(share) - 0.5 * np.log(along / off).sum(axis=1)
    flat = (axes * np.sqrt(1 - off / along)[..., None]).reshape(-1, size)
    return [np.stack(centres), flat, bias - bias.max(), np.float64(np.log(off))]


def _first_rows(x, batches: int | None) -> np.ndarray:
    """Return the first rows of an array or of so many batches."""
    if isinstance(x, np.ndarray):
        return x[:_PLACED]
    found, count = [], 0
    for batch, *_ in x.take(-1 if batches is None else batches):
        found.append(np.asarray(batch))
        count += len(found[-1])
        if count >= _PLACED:
            break
    return np.concatenate(found)[:_PLACED]
