"""How many captions are right."""

import numpy as np

from aezoo.data import DataSet
from aezoo.zoo_model import ZooModel


def exact_match(model: ZooModel, dataset: DataSet) -> dict[str, float]:
    """Return how many captions of test films are right in every word.

    Args:
        model: With an endpoint `caption`, which feeds its own words back.
        dataset: With captions as the targets of its test rows.

    Returns:
        `exact match` of the whole caption, and `digit` and `rest`, the share of captions whose
        second word is right, and all words but that; in percent.
    """
    written = model.endpoint("caption")(video=dataset.test.array())["tokens"]
    right = written == dataset.test.targets  # (N, L)
    rest = np.delete(right, 1, axis=1)
    return {
        "exact match": 100.0 * float(right.all(axis=1).mean()),
        "digit": 100.0 * float(right[:, 1].mean()),
        "rest": 100.0 * float(rest.all(axis=1).mean()),
    }


def commonest_caption(dataset: DataSet) -> dict[str, float]:
    """Return how often the commonest caption of the training films is right, in percent."""
    captions, counts = np.unique(dataset.train.targets, axis=0, return_counts=True)
    right = (dataset.test.targets == captions[counts.argmax()]).all(axis=1)
    return {"exact match": 100.0 * float(right.mean())}
