"""The quickstart's table and picture, for the README.

    python benchmarks/quickstart.py

Runs what `aezoo quickstart` runs and writes results/quickstart.csv and
results/quickstart_reconstructions.png.
"""

import csv
import shutil
import tempfile
from pathlib import Path

from rich.console import Console

from aezoo.quickstart import run_quickstart

RESULTS = Path(__file__).parent.parent / "results"


def main() -> None:
    """Run and keep the figures."""
    with tempfile.TemporaryDirectory() as folder:
        measured = run_quickstart(Path(folder) / "out", Console())
        picture = Path(folder) / "out" / "figures" / "reconstructions.png"
        shutil.copy(picture, RESULTS / "quickstart_reconstructions.png")
    with (RESULTS / "quickstart.csv").open("w", newline="") as file:
        file.write("# python benchmarks/quickstart.py\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("method", "MSE", "PSNR", "SSIM"))
        for method, values in measured.items():
            writer.writerow((method, *(f"{value:.5f}" for value in values.values())))


if __name__ == "__main__":
    main()
