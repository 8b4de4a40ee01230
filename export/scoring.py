"""Many rows through a bundle: streamed, resumable, one row out for each row in.

    INPUT -- blocks of rows -- ONNX Runtime -- OUTPUT.parts/*.parquet -- OUTPUT

The answers to a block are written whole or not at all, and OUTPUT gets its name once all of them
are there: whenever a run is stopped, the next one goes on behind the blocks that it finds.
"""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from aezoo.errors import ZooError
from aezoo.export.rows import RowFile, open_rows
from aezoo.export.runner import Bundle
from aezoo.files import whole_file, write_text
from aezoo.specs import EndpointSpec, TensorSpec

BLOCK = 32_768  # rows whose answers are written at once; a stopped run loses less than these
WIDEST = 4096  # numbers per row that become columns of their own
JOB = b"aezoo.job"  # the key of a table's metadata that says what was scored


@dataclasses.dataclass(frozen=True)
class Scored:
    """What `score_file` did.

    Attributes:
        output: The table.
        rows: How many it has.
        found: How many of them earlier runs had answered already.
        left_out: Outputs of the endpoint that are no columns, such as pictures.
    """

    output: Path
    rows: int
    found: int
    left_out: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.rows:,} rows in {self.output}"]
        if self.found:
            lines.append(f"{self.found:,} of them were there already")
        if self.left_out:
            lines.append(f"not in the table: {', '.join(self.left_out)}")
        return "\n".join(lines)


def score_file(
    bundle_dir: str | Path,
    input_path: str | Path,
    output: str | Path,
    endpoint: str | None = None,
    shard: tuple[int, int] = (1, 1),
    batch_size: int = 256,
    variant: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Scored:
    """Answer every row of a large file with a bundle, in bounded memory.

    Args:
        bundle_dir: What `export_bundle` wrote.
        input_path: `.npy` (mapped, not read), `.parquet` (a row per row; label columns are left
            out), or a folder of pictures.
        output: The `.parquet` table to write: `row` (the position in the input), `name` for
            pictures, then a column per number that the endpoint answers: `score`, `anomalous`,
            `latent_0` ... Pictures and series among the answers are left out.
        endpoint: Its name; None takes `detect` where the bundle has it, else `score`.
        shard: `(i, n)` answers the i-th of n parts of the rows, counted from 1, into a table of
            its own, `OUTPUT-i-of-n.parquet`. Shards may run anywhere, at any time; they are cut
            between batches, so that each batch holds the rows that it holds in a single run.
        batch_size: Rows that the graph sees at once.
        variant: `fp16` or `int8` where the bundle has it.
        progress: Called with rows done and rows in all, after each block.

    Returns:
        What was done. A run that was stopped goes on; one that was finished answers nothing again.

    Raises:
        ZooError: For an input that cannot be read or does not fit, or a table of another job.

    Example:
        aezoo.export.score_file("artifacts/conv_ae", "big.npy", "scores.parquet")
    """
    bundle = Bundle(bundle_dir, variant)
    spec = bundle.spec(endpoint or default_endpoint(bundle))
    columns, left_out = columns_of(spec)
    rows = open_rows(bundle, spec, Path(input_path))
    output, first, last = shard_of(Path(output), shard, len(rows), batch_size)
    job = job_digest(bundle, spec, rows, first, last, batch_size)
    total, parts = last - first, output.with_name(f"{output.name}.parts")
    if output.exists():
        require_same(output, job_of(output), job)
        shutil.rmtree(parts, ignore_errors=True)  # of a run that was stopped at its very end
        return Scored(output, total, total, left_out)
    size = max(1, BLOCK // batch_size) * batch_size
    blocks = [(start, min(start + size, last)) for start in range(first, last, size)]
    blocks = blocks or [(first, first)]  # an empty shard is an empty table
    found = _begin(parts, job, blocks)
    done = sum(blocks[number][1] - blocks[number][0] for number in found)
    earlier = done
    if progress is not None:
        progress(done, total)
    for number, (start, stop) in enumerate(blocks):
        if number in found:
            continue
        table = answer_rows(bundle, spec, columns, rows, start, stop, batch_size)
        with whole_file(parts / _part(number)) as part:
            pq.write_table(table, part)
        done += stop - start
        if progress is not None:
            progress(done, total)
    _join(parts, len(blocks), output, job)
    return Scored(output, total, earlier, left_out)


def default_endpoint(bundle: Bundle) -> str:
    """Return `detect` where the bundle has it, else `score`, else its first endpoint."""
    names = [spec.name for spec in bundle.manifest.endpoints]
    return next((name for name in ("detect", "score") if name in names), names[0])


def columns_of(spec: EndpointSpec) -> tuple[list[TensorSpec], tuple[str, ...]]:
    """Return the outputs that become columns, and the names of those that do not.

    Raises:
        ZooError: If none does.
    """
    fits = {
        t.name: len(t.shape) == 1 and (t.shape[0] or WIDEST + 1) <= WIDEST for t in spec.outputs
    }
    columns = [tensor for tensor in spec.outputs if fits[tensor.name]]
    left_out = tuple(name for name, fit in fits.items() if not fit)
    if not columns:
        raise ZooError(
            f"Endpoint {spec.name!r} answers nothing that fits a column.",
            received=", ".join(left_out),
            do="Choose another endpoint, such as score or encode.",
        )
    return columns, left_out


def shard_of(output: Path, shard: tuple[int, int], count: int, batch: int) -> tuple[Path, int, int]:
    """Return the table of a shard, its first row and the first row behind it.

    Raises:
        ZooError: For another kind of file, or a shard that is not there.
    """
    if output.suffix.lower() != ".parquet":
        raise ZooError("Scores are written as .parquet.", received=str(output))
    i, n = shard
    if not 1 <= i <= n:
        raise ZooError(
            "There is no such shard.", received=f"{i}/{n}", do="Give i/n with i from 1 to n."
        )
    if n > 1:
        output = output.with_name(f"{output.stem}-{i}-of-{n}{output.suffix}")
    first, last = (count * k // n // batch * batch for k in (i - 1, i))
    return output, first, count if i == n else last


def job_digest(bundle: Bundle, spec: EndpointSpec, rows: RowFile, *numbers: int) -> str:
    """Return a digest of all that the answers depend on; `numbers` are rows and batch size."""
    asked = [bundle.digest, spec.to_config()]
    facts = [*asked, rows.fingerprint(), *numbers, BLOCK]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def job_of(table: Path) -> str:
    """Return the digest of the job that made a table, empty if none did."""
    try:
        metadata = pq.read_schema(table).metadata or {}
    except pa.ArrowInvalid:  # no Parquet
        metadata = {}
    return metadata.get(JOB, b"").decode()


def require_same(path: Path, found: str, job: str) -> None:
    """Refuse what was made by another job.

    Raises:
        ZooError: If the digests differ.
    """
    if found != job:
        raise ZooError(
            "What stands there was made from another input, bundle or endpoint.",
            received=str(path),
            do="Choose another --output, or delete it.",
        )


def _begin(parts: Path, job: str, blocks: list) -> set[int]:
    """Make the folder of answered blocks, or find out which are there already."""
    note = parts / "job.json"
    if note.is_file():
        require_same(parts, json.loads(note.read_text(encoding="utf-8"))["job"], job)
        for leftover in parts.glob(".part-*"):  # of a killed run
            leftover.unlink(missing_ok=True)
        return {number for number in range(len(blocks)) if (parts / _part(number)).is_file()}
    if parts.exists() and any(p for p in parts.iterdir() if not p.name.startswith(".part-")):
        require_same(parts, "", job)
    write_text(note, json.dumps({"job": job}))
    return set()


def _part(number: int) -> str:
    return f"{number:06}.parquet"


def answer_rows(
    bundle: Bundle,
    spec: EndpointSpec,
    columns: list[TensorSpec],
    rows: RowFile,
    start: int,
    stop: int,
    batch: int,
) -> pa.Table:
    """Return the table of the answers to the rows from `start` up to `stop`.

    Raises:
        ZooError: Naming the rows of the batch that does not fit.
    """
    main = spec.inputs[0].name
    answers, at = [], start
    for x in _read(rows, start, stop, batch):
        try:
            answers.append(bundle.predict(spec.name, **{main: x}))
        except ZooError as error:
            where = f"Rows {at} to {at + len(x) - 1}: {error.what}"
            raise ZooError(where, received=error.received, do=error.do) from None
        at += len(x)
    table = {"row": np.arange(start, stop, dtype=np.int64)}
    if (names := rows.names(start, stop)) is not None:
        table["name"] = pa.array(names, pa.string())
    for tensor in columns:
        none = np.zeros((0, *tensor.shape), tensor.dtype)
        values = np.concatenate([none, *(answer[tensor.name] for answer in answers)])
        single = values.shape[1] == 1  # (rows, size)
        for i in range(values.shape[1]):
            table[tensor.name if single else f"{tensor.name}_{i}"] = values[:, i]
    return pa.table(table)


def _read(rows: RowFile, start: int, stop: int, batch: int) -> Iterator[np.ndarray]:
    """Yield batches, the next one read while the last is answered."""
    spans = [(a, min(a + batch, stop)) for a in range(start, stop, batch)]
    with ThreadPoolExecutor(1) as reader:
        coming = [reader.submit(rows.read, *span) for span in spans[:1]]
        for after in [*spans[1:], None]:
            if not coming:
                return
            x = coming.pop().result()
            if after is not None:
                coming.append(reader.submit(rows.read, *after))
            yield x


def _join(parts: Path, count: int, output: Path, job: str) -> None:
    """Write the table from its parts, one in memory at a time."""
    with whole_file(output) as whole:
        schema = pq.read_schema(parts / _part(0)).with_metadata({JOB: job.encode()})
        with pq.ParquetWriter(whole, schema) as writer:
            for number in range(count):
                writer.write_table(pq.read_table(parts / _part(number)).cast(schema))
    shutil.rmtree(parts)
