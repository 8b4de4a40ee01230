"""Errors of classes that were learned from few labels, and of label spreading on codes."""

import numpy as np
from sklearn.semi_supervised import LabelSpreading

from aezoo.data import DataSet, Rows
from aezoo.measures.beside import trained_beside
from aezoo.specs import UNLABELLED
from aezoo.spread import evenly
from aezoo.zoo_model import ZooModel

NEIGHBOURS, CLAMP = 10, 0.2  # scikit-learn's LabelSpreading: n_neighbors and alpha
GRAPH_ROWS = 20_000  # of the graph that labels spread over; those with a label are among them
_M1 = {"hidden": (600, 600), "latent_dim": 50, "epochs": 20, "learning_rate": 0.001}


def class_error(model: ZooModel, dataset: DataSet) -> dict[str, float]:
    """Return the share of rows whose class `classify` gets wrong.

    Args:
        model: With an endpoint `classify`.
        dataset: With labels on validation and test rows.

    Returns:
        `test_error` and `validation_error`, in percent.
    """
    return {
        f"{role}_error": _error(model, getattr(dataset, role)) for role in ("test", "validation")
    }


def label_spreading(dataset: DataSet) -> dict[str, float]:
    """Return the test error, in percent, of labels spread over the codes of a `vae` (M1)."""
    m1 = trained_beside("vae", dataset.without_targets(), _M1)
    answered = spread(codes_of(m1, dataset.train), dataset.train.labels, codes_of(m1, dataset.test))
    return {"test_error": 100.0 * float((answered != dataset.test.labels).mean())}


def spread(codes: np.ndarray, labels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return labels of other codes, spread over a graph of nearest neighbours.

    Source: Zhou et al., "Learning with local and global consistency" (2004).

    Args:
        codes: (N, D); of more than `GRAPH_ROWS`, an even spread is taken.
        labels: (N,), -1 where none is told.
        others: (M, D).

    Returns:
        (M,).
    """
    told = np.flatnonzero(labels != UNLABELLED)
    rest = np.flatnonzero(labels == UNLABELLED)
    _, first = np.unique(codes[told], axis=0, return_index=True)  # not their repeats
    told = told[first]
    count = min(len(rest), GRAPH_ROWS - len(told))
    graph = np.concatenate([told, rest[evenly(len(rest), count)]])
    spreader = LabelSpreading(kernel="knn", n_neighbors=NEIGHBOURS, alpha=CLAMP, max_iter=100)
    spreader.fit(codes[graph], labels[graph])
    with np.errstate(invalid="ignore"):  # no label reaches some rows: they get the first class
        return spreader.predict(others)


def codes_of(model: ZooModel, rows: Rows) -> np.ndarray:
    """Return the codes of rows, (N, D)."""
    encode = model.endpoint("encode")
    return encode(**{encode.spec.inputs[0].name: rows.array()})["latent"]


def _error(model: ZooModel, rows: Rows) -> float:
    classify = model.endpoint("classify")
    answered = classify(**{classify.spec.inputs[0].name: rows.array()})["label"][:, 0]
    return 100.0 * float((answered != rows.labels).mean())
