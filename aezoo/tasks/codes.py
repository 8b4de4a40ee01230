"""Codes of rows, asked of a fitted model or of a bundle alike."""

import hashlib
import json
from typing import Any

import numpy as np

from aezoo.errors import ZooError
from aezoo.specs import EndpointSpec, TensorSpec


def spec_of(model: Any, endpoint: str) -> EndpointSpec:
    """Return the spec of an endpoint of a fitted model or of a bundle.

    Raises:
        ZooError: If it has none of this name.
    """
    return model.endpoint(endpoint).spec if _is_keras(model) else model.spec(endpoint)


def ask(model: Any, endpoint: str, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Answer rows by an endpoint of one input.

    Args:
        model: A fitted model of the zoo, or a bundle.
        endpoint: Such as `encode`.
        rows: In user units, with a batch axis.

    Raises:
        ZooError: If the endpoint takes more than rows, or the rows do not fit.
    """
    first, *others = [t for t in spec_of(model, endpoint).inputs if t.default is None]
    if others:
        raise ZooError(
            f"Endpoint {endpoint!r} of this model takes more than rows.",
            received=", ".join(t.name for t in (first, *others)),
            do="Choose a model without conditions, such as conv_ae.",
        )
    asked = model.endpoint(endpoint) if _is_keras(model) else _asked(model, endpoint)
    return asked(**{first.name: rows})


def encode(model: Any, rows: np.ndarray) -> np.ndarray:
    """Return the codes of rows as vectors, float32 (N, D).

    Example:
        >>> import aezoo
        >>> model = aezoo.build("conv_ae", filters=(4, 2))
        >>> encode(model, np.zeros((3, 28, 28, 1), "float32")).shape
        (3, 98)
    """
    latent = ask(model, "encode", rows)["latent"]
    return np.asarray(latent, "float32").reshape(len(latent), -1)


def rows_spec(model: Any) -> TensorSpec:
    """Return what the rows are that the model encodes."""
    return spec_of(model, "encode").inputs[0]


def digest(model: Any) -> str:
    """Return what changes if any code of the model may.

    A model and a bundle of it have different digests: Keras keeps no record of graphs.
    """
    if not _is_keras(model):
        return model.digest
    found = hashlib.sha256(json.dumps(model.preprocessing.to_config(), sort_keys=True).encode())
    for weight in model.weights:
        values = np.ascontiguousarray(weight.numpy())
        found.update(f"{weight.path} {values.shape} {values.dtype}".encode() + values.tobytes())
    return found.hexdigest()


def _is_keras(model: Any) -> bool:
    return hasattr(model, "endpoint")


def _asked(bundle: Any, endpoint: str):
    return lambda **rows: bundle.predict(endpoint, **rows)
