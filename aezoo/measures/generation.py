"""How much generated pictures are like real ones, and how sharp they are."""

import dataclasses
import functools
from importlib import resources

import keras
import numpy as np

from aezoo.data import DataSet
from aezoo.errors import ZooError
from aezoo.measures.beside import trained_beside
from aezoo.measures.networks import small_classifier, unit
from aezoo.zoo_model import seeded

WEIGHTS = resources.files("aezoo.measures") / "feature_network.npz"
SHAPE, CLASSES, FILTERS, FEATURES = (28, 28, 1), 20, (16, 32), 64
GENERATED, SEED = 10_000, 0


def feature_network() -> keras.Model:
    """Return the network of the features, untrained; `benchmarks/feature_network.py` trains it."""
    return small_classifier(SHAPE, CLASSES, FILTERS, FEATURES)


@functools.cache
def _features_of() -> keras.Model:
    with seeded(SEED):
        network = feature_network()
    with resources.as_file(WEIGHTS) as path, np.load(path, allow_pickle=False) as arrays:
        network.set_weights([arrays[str(i)] for i in range(len(arrays.files))])
    return keras.Model(network.input, network.get_layer("features").output)


def fid(pictures: np.ndarray, real: np.ndarray) -> float:
    """Return the Fréchet distance between two sets of pictures, in the features of a small network.

        |m_1 - m_2|^2 + tr( C_1 + C_2 - 2 (C_1 C_2)^(1/2) )

    m and C are mean and covariance of 64 features of a classifier of digits and clothes (20
    classes, trained on training rows of MNIST and Fashion-MNIST, shipped). The numbers compare with
    each other, not with distances in Inception's features. Source: Heusel et al., "GANs trained
    by a two time-scale update rule converge to a local Nash equilibrium" (2017).

    Args:
        pictures: (N, 28, 28, 1) in [0, 1], at least 65.
        real: (M, 28, 28, 1), alike.

    Raises:
        ZooError: For other shapes.

    Example:
        >>> pictures = np.random.default_rng(0).random((80, 28, 28, 1), "float32")
        >>> round(fid(pictures, pictures), 6)
        0.0
    """
    seen = [features(rows) for rows in (pictures, real)]
    moments = [(one.mean(0), np.cov(one, rowvar=False)) for one in seen]
    return frechet_distance(*moments[0], *moments[1])


def features(pictures: np.ndarray) -> np.ndarray:
    """Return the 64 features of pictures, (N, 64) float64.

    Args:
        pictures: (N, 28, 28, 1) in [0, 1], at least 65.

    Raises:
        ZooError: For other shapes.
    """
    if pictures.shape[1:] != SHAPE or len(pictures) <= FEATURES:
        raise ZooError(
            f"The features are those of pictures {SHAPE}, and of more than {FEATURES}.",
            received=pictures.shape,
        )
    return _features_of().predict(pictures, batch_size=500, verbose=0).astype("float64")


def frechet_distance(mean_1, covariance_1, mean_2, covariance_2) -> float:
    """Return the Fréchet distance of two Gaussians; see `fid` for the formula.

    Example:
        >>> frechet_distance(np.zeros(2), np.eye(2), np.ones(2), 4 * np.eye(2))  # 2 + 2 (2 - 1)^2
        4.0
    """
    values, vectors = np.linalg.eigh(covariance_1)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    # C_1 C_2 and root C_2 root have the same eigenvalues; the latter is symmetric.
    product = np.linalg.eigvalsh(root @ covariance_2 @ root)
    spread = np.trace(covariance_1) + np.trace(covariance_2)
    shift = np.square(mean_1 - mean_2).sum()
    distance = shift + spread - 2 * np.sqrt(np.maximum(product, 0)).sum()
    return max(0.0, float(distance))  # rounding may leave it just below


def gradient_energy(pictures: np.ndarray) -> float:
    """Return the mean square of the differences between neighbouring pixels: high if sharp.

    Args:
        pictures: (N, H, W, C) in [0, 1].

    Example:
        >>> stripes = np.tile([[0.0], [1.0]], (1, 2, 4, 1))
        >>> gradient_energy(stripes), gradient_energy(np.ones((1, 4, 4, 1)))
        (0.5, 0.0)
    """
    down = np.diff(pictures, axis=1)
    across = np.diff(pictures, axis=2)
    return float(0.5 * (np.square(down).mean() + np.square(across).mean()))


def noise_for(model, count: int, seed: int = SEED) -> np.ndarray:
    """Return seeded draws from N(0, I) as `generate` takes them, (count, D) float32."""
    shape = model.endpoint("generate").spec.tensor("noise").shape
    return np.random.default_rng(seed).standard_normal((count, *shape)).astype("float32")


def generated_pictures(
    model, count: int = GENERATED, seed: int = SEED, **beside: np.ndarray
) -> np.ndarray:
    """Return what a model generates from seeded noise, in [0, 1], (count, H, W, C).

    Args:
        model: With an endpoint `generate`.
        count: How many.
        seed: Of the noise.
        **beside: What else `generate` takes, such as `label`, (count, 1).
    """
    rows = model.endpoint("generate")(noise=noise_for(model, count, seed), **beside)
    in_model_units = dataclasses.replace(model.preprocessing, binarize=None)  # means stay grey
    return np.asarray(in_model_units.apply(rows[model.input_name]))


def sharpness(model, dataset: DataSet) -> dict[str, float]:
    """Return the FID of a VAE/GAN beside that of the same networks trained as a plain VAE.

    The plain VAE (`conv_vae`, with its own recipe) is trained here on the same rows, for as many
    epochs, with the same batch size and seed. Pictures come from N(0, I); real ones are test rows.

    Args:
        model: A `VAEGAN`, built from an entry.
        dataset: With test rows.
    """
    recipe = model.entry.train
    settings = {k: model.arguments[k] for k in ("filters", "latent_dim", "kernel_size")}
    settings |= {"epochs": recipe.epochs, "batch_size": recipe.batch_size, "seed": recipe.seed}
    return _beside("conv_vae", "the same VAE", settings, model, dataset)


def without_the_game(model, dataset: DataSet) -> dict[str, float]:
    """Return the FID of an adversarial autoencoder beside that of the same one without its game.

    The other one is trained here, with `adversarial_weight=0` and else the same recipe on the same
    rows: a plain autoencoder, whose codes nothing makes like the N(0, I) that both decode.

    Args:
        model: An `AdversarialAE`, built from an entry.
        dataset: With test rows.
    """
    settings = dict(model.arguments) | {"adversarial_weight": 0.0}
    del settings["input_shape"]  # that of the rows
    settings |= model.entry.train.model_dump(exclude_defaults=True)
    return _beside(model.entry.name, "the same without the game", settings, model, dataset)


def _beside(entry: str, name: str, settings: dict, model, dataset: DataSet) -> dict[str, float]:
    """Measure a model beside another entry that is trained on the same rows."""
    other = trained_beside(entry, dataset, settings)
    real = np.asarray(unit(dataset.test.array()))
    made, others = generated_pictures(model), generated_pictures(other)
    distance, other_distance = fid(made, real), fid(others, real)
    return {
        f"FID relative to {name}": distance / other_distance,
        "FID": distance,
        f"FID of {name}": other_distance,
        "gradient energy": gradient_energy(made),
        f"gradient energy of {name}": gradient_energy(others),
        "gradient energy of real rows": gradient_energy(real),
    }
