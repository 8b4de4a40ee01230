"""How much faster is a bundle than the model? By every runtime, side by side.

    python benchmarks/runtimes.py [conv_ae unet]

Trains conv_ae on the embedded sample and unet on the embedded brain slices, a little, exports them
in every format, and times them as `aezoo bench` does. Writes results/runtimes_<entry>.csv; trust
the ratios within one file.
"""

import sys
import tempfile
from pathlib import Path

import aezoo
from aezoo.export import bench

RESULTS = Path(__file__).parents[1] / "results"


DATA = {"conv_ae": "sample", "unet": "brain_mri"}
BATCHES = {"conv_ae": bench.BATCHES, "unet": (1, 8, 32)}


def main():
    """Measure the entries that are named, or all."""
    for entry in sys.argv[1:] or DATA:
        measure(entry)


def measure(entry):
    """Train, export, time, write, print the ratios that matter."""
    with tempfile.TemporaryDirectory() as folder:
        run = aezoo.train(entry, DATA[entry], out=Path(folder) / "run", epochs=5, verbose=False)
        also = ("litert", "openvino", "fp16", "int8")
        bundle = aezoo.export_bundle(run.model, Path(folder) / entry, also=also)
        rows = bench.bench_bundle(bundle, batches=BATCHES[entry], seconds=2.0)
    bench.write_rows(rows, RESULTS / f"runtimes_{entry}.csv")
    by = {(row.runtime, row.batch): row for row in rows}
    graph, predict, saved = (by[n, 1] for n in ("ONNX Runtime", "Keras predict", "SavedModel"))
    print(f"{entry}, one row: {predict.p50_ms / graph.p50_ms:.0f} times Keras predict")
    print(f"{entry}, one row: {saved.p50_ms / graph.p50_ms:.1f} times the SavedModel")
    print(
        f"{entry}, cold start: {saved.cold_start_s / graph.cold_start_s:.1f} times the SavedModel"
    )
    for row in rows:
        print(f"{row.runtime:20} {row.batch:4} {row.p50_ms:9.3f} ms {row.rows_per_s:9.0f} rows/s")


if __name__ == "__main__":
    main()
