"""A data set: rows in their roles, and the record of how they came there."""

import dataclasses
import hashlib
from typing import Any

import numpy as np

from aezoo.config import DataSection
from aezoo.data.rows import (
    MEMORY_LIMIT,
    ROLES,
    CalibrationRows,
    Mapped,
    TestRows,
    TrainRows,
    ValidationRows,
    chunks,
)
from aezoo.data.source import Part, Source
from aezoo.data.splits import TEST_FRACTION, split
from aezoo.errors import ZooError, closest_match


@dataclasses.dataclass
class DataSet:
    """Rows in their roles.

    Attributes:
        name: What a person calls the data.
        modality: `image`, `features`, `series` or `tokens`.
        train: Rows that the model is fitted on.
        validation: Rows that stop the training, or None.
        calibration: Rows that set thresholds, or None.
        test: Rows that measure, or None.
        class_names: From label (or value of a mask) to name, or None.
        notes: Sentences to print.
        section: The settings that made it.
        origin: The source, for the record.
    """

    name: str
    modality: str
    train: TrainRows
    validation: ValidationRows | None = None
    calibration: CalibrationRows | None = None
    test: TestRows | None = None
    class_names: dict[int, str] | None = None
    notes: list[str] = dataclasses.field(default_factory=list)
    section: DataSection = dataclasses.field(default_factory=DataSection)
    origin: str = ""
    details: dict[str, Any] = dataclasses.field(default_factory=dict)

    def roles(self) -> dict[str, Any]:
        """Return role -> rows, of the roles that have any."""
        found = {role: getattr(self, role) for role in ROLES}
        return {role: rows for role, rows in found.items() if rows is not None}

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(rows)} {role}" for role, rows in self.roles().items())
        return f"<data {self.name}: {self.modality} {self.train.shape}, {sizes}>"

    def record(self) -> dict[str, Any]:
        """Return what a run folder keeps about its data: plain JSON values.

        Example:
            >>> from aezoo.data import load
            >>> load("sample").record()["sizes"]
            {'train': 1800, 'validation': 200, 'test': 500}
        """
        roles = self.roles()
        return {
            "name": self.name,
            "source": self.origin,
            "modality": self.modality,
            "shape": list(self.train.shape),
            "dtype": str(self.train.dtype),
            "sizes": {role: len(rows) for role, rows in roles.items()},
            "split_seed": self.section.split_seed,
            "settings": self.section.model_dump(mode="json"),
            "fingerprints": {role: rows.fingerprint() for role, rows in roles.items()},
            "index_digests": {role: _index_digest(rows.index) for role, rows in roles.items()},
            "class_names": {str(k): v for k, v in (self.class_names or {}).items()},
            "notes": list(self.notes),
            **self.details,
        }


def _index_digest(index: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(index, "<i8").tobytes()).hexdigest()


def assemble(source: Source, section: DataSection, memory_limit: int = MEMORY_LIMIT) -> DataSet:
    """Check a source and deal its rows out to their roles.

    Raises:
        ZooError: For no or one training row, values that are not finite, constant data, a class
            that does not exist.
    """
    notes = list(source.notes)
    for role, part in source.parts.items():
        _check_values(part, role)
    _check_not_constant(source)
    parts = _deal(source, section, notes)
    parts = _keep_classes(parts, source, section, notes)
    if section.validation == "test" and parts.get("test") is not None:
        parts["validation"] = _only(source, section, parts["test"])
        notes.append("Validation rows are the test rows: test figures are those of a chosen epoch.")
    _check_count(parts["train"], source, section)
    rows = {
        role: _rows(role, part, memory_limit) for role, part in parts.items() if len(part.x) > 0
    }
    return DataSet(
        source.name,
        source.modality,
        class_names=source.class_names,
        notes=notes,
        section=section.model_copy(update={"source": source.origin}),
        origin=source.origin,
        details=dict(source.details),
        **rows,
    )


def _deal(source: Source, section: DataSection, notes: list[str]) -> dict[str, Part]:
    """Split off from the training part the roles that the source does not bring."""
    parts = _numbered(source)
    fractions = {}
    if "test" not in parts:
        fractions["test"] = TEST_FRACTION
    if "validation" in parts:
        if section.validation == "test":
            notes.append("The source's own validation rows are replaced by its test rows.")
            del parts["validation"]
    elif section.validation != "test" and section.validation > 0:
        fractions["validation"] = section.validation
    if "calibration" not in parts and section.calibration > 0:
        fractions["calibration"] = section.calibration
    if sum(fractions.values()) >= 1:
        raise ZooError(
            "The fractions for validation, calibration and test leave no training rows.",
            received=fractions,
            do="Lower data.validation or data.calibration.",
        )
    whole = parts.pop("train")
    positions = split(
        len(whole.x),
        fractions,
        seed=section.split_seed,
        labels=whole.labels,
        groups=whole.groups,
    )
    for role, chosen in positions.items():
        parts[role] = _pick(whole, chosen)
        if role != "train" and len(chosen) == 0:
            notes.append(f"There are too few rows for a {role} role ({len(whole.x)} in all).")
    if "test" in fractions and len(positions["test"]):
        notes.append(
            f"The source has no test part: {len(positions['test'])} of {len(whole.x)} rows, drawn "
            f"with seed {section.split_seed}, are test rows."
        )
    return parts


def _numbered(source: Source) -> dict[str, Part]:
    """Number the rows through all parts, so that no two rows share a position."""
    parts, start = {}, 0
    for role, part in source.parts.items():
        index = np.arange(start, start + len(part.x)) if part.index is None else part.index
        parts[role] = dataclasses.replace(part, index=index)
        start += len(part.x)
    return parts


def _pick(part: Part, positions: np.ndarray) -> Part:
    def of(values):
        return None if values is None else values[positions]

    x = part.x[positions] if isinstance(part.x, np.ndarray) else part.x.take(positions)
    return Part(x, of(part.labels), of(part.targets), of(part.groups), of(part.index))


def _keep_classes(parts, source, section, notes) -> dict[str, Part]:
    """Keep the wanted classes in all roles but test."""
    if section.train_classes is None:
        return parts
    kept, left_out = {}, 0
    for role, part in parts.items():
        kept[role] = part if role == "test" else _only(source, section, part)
        left_out += len(part.x) - len(kept[role].x)
    wanted = ", ".join(str(c) for c in section.train_classes)
    notes.append(
        f"Train, validation and calibration rows are of class {wanted} only; {left_out} rows of "
        "other classes are left out."
    )
    return kept


def _only(source: Source, section: DataSection, part: Part) -> Part:
    if section.train_classes is None:
        return part
    if part.labels is None:
        raise ZooError(
            "data.train_classes is set, but the rows have no labels.",
            received=section.train_classes,
            do="Leave train_classes out, or give labels.",
        )
    numbers = {name: number for number, name in (source.class_names or {}).items()}
    known = sorted({int(n) for p in source.parts.values() for n in np.unique(p.labels)})
    wanted = []
    for name in section.train_classes:
        number = numbers.get(name, name)
        if number not in known:
            raise ZooError(
                "data.train_classes names a class that the data do not have.",
                received=name,
                closest=closest_match(str(name), numbers),
                do=f"Classes: {', '.join(_describe(n, source.class_names) for n in known[:20])}.",
            )
        wanted.append(number)
    return _pick(part, np.flatnonzero(np.isin(part.labels, wanted)))


def _describe(number: int, names: dict[int, str] | None) -> str:
    name = (names or {}).get(number)
    return str(number) if name in (None, str(number)) else f"{number} ({name})"


def _rows(role: str, part: Part, memory_limit: int):
    x = part.x
    if isinstance(x, Mapped) and x.shape is not None:
        size = len(x) * int(np.prod(x.shape, dtype=np.int64)) * x.dtype.itemsize
        if size <= memory_limit:
            x = x.read(np.arange(len(x)))
    return ROLES[role](x, part.labels, part.targets, part.index)


def _check_values(part: Part, role: str) -> None:
    """Refuse values that are not finite; everything is read once, some at a time."""
    for name in ("x", "targets"):
        values = getattr(part, name)
        if values is None or np.dtype(values.dtype).kind != "f":
            continue
        start = 0
        for rows in chunks(values):
            bad = ~np.isfinite(rows)
            if bad.any():
                place = np.argwhere(bad)[0]
                raise ZooError(
                    f"The {role} {'rows' if name == 'x' else 'targets'} hold values that are not "
                    f"finite: the first in row {start + place[0]}.",
                    received=float(rows[tuple(place)]),
                    do="Remove such rows or fill the gaps before loading.",
                )
            start += len(rows)


def _check_not_constant(source: Source) -> None:
    value = None
    for rows in chunks(source.parts["train"].x):
        if rows.size == 0:
            continue
        value = rows.flat[0] if value is None else value
        if np.any(rows != value):
            return
    if value is None:
        return  # no rows: said elsewhere
    raise ZooError(
        "The data are constant: every value is the same, so there is nothing to learn.",
        received=value.item(),
        do="Check that the right columns, keys or pictures were loaded.",
    )


def _check_count(train: Part, source: Source, section: DataSection) -> None:
    total = len(source.parts["train"].x)
    if len(train.x) >= 2:
        return
    found = {0: "no row", 1: "one row"}.get(total, f"{total} rows, {len(train.x)} for training")
    raise ZooError(
        f"There are too few rows to train on: {found}.",
        received=source.origin,
        do="Give at least 2 training rows"
        + (", or smaller fractions for the other roles." if total > 2 else "."),
    )
