"""Compression: rows as the quantised, entropy-coded codes of an autoencoder, and back.

    q = round(z / width)        width = step / gain        x^ = decoder(q * width)

The gain of a number of the code is how far the answer moves with it, the root of the summed squares
over the row, so that every number errs alike: one that is off by half a `width` moves the answer by
half a `step`. Whole numbers are written by asymmetric numeral systems with one distribution for
each channel, a Gaussian or the histogram, whichever is the shorter with its own cost.

Sources: Ballé, Laparra & Simoncelli, "End-to-end optimized image compression" (2017), for coding
the rounded codes; Duda, "Asymmetric numeral systems" (2013), as the library constriction has it.
"""

import dataclasses
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from aezoo.errors import ZooError
from aezoo.files import missing, whole_file
from aezoo.specs import CHUNK
from aezoo.tasks import codes
from aezoo.tasks.entropy import pack, unpack

_MAGIC = b"aezoo compressed 1\n"
_HEAD = struct.Struct("<II")  # bytes of the header, bytes of the symbols
_SUM = struct.Struct("<I")
_MEASURED = 32  # rows by which the gain of the decoder is measured
_NUDGE = 0.25  # of a channel's spread
_LARGEST = 2**20  # a whole number that no sensible step gives


@dataclasses.dataclass(frozen=True)
class Compressed:
    """Codes of rows as whole numbers, and what is needed to read them.

    Attributes:
        symbols: Whole numbers (N, ...), int32, in the shape of the code.
        widths: Of a step for each channel (C,), float32; None where the model's codes are whole
            numbers already.
        encoder: The digest of the model.
        origin: What the user keeps with them, plain values.
    """

    symbols: np.ndarray
    widths: np.ndarray | None
    encoder: str
    origin: dict[str, Any] = dataclasses.field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return what a file holds: header, symbols, checksum.

        Raises:
            ZooError: For symbols too large to be sensible.
        """
        if np.abs(self.symbols).max(initial=0) > _LARGEST:
            raise ZooError(
                "The step is too small: codes become numbers beyond all bounds.",
                received=int(np.abs(self.symbols).max()),
                do="Choose a larger step.",
            )
        channels = 1 if self.widths is None else self.symbols.shape[-1]
        symbols = pack(self.symbols.reshape(-1, channels))
        told = {"shape": self.symbols.shape, "encoder": self.encoder, "origin": self.origin}
        told["widths"] = None if self.widths is None else len(self.widths)
        widths = b"" if self.widths is None else self.widths.astype("<f4").tobytes()
        head = zlib.compress(json.dumps(told, separators=(",", ":")).encode(), 9)
        body = _MAGIC + _HEAD.pack(len(head), len(symbols)) + head + widths + symbols
        return body + _SUM.pack(zlib.crc32(body))

    @classmethod
    def from_bytes(cls, content: bytes, called: str = "bytes") -> "Compressed":
        """Read what `to_bytes` wrote.

        Args:
            content: All of it.
            called: What an error names it.

        Raises:
            ZooError: If it is something else, or damaged.
        """
        if not content.startswith(_MAGIC):
            raise ZooError(
                "This is no file that aezoo compressed.",
                received=called,
                do="Write one: aezoo compress BUNDLE PICTURES --out FILE.",
            )
        body, written = content[: -_SUM.size], content[-_SUM.size :]
        if len(body) < len(_MAGIC) + _HEAD.size or _SUM.pack(zlib.crc32(body)) != written:
            raise ZooError(
                "The file is damaged: its checksum is another.",
                received=f"{called}, {len(content):,} bytes",
                do="Fetch it again, or compress the pictures again.",
            )
        start = len(_MAGIC) + _HEAD.size
        head, symbols = _HEAD.unpack(body[len(_MAGIC) : start])
        told = json.loads(zlib.decompress(body[start : start + head]))
        widths = None
        if told["widths"] is not None:
            widths = np.frombuffer(body, "<f4", told["widths"], start + head)
        shape = tuple(told["shape"])
        channels = 1 if widths is None else shape[-1]
        found = unpack(body[len(body) - symbols :], int(np.prod(shape)) // channels, channels)
        return cls(found.reshape(shape), widths, told["encoder"], told["origin"])

    def save(self, path: str | Path) -> int:
        """Write one file, whole or not at all; return its bytes."""
        content = self.to_bytes()
        with whole_file(Path(path)) as part:
            part.write_bytes(content)
        return len(content)

    @classmethod
    def load(cls, path: str | Path) -> "Compressed":
        """Read a file.

        Raises:
            ZooError: If there is none, it is something else, or damaged.
        """
        path = Path(path)
        if not path.is_file():
            raise missing(path)
        return cls.from_bytes(path.read_bytes(), str(path))


def decibels(rows: np.ndarray, answers: np.ndarray, white: float) -> float:
    """Return the PSNR over all rows together; infinite where nothing differs.

        10 log10(white^2 / mean (row - answer)^2)

    Args:
        rows: (N, ...).
        answers: Of the same shape.
        white: The largest value, 255 of 8-bit pictures.

    Example:
        >>> round(decibels(np.zeros((2, 4)), np.full((2, 4), 25.5), 255), 6)
        20.0
    """
    error = float(np.mean((rows.astype("float64") - answers) ** 2))
    return 10 * float(np.log10(white**2 / error)) if error else np.inf


class Compressor:
    """Makes rows small with a model, and rows of them again.

    Args:
        model: A fitted model of the zoo that encodes and decodes, or a bundle. One whose codes are
            whole numbers, as those of vq_vae, is not quantised further.
        step: How coarse: by so much the answer moves from one value of a number to the next, as
            the root of the squares summed over the row, in user units (of 8-bit pictures, levels).

    Attributes:
        whole: Whether the model's codes are whole numbers, for which a step means nothing.

    Raises:
        ZooError: For a step that is not above 0, or a model that does not encode and decode.

    Example:
        >>> import aezoo
        >>> model = aezoo.build("conv_ae", filters=(4, 2), seed=0)
        >>> rows = np.random.default_rng(0).uniform(size=(5, 28, 28, 1)).astype("float32")
        >>> made = Compressor(model, step=0.1).compress(rows)
        >>> again = Compressed.from_bytes(made.to_bytes())
        >>> bool((again.symbols == made.symbols).all())
        True
        >>> Compressor(model).decompress(again).shape
        (5, 28, 28, 1)
    """

    def __init__(self, model: Any, step: float = 64.0):
        if not step > 0:
            raise ZooError("The step is above 0.", received=step, do="Try step=64.")
        self.model, self.step = model, float(step)
        self._input = codes.spec_of(model, "decode").inputs[0]
        self.whole = np.issubdtype(np.dtype(self._input.dtype), np.integer)

    def compress(self, rows: np.ndarray, origin: dict[str, Any] | None = None) -> Compressed:
        """Encode and quantise rows in user units (N, ...).

        Raises:
            ZooError: For no rows, or rows that do not fit.
        """
        return self.quantise(self.encode(rows), origin)

    def encode(self, rows: np.ndarray) -> np.ndarray:
        """Return the codes of rows in user units (N, ...), which no step changes.

        Raises:
            ZooError: For no rows, or rows that do not fit.
        """
        if not len(rows):
            raise ZooError("There are no rows to compress.")
        starts = range(0, len(rows), CHUNK)
        asked = (codes.ask(self.model, "encode", rows[s : s + CHUNK]) for s in starts)
        return np.concatenate([answer[self._input.name] for answer in asked])  # (N, ..., C)

    def quantise(self, found: np.ndarray, origin: dict[str, Any] | None = None) -> Compressed:
        """Return codes (N, ..., C), as `encode` gives them, as whole numbers."""
        widths = None if self.whole else self._widths(found)
        symbols = found if self.whole else np.rint(found / widths)
        encoder = codes.digest(self.model)
        symbols = np.clip(symbols, -2 * _LARGEST, 2 * _LARGEST).astype("int32")
        return Compressed(symbols, widths, encoder, dict(origin or {}))

    def decompress(self, made: Compressed) -> np.ndarray:
        """Return the decoder's answers, in user units, float32 (N, ...).

        Raises:
            ZooError: If another model made the codes.
        """
        if made.encoder != codes.digest(self.model):
            raise ZooError(
                "The codes are of another model; this one would read something else in them.",
                received=f"digest {made.encoder[:12]}, and this model has "
                f"{codes.digest(self.model)[:12]}",
                do="Give the model or the bundle that compressed them.",
            )
        found = made.symbols if self.whole else made.symbols.astype("float32") * made.widths
        starts = range(0, len(found), CHUNK)
        answers = [codes.ask(self.model, "decode", found[s : s + CHUNK]) for s in starts]
        return np.concatenate([answer["reconstruction"] for answer in answers])

    def _widths(self, found: np.ndarray) -> np.ndarray:
        """Return how far apart values of each channel are, (C,): the step over the gain."""
        places = np.unique(np.linspace(0, len(found) - 1, _MEASURED).astype(int))
        some, flat = found[places], found.reshape(-1, found.shape[-1])
        spread = np.maximum(flat.std(axis=0), 1e-3 * flat.std() + 1e-12)  # (C,)
        before = self._answers(some)
        sites = max(1, int(np.prod(found.shape[1:-1])))
        widths = np.empty(found.shape[-1])
        for channel, nudge in enumerate(_NUDGE * spread):
            moved = some.copy()
            moved[..., channel] += nudge
            change = ((self._answers(moved) - before) ** 2).sum() / len(some) / sites
            widths[channel] = self.step * nudge / max(np.sqrt(change), 1e-12)
        # What moves nothing needs no bit: its width is as large as the others' values.
        return np.minimum(widths, 64 * spread).astype("float32")

    def _answers(self, found: np.ndarray) -> np.ndarray:
        answer = codes.ask(self.model, "decode", found.astype("float32"))["reconstruction"]
        return answer.reshape(len(found), -1).astype("float64")
