"""Is this bundle whole, and does it answer as the model did? Needs no TensorFlow."""

import dataclasses
import zipfile
import zlib
from pathlib import Path

import numpy as np

from aezoo.errors import ZooError
from aezoo.export import manifest as manifests
from aezoo.export.compare import compare
from aezoo.export.manifest import Manifest
from aezoo.export.runner import Bundle

PROBE_FILE = "probe.npz"
# What NumPy raises for a damaged .npy or .npz; a flipped bit may ask for a password.
UNREADABLE = (ValueError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


@dataclasses.dataclass(frozen=True)
class Verified:
    """What a verification saw.

    Attributes:
        path: The bundle.
        files: Number of files checked, the manifest included.
        bytes: Their length.
        differences: Largest difference from Keras by (endpoint, output), in the output's unit.
    """

    path: Path
    files: int
    bytes: int
    differences: dict[tuple[str, str], float]

    def __str__(self) -> str:
        lines = [f"{self.path}: {self.files} files, {self.bytes:,} bytes, all as exported."]
        for (endpoint, output), largest in self.differences.items():
            lines.append(f"  {endpoint + '.' + output:<32} differs from Keras by {largest:.1e}")
        return "\n".join(lines)


def verify_bundle(path: str | Path) -> Verified:
    """Check every file of a bundle, then ask its graphs what Keras was asked at the export.

    Args:
        path: The folder that `export_bundle` wrote.

    Returns:
        What was checked and the largest differences seen.

    Raises:
        ZooError: For a missing, changed or unlisted file, a path that leaves the folder, a bundle
            of a newer aezoo, or an answer out of tolerance.

    Example:
        print(aezoo.verify_bundle("artifacts/conv_ae"))
    """
    bundle = Bundle(path)
    check_files(bundle.path, bundle.manifest)
    differences = {}
    for spec in bundle.endpoints:
        inputs, expected = read_probe(bundle.path / PROBE_FILE, spec)
        answered = bundle.predict(spec.name, **inputs)
        for seen in compare(spec, inputs, expected, answered, "ONNX Runtime"):
            differences[spec.name, seen.output] = seen.largest
    for variant in bundle.manifest.variants:
        _require_answers(Bundle(path, variant))
    total = bundle.manifest.bytes + sum(f.bytes for f in bundle.manifest.files.values())
    return Verified(bundle.path, len(bundle.manifest.files) + 1, total, differences)


def _require_answers(bundle: Bundle) -> None:
    """Refuse a variant that gives other kinds of answers than float32, or none that is finite."""
    for spec in bundle.endpoints:
        inputs, expected = read_probe(bundle.path / PROBE_FILE, spec)
        answered = bundle.predict(spec.name, **inputs)
        for name, values in expected.items():
            a = answered[name]
            if (a.shape, a.dtype) != (values.shape, values.dtype) or not np.isfinite(a).all():
                raise ZooError(
                    f"The variant {bundle.variant} of {spec.name!r} gives no {name!r} to use.",
                    received=f"{a.dtype} {a.shape}",
                    do="Export again.",
                )


def check_files(folder: Path, manifest: Manifest) -> None:
    """Refuse missing, changed and unlisted files, and paths that leave the folder.

    Raises:
        ZooError: Naming the first such file.
    """
    for name, record in manifest.files.items():
        manifests.check_file(folder, name, record)
    known = {*manifest.files, manifests.FILE_NAME}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if (path.is_symlink() or not path.is_dir()) and name not in known:
            raise ZooError(
                "The bundle holds a file that its manifest does not list.",
                received=name,
                do="Remove it, or export again.",
            )
    for spec in manifest.endpoints:
        for needed in (f"onnx/{spec.name}.onnx", PROBE_FILE):
            if needed not in manifest.files:
                raise ZooError(
                    f"The manifest lists no file for endpoint {spec.name!r}.",
                    received=needed,
                    do="Export again.",
                )


def write_probe(path: Path, cases: dict[str, tuple[dict, dict]]) -> None:
    """Write inputs and answers by endpoint; arrays are named `<endpoint>.in.<tensor>`."""
    arrays = {}
    for endpoint, (inputs, answers) in cases.items():
        arrays |= {f"{endpoint}.in.{name}": value for name, value in inputs.items()}
        arrays |= {f"{endpoint}.out.{name}": value for name, value in answers.items()}
    np.savez_compressed(path, **arrays)


def read_probe(path: Path, spec) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the inputs that an endpoint was asked and the answers that Keras gave."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            inputs = {t.name: arrays[f"{spec.name}.in.{t.name}"] for t in spec.inputs}
            outputs = {t.name: arrays[f"{spec.name}.out.{t.name}"] for t in spec.outputs}
    except (KeyError, *UNREADABLE) as error:
        raise ZooError(
            f"{path.name} does not hold what endpoint {spec.name!r} was asked: {error}.",
            do="Export again.",
        ) from None
    return inputs, outputs
