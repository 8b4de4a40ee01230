"""Linear probes: what a logistic regression reads from codes with few labels.

The codes of `LABELS` training rows, chosen with a fixed seed, are standardised and fitted with
scikit-learn's logistic regression; the figure is its accuracy on test rows. Codes that have places
(patches, pixels of a map) are averaged over them.
"""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aezoo.data import DataSet, Rows
from aezoo.errors import ZooError
from aezoo.zoo_model import ZooModel, seeded

LABELS = 1000
_SEED = 0


def linear_probe(model: ZooModel, dataset: DataSet) -> dict[str, float]:
    """Return how much training has added to the accuracy of a linear probe.

    Args:
        model: With an endpoint `encode`.
        dataset: With labels on training and test rows.

    Returns:
        `gain`, `accuracy` and `accuracy untrained`, of the same network with new weights; in
        points of test accuracy (0 to 100).

    Raises:
        ZooError: If rows have no labels, or there are no test rows.
    """
    with seeded(model.entry.train.seed if model.entry else 0):
        untrained = type(model)(**model.arguments)
    untrained.preprocessing = model.preprocessing
    trained, new = (
        probe(lambda rows, m=m: pooled_codes(m, rows), dataset) for m in (model, untrained)
    )
    return {"gain": trained - new, "accuracy": trained, "accuracy untrained": new}


def pixel_probe(dataset: DataSet) -> dict[str, float]:
    """Return the accuracy of the same probe on the rows themselves, in points."""
    return {"accuracy": probe(lambda rows: rows.array().reshape(len(rows), -1), dataset)}


def pooled_codes(model: ZooModel, rows: Rows) -> np.ndarray:
    """Return one vector per row: its code, averaged over places, (N, D)."""
    encode = model.endpoint("encode")
    codes = encode(**{encode.spec.inputs[0].name: rows.array()})["latent"]
    return codes.reshape(len(codes), -1, codes.shape[-1]).mean(axis=1)


def probe(features_of, dataset: DataSet) -> float:
    """Return the test accuracy, in points, of a logistic regression on a few labelled rows.

    Args:
        features_of: From rows to features (N, D).
        dataset: With labels on training and test rows.

    Raises:
        ZooError: If rows have no labels, or there are no test rows.
    """
    train, test = dataset.train, dataset.test
    if test is None or train.labels is None or test.labels is None:
        raise ZooError(
            "A linear probe needs labelled training and test rows.",
            received=dataset.name,
            do="Choose data with classes, such as fashion_mnist.",
        )
    chosen = np.random.default_rng(_SEED).permutation(len(train))[:LABELS]
    few = train.take(chosen)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    classifier.fit(features_of(few), few.labels)
    return 100.0 * float(classifier.score(features_of(test), test.labels))
