"""How many words are spelled or said rightly."""

import numpy as np

from aezoo.data import DataSet, words
from aezoo.data.named import pronunciations
from aezoo.zoo_model import ZooModel


def phone_error_rate(model: ZooModel, dataset: DataSet) -> dict[str, float]:
    """Return how far what a model says is from the dictionary, over the test words.

    A word's errors are the phones to insert, delete or replace until it is the nearest of its
    pronunciations; the rate is their sum over the sum of those pronunciations' lengths.

    Args:
        model: Whose `reconstruct` answers ids of phones for ids of letters.
        dataset: `cmudict_phones` or `phones_sample`.

    Returns:
        `phone error rate` and `word error rate`, in percent.
    """
    said = pronunciations(dataset.origin)
    spelled = list(said)
    errors = lengths = wrong = 0
    for row, index in zip(_answers(model, dataset), dataset.test.index, strict=True):
        answer = words.signs_of(row)
        known = said[spelled[index]]
        of_word, length = min((edits(answer, phones), len(phones)) for phones in known)
        errors, lengths, wrong = errors + of_word, lengths + length, wrong + (of_word > 0)
    return {
        "phone error rate": 100.0 * errors / lengths,
        "word error rate": 100.0 * wrong / len(dataset.test),
    }


def round_trip(model: ZooModel, dataset: DataSet) -> dict[str, float]:
    """Return how many test rows a model gives back as they are, their end included.

    Args:
        model: Whose `reconstruct` answers ids for ids.
        dataset: `cmudict_letters` or `letters_sample`.

    Returns:
        `exact`, of whole words, and `letters`, of single steps before the end; in percent.
    """
    rows, answered = dataset.test.array(), _answers(model, dataset)
    right = answered == rows
    return {
        "exact": 100.0 * float(right.all(axis=1).mean()),
        "letters": 100.0 * float(right[rows > 0].mean()),
    }


def _answers(model: ZooModel, dataset: DataSet) -> np.ndarray:
    return model.endpoint("reconstruct")(tokens=dataset.test.array())["reconstruction"]


def edits(one: list[str], other: list[str]) -> int:
    """Return the fewest insertions, deletions and replacements that make one the other.

    Source: Levenshtein (1966); by rows of the table.

    Example:
        >>> edits(["K", "AE", "T"], ["K", "AH", "T", "S"])
        2
    """
    above = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        row = [i]
        for j, b in enumerate(other, start=1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (a != b)))
        above = row
    return above[-1]
