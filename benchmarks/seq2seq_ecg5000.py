"""Heart beats that a network trained on normal ones cannot remember: `seq2seq_ae` on ECG5000.

    AEZOO_DATA=data python benchmarks/seq2seq_ecg5000.py

Trains on normal rows of the training part (a fifth of them kept to choose the epoch), tests on all
4,500 test rows. Beside it stand PCA of the same code size and the nearest normal training row, on
the same rows, and the same networks untrained. The score is the squared error of the row, in the
model's own units. Nothing was chosen by a test row.
"""

import argparse
import csv
import statistics
import tempfile
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

import aezoo

FIELDS = (
    "method",
    "seed",
    "code",
    "epoch",
    "mse_validation",
    "mse_test_normal",
    "auroc",
    "command",
)


def measure(method, seed, code, epoch, rows, reconstruct, score=None) -> dict:
    """Return one row of the table: reconstruction in user units, and how well anomalies rank."""
    mse = {
        role: float(np.mean((reconstruct(x) - x) ** 2)) if reconstruct else ""
        for role, x in (("validation", rows["validation"]), ("normal", rows["normal"]))
    }
    x = rows["test"]
    scores = score(x) if score else ((reconstruct(x) - x) ** 2).mean(axis=(1, 2))
    return {
        "method": method,
        "seed": seed,
        "code": code,
        "epoch": epoch,
        "mse_validation": mse["validation"],
        "mse_test_normal": mse["normal"],
        "auroc": float(roc_auc_score(rows["anomalous"], scores)),
        "command": f"python benchmarks/seq2seq_ecg5000.py --seeds {rows['seeds']}",
    }


def of_model(model, method, seed, epoch, rows) -> dict:
    """Measure a network by its endpoints."""
    return measure(
        method,
        seed,
        model.latent_shape[0],
        epoch,
        rows,
        lambda x: model.endpoint("reconstruct")(series=x)["reconstruction"],
        lambda x: model.endpoint("score")(series=x)["score"][:, 0],
    )


def controls(code: int, rows) -> list[dict]:
    """Measure PCA and the distance to the nearest training row."""
    train = rows["train"].reshape(len(rows["train"]), -1)
    pca = PCA(code).fit(train)
    near = NearestNeighbors(n_neighbors=1).fit(train)

    def flat(x):
        return x.reshape(len(x), -1)

    def by_pca(x):
        return pca.inverse_transform(pca.transform(flat(x))).reshape(x.shape)

    return [
        measure("pca", "", code, "", rows, by_pca),
        measure("nearest row", "", "", "", rows, None, lambda x: near.kneighbors(flat(x))[0][:, 0]),
    ]


def summary(results: list[dict]) -> list[dict]:
    """Return mean and spread (standard deviation) over the seeds of the trained networks."""
    trained = [row for row in results if row["method"] == "seq2seq_ae"]
    if len(trained) < 2:
        return []
    made = []
    for name, reduce in (("mean", statistics.mean), ("spread", statistics.stdev)):
        values = {
            field: reduce(row[field] for row in trained)
            for field in ("mse_validation", "mse_test_normal", "auroc")
        }
        made.append(
            {**trained[0], "method": f"seq2seq_ae, {name}", "seed": "", "epoch": ""} | values
        )
    return made


def main() -> None:
    """Train the seeds, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", help="keep the run folders here, and go on with those there")
    parser.add_argument("--out", default="results/seq2seq_ecg5000.csv")
    args = parser.parse_args()
    runs = Path(args.runs or tempfile.mkdtemp())
    results = []
    for seed in args.seeds:
        folder = runs / f"seed-{seed}"
        if (folder / "checkpoint.npz").exists():
            run = aezoo.train(resume=folder)
        else:
            run = aezoo.train("seq2seq_ae", seed=seed, out=folder, jit=True)  # small batches
        rows = {
            "train": run.data.train.array(),
            "validation": run.data.validation.array(),
            "test": run.data.test.array(),
            "anomalous": run.data.test.labels != 1,
            "seeds": " ".join(map(str, args.seeds)),
        }
        rows["normal"] = rows["test"][~rows["anomalous"]]
        best = min(run.history, key=lambda row: row["val_loss"])
        untrained = aezoo.build("seq2seq_ae", seed=seed)
        untrained.preprocessing = run.model.preprocessing
        results.append(of_model(run.model, "seq2seq_ae", seed, best["epoch"], rows))
        results.append(of_model(untrained, "untrained", seed, 0, rows))
        print(results[-2], results[-1], sep="\n", flush=True)
    results += summary(results) + controls(run.model.latent_shape[0], rows)
    with Path(args.out).open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(results)
    print(Path(args.out).read_text())


if __name__ == "__main__":
    main()
