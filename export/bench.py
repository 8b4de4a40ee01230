"""How fast a bundle answers, by every runtime that it is made for, side by side in one run.

Each runtime has a process of its own. They are called in turn, a block of calls each and several
rounds, so that whatever else the machine does slows all of them alike: trust the ratios.
"""

import contextlib
import csv
import dataclasses
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from aezoo.config import Modality
from aezoo.errors import ZooError
from aezoo.export.asking import Process, is_installed, write_cases
from aezoo.export.runner import Bundle
from aezoo.export.verify import PROBE_FILE, check_files, read_probe
from aezoo.files import whole_file
from aezoo.specs import EndpointSpec

BATCHES = (1, 32, 256)
ROUNDS = 3


@dataclasses.dataclass(frozen=True)
class Row:
    """What was measured of one runtime at one batch size.

    Attributes:
        runtime: Its name.
        batch: Rows per call.
        p50_ms: Median time of a call.
        p99_ms: The time that one call in a hundred exceeds.
        rows_per_s: Rows answered per second, at the median.
        calls: How many were timed.
        cold_start_s: From starting a process to its first answer, of one row.
        load_ms: Of that, reading the files and the first answer.
        memory_mb: What the process held after it.
        file_mb: The files that it needs.
    """

    runtime: str
    batch: int
    p50_ms: float
    p99_ms: float
    rows_per_s: float
    calls: int
    cold_start_s: float
    load_ms: float
    memory_mb: float
    file_mb: float


@dataclasses.dataclass(frozen=True)
class _Candidate:
    kind: str
    name: str
    folder: Path
    files: tuple[Path, ...]


def bench_bundle(
    path: str | Path,
    endpoint: str | None = None,
    batches: Sequence[int] = BATCHES,
    seconds: float = 1.0,
    progress: Callable[[str], None] | None = None,
) -> list[Row]:
    """Time every runtime that is installed and that the bundle has files for.

    Args:
        path: What `export_bundle` wrote.
        endpoint: Its name; None takes the first. Where it takes rows, the model's own `predict`
            is timed beside it.
        batches: Rows per call.
        seconds: Of calls, per runtime, batch size and round.
        progress: Called with what is being measured.

    Returns:
        A row per runtime and batch size, Keras first. Keras is left out where it cannot load the
        model, such as one whose class is not to be found.

    Raises:
        ZooError: If the bundle was changed, or a runtime fails.

    Example:
        for row in aezoo.export.bench_bundle("artifacts/conv_ae"):
            print(row.runtime, row.batch, row.p50_ms)
    """
    bundle = Bundle(path)
    spec = bundle.spec(endpoint)
    check_files(bundle.path, bundle.manifest)
    batches = sorted(set(batches))
    if not batches or batches[0] < 1:
        raise ZooError("Batches are positive.", received=tuple(batches))
    say = progress or (lambda what: None)
    with tempfile.TemporaryDirectory(prefix="aezoo-") as scratch:
        questions = Path(scratch) / "questions.npz"
        _write_questions(bundle, spec, questions, {1, *batches})
        return _measure(_candidates(bundle, spec), spec, questions, batches, seconds, say)


def write_rows(rows: list[Row], path: Path) -> None:
    """Write the rows as CSV."""
    with whole_file(path) as part, part.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in dataclasses.fields(Row))
        for row in rows:
            values = dataclasses.astuple(row)
            writer.writerow(f"{v:.4g}" if isinstance(v, float) else v for v in values)


def _candidates(bundle: Bundle, spec: EndpointSpec) -> list[_Candidate]:
    """Return the runtimes that are installed and have files."""
    root, made = bundle.path, bundle.manifest
    found = []
    if is_installed("saved_model"):
        keras_file, saved_model = root / "model.keras", root / "saved_model" / "1"
        saved_files = tuple(path for path in saved_model.rglob("*") if path.is_file())
        if {tensor.name for tensor in spec.inputs} & set(get_args(Modality)):
            found.append(_Candidate("keras", "Keras predict", root, (keras_file,)))
        found += [
            _Candidate("function", "tf.function", root, (keras_file,)),
            _Candidate("saved_model", "SavedModel", saved_model, saved_files),
        ]
    names = {"openvino": "OpenVINO", "litert": "LiteRT, row by row"}
    for kind, name in names.items():
        has = kind in made.formats and spec.name in made.formats[kind].differences
        if has and is_installed(kind):
            files = tuple((root / kind).glob(f"{spec.name}.*"))
            found.append(_Candidate(kind, name, root / kind, files))
    for variant in (None, *made.variants):
        if variant is None or spec.name in made.variants[variant].costs:
            folder = root / (f"onnx_{variant}" if variant else "onnx")
            files = (folder / f"{spec.name}.onnx", *folder.glob("weights.bin"))
            name = f"ONNX Runtime {variant}" if variant else "ONNX Runtime"
            found.append(_Candidate("onnx", name, folder, files))
    return found


def _write_questions(bundle: Bundle, spec: EndpointSpec, path: Path, batches: set[int]) -> None:
    rows, _ = read_probe(bundle.path / PROBE_FILE, spec)
    count = len(next(iter(rows.values())))
    cases = {
        (spec.name, batch): {k: v[np.arange(batch) % count] for k, v in rows.items()}
        for batch in batches
    }
    write_cases(path, cases)


def _measure(
    candidates: list[_Candidate],
    spec: EndpointSpec,
    questions: Path,
    batches: list[int],
    seconds: float,
    say: Callable[[str], None],
) -> list[Row]:
    with contextlib.ExitStack() as stack:
        running, starts = {}, {}
        for one in candidates:
            say(f"{one.name}: cold start")
            began = time.perf_counter()
            running[one.name] = Process(one.kind)  # never one that rested
            stack.callback(running[one.name].end)
            try:
                starts[one.name] = _start(running[one.name], began, one, spec, questions)
            except ZooError as error:
                if one.kind not in ("keras", "function"):
                    raise
                say(f"{one.name}: left out, {error.received}")
        candidates = [one for one in candidates if one.name in starts]
        taken: dict[tuple[str, int], list[float]] = {}
        for number in range(ROUNDS):
            for batch in batches:
                for one in candidates:
                    say(f"{one.name}: batch {batch}, round {number + 1} of {ROUNDS}")
                    reply = running[one.name].ask(
                        do="time",
                        questions=str(questions),
                        endpoint=spec.name,
                        batch=batch,
                        seconds=seconds,
                    )
                    times = reply["seconds"][number == 0 :]  # the very first call prepares
                    taken.setdefault((one.name, batch), []).extend(times)
    return [
        _row(one, batch, taken[one.name, batch], starts[one.name])
        for one in candidates
        for batch in batches
    ]


def _start(
    process: Process, began: float, one: _Candidate, spec: EndpointSpec, questions: Path
) -> dict:
    """Let a process that was started at `began` answer first; return how long that took."""
    loaded = process.ask(do="load", folder=str(one.folder))
    first = process.ask(do="time", questions=str(questions), endpoint=spec.name, batch=1, seconds=0)
    cold = time.perf_counter() - began - first["seconds"][1]  # two calls are the fewest
    return {
        "cold_start_s": cold,
        "load_ms": 1000 * (loaded["took"] + first["seconds"][0]),
        "memory_mb": first["memory"] / 2**20,
    }


def _row(one: _Candidate, batch: int, seconds: list[float], start: dict) -> Row:
    p50, p99 = np.percentile(1000 * np.array(seconds), [50, 99])
    return Row(
        runtime=one.name,
        batch=batch,
        p50_ms=float(p50),
        p99_ms=float(p99),
        rows_per_s=batch / p50 * 1000,
        calls=len(seconds),
        file_mb=sum(path.stat().st_size for path in one.files) / 2**20,
        **start,
    )
