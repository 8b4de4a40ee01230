"""From a fitted model to a bundle that is proven to give the answers that were evaluated.

artifacts/conv_ae/
saved_model/1/  onnx/<endpoint>.onnx  model.keras  probe.npz  manifest.json  README.md
"""

import contextlib
import datetime
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx

from aezoo import recipes
from aezoo.config import override
from aezoo.data import DataSet, load
from aezoo.endpoints import Endpoint
from aezoo.errors import ZooError, closest_match, require_known
from aezoo.export import card, formats, manifest, onnx_graph, saved_model, variants
from aezoo.export.asking import Process, is_installed, processes, write_cases
from aezoo.export.compare import Cases, largest_differences
from aezoo.export.fusing import without_cudnn
from aezoo.export.gates import MeasuringRows
from aezoo.export.manifest import Comparison, Manifest, Probe, Undecided, Verification
from aezoo.export.placing import whole_folder
from aezoo.export.probe import Arrays, given_rows, kept_rows, probe_inputs, tiled
from aezoo.export.runner import Bundle
from aezoo.export.verify import PROBE_FILE, verify_bundle, write_probe
from aezoo.export.web import find_runtime
from aezoo.export.web import write as write_page
from aezoo.training import data_for
from aezoo.version import __version__
from aezoo.zoo_model import ZooModel, precision

BATCHES = (1, 2, 5, 33)
MEMORY_LIMIT = 2 * 2**30  # bytes of all tensors of one graph at the largest batch
SIZE_LIMIT = 1_500_000_000  # bytes of weights; ONNX files end at 2 GB

_LIBRARIES = ("keras", "tensorflow", "tf2onnx", "onnx", "onnxruntime", "numpy")


def export_bundle(
    model: ZooModel,
    path: str | Path,
    sample: Any = None,
    overwrite: bool = False,
    also: str | Sequence[str] = (),
    data: Any = None,
    web: bool | str | Path = False,
) -> Bundle:
    """Export a model as a SavedModel and ONNX graphs, proven to answer as it does.

    Everything is written to a temporary folder beside `path`, compared with Keras in processes
    of their own at batch 1, 2, 5 and 33, and only then given its name. A failed export leaves
    nothing behind.

    Args:
        model: Any model of the zoo. One of mixed precision is exported in float32.
        path: The folder to make.
        sample: Rows in user units to compare answers on, or a dict of rows by public name; without
            one, validation rows that training kept. They are topped up to 33 different rows with
            draws from the declared range; at most 8 are kept in the bundle.
        overwrite: Replace the bundle that stands at `path`.
        also: Further formats, proven too: `litert` (one row at a time, built-in operations only),
            `openvino`; variants of the ONNX graphs, measured: `fp16` (storage), `int8`.
        data: What variants are measured on: a data set with test rows, or what `aezoo.data.load`
            takes; None takes what `aezoo.train` trained on.
        web: Add a page that runs the model in a browser, `web/index.html`. It needs the npm package
            onnxruntime-web: True fetches it once with npm, a path says where it is.

    Returns:
        The bundle, ready to be asked.

    Raises:
        ZooError: If the folder exists, an operation has no ONNX counterpart, a runtime gives other
            answers than Keras, the weights exceed 1.5 GB, or the disk is full.

    Example:
        >>> import tempfile, aezoo
        >>> model = aezoo.build("vallina_ae", input_shape=(6,), hidden=(4,), latent_dim=2)
        >>> bundle = export_bundle(model, tempfile.mkdtemp() + "/tiny")
        >>> [endpoint.name for endpoint in bundle.endpoints]
        ['reconstruct', 'encode', 'decode', 'score']
    """
    also = (also,) if isinstance(also, str) else tuple(dict.fromkeys(also))
    _check_model(model)
    _check_also(also)
    dataset = _data(model, also, data)
    page = find_runtime(None if web is True else Path(web)) if web else None
    with whole_folder(Path(path), overwrite) as folder:
        _fill(folder, model, sample, also, dataset, page)
        verify_bundle(folder)
    return Bundle(path)


def _check_model(model: Any) -> None:
    if not isinstance(model, ZooModel):
        raise ZooError(
            "Only models of the zoo can be exported: they declare what they can be asked.",
            received=type(model).__name__,
            do="Subclass aezoo.Autoencoder or aezoo.Segmenter.",
        )
    size = 4 * model.count_params()
    if size > SIZE_LIMIT:
        raise ZooError(
            "The model is too large for one ONNX file.",
            received=f"{size / 1e9:.2f} GB of weights",
            do=f"Export models up to {SIZE_LIMIT / 1e9:.1f} GB.",
        )


def _check_also(also: Sequence[str]) -> None:
    known = [*formats.FORMATS, *variants.VARIANTS]
    for name in also:
        require_known("further format or variant", name, known)
        if name in formats.FORMATS and not is_installed(name):
            raise ZooError(
                f"The {name} format needs {formats.FORMATS[name].LIBRARY}, which is not installed.",
                do=f"pip install 'aezoo[{name}]'",
            )


def _data(model: ZooModel, also: Sequence[str], data: Any) -> DataSet | None:
    """Return what variants are measured on; None if none is wanted."""
    measured = [name for name in also if name in variants.VARIANTS]
    if not measured:
        return None
    if isinstance(data, DataSet):
        return data
    trained_by_recipe = model.entry is not None and getattr(model, "probe_rows", None) is not None
    if data is None and not trained_by_recipe:
        raise ZooError(
            f"{' and '.join(measured)}: measured on test rows, and no data were given.",
            do="Give what the model was trained on: export_bundle(..., data=...), or --data.",
        )
    if model.entry is None:
        return load(data)
    if trained_by_recipe:
        return data_for(model.entry, data)
    return data_for(override(model.entry, recipes.for_data(model.entry, data)), data)


def _fill(
    folder: Path,
    model: ZooModel,
    sample: Any,
    also: Sequence[str],
    data: DataSet | None,
    page: Path | None,
) -> None:
    """Write everything into the temporary folder and compare."""
    with (
        processes("onnx", "saved_model") as (runtimes, scratch),  # they load while we convert
        float32_copy(model) as served,
        without_cudnn(served),
    ):
        endpoints = [served.endpoint(name) for name in _chosen(served)]
        manifest.check_names([endpoint.spec for endpoint in endpoints])
        given = given_rows(served, sample)
        saved_model.write(served, endpoints, folder / "saved_model" / "1")
        graphs = {e.name: onnx_graph.convert(e, served) for e in endpoints}
        onnx_graph.write(graphs, folder / "onnx")
        batches = affordable(BATCHES, graphs)
        rows, origin = probe_inputs(served, given, batches[-1])
        questions = {
            (e.name, batch): tiled(rows, e.spec, batch) for e in endpoints for batch in batches
        }
        asked = scratch / "questions.npz"
        write_cases(asked, questions)
        for kind, written in (("onnx", "onnx"), ("saved_model", "saved_model/1")):
            runtimes[kind].start(folder / written, [*graphs], asked, scratch / f"{kind}.npz")
        expected = {
            (name, batch): served.endpoint(name)(**asked)
            for (name, batch), asked in questions.items()
        }
        _require_both_decisions(expected)
        kept = kept_rows(given, batches[-1])
        write_probe(folder / PROBE_FILE, _kept(endpoints, rows, kept))
        comparisons, undecided = _compared(endpoints, questions, expected, runtimes)
        made = {
            name: formats.add(name, served, endpoints, folder, asked, questions, expected)
            for name in also
            if name in formats.FORMATS
        }
        measured = _variants(served, endpoints, also, data, batches[-1], folder)
    model.save(folder / "model.keras")
    if page is not None:
        write_page(folder, page)
    verification = Verification(
        batches=batches,
        memory_limit_bytes=MEMORY_LIMIT,
        comparisons=comparisons,
        undecided=undecided,
    )
    probe = Probe(origin=origin, rows=kept, compared=batches[-1])
    _describe(folder, model, endpoints, probe, verification, formats=made, variants=measured)


def _variants(
    model: ZooModel,
    endpoints: list[Endpoint],
    also: Sequence[str],
    data: DataSet | None,
    part: int,
    folder: Path,
) -> dict[str, manifest.Variant]:
    if data is None:
        return {}
    rows = MeasuringRows(model, endpoints, data, part)
    specs = [endpoint.spec for endpoint in endpoints]
    graphs = {spec.name: onnx.load(folder / "onnx" / f"{spec.name}.onnx") for spec in specs}
    return {
        kind: variants.add(kind, specs, graphs, rows, folder / f"onnx_{kind}")
        for kind in also
        if kind in variants.VARIANTS
    }


def _chosen(model: ZooModel) -> list[str]:
    """Return the endpoints that the entry exports: all, or those it names and a set `detect`."""
    known = [spec.name for spec in model.endpoints]
    wanted = model.entry.export.endpoints if model.entry else None
    if wanted == ():
        raise ZooError(
            f"The entry {model.entry.name!r} exports no endpoint.",
            do=f"Name some in export.endpoints, or leave it out for all: {', '.join(known)}.",
        )
    for name in wanted or ():
        if name not in known:
            raise ZooError(
                f"The entry {model.entry.name!r} exports an endpoint that the model lacks.",
                received=name,
                closest=closest_match(name, known),
                do=f"Endpoints: {', '.join(known)}.",
            )
    if wanted and model.calibration:
        wanted = (*wanted, "detect")  # who calibrates wants to be told
    return [name for name in known if wanted is None or name in wanted]


@contextlib.contextmanager
def float32_copy(model: ZooModel) -> Iterator[ZooModel]:
    """Yield the model itself, or one of equal weights that computes in float32.

    Example:
        >>> from aezoo.models.dense import DenseAE
        >>> model = DenseAE(input_shape=(4,), hidden=(3,))
        >>> with float32_copy(model) as served:
        ...     served is model
        True
    """
    if precision_of(model) == "float32":
        yield model
        return
    with precision("float32"):
        copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    copy.probe_rows = getattr(model, "probe_rows", None)
    yield copy


def precision_of(model: keras.Model) -> str:
    """Return the policy that the layers were built under: `float32`, `mixed_float16`, ..."""
    policies = {layer.dtype_policy.name for layer in model._flatten_layers()}
    return next(iter(sorted(policies - {"float32"}, reverse=True)), "float32")


def affordable(batches: tuple[int, ...], graphs: dict[str, onnx.ModelProto]) -> list[int]:
    """Return the batch sizes that the memory limit allows, the largest one possible included."""
    per_row = max(onnx_graph.activation_bytes(graph) for graph in graphs.values())
    largest = max(1, min(batches[-1], MEMORY_LIMIT // max(per_row, 1)))
    return sorted({batch for batch in batches if batch <= largest} | {largest})


def _require_both_decisions(expected: Cases) -> None:
    """Refuse a proof of `anomalous` in which it is always the same."""
    seen = [answers["anomalous"].ravel() for answers in expected.values() if "anomalous" in answers]
    if seen and max(map(len, seen)) >= 3 and len(np.unique(np.concatenate(seen))) < 2:
        raise ZooError(
            "The decision cannot be verified: it is the same for every row.",
            received=f"anomalous={bool(seen[0][0])}",
            do="Train the model, or give a sample of rows with a score other than 0.",
        )


def _kept(endpoints: list[Endpoint], rows: Arrays, count: int) -> dict[str, tuple[Arrays, Arrays]]:
    """Return what `probe.npz` keeps: the first rows, and what Keras answers."""
    kept = {}
    for endpoint in endpoints:
        asked = {t.name: rows[t.name][:count] for t in endpoint.spec.inputs}
        kept[endpoint.name] = (asked, endpoint(**asked))
    return kept


def _compared(
    endpoints: list[Endpoint],
    questions: Cases,
    expected: Cases,
    runtimes: dict[str, Process],
) -> tuple[list[Comparison], list[Undecided]]:
    largest: dict[tuple[str, str], dict[str, float]] = {}
    undecided = []
    answers = {kind: runtimes[kind].wait() for kind in ("onnx", "saved_model")}
    for kind, answered in answers.items():
        for e in endpoints:
            largest[kind, e.name], places = largest_differences(
                e.spec, questions, expected, answered, runtimes[kind].name
            )
            undecided += [
                Undecided(endpoint=e.name, output=output, runtime=kind, batch=batch, index=place)
                for output, batch, place in places
            ]
    comparisons = [
        Comparison(
            endpoint=e.name,
            output=t.name,
            tolerance=manifest.tolerance_of(t),
            onnx=largest["onnx", e.name][t.name],
            saved_model=largest["saved_model", e.name][t.name],
        )
        for e in endpoints
        for t in e.spec.outputs
    ]
    return comparisons, undecided


def _describe(
    folder: Path,
    model: ZooModel,
    endpoints: list[Endpoint],
    probe: Probe,
    verification: Verification,
    **further: dict,
) -> None:
    """Write the manifest and the card; `further` are parts of the manifest."""
    files = {
        path.relative_to(folder).as_posix(): manifest.file_record(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    trained_in = precision_of(model)
    libraries = (*_LIBRARIES, *(formats.FORMATS[name].LIBRARY for name in further["formats"]))
    made = Manifest(
        schema_version=manifest.SCHEMA_VERSION,
        sha256="",
        bytes=0,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        versions={"aezoo": __version__} | {n: metadata.version(n) for n in libraries},
        precision="float32" if trained_in == "float32" else f"float32, trained in {trained_in}",
        entry=_entry(model),
        parameters=model.count_params(),
        endpoints=[endpoint.spec for endpoint in endpoints],
        preprocessing=model.preprocessing.to_config(),
        calibration=model.calibration and dict(model.calibration),
        metrics=dict(getattr(model, "metrics_measured", None) or {}),
        probe=probe,
        verification=verification,
        **further,
        content_digest=manifest.content_digest(files),
        files=files,
    )
    text = card.write(made)
    (folder / card.FILE_NAME).write_text(text, encoding="utf-8")
    card.check(text, made)
    files = files | {card.FILE_NAME: manifest.file_record(folder / card.FILE_NAME)}
    manifest.write(made.model_copy(update={"files": files}), folder)


def _entry(model: ZooModel) -> manifest.Entry:
    e = model.entry
    if e is None:
        builder = f"{type(model).__module__}:{type(model).__qualname__}"
        return manifest.Entry(name=model.name, builder=builder)
    return manifest.Entry(
        name=e.name,
        title=e.title,
        summary=e.summary,
        task=e.task,
        source=e.source,
        builder=e.builder,
        args=e.model_dump(mode="json")["args"],
        digest=e.digest(),
    )
