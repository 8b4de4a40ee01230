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
    Rows,
    TestRows,
    TrainRows,
    ValidationRows,
)
from aezoo.data.source import Part, Source
from aezoo.data.splits import missing_fractions, split
from aezoo.errors import ZooError, closest_match
from aezoo.specs import UNLABELLED, PictureRule

_REPEATED = 16  # one row in so many is one of the few that have a label


@dataclasses.dataclass
class DataSet:
    """Rows in their roles.

    Attributes:
        name: What a person calls the data.
        modality: `video`, `image`, `features`, `series` or `tokens`.
        train: Rows that the model is fitted on.
        validation: Rows that stop the training, or None.
        calibration: Rows that set thresholds, or None.
        test: Rows that measure, or None.
        class_names: From label (or value of a mask) to name, or None.
        notes: Sentences to print.
        section: The settings that made it.
        origin: The source, for the record.
        pictures: How picture files became rows, None if there were none.
        row_names: What the rows are called, by their `index`; None where they have numbers only.
        columns: What the columns of a table are called, None where they have numbers only.
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
    pictures: PictureRule | None = None
    row_names: list[str] | None = None
    columns: list[str] | None = None

    def roles(self) -> dict[str, Rows]:
        """Return role -> rows, of the roles that have any."""
        found = {role: getattr(self, role) for role in ROLES}
        return {role: rows for role, rows in found.items() if rows is not None}

    def with_labels_as_targets(self) -> "DataSet":
        """Return the data with classes as the targets of rows that have no other."""

        def of(rows: Rows) -> Rows:
            if rows.targets is not None:
                return rows
            return type(rows)(rows.x, rows.labels, rows.labels, rows.index)

        return dataclasses.replace(self, **{role: of(rows) for role, rows in self.roles().items()})

    def without_targets(self) -> "DataSet":
        """Return the data for a model that reconstructs its rows."""
        rows = {role: type(r)(r.x, r.labels, None, r.index) for role, r in self.roles().items()}
        return dataclasses.replace(self, **rows)

    def names_of(self, rows: Rows) -> list[str]:
        """Return what rows of this data set are called: files, or positions in the source."""
        if self.row_names is None:
            return [str(position) for position in rows.index]
        return [self.row_names[position] for position in rows.index]

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
        }


def _index_digest(index: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(index, "<i8").tobytes()).hexdigest()


def assemble(source: Source, section: DataSection, memory_limit: int = MEMORY_LIMIT) -> DataSet:
    """Deal the rows of a source out to their roles.

    Raises:
        ZooError: For fewer than 2 training rows, fractions that leave none, an unknown class.
    """
    notes = list(source.notes)
    source.number()
    parts = dict(source.parts) if source.complete else _deal(source, section, notes)
    if section.train_classes is not None:
        parts = _keep_classes(parts, source, section, notes)
    if section.validation == "test" and "test" in parts:
        parts["validation"] = _of_train_classes(parts["test"], source, section)
        notes.append(
            "Validation rows are the test rows, as the settings ask: test figures of the epoch "
            "they choose are not those of unseen rows."
        )
    _refuse_too_few(parts["train"], source)
    if section.labelled is not None:
        parts["train"] = _few_labels(parts["train"], source, section, notes)
    rows = {role: _rows(role, part, memory_limit) for role, part in parts.items() if len(part.x)}
    for role in section.draw:
        if role in rows:
            _draw(rows[role], seed=(section.split_seed, list(ROLES).index(role)))
    return DataSet(
        source.name,
        source.modality,
        class_names=source.class_names,
        notes=notes,
        section=section.model_copy(update={"source": source.origin}),
        origin=source.origin,
        pictures=source.pictures,
        row_names=source.row_names,
        columns=source.columns,
        **rows,
    )


def _deal(source: Source, section: DataSection, notes: list[str]) -> dict[str, Part]:
    """Split off from the training part the roles that the source does not bring."""
    parts = dict(source.parts)
    whole = parts.pop("train")
    fractions = missing_fractions(source, section)
    dealt = split(
        len(whole.x),
        fractions,
        seed=section.split_seed,
        labels=whole.labels,
        groups=whole.groups,
    )
    if "test" in fractions and section.train_classes is not None:
        dealt = _others_to_test(dealt, whole, source, section)
    for role, positions in dealt.items():
        parts[role] = whole.pick(positions)
    drawn = {role: len(dealt[role]) for role in fractions}
    if "test" in fractions:
        notes.append(
            f"The source has no test part: {drawn['test']} of {len(whole.x)} rows, drawn with "
            f"seed {section.split_seed}, are test rows."
        )
    for role, size in drawn.items():
        if size == 0 and role != "test":
            notes.append(f"{len(whole.x)} rows are too few for {role} rows; there are none.")
    return parts


def _others_to_test(
    dealt: dict[str, np.ndarray], whole: Part, source: Source, section: DataSection
) -> dict[str, np.ndarray]:
    """Let rows of other classes measure, all of them, where they cannot train."""
    others = ~_is_of_train_classes(whole, source, section)
    moved = {role: rows[~others[rows]] for role, rows in dealt.items() if role != "test"}
    return moved | {"test": np.union1d(dealt["test"], np.flatnonzero(others))}


def _keep_classes(
    parts: dict[str, Part], source: Source, section: DataSection, notes: list[str]
) -> dict[str, Part]:
    """Keep the wanted classes in all roles but test."""
    kept = {
        role: part if role == "test" else _of_train_classes(part, source, section)
        for role, part in parts.items()
    }
    left_out = sum(len(parts[role].x) - len(kept[role].x) for role in parts)
    wanted = ", ".join(str(name) for name in section.train_classes)
    notes.append(
        f"Train, validation and calibration rows are of class {wanted} only; "
        + (
            f"{left_out} rows of other classes are left out."
            if left_out
            else "rows of other classes are test rows."
        )
    )
    return kept


def _of_train_classes(part: Part, source: Source, section: DataSection) -> Part:
    if section.train_classes is None:
        return part
    return part.pick(np.flatnonzero(_is_of_train_classes(part, source, section)))


def _is_of_train_classes(part: Part, source: Source, section: DataSection) -> np.ndarray:
    """Return for each row whether its class may train, (N,) of booleans."""
    if part.labels is None:
        raise ZooError(
            "data.train_classes is set, but the rows have no labels.",
            received=section.train_classes,
            do="Leave train_classes out, or give labels.",
        )
    names = source.class_names or {}
    numbers = {name: number for number, name in names.items()}
    every = [p.labels for p in source.parts.values() if p.labels is not None]
    known = [int(number) for number in np.unique(np.concatenate(every))]
    wanted = [numbers.get(name, name) for name in section.train_classes]
    for name, number in zip(section.train_classes, wanted, strict=True):
        if number not in known:
            named = [f"{n} ({names[n]})" if n in names else str(n) for n in known]
            raise ZooError(
                "data.train_classes names a class that the data do not have.",
                received=name,
                closest=closest_match(str(name), numbers),
                do=f"Classes: {', '.join(named[:20])}{', ...' if len(named) > 20 else ''}.",
            )
    return np.isin(part.labels, wanted)


def _few_labels(train: Part, source: Source, section: DataSection, notes: list[str]) -> Part:
    """Keep so many labels, as many of each class, and repeat their rows; the others are -1.

    The repeats are a sixteenth of all rows, so that nearly every batch has some that tell a class.
    """
    count = section.labelled
    if train.labels is None:
        raise ZooError(
            "data.labelled is set, but the rows have no labels.",
            received=source.origin,
            do="Leave labelled out, or give labels.",
        )
    classes = np.unique(train.labels)
    if not len(classes) <= count <= len(train.labels):
        raise ZooError(
            "data.labelled is no possible number of labels.",
            received=count,
            do=f"Give from {len(classes)}, one per class, to {len(train.labels)}, all rows.",
        )
    rng = np.random.default_rng((section.split_seed, count))
    queues = [rng.permutation(np.flatnonzero(train.labels == label)) for label in classes]
    in_turn = [  # one of each class, then another of each
        queue[turn]
        for turn in range(max(map(len, queues)))
        for queue in queues
        if turn < len(queue)
    ]
    known = np.sort(in_turn[:count])
    more = max(0, len(train.labels) // _REPEATED - count)
    positions = np.concatenate([np.arange(len(train.labels)), np.resize(known, more)])
    told = np.full_like(train.labels, UNLABELLED, dtype=np.int64)
    told[known] = train.labels[known]
    notes.append(
        f"{count} of {len(told)} training rows keep their label, drawn with seed "
        f"{section.split_seed}; they are repeated to be {count + more} rows."
    )
    return dataclasses.replace(train, labels=told).pick(positions)


def _rows(role: str, part: Part, memory_limit: int) -> Rows:
    rows = ROLES[role](part.x, part.labels, part.targets, part.index)
    if isinstance(part.x, Mapped) and rows.nbytes <= memory_limit:
        rows.x = rows.array(limit_bytes=None)
    return rows


def _draw(rows: Rows, seed: tuple[int, int]) -> None:
    """Replace 8-bit rows by one seeded draw: each value is white with itself as the probability.

    Source: the binarisation of Salakhutdinov & Murray, "On the quantitative analysis of deep belief
    networks" (2008), that likelihoods of MNIST are compared by.
    """
    if rows.dtype != np.uint8 or not rows.in_memory:
        raise ZooError(
            "data.draw is for 8-bit pictures that fit into memory.",
            received=str(rows.dtype),
            do="Leave data.draw empty.",
        )
    chances = np.random.default_rng(seed).random(rows.x.shape, "float32")
    rows.x = np.where(255 * chances < rows.x, 255, 0).astype(np.uint8)


def _refuse_too_few(train: Part, source: Source) -> None:
    if len(train.x) >= 2:
        return
    total = len(source.parts["train"].x)
    found = {0: "no row", 1: "one row"}.get(total, f"{len(train.x)} of {total}")
    raise ZooError(
        f"There are too few training rows: {found}.",
        received=source.origin,
        do="Give at least 2"
        + (", or smaller fractions for the other roles." if total > 1 else " rows."),
    )
