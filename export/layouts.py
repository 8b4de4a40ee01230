"""A bundle in the folders that other servers read: TensorFlow Serving, Triton, KServe.

tfserving   NAME/VERSION/saved_model.pb ...     models.config
triton      NAME_ENDPOINT/config.pbtxt          NAME_ENDPOINT/VERSION/model.onnx
kserve      models/ (as for triton)             inferenceservice.yaml

Files of the bundle are checked against its manifest and copied as they are; nothing is converted.
"""

import os
import re
import shutil
from pathlib import Path

from aezoo.errors import ZooError, require_known
from aezoo.export.manifest import SHARED_WEIGHTS, file_record
from aezoo.export.placing import whole_folder
from aezoo.export.runner import Bundle
from aezoo.export.serving import DATATYPES, served_name
from aezoo.export.verify import check_files
from aezoo.specs import CHUNK, EndpointSpec, TensorSpec

Plan = dict[str, Path | str]  # what a layout holds: a file to copy or a text to write, by name


def write_layout(
    bundle: str | Path,
    layout: str,
    output: str | Path,
    name: str | None = None,
    version: int | None = None,
) -> Path:
    """Lay a bundle out for a server.

    Written again from the same bundle, a layout stays as it is.

    Args:
        bundle: What `export_bundle` wrote.
        layout: `tfserving`, `triton` or `kserve`.
        output: The folder to make; it appears whole or not at all.
        name: Of the model; by default the bundle's folder, or the folder above if it is a number.
        version: A whole number from 1; by default that number, else 1.

    Returns:
        The folder.

    Raises:
        ZooError: For an unknown layout, a bundle with missing, changed or unlisted files, or if
            something else stands at `output`.

    Example:
        aezoo.export.write_layout("artifacts/conv_ae", "triton", "models")
    """
    plans = {"tfserving": _tfserving, "triton": _triton, "kserve": _kserve}
    require_known("layout", layout, plans)
    source, output = Bundle(bundle), Path(output)
    check_files(source.path, source.manifest)
    folder = source.path.resolve()
    numbered = folder.name.isdecimal() and int(folder.name) > 0
    name = name or (folder.parent.name if numbered else folder.name)
    version = version if version is not None else (int(folder.name) if numbered else 1)
    if version < 1:
        raise ZooError("Versions are whole numbers from 1.", received=version)
    if output.resolve().is_relative_to(folder):
        raise ZooError("A bundle holds its own files only.", received=str(output))
    plan = plans[layout](source, name, version)
    if os.path.lexists(output):
        _require_same(plan, output)
        return output
    with whole_folder(output, overwrite=False) as part:
        for target, content in plan.items():
            path = part / target
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                shutil.copyfile(content, path)
            else:
                path.write_text(content, encoding="utf-8")
    return output


def _require_same(plan: Plan, output: Path) -> None:
    found = {p.relative_to(output).as_posix(): p for p in output.rglob("*") if not p.is_dir()}
    odd = sorted(found.keys() ^ plan.keys()) or sorted(
        target for target, content in plan.items() if not _holds(found[target], content)
    )
    if odd or not output.is_dir():
        raise ZooError(
            "Something else stands there already.",
            received=str(output / odd[0]) if odd else str(output),
            do="Choose another folder, or delete it.",
        )


def _holds(path: Path, content: Path | str) -> bool:
    if isinstance(content, str):
        return path.read_bytes() == content.encode()
    return file_record(path) == file_record(content)


def _tfserving(bundle: Bundle, name: str, version: int) -> Plan:
    served_name(name)
    inside = "saved_model/1/"
    files = [file for file in bundle.manifest.files if file.startswith(inside)]
    plan: Plan = {f"{name}/{version}/{f.removeprefix(inside)}": bundle.path / f for f in files}
    # TensorFlow Serving's image looks into /models, and asks for an absolute path.
    entry = f'name: "{name}" base_path: "/models/{name}" model_platform: "tensorflow"'
    return plan | {"models.config": f"model_config_list {{\n  config {{ {entry} }}\n}}\n"}


def _triton(bundle: Bundle, name: str, version: int) -> Plan:
    plan: Plan = {}
    weights = f"onnx/{SHARED_WEIGHTS}"
    for spec in bundle.endpoints:
        model = served_name(name, spec)
        plan[f"{model}/config.pbtxt"] = _config(model, spec)
        plan[f"{model}/{version}/model.onnx"] = bundle.path / "onnx" / f"{spec.name}.onnx"
        if weights in bundle.manifest.files:  # a graph looks for them beside itself
            plan[f"{model}/{version}/{SHARED_WEIGHTS}"] = bundle.path / weights
    return plan


def _config(model: str, spec: EndpointSpec) -> str:
    """Return Triton's description of one endpoint; its dims leave out the batch axis."""
    lines = [
        f"# {' '.join(spec.description.split())}",
        f'name: "{model}"',
        'platform: "onnxruntime_onnx"',
        f"max_batch_size: {CHUNK}",
        "dynamic_batching { }",
    ]
    for kind, tensors in (("input", spec.inputs), ("output", spec.outputs)):
        lines += [f"{kind} {{ {_tensor(tensor)} }}{_note(tensor)}" for tensor in tensors]
    return "\n".join(lines) + "\n"


def _tensor(tensor: TensorSpec) -> str:
    dims = ", ".join(str(-1 if axis is None else axis) for axis in tensor.shape)
    kind = f'name: "{tensor.name}" data_type: TYPE_{DATATYPES[tensor.dtype]}'
    if not dims:  # Triton has no tensors without axes
        return f"{kind} dims: [ 1 ] reshape {{ shape: [ ] }}"
    return f"{kind} dims: [ {dims} ]"


def _note(tensor: TensorSpec) -> str:
    """Return a comment on an input that Triton, unlike our servers, does not fill in."""
    return "" if tensor.default is None else f"  # calibrated: {tensor.default:g}; must be given"


def _kserve(bundle: Bundle, name: str, version: int) -> Plan:
    plan = {f"models/{file}": content for file, content in _triton(bundle, name, version).items()}
    resource = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not resource[:1].isalpha():  # as Kubernetes asks
        resource = f"model-{resource}"
    return plan | {"inferenceservice.yaml": _SERVICE.format(name=resource, folder=name)}


_SERVICE = """\
# Copy models/ to where storageUri says: a volume claim, s3://, gs:// or https://.
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {name}
spec:
  predictor:
    model:
      modelFormat:
        name: triton
      protocolVersion: v2
      runtime: kserve-tritonserver
      storageUri: pvc://models/{folder}
"""
