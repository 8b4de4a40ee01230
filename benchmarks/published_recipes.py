"""The published recipes of Vallina_AE, Conv_AE and denoise_AE on the full data, five seeds each.

    python benchmarks/published_recipes.py                     # all, about two hours on two cores
    python benchmarks/published_recipes.py --only conv_ae

Pictures are binarised at .5 and the validation rows are the test rows, as in the source
(EvanstsaiTW, AE_01_keras), so that the figures compare. Rows already in the CSV are kept.
"""

import argparse
import csv
import tempfile
import time
from pathlib import Path

import aezoo

RESULTS = Path(__file__).parent.parent / "results" / "published_recipes.csv"
COLUMNS = ("entry", "data", "epochs", "seed", "best_epoch", "val_bce", "reference", "seconds")
# entry -> data, epochs, the source's own best validation cross-entropy
RECIPES = {
    "vallina_ae": ("mnist", 94, 0.1709),
    "conv_ae": ("mnist", 19, 0.0196),
    "denoise_ae": ("fashion_mnist", 12, 0.0308),
}
SEEDS = range(5)


def rows_so_far() -> list[dict]:
    """Return the rows of the CSV, none if there is no file."""
    if not RESULTS.is_file():
        return []
    with RESULTS.open(newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def write(rows: list[dict]) -> None:
    """Write the CSV, sorted, with the command that makes it."""
    rows = sorted(rows, key=lambda row: (list(RECIPES).index(row["entry"]), int(row["seed"])))
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("w", newline="") as file:
        file.write("# python benchmarks/published_recipes.py\n")
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def measure(entry: str, seed: int) -> dict:
    """Train one recipe with one seed and return its row."""
    data, epochs, reference = RECIPES[entry]
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = aezoo.train(
            entry,
            data,
            out=Path(folder) / "run",
            verbose=False,
            epochs=epochs,
            seed=seed,
            binarize=0.5,
            validation="test",
        )
    best = min(run.history, key=lambda row: row["val_loss"])
    return {
        "entry": entry,
        "data": data,
        "epochs": epochs,
        "seed": seed,
        "best_epoch": best["epoch"],
        "val_bce": f"{best['val_loss']:.5f}",
        "reference": reference,
        "seconds": round(time.perf_counter() - started),
    }


def main() -> None:
    """Fill in the rows that are missing and print them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=list(RECIPES))
    arguments = parser.parse_args()
    for seed in SEEDS:
        for entry in RECIPES:
            rows = rows_so_far()
            done = {(row["entry"], int(row["seed"])) for row in rows}
            if (entry, seed) in done or (arguments.only and entry != arguments.only):
                continue
            row = measure(entry, seed)
            write([*rows_so_far(), row])
            print(row, flush=True)
    for entry, (data, _, reference) in RECIPES.items():
        values = [float(row["val_bce"]) for row in rows_so_far() if row["entry"] == entry]
        if values:
            print(f"{entry} on {data}: best {min(values):.4f} of {values}; source {reference}")


if __name__ == "__main__":
    main()
