"""Sentences from film reviews and whether they praise, as rows of word ids.

Sentences by Pang & Lee (2005), each with the mean rating of twenty people from -4 to 4 by Hutto &
Gilbert (2014). Ratings of 0.5 or more praise (1), of -0.5 or less condemn (0); those between are
left out. Rows are dealt into folds with a fixed seed: one tests, the next validates, the others
train, and the words are numbered by the training rows alone.

A rating r also says how clear a sentence is. As a target it becomes the share of praise
1 / (1 + e^-r), from 0.02 to 0.98, which is on the side of 0.5 that the class is on.
"""

import collections
import csv
import re
from pathlib import Path

import numpy as np

from aezoo.data.source import Part, Source
from aezoo.errors import ZooError

LENGTH = 48  # words of a row; 1 sentence in 200 is longer and is cut
VOCABULARY = 8000  # ids, of which 0 is padding and 1 any rarer word
CLASSES = {0: "negative", 1: "positive"}
_WORD = re.compile(r"\w+(?:'\w+)*|[^\w\s]")
_CLEAR = 0.5
_SEED = 0


def words_of(sentence: str) -> list[str]:
    """Return the words and signs of a sentence in lower case.

    Example:
        >>> words_of("It doesn't work, at all.")
        ['it', "doesn't", 'work', ',', 'at', 'all', '.']
    """
    return _WORD.findall(sentence.lower())


def numbered(sentences: list[str], size: int = VOCABULARY) -> dict[str, int]:
    """Return word -> id from 2 of the most frequent words, ties in the order of the alphabet.

    Example:
        >>> numbered(["a b b", "c b a"], size=4)
        {'b': 2, 'a': 3}
    """
    counts = collections.Counter(word for s in sentences for word in words_of(s))
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return {word: number for number, word in enumerate(ranked[: size - 2], start=2)}


def rows_of(sentences: list[str], ids: dict[str, int]) -> np.ndarray:
    """Return sentences as ids, padded on the right with 0: int32 (N, LENGTH).

    Example:
        >>> rows_of(["b b x"], {"b": 2})[0, :4].tolist()
        [2, 2, 1, 0]
    """
    rows = np.zeros((len(sentences), LENGTH), "int32")
    for row, sentence in zip(rows, sentences, strict=True):
        found = [ids.get(word, 1) for word in words_of(sentence)[:LENGTH]]
        row[: len(found)] = found
    return rows


def read(path: Path) -> tuple[list[str], np.ndarray]:
    """Return the clear sentences of a table (id, mean rating, sentence) and their ratings.

    Raises:
        ZooError: If the file is no such table.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        table = list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
        ratings = np.array([float(rating) for _, rating, _ in table])
    except (OSError, ValueError) as error:
        raise ZooError(
            f"{path} cannot be read: {error}.", do="Fetch the file again; it is damaged."
        ) from None
    clear = np.flatnonzero(np.abs(ratings) >= _CLEAR)
    return [table[i][2] for i in clear], ratings[clear]


def classes_of(ratings: np.ndarray) -> np.ndarray:
    """Return 1 for praise, 0 for blame.

    Example:
        >>> classes_of(np.array([-0.5, 3.2])).tolist()
        [0, 1]
    """
    return (ratings > 0).astype("int64")


def shares_of(ratings: np.ndarray) -> np.ndarray:
    """Return the shares of blame and praise, float32: (N,) -> (N, 2).

    Example:
        >>> shares_of(np.array([0.0, 4.0]))[:, 1].round(2)
        array([0.5 , 0.98], dtype=float32)
    """
    praise = 1.0 / (1.0 + np.exp(-ratings))
    return np.stack([1.0 - praise, praise], axis=1).astype("float32")


def fold_count(rows: int) -> int:
    """Return into how many folds rows are dealt: ten, or fewer of 500 rows, at least three."""
    return min(10, max(3, rows // 500))


def source(
    name: str, sentences: list[str], ratings: np.ndarray, fold: int = 0, *, rated: bool = False
) -> Source:
    """Return the rows in their roles.

    Args:
        name: Of the data set.
        sentences: N texts.
        ratings: (N,).
        fold: Which fold tests; the next one validates.
        rated: Whether the targets are the shares of the classes.
    """
    labels, count = classes_of(ratings), len(ratings)
    targets = shares_of(ratings) if rated else None
    folds = np.array_split(np.random.default_rng(_SEED).permutation(count), fold_count(count))
    folds = [*folds[fold:], *folds[:fold]]
    roles = {"train": np.concatenate(folds[2:]), "validation": folds[1], "test": folds[0]}
    ids = numbered([sentences[i] for i in roles["train"]])
    parts = {
        role: Part(
            rows_of([sentences[i] for i in which], ids),
            labels[which],
            targets[which] if rated else None,
            index=which,
        )
        for role, which in roles.items()
    }
    note = f"Fold {fold} of {len(folds)} tests; words are numbered by the training rows."
    return Source(name, name, parts, "tokens", CLASSES, [note], complete=True)
