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

    Attributes:
        path: The folder.
        manifest: What the bundle says about itself.

    Raises:
        ZooError: If the folder is no bundle or its manifest was changed.

    Example:
        bundle = aezoo.export.Bundle("artifacts/conv_ae")
        bundle.predict("score", image=rows)["score"]      # (rows, 1), float32
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.manifest = manifests.read(self.path)
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}

    @property
    def endpoints(self) -> list[EndpointSpec]:
        """What can be asked, the default endpoint first."""
        return self.manifest.endpoints

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
        for start in range(0, max(count, 1), CHUNK):
            chunk = {name: value[start : start + CHUNK] for name, value in rows.items()}
            parts.append(session.run(names, chunk))
        return {name: np.concatenate([part[i] for part in parts]) for i, name in enumerate(names)}

    def spec(self, endpoint: str | None = None) -> EndpointSpec:
        """Return the spec of an endpoint, of the first if no name is given.

        Raises:
            ZooError: If there is no endpoint of this name.
        """
        if endpoint is None:
            return self.endpoints[0]
        spec = self.manifest.endpoint(endpoint)
        if spec is None:
            names = [known.name for known in self.endpoints]
            advice = f"Endpoints: {', '.join(names)}."
            if endpoint == "detect":
                advice = "Calibrate the model before it is exported: aezoo.calibrate."
            raise ZooError(
                f"The bundle {self.path.name} has no endpoint of this name.",
                received=endpoint,
                closest=closest_match(endpoint, names),
                do=advice,
            )
        return spec

    def _session(self, endpoint: str) -> onnxruntime.InferenceSession:
        if endpoint not in self._sessions:
            graph = f"onnx/{endpoint}.onnx"
            manifests.check_listed(self.path, graph, self.manifest)
            if os.path.lexists(self.path / manifests.SHARED_WEIGHTS):
                manifests.check_listed(self.path, manifests.SHARED_WEIGHTS, self.manifest)
            self._sessions[endpoint] = onnxruntime.InferenceSession(
                self.path / graph, providers=["CPUExecutionProvider"]
            )
        return self._sessions[endpoint]

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        names = ", ".join(spec.name for spec in self.endpoints)
        return f"<bundle {self.path}: {self.manifest.entry.name} ({names})>"
