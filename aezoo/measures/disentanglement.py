"""Whether a code keeps independent causes apart, on pictures of which the causes are known."""

import numpy as np

from aezoo.data import sprites
from aezoo.measures.beside import trained_beside
from aezoo.measures.likelihood import active_units

PICTURES, SEED = 10_000, 2  # neither those of training nor of test rows
_BINS = 20


def gap_beside_vae(model, data) -> dict[str, float]:
    """Return the mutual information gap over that of the same network with `kl_weight` 1.

    The other network is trained here by the same recipe on the same rows. Beside the ratio: both
    gaps, from 0 to 1, and how many units of the code say something about the picture.
    """
    causes = sprites.factors(PICTURES, SEED)
    pictures = sprites.draw(causes)
    settings = model.entry.train.model_dump() | {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in model.entry.args.items()
    }
    other = trained_beside(model.entry.name, data, settings | {"kl_weight": 1.0})
    gaps, used = [], []
    for asked in (model, other):
        codes = asked.endpoint("encode")(image=pictures)["latent"]
        gaps.append(mutual_information_gap(codes, causes))
        used.append(active_units(codes))
    return {
        "ratio": gaps[0] / gaps[1],
        "gap": gaps[0],
        "gap_of_vae": gaps[1],
        "active_units": used[0],
        "active_units_of_vae": used[1],
    }


def mutual_information_gap(codes: np.ndarray, causes: np.ndarray) -> float:
    """Return by how much each cause stands in one number of the code rather than in two.

    For each cause: the mutual information with the number that knows most of it, less that with the
    second, over the entropy of the cause; then the mean. 1 is a code of one number per cause, 0 one
    where each cause is spread. Everything is counted in 20 bins of equal width.

    Source: Chen, Li, Grosse & Duvenaud, "Isolating sources of disentanglement" (2018), equation 6.

    Args:
        codes: (N, D).
        causes: (N, F).

    Example:
        >>> causes = np.random.default_rng(0).random((5000, 2))
        >>> round(mutual_information_gap(causes[:, ::-1], causes), 2)
        0.99
        >>> turned = causes @ [[1.0, 1.0], [1.0, -1.0]]
        >>> mutual_information_gap(turned, causes) < 0.05
        True
    """
    known = np.array([[_information(z, cause) for z in codes.T] for cause in causes.T])  # (F, D)
    best = np.sort(known, axis=1)[:, ::-1]
    entropies = np.array([_information(cause, cause) for cause in causes.T])
    return float(((best[:, 0] - best[:, 1]) / entropies).mean())


def _information(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mutual information of two columns in nats."""
    joint = np.histogram2d(a, b, bins=_BINS)[0] / len(a)
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / apart[seen])).sum())
