"""What a bundle says about itself: `manifest.json` and its schema.

The manifest lists every file of the bundle with its length and sha256, and carries the same two
figures for itself, taken with its own sha256 left blank. They find damage and mix-ups; they are
no signature, for whoever can rewrite a file can rewrite the manifest too.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pydantic

from aezoo.errors import ZooError
from aezoo.specs import RELATIVE_TOLERANCE, EndpointSpec, TensorSpec

SCHEMA_VERSION = 2  # 1 knew no further formats and variants
FILE_NAME = "manifest.json"
SHARED_WEIGHTS = "weights.bin"  # beside the graphs, where endpoints share them


class Part(pydantic.BaseModel):
    """A part of the manifest: unknown keys are errors, values do not change."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class FileRecord(Part):
    """Length and digest of one file."""

    sha256: str
    bytes: int


class Entry(Part):
    """The zoo entry that the model was built from, None values where there was none."""

    name: str
    title: str = ""
    summary: str = ""
    task: str = ""
    source: str = ""
    builder: str = ""
    args: dict[str, Any] = {}
    digest: str = ""


class Probe(Part):
    """The rows that the answers were compared on, and where they came from.

    Attributes:
        origin: Where the first rows of each input came from, in words.
        rows: How many are kept in `probe.npz`.
        compared: How many the runtimes were compared on; where fewer were given, the others are
            draws from the declared range.
    """

    origin: dict[str, str]
    rows: int
    compared: int


class Comparison(Part):
    """Largest differences seen in one output over all batch sizes, in the output's unit."""

    endpoint: str
    output: str
    tolerance: str
    onnx: float
    saved_model: float


class Undecided(Part):
    """A value too near the border for its decision to be the same everywhere."""

    endpoint: str
    output: str
    runtime: Literal["onnx", "saved_model"]
    batch: int
    index: tuple[int, ...]


class Verification(Part):
    """What was compared with the answers of Keras before the bundle got its name."""

    batches: list[int]
    memory_limit_bytes: int
    comparisons: list[Comparison]
    undecided: list[Undecided]


class Format(Part):
    """A further format of the graphs, proven as the others are.

    Attributes:
        note: What its user should know.
        differences: Largest differences from Keras by endpoint and output, in the output's unit.
        undecided: How many decisions fell otherwise, for their values lie on the border.
        refused: Why an endpoint has no file in this format.
    """

    note: str
    differences: dict[str, dict[str, float]]
    undecided: int = 0
    refused: dict[str, str]


class Cost(Part):
    """What a variant of one endpoint's graph costs and gains.

    Attributes:
        bytes: Length of its file with the weights.
        bytes_before: That of the float32 graph.
        milliseconds: Median time of a call by batch size, where it was exported.
        milliseconds_before: That of the float32 graph, timed in turn with it.
        quality: By output and measure: how much worse it answers.
    """

    bytes: int
    bytes_before: int
    milliseconds: dict[int, float]
    milliseconds_before: dict[int, float]
    quality: dict[str, float]


class Variant(Part):
    """ONNX graphs of another precision, measured on test rows.

    Attributes:
        measured_on: Which rows, in words.
        rows: How many.
        costs: By endpoint.
        refused: Why an endpoint has no file in this variant.
        limits: The most that is allowed of each measure.
    """

    measured_on: str
    rows: int
    costs: dict[str, Cost]
    refused: dict[str, str]
    limits: dict[str, float]


class Manifest(Part):
    """Everything that a bundle says about itself.

    Attributes:
        schema_version: Of this format.
        sha256: Of this file with this value left blank.
        bytes: Length of this file.
        created: When, UTC.
        versions: Of the libraries that wrote the bundle.
        precision: In words: what the weights were trained in, what the graphs compute in.
        entry: The zoo entry.
        parameters: Number of weights.
        endpoints: What can be asked; the first is also the SavedModel's `serving_default`.
        preprocessing: The constants between user units and model units.
        calibration: How the threshold of `detect` was set, None without one.
        metrics: What was measured before the export, in the measurer's words.
        probe: The rows of `probe.npz`.
        verification: What the comparison saw.
        formats: Further formats, by the folder that holds them.
        variants: ONNX graphs of another precision; `int8` stands in the folder `onnx_int8`.
        content_digest: Equal for equal weights and graphs, whenever and wherever exported.
        files: Every other file of the bundle.
    """

    schema_version: int
    sha256: str
    bytes: int
    created: str
    versions: dict[str, str]
    precision: str
    entry: Entry
    parameters: int
    endpoints: list[EndpointSpec] = pydantic.Field(min_length=1)
    preprocessing: dict[str, Any]
    calibration: dict[str, Any] | None
    metrics: dict[str, Any]
    probe: Probe
    verification: Verification
    formats: dict[str, Format] = {}
    variants: dict[str, Variant] = {}
    content_digest: str
    files: dict[str, FileRecord]

    @pydantic.field_validator("endpoints")
    @classmethod
    def _plain_names(cls, value):
        check_names(value)
        return value

    def endpoint(self, name: str) -> EndpointSpec | None:
        """Return the endpoint of this name, or None."""
        return next((spec for spec in self.endpoints if spec.name == name), None)


def check_names(endpoints: list[EndpointSpec]) -> None:
    """Refuse names that are no plain words: they name files, nodes and keyword arguments.

    Raises:
        ZooError: Naming the first endpoint or tensor.

    Example:
        >>> check_names([EndpointSpec("score", (TensorSpec("image", (1,)),), ())])
    """
    for spec in endpoints:
        for name in (spec.name, *(t.name for t in (*spec.inputs, *spec.outputs))):
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
                raise ZooError(
                    "The name of an endpoint or of its tensor is no plain word.",
                    received=name,
                    do="Use lower-case letters, digits and _, a letter first.",
                )


def tolerance_of(tensor: TensorSpec) -> str:
    """Return the tolerance of an output in words.

    Example:
        >>> tolerance_of(TensorSpec("features", (2,), unit_scale=(1000.0, 0.001)))
        '1e-05 * (0.001 to 1000 by feature + |value|)'
    """
    if tensor.dtype.startswith("float"):
        scale = tensor.unit_scale
        by_feature = isinstance(scale, tuple)
        unit = f"{min(scale):g} to {max(scale):g} by feature" if by_feature else f"{scale:g}"
        return f"{RELATIVE_TOLERANCE:g} * ({unit} + |value|)"
    return "equal, but for values on the border of a decision"


def schema() -> dict[str, Any]:
    """Return the JSON schema of `manifest.json`; it is shipped as `manifest.schema.json`."""
    return Manifest.model_json_schema() | {
        "$schema": "https://json-schema.org/draft/2020-12/schema"
    }


def file_record(path: Path) -> FileRecord:
    """Measure one file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return FileRecord(sha256=digest.hexdigest(), bytes=path.stat().st_size)


def content_digest(files: dict[str, FileRecord]) -> str:
    """Return one digest of all graphs and the weights that they share.

    The ONNX files hold every weight that is served and have canonical bytes, so that equal models
    have equal digests. A SavedModel's bytes differ from export to export.
    """
    lines = [f"{name} {files[name].sha256}" for name in sorted(files) if name.startswith("onnx/")]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def write(manifest: Manifest, folder: Path) -> None:
    """Write `manifest.json`, with its own length and digest filled in."""
    values = manifest.model_dump(mode="json") | {"sha256": "", "bytes": 0}
    for name in _not_finite(manifest.model_dump()):  # as JSON it would be null
        raise ZooError(
            "A figure for the manifest is NaN or infinite, which JSON cannot say.",
            received=name,
            do="Measure or calibrate the model again.",
        )

    def text() -> bytes:
        return (json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()

    while len(text()) + 64 != values["bytes"]:  # the number's own digits count
        values["bytes"] = len(text()) + 64
    values["sha256"] = hashlib.sha256(text()).hexdigest()
    (folder / FILE_NAME).write_bytes(text())


def _not_finite(values: Any, name: str = "") -> Iterator[str]:
    """Yield the dotted names of numbers that are NaN or infinite."""
    if isinstance(values, float) and not math.isfinite(values):
        yield name
    if isinstance(values, dict | list | tuple):
        pairs = values.items() if isinstance(values, dict) else enumerate(values)
        for key, value in pairs:
            yield from _not_finite(value, f"{name}.{key}".lstrip("."))


def read(folder: Path) -> Manifest:
    """Read the manifest of a bundle and check it against its own digest and the schema.

    Args:
        folder: The bundle.

    Raises:
        ZooError: If there is no manifest, it was changed, it does not fit the schema, or a newer
            aezoo wrote it.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise ZooError(
            "This is no bundle: it has no manifest.json.",
            received=str(folder),
            do="Give a folder that `aezoo export` wrote.",
        )
    content = path.read_bytes()
    try:
        values = json.loads(content)
        version = int(values["schema_version"])
    except (ValueError, KeyError, TypeError):
        raise _changed("it cannot be read as JSON with a schema_version") from None
    if version > SCHEMA_VERSION:
        raise ZooError(
            "A newer aezoo wrote this bundle.",
            received=f"schema_version {version}",
            do=f"Upgrade aezoo: this one reads versions up to {SCHEMA_VERSION}.",
        )
    digest = str(values.get("sha256", ""))
    blank = content.replace(digest.encode(), b"", 1) if digest else content
    if hashlib.sha256(blank).hexdigest() != digest or values.get("bytes") != len(content):
        raise _changed("its length or sha256 is not the one that it states")
    try:
        return Manifest.model_validate(values)
    except pydantic.ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise _changed(f"{where}: {problem['msg']}") from None


def _changed(how: str) -> ZooError:
    return ZooError(
        f"manifest.json was changed after the export: {how}.",
        do="Export again, or fetch the bundle again.",
    )


def check_listed(folder: Path, name: str, manifest: Manifest) -> None:
    """Refuse a file that the manifest does not list, or that `check_file` refuses.

    Raises:
        ZooError: Naming the file.
    """
    if name not in manifest.files:
        raise ZooError(
            "The bundle's manifest does not list a file that is needed.",
            received=name,
            do="Export again, or fetch the bundle again.",
        )
    check_file(folder, name, manifest.files[name])


def check_file(folder: Path, name: str, record: FileRecord) -> None:
    """Refuse a file that is missing, outside the folder, or not as it was exported.

    Args:
        folder: The bundle.
        name: Relative, with forward slashes.
        record: What the manifest says of it.

    Raises:
        ZooError: Naming the file.
    """
    path = folder / name
    inside = not Path(name).is_absolute() and "\\" not in name and ".." not in Path(name).parts
    if not inside or not path.resolve().is_relative_to(folder.resolve()):
        raise ZooError(
            "The manifest lists a path that leaves the bundle's folder.",
            received=name,
            do="Do not use this bundle.",
        )
    if not path.is_file():
        raise ZooError("A file of the bundle is missing.", received=name, do="Fetch it again.")
    if file_record(path) != record:
        raise ZooError(
            "A file of the bundle was changed after the export.",
            received=name,
            do="Export again, or fetch the bundle again.",
        )
