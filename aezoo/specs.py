"""The typed, named inputs and outputs of endpoints: plain data, and how inputs are checked.

Imports no TensorFlow: a bundle is served, verified and described on machines that have none.
"""

import dataclasses
from typing import Any

import numpy as np

from aezoo.config import Fit
from aezoo.errors import ZooError, closest_match

RELATIVE_TOLERANCE = 1e-5  # |a - b| <= this * (unit scale + |b|)
CHUNK = 512  # rows computed at once; larger chunks gain nothing on a CPU and cost memory

UNLABELLED = -1  # in place of a class that nobody has told


@dataclasses.dataclass(frozen=True)
class PictureRule:
    """How picture files became rows, so that they become rows in the same way again.

    Attributes:
        fit: `fit` resizes whole pictures; `crop` resizes the shorter side and keeps the centre;
            `tile` cuts pictures into squares without resizing.
        deep_white: The value that is white in files deeper than 8 bits, None where there were none.
    """

    fit: Fit = "crop"
    deep_white: float | None = None


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """One input or output of an endpoint.

    Attributes:
        name: Its public name, such as `image` or `score`.
        shape: Without the batch axis; None where an axis may vary.
        dtype: A NumPy dtype name.
        axes: A name per axis of `shape`.
        low: Smallest value that makes sense, one number or one per feature (the last axis); None
            if unbounded.
        high: Largest value that makes sense, alike.
        unit_scale: The size of one model unit in this tensor's unit, for tolerances: 255 for 8-bit
            pixels, 1 in model units; one number, or one per feature (the last axis).
        description: One sentence, for the card.
        default: The value of an input that may be left out, None if it must be given.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"
    axes: tuple[str, ...] = ()
    low: float | tuple[float, ...] | None = None
    high: float | tuple[float, ...] | None = None
    unit_scale: float | tuple[float, ...] = 1.0
    description: str = ""
    default: float | None = None


def label_spec(classes: int, description: str) -> TensorSpec:
    """Return the spec of a class from 0 to `classes - 1`, one for each row.

    Example:
        >>> label_spec(10, "The digit.").high
        9.0
    """
    return TensorSpec(
        "label", (1,), "int32", ("label",), 0.0, classes - 1.0, description=description
    )


@dataclasses.dataclass(frozen=True)
class EndpointSpec:
    """The name, inputs, outputs and meaning of one endpoint; plain data."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    description: str = ""

    def to_config(self) -> dict:
        """Return plain JSON values, as the manifest holds them."""
        return dataclasses.asdict(self)

    def tensor(self, name: str) -> TensorSpec:
        """Return the input or output of this name."""
        return next(t for t in (*self.inputs, *self.outputs) if t.name == name)


def tolerance(tensor: TensorSpec, values: np.ndarray) -> np.ndarray:
    """Return by how much another runtime's answer may differ from each value, float64.

    Example:
        >>> float(tolerance(TensorSpec("image", (1,), unit_scale=255.0), np.zeros(1))[0])
        0.00255
        >>> table = TensorSpec("features", (2,), unit_scale=(1000.0, 0.001))
        >>> tolerance(table, np.zeros((1, 2))).tolist()
        [[0.01, 1e-08]]
    """
    size = np.abs(np.asarray(values, "float64"))
    return RELATIVE_TOLERANCE * (np.asarray(tensor.unit_scale) + size)


def check_inputs(spec: EndpointSpec, arrays: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the arrays in the spec's dtypes, or say what is wrong with them.

    Inputs that have a default and were left out are filled in.

    Raises:
        ZooError: For a missing or unknown name, a wrong shape or batch size, or non-finite values.
    """
    names = [tensor.name for tensor in spec.inputs]
    for name in arrays:
        if name not in names:
            raise ZooError(
                f"Endpoint {spec.name!r} has no input of this name.",
                received=name,
                closest=closest_match(name, names),
                do=f"Inputs: {', '.join(names)}.",
            )
    required = [tensor.name for tensor in spec.inputs if tensor.default is None]
    checked = {}
    for name in required:
        if name not in arrays:
            raise ZooError(
                f"Endpoint {spec.name!r} needs the input {name!r}.",
                received=sorted(arrays),
                do=f"Call it with {', '.join(f'{n}=...' for n in required)}.",
            )
    for tensor in spec.inputs:
        if tensor.name in arrays:
            checked[tensor.name] = _checked(spec, tensor, np.asarray(arrays[tensor.name]))
    if not checked:
        raise ZooError(f"Endpoint {spec.name!r} was given no rows.", do="Give at least one input.")
    batch = len(next(iter(checked.values())))
    for tensor in spec.inputs:
        if tensor.name not in checked:
            shape = (batch, *tensor.shape)
            checked[tensor.name] = np.full(shape, tensor.default, tensor.dtype)
    batches = {len(rows) for rows in checked.values()}
    if batches == {0}:
        raise ZooError(f"Endpoint {spec.name!r} was given no rows.", do="Give at least one row.")
    if len(batches) > 1:
        raise ZooError(
            f"The inputs of endpoint {spec.name!r} have different batch sizes.",
            received={name: len(rows) for name, rows in checked.items()},
            do="Give one row of each input per example.",
        )
    return checked


def with_channel(tensor: TensorSpec, rows: np.ndarray) -> np.ndarray:
    """Return rows of a file with the axis of one channel, which training does not ask for either.

    Example:
        >>> with_channel(TensorSpec("image", (28, 28, 1)), np.zeros((5, 28, 28))).shape
        (5, 28, 28, 1)
        >>> with_channel(TensorSpec("features", (1,)), np.zeros(5)).shape
        (5,)
    """
    lacks = len(tensor.shape) > 1 and tensor.shape[-1] == 1
    return rows[..., None] if lacks and rows.shape[1:] == tensor.shape[:-1] else rows


def _checked(spec: EndpointSpec, tensor: TensorSpec, rows: np.ndarray) -> np.ndarray:
    expected = ("batch", *(str(axis or "any") for axis in tensor.shape))
    fits = rows.ndim == len(expected) and all(
        want is None or have == want
        for have, want in zip(rows.shape[1:], tensor.shape, strict=True)
    )
    if not fits:
        advice = f"Give an array of shape ({', '.join(expected)})"
        if rows.shape == tensor.shape:
            advice += ": add a batch axis, rows[None]"
        elif rows.shape[1:] == tensor.shape[:-1] and tensor.shape[-1] == 1:
            advice += ": add a channel axis, rows[..., None]"
        raise ZooError(
            f"Input {tensor.name!r} of endpoint {spec.name!r} has the wrong shape.",
            received=rows.shape,
            do=advice + ".",
        )
    if rows.dtype.kind not in "buif":
        raise ZooError(
            f"Input {tensor.name!r} of endpoint {spec.name!r} holds no numbers.",
            received=str(rows.dtype),
            do=f"Give {tensor.dtype} values.",
        )
    if rows.dtype.kind == "f" and not np.isfinite(rows).all():
        raise ZooError(
            f"Input {tensor.name!r} of endpoint {spec.name!r} holds NaN or infinity.",
            do="Fill in or drop those rows first.",
        )
    if np.dtype(tensor.dtype).kind == "f":
        with np.errstate(over="ignore"):
            cast = rows.astype(tensor.dtype, copy=False)
        if not np.isfinite(cast).all():
            raise ZooError(
                f"Input {tensor.name!r} of endpoint {spec.name!r} holds values that "
                f"{tensor.dtype} cannot.",
                received=f"{rows.dtype} from {rows.min():g} to {rows.max():g}",
                do=f"Give values up to {np.finfo(tensor.dtype).max:.3g}.",
            )
        return cast
    if np.dtype(tensor.dtype).kind in "ui" and rows.size:
        info = np.iinfo(tensor.dtype)
        low = info.min if tensor.low is None else int(tensor.low)
        high = info.max if tensor.high is None else int(tensor.high)
        whole = rows.dtype.kind != "f" or bool((rows == np.round(rows)).all())
        if not whole or rows.min() < low or rows.max() > high:
            raise ZooError(
                f"Input {tensor.name!r} of endpoint {spec.name!r} takes {tensor.dtype} values.",
                received=f"{rows.dtype} from {rows.min():g} to {rows.max():g}",
                do=f"Give whole numbers from {low} to {high}.",
            )
    return rows.astype(tensor.dtype, copy=False)
