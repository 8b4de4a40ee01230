"""New rows from any autoencoder: a sampler fitted to the codes of training rows, and its decoder.

    generator = Generator(model).fit(rows)          # a mixture of Gaussians over the codes
    generator.sample(64, seed=1)                    # new rows, in user units
    generator.save("sampler.npz")
    Generator.load("sampler.npz", model)            # the same draws, from a bundle too

The sampler `prior` asks the endpoint `generate` of a model that has one, such as a VAE, for rows
from N(0, I).
"""

import dataclasses
from pathlib import Path

import numpy as np

from aezoo import samplers
from aezoo.errors import ZooError, require_known
from aezoo.files import missing
from aezoo.names import PRIOR, SAMPLERS
from aezoo.spread import evenly

_CODES = 20_000  # of training rows that a sampler is fitted to, at most


class Generator:
    """Draws new rows.

    Args:
        model: A fitted model, or a bundle, with the endpoints `encode` and `decode`; for `prior`,
            `generate`.
        sampler: A kind of `aezoo.samplers`, or `prior`.
        seed: Of the fit.

    Attributes:
        samplers_: Class -> fitted sampler; None stands for all rows.

    Example:
        >>> import aezoo
        >>> rows = np.random.default_rng(0).random((50, 4), "float32")
        >>> model = aezoo.build("simple_ae", input_shape=(4,), latent_dim=2)
        >>> Generator(model, "gaussian").fit(rows).sample(3, seed=1).shape
        (3, 4)
    """

    def __init__(self, model, sampler: str = "mixture", seed: int = 0):
        require_known("sampler", sampler, SAMPLERS)
        self.model, self.sampler, self.seed = model, sampler, seed
        for endpoint in ("generate",) if sampler == PRIOR else ("encode", "decode"):
            self._spec(endpoint)  # raises where there is none
        self.samplers_: dict[int | None, samplers.Sampler] = {}

    def fit(self, rows: np.ndarray, labels: np.ndarray | None = None) -> "Generator":
        """Fit a sampler to the codes of rows, and one for each class where there are labels.

        Args:
            rows: Training rows in user units (N, ...); of more than 20,000 an even spread.
            labels: Their classes (N,), or None.

        Raises:
            ZooError: For too few rows, or rows that the model does not take.
        """
        if self.sampler == PRIOR:
            return self
        chosen = evenly(len(rows), _CODES)
        encode = self._spec("encode")
        codes = self._ask("encode", **{encode.inputs[0].name: rows[chosen]})
        codes = codes[encode.outputs[0].name]
        self.samplers_ = {None: samplers.fit(codes, self.sampler, seed=self.seed)}
        if labels is not None:
            classes = np.asarray(labels)[chosen]
            for label in np.unique(classes):
                of_class = codes[classes == label]
                self.samplers_[int(label)] = samplers.fit(of_class, self.sampler, seed=self.seed)
        return self

    def sample(self, n: int, seed: int = 0, label: int | None = None) -> np.ndarray:
        """Return new rows in user units, (n, ...); equal seeds, equal rows.

        Args:
            n: How many.
            seed: Of the draws.
            label: A class that `fit` was given labels of, or that `generate` takes.

        Raises:
            ZooError: For an unknown class, or before `fit`.
        """
        if n < 1:
            raise ZooError("How many rows?", received=n, do="Give 1 or more.")
        if self.sampler == PRIOR:
            return self._from_noise(n, seed, label)
        if label not in self.samplers_:
            known = [str(one) for one in self.samplers_ if one is not None]
            raise ZooError(
                "No sampler was fitted to rows of this class."
                if self.samplers_
                else "The sampler is not fitted.",
                received=label,
                do=f"Classes: {', '.join(known)}." if known else "Call fit(rows, labels) first.",
            )
        codes = self.samplers_[label].sample(n, seed=seed)
        name = self._spec("decode").inputs[0].name
        return self._ask("decode", **{name: codes})["reconstruction"]

    def save(self, path: str | Path) -> Path:
        """Write the sampler of all rows to an `.npz` file; the model is kept where it is.

        Raises:
            ZooError: Before `fit`, and for samplers that are networks.
        """
        if None not in self.samplers_:
            raise ZooError("There is no fitted sampler to save.", do="Call fit(rows) first.")
        samplers.save(self.samplers_[None], Path(path))
        return Path(path)

    @classmethod
    def load(cls, path: str | Path, model) -> "Generator":
        """Return the generator of a saved sampler, with the model or bundle it was fitted to.

        Raises:
            ZooError: For a file that holds no sampler, or of codes of another shape.
        """
        if not Path(path).exists():
            raise missing(Path(path))
        generator = cls(model)
        generator.samplers_ = {None: samplers.load(path)}
        wanted = tuple(generator._spec("decode").inputs[0].shape)
        if generator.samplers_[None].shape != wanted:
            raise ZooError(
                "The sampler is of codes of another shape.",
                received=f"{generator.samplers_[None].shape}, and the model takes {wanted}",
            )
        return generator

    def _from_noise(self, n: int, seed: int, label: int | None) -> np.ndarray:
        spec = self._spec("generate")
        shape = spec.tensor("noise").shape
        given = {
            "noise": np.random.default_rng(seed).standard_normal((n, *shape)).astype("float32")
        }
        if label is not None:
            given["label"] = np.full((n, 1), label, "int32")
        return self._ask("generate", **given)[spec.outputs[0].name]

    def _spec(self, endpoint: str):
        asked = getattr(self.model, "endpoint", None)
        return asked(endpoint).spec if asked else self.model.spec(endpoint)

    def _ask(self, endpoint: str, **arrays: np.ndarray) -> dict[str, np.ndarray]:
        asked = getattr(self.model, "endpoint", None)
        return asked(endpoint)(**arrays) if asked else self.model.predict(endpoint, **arrays)


@dataclasses.dataclass(frozen=True)
class Copied:
    """The nearest training row of each new row.

    Attributes:
        nearest: (N,) its position.
        distance: (N,) how far it is, root mean square in the rows' unit.
        real: The median of that distance for real rows that trained nothing; None without any.
    """

    nearest: np.ndarray
    distance: np.ndarray
    real: float | None

    @property
    def copies(self) -> int:
        """How many new rows lie nearer to a training row than a tenth of what real rows do."""
        return 0 if self.real is None else int((self.distance < 0.1 * self.real).sum())


def nearest_rows(made: np.ndarray, train: np.ndarray, held_out: np.ndarray | None = None) -> Copied:
    """Return the nearest training row of each new row, to see copying.

    Example:
        >>> train = np.eye(3)
        >>> found = nearest_rows(train[[2]], train, train[:2] + 0.5)
        >>> found.nearest.tolist(), found.distance.tolist(), found.copies
        ([2], [0.0], 1)
    """
    from sklearn.neighbors import NearestNeighbors

    def flat(rows):
        return np.asarray(rows, "float32").reshape(len(rows), -1)

    index = NearestNeighbors(n_neighbors=1).fit(flat(train))
    root = np.sqrt(flat(train).shape[1])
    distance, nearest = index.kneighbors(flat(made))
    real = None
    if held_out is not None:
        real = float(np.median(index.kneighbors(flat(held_out[:1000]))[0]) / root)
    return Copied(nearest[:, 0], distance[:, 0] / root, real)
