"""Filling in: cells of tables, time steps of series, pixels of pictures, beside scikit-learn.

    python benchmarks/imputation.py               # results/tasks/imputation.csv

Training rows have holes as test rows have them, drawn with the same seed for all methods. The error
is that of missing cells of test rows, in standard deviations: of each column of a table and each
time step of the series, of all pixels of pictures. `Imputer` chooses on validation rows that it
takes from the training rows. IterativeImputer regresses each column of a table on all others; on
20 of them drawn by correlation where a row has more than 40 values, and in 3 rounds of 10 for
Fashion-MNIST, which would take hours else. Fashion-MNIST: 1,000 rows train, 300 are tested.

No test cell chooses anything here, but errors on these test rows were in view while the recipe of
`Imputer` took its form: rows of other data sets would be the stricter judge.
"""

import argparse
import time
import warnings

import numpy as np
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401  makes the next line work
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from task_table import Figure, write

from aezoo.data import load
from aezoo.tasks.imputation import Imputer

TABLES = {
    "breast_cancer": datasets.load_breast_cancer,
    "wine": datasets.load_wine,
    "diabetes": datasets.load_diabetes,
}
CASES = [
    *((name, "cells", share) for share in (0.2, 0.5) for name in ("wine", "diabetes")),
    ("breast_cancer", "cells", 0.2),
    ("ecg5000", "stretches", 0.2),
    ("fashion_mnist", "squares", 0.16),
    ("breast_cancer", "cells", 0.5),
    ("digits", "pixels", 0.5),
    ("ecg5000", "stretches", 0.5),
    ("digits", "squares", 0.25),
]
PICTURES = ("digits", "fashion_mnist")
SEEDS = {
    "wine": 5,
    "diabetes": 5,
    "breast_cancer": 3,
    "ecg5000": 2,
    "digits": 2,
    "fashion_mnist": 1,
}
TRAINED, TESTED = 1000, 300  # rows of Fashion-MNIST
ECG_TEST = 1000
OURS = "Imputer"


def rows_of(name: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return training and test rows, standardised by the training rows."""
    if name == "ecg5000":
        data = load("ecg5000", validation=0.0)
        test = rng.permutation(len(data.test))[:ECG_TEST]
        train, test = data.train.array(), data.test.take(test).array()
    elif name == "fashion_mnist":
        data = load("fashion_mnist", validation=0.0)
        train, test = (
            rows.take(rng.permutation(len(rows))[:count]).array() / np.float32(255)
            for rows, count in ((data.train, TRAINED), (data.test, TESTED))
        )
    else:
        x = datasets.load_digits().images[..., None] if name == "digits" else TABLES[name]().data
        x = x[rng.permutation(len(x))]
        train, test = np.split(x, [round(0.7 * len(x))])
    axis = None if name in PICTURES else 0
    mean, spread = train.mean(axis=axis), train.std(axis=axis)
    return (train - mean) / spread, (test - mean) / spread


def holes_in(shape: tuple[int, ...], kind: str, share: float, rng) -> np.ndarray:
    """Return which cells are missing, booleans of this shape (N, ...)."""
    if kind in ("cells", "pixels"):
        return rng.random(shape) < share
    missing, sides = np.zeros(shape, bool), shape[1:-1]
    sizes = [round(side * share ** (1 / len(sides))) for side in sides]
    for row in missing:
        starts = [rng.integers(0, side - size + 1) for side, size in zip(sides, sizes, strict=True)]
        row[tuple(slice(start, start + n) for start, n in zip(starts, sizes, strict=True))] = True
    return missing


def baselines(width: int, seed: int) -> dict:
    """Return scikit-learn's imputers for rows of so many values."""
    near = 20 if width > 40 else None
    return {
        "SimpleImputer, mean": SimpleImputer(keep_empty_features=True),
        "KNNImputer": KNNImputer(keep_empty_features=True),
        f"IterativeImputer{', 20 columns' if near else ''}": IterativeImputer(
            n_nearest_features=near,
            max_iter=3 if width > 200 else 10,
            random_state=seed,
            keep_empty_features=True,
        ),
    }


def errors(name: str, kind: str, share: float, seed: int) -> dict[str, float]:
    """Return the error of each method on one draw of holes."""
    rng = np.random.default_rng(seed)
    train, test = rows_of(name, rng)
    train = np.where(holes_in(train.shape, kind, share, rng), np.nan, train)
    missing = holes_in(test.shape, kind, share, rng)
    opened = np.where(missing, np.nan, test)

    def error(filled: np.ndarray) -> float:
        return float(np.sqrt(np.mean(np.square(filled.reshape(test.shape) - test)[missing])))

    began = time.perf_counter()
    modality = {"ecg5000": "series"}.get(name, "image" if name in PICTURES else "features")
    tolerance = 0.01 if name == "fashion_mnist" else 0.001
    imputer = Imputer(modality=modality, random_state=seed, tolerance=tolerance).fit(train)
    found = {OURS: error(imputer.transform(opened))}
    print(
        name,
        imputer.entry_,
        imputer.error_,
        imputer.model_.latent_shape,
        f"{time.perf_counter() - began:.0f} s",
        flush=True,
    )
    for method, imputer in baselines(train[0].size, seed).items():
        fitted = imputer.fit(train.reshape(len(train), -1))
        found[method] = error(fitted.transform(opened.reshape(len(test), -1)))
    return found


def main() -> None:
    """Fill every case with every method, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", action="append", help="Only these; writes no table.")
    args = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # ten rounds are its default
    figures = []
    for name, kind, share in CASES:
        if args.data and name not in args.data:
            continue
        found: dict[str, list[float]] = {}
        for seed in range(SEEDS.get(name, 1)):
            for method, value in errors(name, kind, share, seed).items():
                found.setdefault(method, []).append(value)
        least = min(np.mean(values) for method, values in found.items() if method != OURS)
        for method, values in found.items():
            goal = f"< {least:.3f}" if method == OURS else ""
            data, figure = f"{name}, {share:.0%} of {kind}", "RMSE of missing cells"
            figures.append(Figure(data, figure, method, method == OURS, values, goal))
            print(data, method, np.round(values, 4), goal, sep="  ", flush=True)
        if not args.data:
            write("imputation", figures, "python benchmarks/imputation.py")


if __name__ == "__main__":
    main()
