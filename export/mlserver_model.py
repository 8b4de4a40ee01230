"""One endpoint of a bundle as a model of MLServer (KServe v2: REST and gRPC).

Each endpoint is a model of its own, `NAME_ENDPOINT`: in this protocol a model has one list of
inputs and outputs, which clients read from its metadata before they ask. A parameter `endpoint`
would be known to no client, and the metadata could tell the truth of one endpoint only. Triton
serves the folder that `aezoo.export.layouts` writes under the same names, so that a client moves
from one server to the other by its address alone.

MLServer is an extra, `pip install "aezoo[serve]"`; this file is imported without it as well.
"""

import asyncio
from pathlib import Path

import numpy as np

from aezoo.errors import ZooError, closest_match
from aezoo.export import manifest as manifests
from aezoo.export.compare import compare
from aezoo.export.runner import Bundle
from aezoo.export.serving import DATATYPES
from aezoo.export.verify import PROBE_FILE, read_probe
from aezoo.specs import TensorSpec

try:
    from mlserver import MLModel
    from mlserver.codecs import NumpyCodec
    from mlserver.errors import InferenceError
    from mlserver.types import (
        InferenceRequest,
        InferenceResponse,
        MetadataTensor,
        RequestInput,
        ResponseOutput,
        TensorData,
    )
    from mlserver.utils import get_model_uri
except ModuleNotFoundError as error:
    if error.name != "mlserver":
        raise
    MLModel = object


class BundleModel(MLModel):
    """Answers one endpoint; `parameters.uri` names the bundle, `parameters.extra` the endpoint.

    Inputs are taken as `Bundle.predict` takes them: numbers of any type that the declared one
    can hold, and an input that has a default, such as `threshold`, may be left out. What it
    refuses arrives as 400 or INVALID_ARGUMENT, with the words of the ZooError.
    """

    async def load(self) -> bool:
        """Open the graph, after its bytes and its answers to the recorded questions are checked.

        Raises:
            ZooError: If a file is not as it was exported, or the graph does not answer as Keras.
        """
        folder = Path(await get_model_uri(self._settings))
        bundle = Bundle(folder)
        spec = bundle.spec(self._settings.parameters.extra.get("endpoint"))
        manifests.check_listed(folder, PROBE_FILE, bundle.manifest)
        asked, expected = read_probe(folder / PROBE_FILE, spec)
        compare(spec, asked, expected, bundle.predict(spec.name, **asked), "ONNX Runtime")
        self.inputs = [_metadata(tensor) for tensor in spec.inputs]
        self.outputs = [_metadata(tensor) for tensor in spec.outputs]
        self._bundle, self._spec = bundle, spec
        return True

    async def predict(self, payload: "InferenceRequest") -> "InferenceResponse":
        """Answer a request: one row at once, more in a thread so that health is told meanwhile.

        A change of threads takes as long as a small graph takes for one row.
        """
        try:
            if all(given.shape[:1] == [1] for given in payload.inputs):
                return self._answer(payload)
            return await asyncio.to_thread(self._answer, payload)
        except ZooError as error:
            raise InferenceError(str(error)) from None

    def _answer(self, payload: "InferenceRequest") -> "InferenceResponse":
        wanted = self._wanted(payload)
        arrays = {given.name: _array(given) for given in payload.inputs}
        for name, rows in arrays.items():
            if rows.shape[:1] == (0,):
                raise ZooError(f"Input {name!r} has no rows.", do="Give at least one.")
        answers = self._bundle.predict(self._spec.name, **arrays)
        outputs = [_output(name, answers[name]) for name in wanted]
        return InferenceResponse.model_construct(
            model_name=self.name, model_version=self.version, outputs=outputs
        )

    def _wanted(self, payload: "InferenceRequest") -> list[str]:
        names = [tensor.name for tensor in self._spec.outputs]
        wanted = [output.name for output in payload.outputs or []] or names
        for name in wanted:
            if name not in names:
                raise ZooError(
                    f"Endpoint {self._spec.name!r} has no output of this name.",
                    received=name,
                    closest=closest_match(name, names),
                    do=f"Outputs: {', '.join(names)}.",
                )
        return wanted


def _metadata(tensor: TensorSpec) -> "MetadataTensor":
    shape = [-1, *(-1 if axis is None else axis for axis in tensor.shape)]
    extra = {} if tensor.default is None else {"parameters": {"default": tensor.default}}
    return MetadataTensor(name=tensor.name, datatype=DATATYPES[tensor.dtype], shape=shape, **extra)


def _array(given: "RequestInput") -> np.ndarray:
    """Return the values of an input of a request."""
    try:
        return NumpyCodec.decode_input(given)
    except (ValueError, TypeError, OverflowError) as error:
        raise ZooError(
            f"Input {given.name!r} does not hold what it states: {error}.",
            received=f"{given.datatype} of shape {given.shape}",
            do="Give as many values as the shape says, of the datatype that is stated.",
        ) from None


def _output(name: str, values: np.ndarray) -> "ResponseOutput":
    """Return an output of a response, not validated: that takes longer than a small graph."""
    data = TensorData.model_construct(root=values.ravel().tolist())
    datatype, shape = DATATYPES[values.dtype.name], list(values.shape)
    return ResponseOutput.model_construct(name=name, datatype=datatype, shape=shape, data=data)
