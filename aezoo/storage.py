"""Models to disk and back: `.keras` files, run folders and bundles."""

import hashlib
import json
from pathlib import Path

import keras
import numpy as np

from aezoo.config import read_entry
from aezoo.errors import ZooError
from aezoo.files import whole_file
from aezoo.registry import builder_of, import_class

PROBE_FILE = "probe_rows.npz"
METRICS_FILE = "metrics.json"


def save(model: keras.Model, path: str | Path) -> Path:
    """Write a model as a `.keras` file, whole or not at all.

    Args:
        model: Any model of the zoo.
        path: A file name that ends in `.keras`; an existing file is replaced.

    Returns:
        The path.

    Raises:
        ZooError: If the name has another ending.
    """
    path = Path(path)
    if path.suffix != ".keras":
        raise ZooError(
            "A saved model's name ends in .keras.", received=str(path), do=f"Write {path}.keras."
        )
    with whole_file(path) as part:
        model.save(part)
    return path


def load(path: str | Path) -> keras.Model:
    """Load a model from a run folder, a bundle or a `.keras` file.

    Args:
        path: What `aezoo.train`, `aezoo.export_bundle` or `aezoo.save` wrote.

    Returns:
        The compiled model, with its preprocessing, calibration and probe rows.

    Raises:
        ZooError: If there is no model at this path, or a bundle's was changed after the export.
    """
    import aezoo.models  # noqa: F401  registers every class

    path = Path(path)
    file = path / "model.keras" if path.is_dir() else path
    if not file.is_file():
        if (path / "checkpoint.npz").is_file():
            raise ZooError(
                "This run has not ended, so it has no model yet.",
                received=str(path),
                do=f"Go on with it: aezoo train --resume {path}",
            )
        inside = "it holds no model.keras" if path.is_dir() else "there is no such file"
        raise ZooError(
            f"No model here: {inside}.",
            received=str(path),
            do="Give a run folder, a bundle or a .keras file.",
        )
    if path.is_dir() and (path / "manifest.json").is_file():
        _check_unchanged(path)
    _import_builder(file.parent)
    try:
        model = keras.models.load_model(file, safe_mode=True)
    except (ValueError, TypeError, OSError, KeyError) as error:
        if "`Lambda` layer" in str(error):
            raise ZooError(
                f"{file} holds a Lambda layer, which is Python code that loading would run.",
                do="Replace it by a layer class of your own, and save the model again.",
            ) from None
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise ZooError(f"{file} cannot be loaded: {reason}") from None
    probe = file.parent / PROBE_FILE
    if probe.is_file():
        with np.load(probe, allow_pickle=False) as arrays:
            kept = dict(arrays)
        # Runs of before 0.1.0 was finished call their rows x, and have nothing beside them.
        model.probe_rows = {model.input_name: kept["x"]} if set(kept) == {"x"} else kept
    metrics = file.parent / METRICS_FILE
    if metrics.is_file():
        model.metrics_measured = json.loads(metrics.read_text(encoding="utf-8"))
    return model


def _check_unchanged(bundle: Path) -> None:
    """Refuse a bundle whose `model.keras` is not the one that its manifest lists."""
    try:
        manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
        listed = manifest["files"]["model.keras"]["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ZooError(
            "The bundle's manifest cannot be read, or does not list model.keras.",
            received=str(bundle),
            do="Export again, or fetch the bundle again.",
        ) from None
    with (bundle / "model.keras").open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != listed:
        raise ZooError(
            "model.keras was changed after the export.",
            received=str(bundle),
            do="Export again, or fetch the bundle again.",
        )


def _import_builder(folder: Path) -> None:
    """Import the class of the model in a run folder or a bundle, wherever it lives."""
    config, manifest = folder / "config.yaml", folder / "manifest.json"
    if config.is_file():
        builder_of(read_entry(config))
    elif manifest.is_file():
        entry = json.loads(manifest.read_text(encoding="utf-8")).get("entry", {})
        if "builder" in entry:
            import_class(entry["builder"], entry["name"])
