"""Which pictures are of another class than those that a detector was fitted to.

    python benchmarks/one_class.py fashion_mnist         # results/tasks/one_class_fashion_mnist.csv
    python benchmarks/one_class.py mnist                 # one class is normal, nine are odd
    python benchmarks/one_class.py digits                # nine classes are normal, one is odd

Each class is the one in turn. The detector is fitted as it comes: it chooses its recipe and its
score without labels. MNIST and Fashion-MNIST train on their training part, and all of their test
part measures. Of scikit-learn's digits a fifth is the test part.
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from task_table import Figure, write

from aezoo.data import load
from aezoo.tasks import baselines
from aezoo.tasks.anomaly import AnomalyDetector

GOALS = {"fashion_mnist": ">= 0.93", "mnist": ">= 0.97", "digits": ">= 0.989"}
AXES = 32


def rows_of(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return training rows, their labels, test rows, their labels."""
    if name != "digits":
        data = load(name, validation=0.0)
        return data.train.array(), data.train.labels, data.test.array(), data.test.labels
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    rows = digits.images.astype("float32")[order] / 16
    cut, labels = len(rows) * 4 // 5, digits.target[order]
    return rows[:cut, ..., None], labels[:cut], rows[cut:, ..., None], labels[cut:]


def main() -> None:
    """Fit a detector for each class, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", choices=tuple(GOALS))
    name = parser.parse_args().data
    train, train_labels, test, test_labels = rows_of(name)
    one_is_normal = name != "digits"
    found: dict[str, list[float]] = {}
    for label in range(10):
        rows = train[(train_labels == label) == one_is_normal]
        odd = (test_labels != label) == one_is_normal
        detector = AnomalyDetector().fit(rows)
        methods = {
            "AnomalyDetector": detector.decision_function,
            "nearest training row": baselines.nearest_row(rows),
            f"PCA, {AXES} components": baselines.pca(rows, AXES),
        }
        for method, score in methods.items():
            found.setdefault(method, []).append(float(roc_auc_score(odd, score(test))))
        print(label, detector.score_, {m: round(v[-1], 4) for m, v in found.items()}, flush=True)
    figure = "AUROC, one class is " + ("normal" if one_is_normal else "odd")
    figures = [
        Figure(
            name, figure, method, ours := method == "AnomalyDetector", values, GOALS[name] * ours
        )
        for method, values in found.items()
    ]
    write(f"one_class_{name}", figures, f"python benchmarks/one_class.py {name}")


if __name__ == "__main__":
    main()
