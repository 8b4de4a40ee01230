"""Rows, and the roles that they play.

Training rows fit weights, validation rows stop the training, calibration rows set a threshold, test
rows measure. They are different rows, and the types say so. All values are in user units.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from aezoo.errors import ZooError

MEMORY_LIMIT = 2 * 2**30  # bytes of rows that are held in memory; larger data stay where they are
_CHUNK = 16 * 2**20  # bytes that are read at once where everything is read


class Store(Protocol):
    """Rows that are read when they are needed: a mapped file, windows, files of pictures."""

    shape: tuple[int, ...]  # of one row
    dtype: np.dtype

    def __len__(self) -> int: ...

    def read(self, positions: np.ndarray) -> np.ndarray:
        """Return the rows at these positions, `(len(positions), *shape)`."""

    def take(self, positions: np.ndarray) -> Self:
        """Return a store of these positions; nothing is read."""

    def fingerprint(self) -> str:
        """Return a sha256 that changes with the rows."""


class Mapped:
    """Rows of an array that should not be copied: a memory-mapped file, or overlapping windows.

    Args:
        array: `(N, ...)`, of any numeric type.
        positions: Which rows, in which order; None takes all.
        shape: Of one row, once read; None keeps the array's.
        dtype: Of the rows, once read; None keeps the array's.

    Example:
        >>> rows = Mapped(np.arange(12.0).reshape(4, 3), np.array([2, 0]), dtype="float32")
        >>> rows.read(np.array([0])).tolist()
        [[6.0, 7.0, 8.0]]
    """

    def __init__(
        self,
        array: np.ndarray,
        positions: np.ndarray | None = None,
        *,
        shape: tuple[int, ...] | None = None,
        dtype: Any = None,
    ):
        self.source = array
        self.positions = np.arange(len(array)) if positions is None else np.asarray(positions)
        self.shape = tuple(array.shape[1:] if shape is None else shape)
        self.dtype = np.dtype(array.dtype if dtype is None else dtype)

    def __len__(self) -> int:
        return len(self.positions)

    def read(self, positions: np.ndarray) -> np.ndarray:
        """Return the rows at these positions, `(len(positions), *shape)`."""
        rows = np.asarray(self.source[self.positions[positions]])
        with np.errstate(over="ignore"):  # what overflows float32 is refused as infinite
            return rows.astype(self.dtype, copy=False).reshape(len(rows), *self.shape)

    def take(self, positions: np.ndarray) -> "Mapped":
        """Return these rows, still unread."""
        return Mapped(self.source, self.positions[positions], shape=self.shape, dtype=self.dtype)

    def fingerprint(self) -> str:
        """Return the sha256 of the content."""
        return _content_digest(self)


class Rows:
    """Rows of one role, in user units.

    Args:
        x: `(N, *shape)`: an array in memory, or a store that is read as needed.
        labels: `(N,)` classes, or None. They are never a training target.
        targets: `(N, ...)` what to predict where it is not the input, such as masks; or None.
        index: `(N,)` positions in the source; None counts from 0.

    Raises:
        ZooError: If labels, targets or index do not have a row for each row.

    Example:
        >>> rows = TrainRows(np.arange(6.0, dtype="float32").reshape(3, 2), labels=[0, 1, 0])
        >>> rows
        <train rows: 3 of shape (2,), float32>
        >>> rows.take([2, 0]).array().tolist(), rows.take([2, 0]).index.tolist()
        ([[4.0, 5.0], [0.0, 1.0]], [2, 0])
    """

    role: ClassVar[str] = "rows"

    def __init__(
        self,
        x: np.ndarray | Store,
        labels: Sequence | np.ndarray | None = None,
        targets: np.ndarray | None = None,
        index: np.ndarray | None = None,
    ):
        self.x = x
        self.labels = None if labels is None else np.asarray(labels)
        self.targets = None if targets is None else np.asarray(targets)
        self.index = np.arange(len(x)) if index is None else np.asarray(index, np.int64)
        for name in ("labels", "targets", "index"):
            values = getattr(self, name)
            if values is not None and len(values) != len(x):
                raise ZooError(
                    f"There are {len(x)} rows and {len(values)} {name}.",
                    do=f"Give as many {name} as rows.",
                )
        self._resident = None

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        return f"<{self.role} rows: {len(self)} of shape {self.shape}, {self.dtype}>"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row."""
        return tuple(self.x.shape[1:]) if self.in_memory else tuple(self.x.shape)

    @property
    def dtype(self) -> np.dtype:
        """The type of the values: uint8 for 8-bit pictures, int32 for tokens, else float32."""
        return np.dtype(self.x.dtype)

    @property
    def in_memory(self) -> bool:
        """Whether the rows are an array in memory."""
        return isinstance(self.x, np.ndarray)

    @property
    def nbytes(self) -> int:
        """The memory that all rows take or would take."""
        return len(self) * int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def array(self, limit_bytes: int | None = MEMORY_LIMIT) -> np.ndarray:
        """Return all rows, `(N, *shape)`.

        Args:
            limit_bytes: The most memory they may take; None for any.

        Raises:
            ZooError: Above the limit.
        """
        if self.in_memory:
            return self.x
        if limit_bytes is not None and self.nbytes > limit_bytes:
            raise ZooError(
                f"The {self.role} rows take {size_text(self.nbytes)} in memory, "
                f"above the limit of {size_text(limit_bytes)}.",
                do="Take fewer rows (rows.take(...)), or raise limit_bytes.",
            )
        return self.x.read(np.arange(len(self)))

    def take(self, positions: Sequence[int] | np.ndarray) -> Self:
        """Return these rows, in this order, in the same role."""
        positions = np.arange(len(self))[np.asarray(positions)]
        return type(self)(
            self.x[positions] if self.in_memory else self.x.take(positions),
            None if self.labels is None else self.labels[positions],
            None if self.targets is None else self.targets[positions],
            self.index[positions],
        )

    def gather(self, indices):
        """Return the rows at these positions as a tensor; works inside `tf.data` and `tf.function`.

        Rows in memory become one resident tensor. Others are read and decoded in the calling
        `tf.data` pipeline, whose order is the order of the indices.

        Args:
            indices: Integer tensor `(B,)`.

        Returns:
            Tensor `(B, *shape)` of the rows' type.
        """
        import tensorflow as tf

        indices = tf.convert_to_tensor(indices)
        if self.in_memory:
            if self._resident is None:
                with tf.init_scope(), tf.device("CPU"):
                    self._resident = tf.constant(self.x)
            return tf.gather(self._resident, indices)
        rows = tf.numpy_function(self.x.read, [indices], self.dtype, stateful=False)
        rows.set_shape([indices.shape[0], *self.shape])
        return rows

    def fingerprint(self) -> str:
        """Return a sha256: of the content, or of names, sizes and times of files that are streamed.

        Example:
            >>> TrainRows(np.zeros((2, 3), "uint8")).fingerprint()[:8]
            'ea7bb951'
        """
        return _content_digest(self) if self.in_memory else self.x.fingerprint()


class TrainRows(Rows):
    """Rows that weights, preprocessing and reference statistics are fitted on."""

    role = "train"


class ValidationRows(Rows):
    """Rows that decide when to stop and which settings to keep."""

    role = "validation"


class CalibrationRows(Rows):
    """Rows that set thresholds; no weight has seen them."""

    role = "calibration"


class TestRows(Rows):
    """Rows that measure; nothing is chosen by them."""

    role = "test"
    __test__ = False  # not a test class, whatever pytest thinks of the name


ROLES: dict[str, type[Rows]] = {
    kind.role: kind for kind in (TrainRows, ValidationRows, CalibrationRows, TestRows)
}


def chunks(x: np.ndarray | Store):
    """Yield the rows in order, some at a time."""
    row = x.shape[1:] if isinstance(x, np.ndarray) else x.shape
    step = max(1, _CHUNK // max(1, int(np.prod(row, dtype=np.int64)) * np.dtype(x.dtype).itemsize))
    for start in range(0, len(x), step):
        stop = min(start + step, len(x))
        yield x[start:stop] if isinstance(x, np.ndarray) else x.read(np.arange(start, stop))


def _content_digest(rows) -> str:
    digest = hashlib.sha256(f"{np.dtype(rows.dtype).str} {rows.shape} {len(rows)} ".encode())
    for part in chunks(rows.x if isinstance(rows, Rows) else rows):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def size_text(count: int) -> str:
    """Return a number of bytes in words.

    Example:
        >>> size_text(3 * 2**20)
        '3 MiB'
    """
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"
