"""Short films of a moving digit, each with a caption that says what happens.

    digit 5 is moving up and down | left and right | in a circle          digit 5 is standing still

A digit is drawn in a frame with `ROOM` pixels to spare each way, at whole pixels; where it starts,
how far and in which sense it goes are drawn with a seed. One film has one digit of its own, so
held-out digits make held-out films. Inspired by the captioned moving MNIST of Mittal et al. (2017).
"""

import numpy as np

from aezoo.data.source import Part

FRAMES = 8
ROOM = 10
MOTIONS = (
    "moving up and down",
    "moving left and right",
    "moving in a circle",
    "standing still",
)
WORDS = ("", "digit", *"0123456789", "is", *dict.fromkeys(" ".join(MOTIONS).split()))
CAPTION = 8  # words of the longest caption, and the padding that ends it
_LEAST = 4  # pixels that a moving digit covers


def caption_of(digit: int, motion: int) -> str:
    """Return the caption of a film.

    Example:
        >>> caption_of(5, 0)
        'digit 5 is moving up and down'
    """
    return f"digit {digit} is {MOTIONS[motion]}"


def tokens_of(caption: str) -> np.ndarray:
    """Return the ids of a caption's words, padded on the right with 0: int32 (CAPTION,).

    Example:
        >>> tokens_of("digit 0 is standing still").tolist()
        [1, 2, 12, 22, 23, 0, 0, 0]
    """
    row = np.zeros(CAPTION, "int32")
    words = caption.split()
    row[: len(words)] = [WORDS.index(word) for word in words]
    return row


def text_of(tokens: np.ndarray) -> str:
    """Return the words of a row of ids up to the first 0.

    Example:
        >>> text_of(tokens_of("digit 7 is moving in a circle"))
        'digit 7 is moving in a circle'
    """
    return " ".join(WORDS[token] for token in tokens[: [*tokens, 0].index(0)])


def path(motion: int, rng: np.random.Generator) -> np.ndarray:
    """Return where a digit's upper left corner is in each frame: whole pixels, (FRAMES, 2)."""
    reach = rng.uniform(_LEAST, ROOM)
    start = rng.uniform(0, ROOM - reach, 2)
    turn = rng.uniform() + rng.choice([-1, 1]) * np.arange(FRAMES) / FRAMES  # one round
    swing = reach * np.abs(2 * (turn % 1) - 1)  # there and back
    circle = reach / 2 * (1 + np.stack([np.sin(2 * np.pi * turn), np.cos(2 * np.pi * turn)]))
    still = np.full(FRAMES, rng.uniform(0, reach))
    moves = ((swing, still), (still, swing), circle, (still, still))
    return np.rint(start + np.stack(moves[motion], axis=-1)).astype(int)


def films(pictures: np.ndarray, labels: np.ndarray, seed: int) -> Part:
    """Return a film and its caption for each picture of a digit.

    Args:
        pictures: (N, h, w) uint8.
        labels: (N,), the digits.
        seed: Of motions and paths.

    Returns:
        Films uint8 (N, FRAMES, h + ROOM, w + ROOM, 1); labels are the digits, targets the captions
        int32 (N, CAPTION).
    """
    rng = np.random.default_rng(seed)
    count, height, width = pictures.shape
    motions = rng.integers(0, len(MOTIONS), count)
    x = np.zeros((count, FRAMES, height + ROOM, width + ROOM, 1), np.uint8)
    for film, picture, motion in zip(x, pictures, motions, strict=True):
        for frame, (top, left) in zip(film, path(motion, rng), strict=True):
            frame[top : top + height, left : left + width, 0] = picture
    captions = [caption_of(*what) for what in zip(labels, motions, strict=True)]
    return Part(x, labels.astype("int64"), targets=np.stack([tokens_of(c) for c in captions]))


def halved(pictures: np.ndarray) -> np.ndarray:
    """Return pictures of half the size, each pixel the mean of four: (N, 2h, 2w) -> (N, h, w)."""
    count, height, width = pictures.shape
    blocks = pictures.reshape(count, height // 2, 2, width // 2, 2)
    return np.rint(blocks.mean(axis=(2, 4))).astype(np.uint8)
