"""How much faster is a bundle than the model? conv_ae by every runtime, side by side.

    python benchmarks/runtimes.py

Trains conv_ae on the embedded sample, exports it in every format, and times it as `aezoo bench`
does. Writes results/runtimes.csv; trust the ratios within it.
"""

import tempfile
from pathlib import Path

import aezoo
from aezoo.export import bench

RESULTS = Path(__file__).parents[1] / "results"


def main():
    """Train, export, time, write, print the ratios that matter."""
    with tempfile.TemporaryDirectory() as folder:
        run = aezoo.train("conv_ae", "sample", out=Path(folder) / "run", epochs=5, verbose=False)
        also = ("litert", "openvino", "fp16", "int8")
        bundle = aezoo.export_bundle(run.model, Path(folder) / "conv_ae", also=also)
        rows = bench.bench_bundle(bundle, seconds=2.0)
    bench.write_rows(rows, RESULTS / "runtimes.csv")
    by = {(row.runtime, row.batch): row for row in rows}
    graph = by["ONNX Runtime", 1]
    cold = by["SavedModel", 1].cold_start_s / graph.cold_start_s
    print(f"batch 1: {by['Keras predict', 1].p50_ms / graph.p50_ms:.0f} times Keras predict")
    print(f"batch 1: {by['SavedModel', 1].p50_ms / graph.p50_ms:.1f} times the SavedModel")
    print(f"cold start: {cold:.1f} times the SavedModel")
    for row in rows:
        print(f"{row.runtime:20} {row.batch:4} {row.p50_ms:9.3f} ms {row.rows_per_s:9.0f} rows/s")


if __name__ == "__main__":
    main()
