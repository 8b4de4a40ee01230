"""A bundle answers questions, on ONNX Runtime alone."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from aezoo.errors import ZooError, closest_match
from aezoo.export import manifest as manifests
from aezoo.specs import CHUNK, EndpointSpec, check_inputs


class Bundle:
    """An exported model; needs ONNX Runtime, not TensorFlow.

    Args:
        path: The folder that `export_bundle` wrote.
        variant: `fp16` or `int8` where the bundle has it; None takes the proven float32 graphs.

    Attributes:
        path: The folder.
        manifest: What the bundle says about itself.

    Raises:
        ZooError: If the folder is no bundle, its manifest was changed, or it has no such variant.

    Example:
        bundle = aezoo.export.Bundle("artifacts/conv_ae")
        bundle.predict("score", image=rows)["score"]      # (rows, 1), float32
    """

    def __init__(self, path: str | Path, variant: str | None = None):
        self.path, self.variant = Path(path), variant
        self.manifest = manifests.read(self.path)
        known = self.manifest.variants
        if variant is not None and variant not in known:
            raise ZooError(
                f"The bundle {self.path.name} has no variant of this name.",
                received=variant,
                closest=closest_match(variant, known),
                do=f"Variants: {', '.join(known)}." if known else "Export it with --also int8.",
            )
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}

    @property
    def endpoints(self) -> list[EndpointSpec]:
        """What can be asked, the default endpoint first."""
        if self.variant is None:
            return self.manifest.endpoints
        passed = self.manifest.variants[self.variant].costs
        return [spec for spec in self.manifest.endpoints if spec.name in passed]

    @property
    def digest(self) -> str:
        """What changes if any answer of the graphs may."""
        shared, folder = self.manifest.content_digest, f"onnx_{self.variant}/"
        files = sorted(self.manifest.files.items())
        return " ".join([shared, *(r.sha256 for name, r in files if name.startswith(folder))])

    def predict(self, endpoint: str | None = None, /, **arrays: Any) -> dict[str, np.ndarray]:
        """Answer arrays by public name, in user units.

        Args:
            endpoint: Its name; None takes the first.
            **arrays: One array per input, each with a batch axis. An input that has a default,
                such as `threshold`, may be left out.

        Raises:
            ZooError: For an unknown endpoint or input, a wrong shape, NaN or infinity, or if the
                graph was changed after the export.
        """
        spec = self.spec(endpoint)
        rows = check_inputs(spec, arrays)
        session = self._session(spec.name)
        names = [tensor.name for tensor in spec.outputs]
        count = len(next(iter(rows.values())))
        parts = []
        for start in range(0, count, CHUNK):
            chunk = {name: value[start : start + CHUNK] for name, value in rows.items()}
            parts.append(session.run(names, chunk))
        return {name: np.concatenate([part[i] for part in parts]) for i, name in enumerate(names)}

    def spec(self, endpoint: str | None = None) -> EndpointSpec:
        """Return the spec of an endpoint, of the first if no name is given.

        Raises:
            ZooError: If there is no endpoint of this name.
        """
        if endpoint is None:
            endpoint = self.manifest.endpoints[0].name
        by_name = {known.name: known for known in self.endpoints}
        if endpoint not in by_name:
            names = [*by_name]
            advice = f"Endpoints: {', '.join(names)}."
            if self.variant and self.manifest.endpoint(endpoint):
                advice += f" {self.manifest.variants[self.variant].refused[endpoint]}"
            elif endpoint == "detect":
                advice = "Calibrate the model before it is exported: aezoo.calibrate."
            raise ZooError(
                f"The bundle {self.path.name} has no endpoint of this name.",
                received=endpoint,
                closest=closest_match(endpoint, names),
                do=advice,
            )
        return by_name[endpoint]

    def _session(self, endpoint: str) -> onnxruntime.InferenceSession:
        if endpoint not in self._sessions:
            folder = f"onnx_{self.variant}" if self.variant else "onnx"
            graph, weights = f"{folder}/{endpoint}.onnx", f"{folder}/{manifests.SHARED_WEIGHTS}"
            manifests.check_listed(self.path, graph, self.manifest)
            if os.path.lexists(self.path / weights):
                manifests.check_listed(self.path, weights, self.manifest)
            try:
                self._sessions[endpoint] = onnxruntime.InferenceSession(
                    self.path / graph, providers=["CPUExecutionProvider"]
                )
            except Exception as error:  # ONNX Runtime has a type per kind, all private
                raise ZooError(
                    "ONNX Runtime refuses a graph of the bundle.",
                    received=f"{graph}: {str(error).splitlines()[0][:300]}",
                    do="Export again, or fetch the bundle again.",
                ) from None
        return self._sessions[endpoint]

    def __getstate__(self) -> dict:
        """Copy and pickle without the sessions, which are opened when they are asked."""
        return self.__dict__ | {"_sessions": {}}

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        """Of the model that it was exported from."""
        return self.manifest.entry.name

    def __repr__(self) -> str:
        names = ", ".join(spec.name for spec in self.endpoints)
        return f"<bundle {self.path}: {self.name} ({names})>"


def bundle_of(folder: Path) -> Path:
    """Return the bundle that a folder is, or that a task put into it."""
    inside = folder / "bundle"
    return inside if (inside / "manifest.json").is_file() else folder
