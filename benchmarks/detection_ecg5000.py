"""Abnormal heartbeats: ECG5000, a detector fitted to normal beats of the training part alone.

    python benchmarks/detection_ecg5000.py               # results/tasks/detection_ecg5000.csv

The 292 normal beats of the training part train and set the threshold, at a false-alarm rate of 5 %
that is fixed beforehand; a tenth of them, another one in each of ten splits, stops the training and
chooses the score. All 4,500 beats of the test part measure. Beside it, what labels of the test part
could have given: the best F1 of any threshold. The controls get their thresholds by the same rule.
"""

import argparse
import functools

import numpy as np
import task_table
from sklearn.metrics import f1_score, roc_auc_score

from aezoo.calibration import best_f1, conformal_threshold
from aezoo.data import load
from aezoo.tasks import baselines
from aezoo.tasks.anomaly import AnomalyDetector

ALPHA, NORMAL, AXES = 0.05, 1, 8
AUROC, F1, BEST, ALARMS = (
    "AUROC",
    "F1 of anomalous beats, threshold without labels",
    "F1 at the threshold that test labels would choose",
    "false-alarm rate, 0.05 asked",
)
GOALS = {AUROC: ">= 0.993", F1: ">= 0.96, least >= 0.94"}


def measured(scores: np.ndarray, threshold: float, odd: np.ndarray) -> dict[str, float]:
    """Return the figures of one split."""
    decided = scores > np.float32(threshold)
    return {
        AUROC: float(roc_auc_score(odd, scores)),
        F1: float(f1_score(odd, decided)),
        BEST: best_f1(odd, scores)[0],
        ALARMS: float(decided[~odd].mean()),
    }


def main() -> None:
    """Fit one detector per split, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, default=10)
    splits = parser.parse_args().splits
    data = load("ecg5000", validation=0.0)
    rows = data.train.array()[data.train.labels == NORMAL]
    test, odd = data.test.array(), data.test.labels != NORMAL
    found = {"AnomalyDetector": []}
    for split in range(splits):
        detector = AnomalyDetector(alpha=ALPHA, random_state=split).fit(rows)
        figures = measured(detector.decision_function(test), detector.threshold_, odd)
        found["AnomalyDetector"].append(figures)
        print(split, detector.score_, figures, flush=True)
    for name, fit in (
        ("nearest training beat", baselines.nearest_row),
        (f"PCA, {AXES} components", functools.partial(baselines.pca, size=AXES)),
    ):
        threshold = conformal_threshold(baselines.crosswise(fit, rows), ALPHA)
        found[name] = [measured(fit(rows)(test), threshold, odd)]
    figures = [
        task_table.Figure(
            "ECG5000",
            figure,
            method,
            ours := method == "AnomalyDetector",
            [one[figure] for one in values],
            GOALS.get(figure, "") if ours else "",
        )
        for figure in (AUROC, F1, BEST, ALARMS)
        for method, values in found.items()
    ]
    command = f"python benchmarks/detection_ecg5000.py --splits {splits}"
    task_table.write("detection_ecg5000", figures, command)


if __name__ == "__main__":
    main()
