"""False alarms of a detector that was asked for five in a hundred, over 20 seeds.

    python benchmarks/false_alarms.py                  # results/tasks/false_alarms.csv

Normal rows alone: the 1,797 digits and the 569 tumours of scikit-learn, and the normal heartbeats
of ECG5000. Each seed deals them anew: a third is unseen and counts alarms; of the rest half train
and half set the threshold. The mean rate should lie within three standard deviations of the rate
asked for, sigma = sqrt(a (1 - a) (1 / n_calibration + 1 / n_unseen) / seeds).
"""

import argparse
import math

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from task_table import Figure, write

from aezoo.data import load
from aezoo.tasks.anomaly import AnomalyDetector

SEEDS, ALPHA = 20, 0.05
SETTINGS = {"epochs": 3}  # the rate holds however well the model has learned


def normal_rows() -> dict[str, np.ndarray]:
    """Return rows of three kinds, all of them normal."""
    ecg = load("ecg5000")
    parts = [ecg.train, ecg.test]
    beats = np.concatenate([part.array()[part.labels == 1] for part in parts])
    return {
        "digits, pictures": (load_digits().images * 15.9).astype("uint8"),
        "breast_cancer, table": load_breast_cancer().data,
        "ecg5000, normal beats, series": beats[:1200],
    }


def rate(rows: np.ndarray, seed: int) -> tuple[float, float]:
    """Return the share of unseen rows that alarm, and its expected variance."""
    order = np.random.default_rng(seed).permutation(len(rows))
    unseen, given = order[: len(rows) // 3], order[len(rows) // 3 :]
    detector = AnomalyDetector(
        alpha=ALPHA, calibration=0.5, folds=0, random_state=seed, settings=SETTINGS
    ).fit(rows[given])
    calibrating = len(detector.calibration_scores_)
    variance = ALPHA * (1 - ALPHA) * (1 / calibrating + 1 / len(unseen))
    return float(detector.predict(rows[unseen]).mean()), variance


def main() -> None:
    """Measure, print, write the table."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    figures = []
    for name, rows in normal_rows().items():
        found, variances = zip(*(rate(rows, seed) for seed in range(SEEDS)), strict=True)
        sigma = math.sqrt(np.mean(variances) / SEEDS)
        goal = f"{ALPHA - 3 * sigma:.4f} to {ALPHA + 3 * sigma:.4f}"
        figures.append(
            Figure(name, "false alarms, asked for .05", "AnomalyDetector", True, found, goal)
        )
    write("false_alarms", figures, "python benchmarks/false_alarms.py")


if __name__ == "__main__":
    main()
