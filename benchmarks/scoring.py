"""What does `aezoo score` cost beside a bare loop? conv_ae, scores only, batch 256.

    python benchmarks/scoring.py [--rows 100000] [--rounds 5]

The loop runs ONNX Runtime over an array that is already in memory and keeps the scores; `aezoo
score` reads the same rows from a memory-mapped file and writes its table. Both see the same graph
and the same batches, in turn. Writes results/scoring.csv.
"""

import argparse
import csv
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow.parquet as pq

import aezoo
from aezoo.export import Bundle, score_file

RESULTS = Path(__file__).parents[1] / "results"
BATCH = 256


def main():
    """Export, score both ways in turn, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    command = f"python benchmarks/scoring.py --rows {options.rows} --rounds {options.rounds}"
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        bundle = exported(folder / "conv_ae")
        rows = np.random.default_rng(0).integers(0, 256, (options.rows, 28, 28, 1), "uint8")
        np.save(folder / "rows.npy", rows)
        session = onnxruntime.InferenceSession(bundle.path / "onnx" / "score.onnx")
        taken = {"bare loop": [], "aezoo score": []}
        for number in range(options.rounds):
            began = time.perf_counter()
            looped = bare_loop(session, rows)
            taken["bare loop"].append(time.perf_counter() - began)
            table = folder / f"scores-{number}.parquet"
            began = time.perf_counter()
            score_file(bundle, folder / "rows.npy", table, "score", batch_size=BATCH)
            taken["aezoo score"].append(time.perf_counter() - began)
            np.testing.assert_array_equal(pq.read_table(table)["score"].to_numpy(), looped)
    ratio = statistics.median(
        bare / ours for bare, ours in zip(*taken.values(), strict=True)
    )  # by round, so that what else the machine did weighs on both
    with (RESULTS / "scoring.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("what", "rows", "batch", "rows_per_s", "of_bare_loop", "command"))
        for name, seconds in taken.items():
            share = f"{ratio:.3f}" if name == "aezoo score" else "1"
            speed = options.rows / statistics.median(seconds)
            writer.writerow((name, options.rows, BATCH, f"{speed:.0f}", share, command))
    print((RESULTS / "scoring.csv").read_text(), end="")


def exported(folder: Path) -> Bundle:
    """Export conv_ae, untrained: a graph's speed does not depend on its weights."""
    model = aezoo.build("conv_ae", seed=0)
    sample = aezoo.data.load("sample").test.array()[:64]
    model.adapt(sample)
    return aezoo.export_bundle(model, folder, sample=sample)


def bare_loop(session, rows: np.ndarray) -> np.ndarray:
    """Return the scores of rows in memory, as short as it can be written."""
    parts = [
        session.run(["score"], {"image": rows[start : start + BATCH]})[0]
        for start in range(0, len(rows), BATCH)
    ]
    return np.concatenate(parts)[:, 0]


if __name__ == "__main__":
    main()
