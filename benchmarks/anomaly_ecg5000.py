"""Abnormal heartbeats: ECG5000, a detector fitted to normal beats of the training part alone.

    python benchmarks/anomaly_ecg5000.py               # results/anomaly_ecg5000.csv

292 normal beats train, choose the score and set the threshold, at a false-alarm rate of 5 % that is
fixed beforehand; all 4,500 beats of the test part measure. Beside it, what labels of the test part
could have given: the best F1 of any threshold. The control is the distance to the nearest training
beat, with a threshold by the same rule.
"""

import argparse
import csv
import statistics
import time
from pathlib import Path

import numpy as np
from sklearn.metrics import f1_score, roc_auc_score

from aezoo.calibration import best_f1, conformal_threshold
from aezoo.data import load
from aezoo.tasks import baselines
from aezoo.tasks.anomaly import AnomalyDetector

ALPHA, NORMAL = 0.05, 1
FIELDS = (
    "method",
    "split",
    "score",
    "auroc",
    "false_alarms",
    "f1",
    "best_f1",
    "seconds",
    "command",
)


def measured(method, split, score, scores, threshold, odd, seconds, command) -> dict:
    """Return a row of the table."""
    decided = scores > threshold
    values = {
        "auroc": float(roc_auc_score(odd, scores)),
        "false_alarms": float(decided[~odd].mean()),
        "f1": float(f1_score(odd, decided)),
        "best_f1": best_f1(odd, scores)[0],
    }
    named = {"method": method, "split": split, "score": score}
    return named | values | {"seconds": seconds, "command": command}


def nearest_row(rows: np.ndarray, split: int, test: np.ndarray):
    """Return the distances of test rows to training rows, and the conformal threshold."""
    order = np.random.default_rng(split).permutation(len(rows))
    held = round(0.2 * len(rows))
    distance = baselines.nearest_row(rows[order[held:]])
    return distance(test), conformal_threshold(distance(rows[order[:held]]), ALPHA)


def main() -> None:
    """Fit one detector per split, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--out", default="results/anomaly_ecg5000.csv")
    args = parser.parse_args()
    command = f"python benchmarks/anomaly_ecg5000.py --splits {args.splits}"
    data = load("ecg5000", validation=0.0)
    rows = data.train.array()[data.train.labels == NORMAL]
    test, odd = data.test.array(), data.test.labels != NORMAL
    table = []
    for split in range(args.splits):
        began = time.perf_counter()
        detector = AnomalyDetector(alpha=ALPHA, random_state=split).fit(rows)
        seconds = round(time.perf_counter() - began)
        scores, threshold = detector.decision_function(test), np.float32(detector.threshold_)
        of_split = (odd, seconds, command)
        table.append(measured("detector", split, detector.score_, scores, threshold, *of_split))
        scores, threshold = nearest_row(rows, split, test)
        table.append(measured("nearest row", split, "", scores, threshold, odd, 0, command))
        print(table[-2], table[-1], sep="\n", flush=True)
    for method in ("detector", "nearest row"):
        of_method = [row for row in table if row["method"] == method]
        for name, reduce in (("mean", statistics.mean), ("least", min)):
            values = {f: reduce(r[f] for r in of_method) for f in ("auroc", "f1", "best_f1")}
            values["false_alarms"] = statistics.mean(r["false_alarms"] for r in of_method)
            named = {"method": f"{method}, {name}", "split": "", "score": "", "seconds": ""}
            table.append(named | values | {"command": command})
            print(table[-1])
    with Path(args.out).open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(table)


if __name__ == "__main__":
    main()
