"""New codes for any autoencoder: a distribution fitted to the codes of training rows.

    codes = model.endpoint("encode")(image=rows)["latent"]
    sampler = aezoo.samplers.fit(codes, "mixture")
    new = model.endpoint("decode")(latent=sampler.sample(16, seed=0))["reconstruction"]

    gaussian      one Gaussian with a full covariance
    mixture       a mixture of them, fitted by expectation maximisation
    neighbours    a Gaussian around a code, as wide as its nearest neighbours lie apart
    flow          a Gaussian bent by invertible affine couplings (RealNVP)

Codes of a codebook, as `vq_vae` has them, are ids and no numbers; for them there is

    autoregressive    each id from those before it, row by row, by a recurrent network

Sources: Ghosh et al., "From variational to deterministic autoencoders" (2020), for fitting after
training; Dinh, Sohl-Dickstein & Bengio, "Density estimation using Real NVP" (2017), for the flow;
van den Oord, Vinyals & Kavukcuoglu (2017), section 3.3, for a prior over ids.
"""

import functools
import math
import zipfile
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from aezoo.errors import ZooError, require_known
from aezoo.files import missing, whole_file

Kind = Literal["gaussian", "mixture", "neighbours", "flow", "autoregressive"]


class Sampler(Protocol):
    """A fitted distribution of codes."""

    def sample(self, count: int, seed: int = 0) -> np.ndarray:
        """Return new codes, `(count, *latent_shape)`; equal seeds, equal codes."""


def fit(codes: np.ndarray, kind: Kind = "mixture", *, seed: int = 0) -> Sampler:
    """Fit a sampler to codes.

    Args:
        codes: Of training rows, `(N, *latent_shape)`; the more, the better, and more than numbers
            in a code.
        kind: See the module.
        seed: Of the fit.

    Raises:
        ZooError: For an unknown kind, too few codes, or NaN among them.

    Example:
        >>> codes = np.random.default_rng(0).normal(3.0, 0.1, (500, 2))
        >>> fit(codes, "gaussian").sample(1000).mean(axis=0).round(1).tolist()
        [3.0, 3.0]
    """
    codes = np.asarray(codes)
    require_known("sampler", kind, _KINDS)
    if codes.ndim < 2 or len(codes) < 10:
        raise ZooError(
            "A sampler is fitted to codes (N, ...), at least 10 of them.", received=codes.shape
        )
    if (codes.dtype.kind in "iu") != (kind == "autoregressive"):
        raise ZooError(
            "Ids of a codebook need an autoregressive sampler, and other codes one of the others.",
            received=f"{kind}, codes of {codes.dtype}",
            do="Choose autoregressive." if codes.dtype.kind in "iu" else "Choose mixture.",
        )
    if kind == "autoregressive":
        return Autoregressive(codes, seed)
    if not np.isfinite(codes).all():
        raise ZooError("The codes hold NaN or infinity.", do="Train the model first.")
    if kind == "flow" and codes[0].size < 2:
        raise ZooError(
            "A flow couples the numbers of a code, and there is one.", do="Choose mixture."
        )
    return _Shaped(
        _KINDS[kind](codes.reshape(len(codes), -1).astype("float64"), seed), codes.shape[1:]
    )


def save(sampler: Sampler, path: str | Path) -> None:
    """Write a fitted sampler to an `.npz` file, whole or not at all.

    Raises:
        ZooError: For a flow and an autoregressive sampler, which are networks.
    """
    flat = getattr(sampler, "flat", None)
    kinds = {_KINDS[kind]: kind for kind in _SAVED}
    if type(flat) not in kinds:
        raise ZooError(
            "This sampler cannot be saved.",
            received=type(flat or sampler).__name__.lower(),
            do=f"Choose one of {', '.join(_SAVED)}, or fit it again.",
        )
    arrays = {name: getattr(flat, name) for name in flat.KEPT}
    with whole_file(Path(path)) as part:
        np.savez(part, kind=kinds[type(flat)], shape=sampler.shape, **arrays)


def load(path: str | Path) -> Sampler:
    """Return the sampler that `save` wrote; it draws the same codes.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "sampler.npz"
        >>> sampler = fit(np.random.default_rng(0).normal(size=(50, 2)), "gaussian")
        >>> save(sampler, path)
        >>> bool((load(path).sample(3, seed=1) == sampler.sample(3, seed=1)).all())
        True
    """
    path = Path(path)
    if not path.exists():
        raise missing(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        kind, shape = str(arrays.pop("kind")), tuple(map(int, arrays.pop("shape")))
        flat = _KINDS[kind].__new__(_KINDS[kind])
        vars(flat).update({name: arrays[name] for name in flat.KEPT})
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile):
        raise ZooError(
            "This file holds no sampler.", received=str(path), do="Write one by samplers.save."
        ) from None
    return _Shaped(flat, shape)


class _Shaped:
    """Gives flat samples the shape of the codes."""

    def __init__(self, flat, shape: tuple[int, ...]):
        self.flat, self.shape = flat, shape

    def sample(self, count: int, seed: int = 0) -> np.ndarray:
        """Return `(count, *latent_shape)`."""
        drawn = self.flat.sample(count, np.random.default_rng(seed))
        return drawn.reshape(count, *self.shape).astype("float32")


class Gaussian:
    """N(mean, covariance) of the codes."""

    KEPT = ("mean", "covariance")

    def __init__(self, codes: np.ndarray, seed: int):
        self.mean, self.covariance = codes.mean(axis=0), np.atleast_2d(np.cov(codes.T))

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Return `(count, D)`."""
        return rng.multivariate_normal(self.mean, self.covariance, count, method="eigh")


class Mixture:
    """A mixture of Gaussians with full covariances; as many as the codes can bear, at most 10."""

    KEPT = ("shares", "means", "covariances")

    def __init__(self, codes: np.ndarray, seed: int):
        from sklearn.mixture import GaussianMixture

        components = max(1, min(10, len(codes) // (5 * codes.shape[1])))
        spread = codes.var(axis=0).mean()
        fitted = GaussianMixture(components, reg_covar=1e-6 + 1e-4 * spread, random_state=seed).fit(
            codes
        )
        self.shares = _proper(fitted.weights_)
        self.means, self.covariances = fitted.means_, fitted.covariances_

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Return `(count, D)`."""
        chosen = rng.choice(len(self.shares), count, p=self.shares)
        noise = rng.normal(size=(count, self.means.shape[1]))
        roots = np.linalg.cholesky(self.covariances)  # (K, D, D)
        return self.means[chosen] + np.einsum("nij,nj->ni", roots[chosen], noise)


def _proper(weights: np.ndarray) -> np.ndarray:
    return weights / weights.sum()


class Neighbours:
    """A code, and noise of the covariance of its nearest neighbours about it."""

    NEAREST = 10
    KEPT = ("codes",)

    def __init__(self, codes: np.ndarray, seed: int):
        self.codes = codes

    @functools.cached_property
    def index(self):
        """What finds the nearest codes."""
        from sklearn.neighbors import NearestNeighbors

        nearest = min(self.NEAREST, len(self.codes) - 1)
        return NearestNeighbors(n_neighbors=nearest + 1).fit(self.codes)

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Return `(count, D)`."""
        start = self.codes[rng.integers(len(self.codes), size=count)]
        near = self.codes[self.index.kneighbors(start, return_distance=False)[:, 1:]]  # (n, k, D)
        middle = near.mean(axis=1)
        # Weights of variance 1/k over the k neighbours' offsets have their covariance.
        weights = rng.normal(size=near.shape[:2]) / math.sqrt(near.shape[1])
        return middle + np.einsum("nk,nkd->nd", weights, near - middle[:, None])


class Flow:
    """Invertible affine couplings between the codes and N(0, I), trained by likelihood.

    x_b = z_b * exp(s(z_a)) + t(z_a), the halves a and b changing places from coupling to coupling.
    """

    COUPLINGS, WIDTH, STEPS, BATCH = 6, 64, 1500, 256

    def __init__(self, codes: np.ndarray, seed: int):
        import keras

        self.mean, self.scale = codes.mean(axis=0), codes.std(axis=0) + 1e-6
        width = codes.shape[1]
        rng = np.random.default_rng(seed)
        self.orders = [rng.permutation(width) for _ in range(self.COUPLINGS)]
        self.half = (width + 1) // 2
        self.networks = [
            keras.Sequential(
                [
                    keras.Input((self.half,)),
                    keras.layers.Dense(
                        self.WIDTH, "relu", kernel_initializer=_glorot(seed * 100 + 3 * i)
                    ),
                    keras.layers.Dense(
                        self.WIDTH, "relu", kernel_initializer=_glorot(seed * 100 + 3 * i + 1)
                    ),
                    keras.layers.Dense(2 * (width - self.half), kernel_initializer="zeros"),
                ]
            )
            for i in range(self.COUPLINGS)
        ]
        self._train(((codes - self.mean) / self.scale).astype("float32"), rng)

    def _train(self, codes: np.ndarray, rng: np.random.Generator) -> None:
        import keras
        import tensorflow as tf

        weights = [w for network in self.networks for w in network.trainable_variables]
        optimizer = keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(2e-3, self.STEPS), clipnorm=1.0
        )
        optimizer.build(weights)

        @tf.function
        def step(batch):
            with tf.GradientTape() as tape:
                z, log_volume = self._to_noise(batch)
                loss = tf.reduce_mean(0.5 * tf.reduce_sum(z * z, axis=-1) - log_volume)
            optimizer.apply(tape.gradient(loss, [w.value for w in weights]), weights)

        for _ in range(self.STEPS):
            step(tf.constant(codes[rng.integers(len(codes), size=min(self.BATCH, len(codes)))]))

    def _to_noise(self, x):
        """Return the noise that codes stand for, and the log of how much volume shrinks."""
        import tensorflow as tf

        volume = 0.0
        for order, network in zip(self.orders, self.networks, strict=True):
            x = tf.gather(x, order, axis=1)
            a, b = x[:, : self.half], x[:, self.half :]
            s, t = tf.split(network(a), 2, axis=1)
            s = tf.tanh(s)  # bounded, so that a far code does not overflow
            x = tf.concat([a, (b - t) * tf.exp(-s)], axis=1)
            volume -= tf.reduce_sum(s, axis=1)
        return x, volume

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Return `(count, D)`."""
        x = rng.normal(size=(count, len(self.mean))).astype("float32")
        for order, network in zip(reversed(self.orders), reversed(self.networks), strict=True):
            a, b = x[:, : self.half], x[:, self.half :]
            s, t = np.split(np.asarray(network(a)), 2, axis=1)
            x = np.concatenate([a, b * np.exp(np.tanh(s)) + t], axis=1)[:, np.argsort(order)]
        return x * self.scale + self.mean


class Autoregressive:
    """p(k_1, k_2, ...) = p(k_1) p(k_2 | k_1) ..., a GRU over the ids of a grid, row by row.

    At each place it is told which place it is and the ids left of it and above it. One code in ten
    is held out; training ends where these become no likelier, and their best weights are kept.

    Attributes:
        nats: -log p of the held-out codes, per id.
    """

    WIDTH, STEPS, BATCH = 128, 1200, 100
    BLOCK, PATIENCE = 100, 2  # steps between two looks at the held-out codes; looks without a gain

    def __init__(self, codes: np.ndarray, seed: int):
        import keras

        from aezoo.zoo_model import seeded

        self.shape, self.ids = codes.shape[1:], int(codes.max()) + 1
        self.near = _places_before(self.shape)  # (T, 4)
        steps = len(self.near)
        with seeded(seed):
            self.place = keras.layers.Embedding(steps, 32)
            self.embed = keras.layers.Embedding(self.ids + 1, 32)  # the last is no id
            self.cell = keras.layers.GRUCell(self.WIDTH)
            self.head = keras.layers.Dense(self.ids)
            near = keras.Input((steps, 4), dtype="int32")
            told = self._told(near, near[..., 0] * 0 + np.arange(steps))  # (B, T, 160)
            h = keras.layers.RNN(self.cell, return_sequences=True)(told)  # (B, T, W)
            model = keras.Model(near, self.head(keras.layers.Dropout(0.2, seed=seed)(h)))
        order = np.random.default_rng(seed)
        self._train(model, codes.reshape(len(codes), -1)[order.permutation(len(codes))], order)

    def _told(self, near, place):
        """Return what the cell is told: ids near a place (..., 4), and the place (...)."""
        from keras import ops

        left, *above = (self.embed(near[..., i]) for i in range(4))
        return ops.concatenate([left, *above, self.place(place)], axis=-1)

    def _train(self, model, codes: np.ndarray, order: np.random.Generator) -> None:
        import keras

        held, codes = np.split(codes, [len(codes) // 10])
        model.compile(
            keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(4e-3, self.STEPS)),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        self.nats, without_gain = math.inf, 0
        for _ in range(0, self.STEPS, self.BLOCK):
            rows = codes[order.integers(len(codes), size=self.BLOCK * self.BATCH)]
            model.fit(self._near(rows), rows, batch_size=self.BATCH, shuffle=False, verbose=0)
            nats = model.evaluate(self._near(held), held, batch_size=500, verbose=0)
            without_gain += 1
            if nats < self.nats:
                self.nats, best, without_gain = nats, model.get_weights(), 0
            if without_gain == self.PATIENCE:
                break
        model.set_weights(best)

    def _near(self, codes: np.ndarray) -> np.ndarray:
        """Return the ids near each place, (N, T) -> (N, T, 4)."""
        return np.pad(codes, ((0, 0), (1, 0)), constant_values=self.ids)[:, self.near]

    def sample(self, count: int, seed: int = 0) -> np.ndarray:
        """Return new ids, `(count, *grid)` int32."""
        from keras import ops

        rng = np.random.default_rng(seed)
        state = ops.zeros((count, self.WIDTH))
        drawn = np.full((count, len(self.near) + 1), self.ids, "int32")
        for place, near in enumerate(self.near):
            told = self._told(drawn[:, near], np.full(count, place))
            h, (state,) = self.cell(told, [state])
            # The largest of logits and Gumbel noise is a draw from their softmax.
            noisy = np.asarray(self.head(h)) + rng.gumbel(size=(count, self.ids))
            drawn[:, place + 1] = noisy.argmax(axis=1)
        return drawn[:, 1:].reshape(count, *self.shape)


def _places_before(shape: tuple[int, ...]) -> np.ndarray:
    """Return the neighbours of each place of a grid that come before it, row by row: (T, 4).

    Left, above on the left, above, above on the right; places count from 1, and 0 is outside.
    """
    places = np.arange(1, math.prod(shape) + 1).reshape(-1, shape[-1])
    p = np.pad(places, ((1, 0), (1, 1)))
    near = (p[1:, :-2], p[:-1, :-2], p[:-1, 1:-1], p[:-1, 2:])
    return np.stack(near, axis=-1).reshape(-1, 4)


def _glorot(seed: int):
    import keras

    return keras.initializers.GlorotUniform(seed)


_SAVED = ("gaussian", "mixture", "neighbours")  # the others are networks
_KINDS = {
    "gaussian": Gaussian,
    "mixture": Mixture,
    "neighbours": Neighbours,
    "flow": Flow,
    "autoregressive": Autoregressive,
}
