"""Do the exported graphs of every entry answer as the trained model did?

    python benchmarks/export_parity.py

Trains each entry for a few epochs on real data, exports it, and writes what verification saw to
results/export_parity.csv: the largest difference of each output from Keras over the batch sizes 1,
2, 5 and 33, for ONNX Runtime and for the SavedModel, each asked in a process of its own.
"""

import csv
import tempfile
from pathlib import Path

import aezoo

RESULTS = Path(__file__).parent.parent / "results" / "export_parity.csv"
COLUMNS = ("entry", "data", "epochs", "endpoint", "output", "batches", "tolerance")
DATA = {"unet": ("brain_mri", 5), "seq2seq_ae": ("ecg5000", 5)}
DEFAULT = ("sample", 5)


def measure(entry: str) -> list[dict]:
    """Train, export and return a row per endpoint and output."""
    data, epochs = DATA.get(entry, DEFAULT)
    with tempfile.TemporaryDirectory() as folder:
        run = aezoo.train(
            entry, data, out=Path(folder) / "run", epochs=epochs, calibration=0.1, verbose=False
        )
        if "score" in [endpoint.name for endpoint in run.model.endpoints]:
            aezoo.calibrate(run.model, run.data.calibration)
        bundle = aezoo.export_bundle(run.model, Path(folder) / "bundle")
        seen = bundle.manifest.verification
    return [
        {
            "entry": entry,
            "data": data,
            "epochs": epochs,
            "batches": " ".join(map(str, seen.batches)),
            **comparison.model_dump(include={"endpoint", "output", "tolerance"}),
            "onnx": f"{comparison.onnx:.3g}",
            "saved_model": f"{comparison.saved_model:.3g}",
        }
        for comparison in seen.comparisons
    ]


def main() -> None:
    """Measure every entry and write the CSV."""
    rows = []
    for entry in aezoo.list_models():
        rows += measure(entry)
        print(*rows[-1].values(), flush=True)
        with RESULTS.open("w", newline="") as file:
            file.write("# python benchmarks/export_parity.py\n")
            writer = csv.DictWriter(file, (*COLUMNS, "onnx", "saved_model"), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
