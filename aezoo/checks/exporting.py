"""Checks of the exported bundle of a model whose every weight matters."""

import contextlib
import functools
import tempfile
from collections.abc import Iterator
from pathlib import Path

from aezoo.checks.bench import bench_of, inputs_for, require, require_error
from aezoo.checks.running import check
from aezoo.config import Entry, parse_entry
from aezoo.registry import builder_of


@check
def the_exported_bundle_answers_alike(entry: Entry) -> None:
    """SavedModel and ONNX of every endpoint answer as Keras does, and the bundle verifies.

    So do the further formats whose libraries are installed, or the manifest says why not. No weight
    is zero, and a model with a `score` is calibrated, so that `detect` is asked too.
    """
    from aezoo.export import verify_bundle

    with bundle_of(entry) as bundle:  # `export_bundle` has asked both runtimes
        verified = verify_bundle(bundle)
    declared = {(s.name, t.name) for s in bench_of(entry).seasoned.endpoints for t in s.outputs}
    if entry.export.endpoints is not None:
        chosen = {*entry.export.endpoints, "detect"}  # a calibrated model always detects
        declared = {pair for pair in declared if pair[0] in chosen}
    compared = set(verified.differences)
    require(compared == declared, "The bundle proves other answers than the model declares.")


@check
def an_endpoint_converted_again_gives_the_same_bytes(entry: Entry) -> None:
    """The first one of the bundle; TensorFlow's own graph of it differs each time."""
    from aezoo.export import onnx_graph

    model = bench_of(entry).seasoned
    with bundle_of(entry) as bundle:
        paths = (bundle / "onnx" / f"{spec.name}.onnx" for spec in model.endpoints)
        written = next(path for path in paths if path.exists())
        made = onnx_graph.convert(model.endpoint(written.stem), model)
        same = written.read_bytes() == made.SerializeToString(deterministic=True)
    require(same, "The same model, converted again, gives other bytes.", written.stem)


@check
def a_changed_byte_in_the_bundle_is_detected(entry: Entry) -> None:
    """Whichever file it is in, the manifest included."""
    from aezoo.export import verify_bundle

    with bundle_of(entry) as bundle:
        for path in sorted(path for path in bundle.rglob("*") if path.is_file()):
            original = path.read_bytes()
            changed = bytearray(original)
            changed[len(changed) // 2] ^= 1
            path.write_bytes(changed)
            what = f"A changed byte in {path.name}"
            require_error(functools.partial(verify_bundle, bundle), path.name, what)
            path.write_bytes(original)


@contextlib.contextmanager
def bundle_of(entry: Entry) -> Iterator[Path]:
    """Yield the exported bundle of an entry's seasoned model, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in _files_of(entry.to_yaml(), builder_of(entry)).items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        yield Path(folder)


@functools.lru_cache(maxsize=2)  # an export takes seconds, and two checks need it
def _files_of(text: str, builder: type) -> dict[str, bytes]:
    from aezoo.export import export_bundle
    from aezoo.export.formats import installed

    bench = bench_of(parse_entry(text, "checks"))
    model = bench.seasoned
    known = {tensor.name for spec in model.endpoints for tensor in spec.inputs}
    drawn = inputs_for(model, bench.rows, seed=0)  # those that calibrated it
    asked = {name: rows for name, rows in drawn.items() if name in known}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "bundle"
        export_bundle(model, root, sample=asked, also=installed())
        files = [path for path in root.rglob("*") if path.is_file()]
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}
