"""Words as rows of letters, and how they are said as rows of phones.

Both share one numbering: 0 is padding and the end, then 29 letters, then the 39 phones of ARPAbet,
stress left out. Words are dealt 90 : 5 : 5 into training, validation and test rows with a fixed
seed, so a word with two pronunciations has one role.

Source: the pronouncing dictionary of Carnegie Mellon University.
"""

import re
from pathlib import Path

import numpy as np

from aezoo.data.source import Part, Source
from aezoo.errors import ZooError

LENGTH = 16  # letters or phones of a row; 1 word in 700 is longer and is left out
LETTERS = "'-.abcdefghijklmnopqrstuvwxyz"
PHONES = re.findall(
    r"\w+",
    "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W "
    "Y Z ZH",
)
VOCABULARY = 1 + len(LETTERS) + len(PHONES)
_ID = {sign: number for number, sign in enumerate([*LETTERS, *PHONES], start=1)}
_SEED = 0
_VARIANT = re.compile(r"\(\d+\)$")


def read(path: Path) -> dict[str, list[list[str]]]:
    """Return word -> its pronunciations, lists of phones without stress, the usual one first.

    Raises:
        ZooError: If the file is no such dictionary.
    """
    found: dict[str, list[list[str]]] = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            word, *phones = line.partition(" #")[0].split()
            said = [phone.rstrip("012") for phone in phones]
            word = _VARIANT.sub("", word)
            if not said or set(said) - set(PHONES) or set(word) - set(LETTERS):
                raise ValueError(f"no word and phones in {line!r}")
            if max(len(word), len(said)) <= LENGTH:
                found.setdefault(word, []).append(said)
    except (OSError, ValueError) as error:
        raise ZooError(
            f"{path} cannot be read: {error}.", do="Fetch the file again; it is damaged."
        ) from None
    return found


def ids_of(signs) -> np.ndarray:
    """Return letters or phones as one row, int32 (LENGTH,).

    Example:
        >>> ids_of("cab")[:4].tolist(), ids_of(["K", "AE"])[:3].tolist()
        ([6, 4, 5, 0], [49, 31, 0])
    """
    row = np.zeros(LENGTH, "int32")
    row[: len(signs)] = [_ID[sign] for sign in signs]
    return row


def signs_of(row) -> list[str]:
    """Return the letters or phones of a row, up to the first 0.

    Example:
        >>> "".join(signs_of(ids_of("cab")))
        'cab'
    """
    names = [*LETTERS, *PHONES]
    ends = np.flatnonzero(np.asarray(row) == 0)
    return [names[number - 1] for number in row[: ends[0] if len(ends) else None]]


def source(name: str, words: dict[str, list[list[str]]], said: bool) -> Source:
    """Return the rows in their roles.

    Args:
        name: Of the data set.
        words: From `read`.
        said: Whether the usual pronunciation is the target; else rows have none.
    """
    spelled = list(words)
    x = np.stack([ids_of(word) for word in spelled])
    y = np.stack([ids_of(words[word][0]) for word in spelled]) if said else None
    order = np.random.default_rng(_SEED).permutation(len(spelled))
    held_out = len(spelled) // 20
    roles = {
        "train": order[2 * held_out :],
        "validation": order[held_out : 2 * held_out],
        "test": order[:held_out],
    }
    parts = {
        role: Part(x[which], targets=None if y is None else y[which], index=which)
        for role, which in roles.items()
    }
    return Source(name, name, parts, "tokens", complete=True)
