"""Many rows through a bundle on Spark: the table that `score_file` writes, made by many machines.

    first row of each batch -- mapInPandas: Bundle -- parts, in order of the rows -- OUTPUT

Spark deals out the batches, answers again what a lost machine had, and commits each part once.
Every worker opens the bundle and the input by the driver's paths, so that both have to lie on a
file system that all of them share, and needs aezoo installed as on any machine that serves.
"""

import contextlib
import dataclasses
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from aezoo.errors import ZooError
from aezoo.export import scoring
from aezoo.export.rows import RowFile, open_rows
from aezoo.export.runner import Bundle
from aezoo.export.scoring import Scored
from aezoo.export.spark_session import TOLD, known_warnings, session
from aezoo.files import umask, whole_file
from aezoo.specs import EndpointSpec

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import SparkSession

CELLS = 2**22  # numbers in one frame, which Spark holds in memory more than once
# Whatever Spark has no type for travels as double; the table gets its own types when it is joined.
_TYPES = {
    "bool": "boolean",
    "string": "string",
    "int32": "int",
    "int64": "bigint",
    "float": "float",
}


def score_with_spark(
    bundle_dir: str | Path,
    input_path: str | Path,
    output: str | Path,
    endpoint: str | None = None,
    batch_size: int = 256,
    variant: str | None = None,
    master: str | None = None,
    partitions: int | None = None,
) -> Scored:
    """Answer every row of a large file with a bundle, on the workers of a Spark cluster.

    Args:
        bundle_dir: What `export_bundle` wrote, on a file system that all workers share.
        input_path: `.npy`, `.parquet` or a folder of pictures, as for `score_file`; shared too.
        output: The `.parquet` table to write, equal to the one that `score_file` writes.
        endpoint: Its name; None takes `detect` where the bundle has it, else `score`.
        batch_size: Rows that the graph sees at once; the batches are those of `score_file`.
        variant: `fp16` or `int8` where the bundle has it.
        master: Where Spark runs if no session is active; None takes the cores of this machine. An
            active session is used as it is and goes on; one that is made here is stopped.
        partitions: Tasks; None makes one for `scoring.BLOCK` rows, and one per core at least.

    Returns:
        What was done. A finished table is not made again; a run that was stopped starts anew.

    Raises:
        ZooError: As `score_file` does, if pyspark or Java is missing, or if Spark gives up.

    Example:
        score_with_spark("artifacts/conv_ae", "big.npy", "scores.parquet")
    """
    bundle = Bundle(bundle_dir, variant)
    spec = bundle.spec(endpoint or scoring.default_endpoint(bundle))
    columns, left_out = scoring.columns_of(spec)
    rows = open_rows(bundle, spec, Path(input_path))
    output, _, total = scoring.shard_of(Path(output), (1, 1), len(rows), batch_size)
    job = scoring.job_digest(bundle, spec, rows, 0, total, batch_size)
    if output.exists():
        scoring.require_same(output, scoring.job_of(output), job)
        return Scored(output, total, total, left_out)
    schema = scoring.answer_rows(bundle, spec, columns, rows, 0, 0, batch_size).schema
    batches = max(1, min(scoring.BLOCK, CELLS // len(schema)) // batch_size)
    task = _Task(
        bundle_dir=Path(bundle_dir).absolute(),
        variant=variant,
        endpoint=spec.name,
        input_path=Path(input_path).absolute(),
        seen=_seen(bundle, rows),
        total=total,
        batch_size=batch_size,
        frame_rows=batches * batch_size,
    )
    with session(master) as spark, _folder(output) as folder:
        _run(spark, task, schema, partitions, folder / "parts")
        _join(folder / "parts", schema.with_metadata({scoring.JOB: job.encode()}), total, output)
    return Scored(output, total, 0, left_out)


@dataclasses.dataclass(frozen=True)
class _Task:
    """What a worker is told."""

    bundle_dir: Path
    variant: str | None
    endpoint: str
    input_path: Path
    seen: list[str]
    total: int
    batch_size: int
    frame_rows: int

    def answer(self, frames: Iterable["pd.DataFrame"]) -> Iterator["pd.DataFrame"]:
        """Yield the answers to batches, given frames of their first rows, `id`, in order."""
        try:
            bundle, spec, rows = self.open()
            columns, _ = scoring.columns_of(spec)
            for frame in frames:
                first, last = int(frame["id"].min()), int(frame["id"].max()) + self.batch_size
                for start in range(first, min(last, self.total), self.frame_rows):
                    stop = min(start + self.frame_rows, last, self.total)
                    yield scoring.answer_rows(
                        bundle, spec, columns, rows, start, stop, self.batch_size
                    ).to_pandas()
        except ZooError as error:
            told = {name: getattr(error, name) for name in ("what", "received", "closest", "do")}
            raise RuntimeError(TOLD + json.dumps(told, default=str)) from None

    def open(self) -> tuple[Bundle, EndpointSpec, RowFile]:
        """Open bundle and input; they have to be what the driver saw."""
        bundle = Bundle(self.bundle_dir, self.variant)
        spec = bundle.spec(self.endpoint)
        rows = open_rows(bundle, spec, self.input_path)
        if _seen(bundle, rows) != self.seen:
            raise ZooError(
                "A worker finds another bundle or input than the driver.",
                received=str(self.input_path),
                do="Put both on a file system that is shared, and leave them alone meanwhile.",
            )
        return bundle, spec, rows


def _seen(bundle: Bundle, rows: RowFile) -> list[str]:
    return [bundle.digest, rows.fingerprint()]


def _run(
    spark: "SparkSession", task: _Task, schema: pa.Schema, partitions: int | None, parts: Path
) -> None:
    """Let Spark answer all batches and write the answers, each task the part of its rows."""
    blocks = -(-task.total // scoring.BLOCK)
    count = partitions or max(blocks, spark.sparkContext.defaultParallelism)
    types = [(field.name, _TYPES.get(str(field.type), "double")) for field in schema]
    starts = spark.range(0, task.total, task.batch_size, count)
    with known_warnings():
        answers = starts.mapInPandas(task.answer, ", ".join(f"`{n}` {t}" for n, t in types))
    # Without the scheme, a cluster would take the path for one of its own file system.
    answers.write.parquet(f"file://{parts.absolute()}")


def _join(parts: Path, schema: pa.Schema, total: int, output: Path) -> None:
    """Write the table from Spark's parts, one row group in memory at a time."""
    at = 0
    with whole_file(output) as whole, pq.ParquetWriter(whole, schema) as writer:
        for part in sorted(parts.glob("part-*.parquet"), key=_first_row):
            with pq.ParquetFile(part) as file:
                for batch in file.iter_batches(scoring.BLOCK):
                    table = pa.Table.from_batches([batch]).cast(schema)
                    expected = np.arange(at, at + len(table))
                    if not np.array_equal(table["row"].to_numpy(), expected):
                        raise _lost(f"row {table['row'][0]} behind row {at - 1}")
                    writer.write_table(table)
                    at += len(table)
        if at != total:
            raise _lost(f"{at} rows of {total}")


def _first_row(part: Path) -> int:
    with pq.ParquetFile(part) as file:
        batch = next(file.iter_batches(1, columns=["row"]), None)
    return -1 if batch is None else batch["row"][0].as_py()  # a task without batches


def _lost(received: str) -> ZooError:
    return ZooError(
        "What Spark wrote does not hold every row once.",
        received=received,
        do="Nothing was written. Look whether all workers write to the folder of the output.",
    )


@contextlib.contextmanager
def _folder(output: Path) -> Iterator[Path]:
    """Yield a folder beside the output that is gone afterwards, in any case."""
    output.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".part-", dir=output.parent))
    try:
        folder.chmod(0o777 & ~umask())  # workers may run as others than the driver
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
