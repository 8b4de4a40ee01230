"""Which score tells odd rows from normal ones, where nobody has labelled an odd one.

Odd rows are made of the normal ones, out of parts that are normal each:

    patch     a stretch of another row in the place of its own, from elsewhere in that row
    halves    the first half of one row, the second of another
    blend     the mean of two rows; of pictures, which it would only rid of noise, instead
    scratch   a thin straight line in a colour of another row that stands out from what it covers

The score that ranks them highest above the rows themselves is chosen; which one that is depends on
the data, and by far: the residual is best for smooth series and nearly the worst for digits. Made
anomalies are flaws in parts, and a picture that is new as a whole shows in its code: of scores that
do nearly alike on pictures, one that looks at the code is taken.
"""

import math
from collections.abc import Iterable

import numpy as np

ROWS = 2_000  # that odd ones are made of, at most
_NEARLY = 0.03  # of an AUROC: made anomalies are no more alike to real ones than that
_PREFERRED = {"image": ("neighbours", "hybrid")}  # of those that do nearly alike
_PER_AXIS = 20  # rows that a covariance needs
_SHARE = (0.25, 0.5)  # of each axis that a stretch covers
_LENGTH = (0.15, 0.4)  # of a scratch, in the longest side
_COLOURS = 8  # that the one that stands out is taken of


def choose(model, fitted: dict, rows: np.ndarray, seed: int = 0) -> dict[str, float]:
    """Return each kind of score that the model can have, with how well it ranks made anomalies.

    Args:
        model: A fitted autoencoder; its scorer and threshold stay as they are.
        fitted: Kind -> scorer, from `aezoo.scorers.fit_all`.
        rows: Normal rows in user units that no weight has seen, (N, ...).
        seed: Of what is drawn.

    Returns:
        Kind -> AUROC, the mean over the ways of making odd rows. First stands the one to take: of
        those within .03 of the best, of pictures one that looks at the code, else the simplest,
        which is the one that `scorers` lists first. A hybrid of fewer than 20 rows per axis of the
        code is not taken: nearness by their covariance is noise.
    """
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(seed)
    rows = rows[rng.permutation(len(rows))[:ROWS]]
    odd = {way: make(rows, rng) for way, make in ways_of(model.input_name).items()}
    found = {}
    name = model.input_name
    for kind, scorer in fitted.items():
        endpoint = model.score_endpoint(scorer)
        normal = endpoint(**{name: rows})["score"][:, 0]
        ranked = []
        for made in odd.values():
            scores = np.concatenate([normal, endpoint(**{name: made})["score"][:, 0]])
            ranked.append(roc_auc_score(np.repeat([0, 1], [len(normal), len(made)]), scores))
        found[kind] = float(np.mean(ranked))
    trusted = {kind: auroc for kind, auroc in found.items() if _of_enough(fitted[kind])}
    best = max(trusted.values())
    nearly = [kind for kind, auroc in trusted.items() if auroc >= best - _NEARLY]
    preferred = [kind for kind in _PREFERRED.get(name, ()) if kind in nearly]
    chosen = (preferred + nearly)[0]
    others = sorted(found.items(), key=lambda item: -item[1])
    return {chosen: found[chosen]} | dict(others)


def _of_enough(scorer) -> bool:
    """Return whether a score that measures nearness by a covariance knows enough codes for it."""
    if scorer.kind != "hybrid":
        return True
    codes, axes = scorer.constants["bank"].shape
    return codes >= _PER_AXIS * axes


def unexplained(model, rows: np.ndarray, seed: int = 0) -> float:
    """Return which share of rows that are none the model fails to rebuild; near 0 is an identity.

    Each place of such a row is that of a normal row drawn for it alone: every value is usual, and
    nothing belongs together.

    Args:
        model: A fitted autoencoder.
        rows: Normal rows in user units, (N, ...).
        seed: Of what is drawn.
    """
    rng = np.random.default_rng(seed)
    flat = rows[:ROWS].reshape(len(rows[:ROWS]), -1)
    made = np.take_along_axis(flat, rng.integers(0, len(flat), flat.shape), axis=0)
    made = made.reshape(-1, *rows.shape[1:])
    residual = model.score_endpoint()(**{model.input_name: made})["score"]
    units = np.asarray(model.preprocessing.apply(made), "float64").reshape(len(made), -1)
    return float(np.median(residual) / max(units.var(axis=0).mean(), 1e-30))


def patched(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return rows with a stretch of another row; in a table, with some columns of another row.

    Columns of a table have no neighbours: those of the other row stay in their places.
    """
    made, others = rows.copy(), rows[_others(len(rows), rng)]
    for row, other in zip(made, others, strict=True):
        if row.ndim == 1:
            size = max(1, round(rng.uniform(*_SHARE) * len(row)))
            here = there = rng.permutation(len(row))[:size]
        else:
            places = row.shape[:-1]  # every channel of a place
            sizes = [max(1, round(rng.uniform(*_SHARE) * side)) for side in places]
            here, there = _stretch(places, sizes, rng), _stretch(places, sizes, rng)
        row[here] = other[there]
    return made


def blended(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return means of two rows."""
    others = rows[_others(len(rows), rng)]
    return (0.5 * (rows.astype("float64") + others)).astype(rows.dtype)


def halved(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the first half of each row, along its first axis, and the second half of another."""
    others, middle = rows[_others(len(rows), rng)], rows.shape[1] // 2
    return np.concatenate([rows[:, :middle], others[:, middle:]], axis=1)


def scratched(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return pictures (N, H, W, C), each with a line of a pixel's width."""
    made, others = rows.copy(), rows[_others(len(rows), rng)]
    sides = np.array(rows.shape[1:3])
    for row, other in zip(made, others, strict=True):
        length, angle = rng.uniform(*_LENGTH) * sides.max(), rng.uniform(0, np.pi)
        along = np.linspace(-0.5, 0.5, 2 * math.ceil(length))[:, None] * length
        line = rng.uniform(0.2, 0.8, 2) * sides + along * (np.sin(angle), np.cos(angle))
        places = np.clip(line.astype(int), 0, sides - 1)
        under = row[tuple(places.T)].mean(axis=0)
        colours = other[tuple(rng.integers(sides[:, None], size=(2, _COLOURS)))]  # (_COLOURS, C)
        row[tuple(places.T)] = colours[np.abs(colours - under).sum(axis=1).argmax()]
    return made


WAYS = {"patch": patched, "halves": halved, "blend": blended, "scratch": scratched}


def ways_of(modality: str) -> dict:
    """Return the ways of making odd rows of a kind, by name."""
    left_out = "blend" if modality == "image" else "scratch"
    return {way: make for way, make in WAYS.items() if way != left_out}


def _others(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return the position of another row for each row."""
    return (np.arange(count) + rng.integers(1, count, count)) % count


def _stretch(sides: Iterable[int], sizes: list[int], rng: np.random.Generator) -> tuple:
    starts = [rng.integers(0, side - size + 1) for side, size in zip(sides, sizes, strict=True)]
    return tuple(slice(start, start + size) for start, size in zip(starts, sizes, strict=True))
