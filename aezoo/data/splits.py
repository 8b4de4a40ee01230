"""Which row plays which role: seeded, disjoint, recorded."""

import numpy as np

from aezoo.config import DataSection
from aezoo.data.source import Source
from aezoo.errors import ZooError


def missing_fractions(source: Source, section: DataSection) -> dict[str, float]:
    """Return the share of the training part for each role that the source does not bring.

    Raises:
        ZooError: If they leave no training rows.
    """
    fractions = {
        "validation": 0.0 if section.validation == "test" else section.validation,
        "calibration": section.calibration,
        "test": section.test,
    }
    missing = {
        role: share for role, share in fractions.items() if share and role not in source.parts
    }
    if sum(missing.values()) >= 1:
        raise ZooError(
            "The shares of the other roles leave no training rows.",
            received=missing,
            do="Lower data.validation, data.calibration or data.test.",
        )
    return missing


def split(
    count: int,
    fractions: dict[str, float],
    *,
    seed: int,
    labels: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Deal rows out at random.

    Where labels are given, each role gets its share of each class, if every class has a row for
    every role.

    Args:
        count: Rows.
        fractions: Role -> share of the rows; the rest is `train`.
        seed: The same seed gives the same roles.
        labels: `(count,)` classes.
        groups: `(count,)`; rows of one group stay together.

    Returns:
        Role -> sorted positions; a role whose share is less than half a row is empty.

    Example:
        >>> {role: len(rows) for role, rows in split(100, {"test": 0.1}, seed=0).items()}
        {'train': 90, 'test': 10}
    """
    if groups is not None:
        names, first, member = np.unique(groups, return_index=True, return_inverse=True)
        dealt = split(
            len(names), fractions, seed=seed, labels=None if labels is None else labels[first]
        )
        return {role: np.flatnonzero(np.isin(member, chosen)) for role, chosen in dealt.items()}
    rng = np.random.default_rng(seed)
    order = rng.permutation(count)
    taken = {role: round(share * count) for role, share in fractions.items()}
    if labels is not None:
        order = _spread_classes(order, labels, roles=1 + sum(n > 0 for n in taken.values()))
    positions, start = {}, 0
    for role, size in taken.items():
        positions[role] = np.sort(order[start : start + size])
        start += size
    return {"train": np.sort(order[start:]), **positions}


def _spread_classes(order: np.ndarray, labels: np.ndarray, roles: int) -> np.ndarray:
    """Reorder so that every stretch of the order holds each class in its share."""
    classes, member, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if len(classes) < 2 or sizes.min() < roles:
        return order
    shuffled = member[order]
    within = np.empty(len(order))  # where a row stands among its class, from 0 to 1
    for label, size in enumerate(sizes):
        within[shuffled == label] = (np.arange(size) + 0.5) / size
    return order[np.argsort(within, kind="stable")]


def split_in_time(count: int, fractions: dict[str, float]) -> dict[str, slice]:
    """Cut rows in time order: train first, test last.

    Args:
        count: Rows.
        fractions: Role -> share, in time order; what they leave is `train` and comes first.

    Example:
        >>> split_in_time(10, {"validation": 0.2, "test": 0.1})
        {'train': slice(0, 7, None), 'validation': slice(7, 9, None), 'test': slice(9, 10, None)}
    """
    sizes = {role: round(share * count) for role, share in fractions.items()}
    start = count - sum(sizes.values())
    slices = {"train": slice(0, start)}
    for role, size in sizes.items():
        slices[role] = slice(start, start + size)
        start += size
    return slices
