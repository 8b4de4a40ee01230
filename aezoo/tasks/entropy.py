"""Whole numbers in as few bits as their distribution allows, by the entropy coder constriction.

    cost of a symbol = -log2 p(symbol)

Each channel has a distribution of its own, which stands before the symbols: a Gaussian (mean and
deviation) or the histogram of the channel.
"""

import math
import struct
import zlib

import numpy as np

from aezoo.errors import ZooError

_COUNTS = struct.Struct("<I")
_DEEPEST = 4096  # values of a histogram, at most


def pack(symbols: np.ndarray) -> bytes:
    """Return the bytes of int32 symbols (N, C).

    Example:
        >>> symbols = np.array([[3, -1], [3, 0], [4, 0]], "int32")
        >>> bool((unpack(pack(symbols), 3, 2) == symbols).all())
        True
    """
    constriction = _constriction()
    coder, models = constriction.stream.stack.AnsCoder(), []
    for channel in symbols.T[::-1]:  # a stack: what is written last is read first
        told, low, model = _shortest(channel)
        if model is not None:
            coder.encode_reverse(np.ascontiguousarray(channel - low, "int32"), model)
        models.append(told)
    head = zlib.compress(b"".join(reversed(models)), 9)
    return _COUNTS.pack(len(head)) + head + coder.get_compressed().astype("<u4").tobytes()


def unpack(content: bytes, count: int, channels: int) -> np.ndarray:
    """Return the symbols (count, channels) that `pack` wrote, int32."""
    constriction = _constriction()
    (length,) = _COUNTS.unpack_from(content)
    told = zlib.decompress(content[_COUNTS.size : _COUNTS.size + length])
    words = np.frombuffer(content, "<u4", offset=_COUNTS.size + length)
    coder = constriction.stream.stack.AnsCoder(words.astype("uint32"))
    found = np.empty((count, channels), "int32")
    for channel in range(channels):
        low, model, told = _told(told)
        found[:, channel] = low if model is None else coder.decode(model, count) + low
    return found


_RANGE = struct.Struct("<iI")  # the least symbol; how many values there are, 0 before a Gaussian
_GAUSSIAN = struct.Struct("<Iff")  # values, mean and deviation


def _shortest(channel: np.ndarray):
    """Return the description of a channel's distribution, its least symbol and the model."""
    low, high = int(channel.min()), int(channel.max())
    values = high - low + 1
    mean, spread = np.float32(channel.mean() - low), np.float32(max(channel.std(), 0.05))
    gaussian = _RANGE.pack(low, 0) + _GAUSSIAN.pack(values, mean, spread)
    if values <= _DEEPEST:
        counts = np.bincount(channel - low, minlength=values)
        shares = counts[counts > 0] / len(channel)
        histogram = _RANGE.pack(low, values) + _of_counts(counts)
        best = -len(channel) * float((shares * np.log2(shares)).sum()) / 8
        bell = _bell(values, mean, spread)
        of_bell = -float((counts * np.log2(bell)).sum()) / 8
        if best + len(zlib.compress(histogram[_RANGE.size :], 9)) < of_bell + _GAUSSIAN.size:
            return histogram, low, _told(histogram)[1]
    return gaussian, low, _told(gaussian)[1]


def _bell(values: int, mean: float, spread: float) -> np.ndarray:
    """Return the chances of each value, (values,), nearly as the coder has them."""
    places = (np.arange(values + 1) - 0.5 - mean) / (spread * math.sqrt(2))
    edges = np.array([math.erf(place) for place in places])
    return np.maximum(np.diff(edges) / max(edges[-1] - edges[0], 1e-12), 2.0**-24)


def _of_counts(counts: np.ndarray) -> bytes:
    """Return counts in as many bytes as the largest needs, low bytes first, then high ones."""
    width = max(1, (int(counts.max()).bit_length() + 7) // 8)
    planes = counts.astype("<u4").view("u1").reshape(-1, 4)[:, :width]
    return bytes([width]) + np.ascontiguousarray(planes.T).tobytes()


def _told(content: bytes):
    """Return the least symbol, the model (None if it is the only one), and what follows."""
    model = _constriction().stream.model
    low, values = _RANGE.unpack_from(content)
    content = content[_RANGE.size :]
    if not values:
        values, mean, spread = _GAUSSIAN.unpack_from(content)
        if values == 1:
            return low, None, content[_GAUSSIAN.size :]
        made = model.QuantizedGaussian(0, values - 1, float(mean), float(spread))
        return low, made, content[_GAUSSIAN.size :]
    width = content[0]
    planes = np.frombuffer(content, "u1", width * values, 1).reshape(width, values)
    counts = (planes.astype("int64") << (8 * np.arange(width))[:, None]).sum(axis=0)
    rest = content[1 + width * values :]
    if values == 1:
        return low, None, rest
    shares = np.maximum(counts, 1e-9).astype("float64")
    return low, model.Categorical(shares / shares.sum(), perfect=False), rest


def _constriction():
    try:
        import constriction
    except ModuleNotFoundError:
        raise ZooError(
            "Compression needs the entropy coder constriction, which is not installed.",
            do="pip install 'aezoo[compress]'",
        ) from None
    return constriction
