"""Accuracy of sentence classifiers over folds of the film reviews."""

import tempfile
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline

from aezoo.data import DataSet, Rows, reviews
from aezoo.data.dataset import assemble
from aezoo.data.named import review_fold, review_sentences
from aezoo.registry import build_entry
from aezoo.training import train
from aezoo.zoo_model import ZooModel


def fold_accuracy(model: ZooModel, dataset: DataSet) -> dict[str, float]:
    """Return the accuracy over all folds of the reviews, each tested by a model of its own.

    The model itself answers the test rows of the data set, which are the first fold. For each other
    fold a new one is trained by the same entry, words numbered anew; if the model has never taken
    a step, theirs take none either.

    Args:
        model: With an endpoint `classify`, trained on `dataset` or new.
        dataset: One of the four data sets of reviews.

    Returns:
        `accuracy`, the mean over the folds, `lowest fold` and `highest fold`; in percent.
    """
    _, ratings = review_sentences(dataset.origin)
    scores = [accuracy(model, dataset.test)]
    is_new = int(model.optimizer.iterations) == 0
    for fold in range(1, reviews.fold_count(len(ratings))):
        data = assemble(review_fold(dataset.origin, fold), dataset.section)
        with tempfile.TemporaryDirectory() as folder:
            other = (
                build_entry(model.entry, seed=model.entry.train.seed)
                if is_new
                else train(
                    model.entry, data, out=Path(folder) / "run", figures=False, verbose=False
                ).model
            )
        scores.append(accuracy(other, data.test))
    return {
        "accuracy": float(np.mean(scores)),
        "lowest fold": min(scores),
        "highest fold": max(scores),
    }


def accuracy(model: ZooModel, rows: Rows) -> float:
    """Return the share of labelled rows that `classify` names rightly, in percent."""
    answered = model.endpoint("classify")(tokens=rows.array())["label"][:, 0]
    return 100.0 * float((answered == rows.labels).mean())


def naive_bayes(dataset: DataSet) -> dict[str, float]:
    """Return the accuracy of tf-idf with naive Bayes over the same folds, in percent.

    It is fitted on what the model is trained on: all folds but the one that tests and the one
    that validates.
    """
    sentences, ratings = review_sentences(dataset.origin)
    scores = []
    for fold in range(reviews.fold_count(len(ratings))):
        parts = review_fold(dataset.origin, fold).parts
        text = {role: [sentences[i] for i in part.index] for role, part in parts.items()}
        classifier = make_pipeline(TfidfVectorizer(), MultinomialNB())
        classifier.fit(text["train"], parts["train"].labels)
        scores.append(100.0 * classifier.score(text["test"], parts["test"].labels))
    return {"accuracy": float(np.mean(scores))}
