"""Handwritten digits without labels: MNIST in ten clusters.

    python benchmarks/clustering.py                    # results/tasks/clustering.csv

The training rows of MNIST (54,000; 6,000 more choose the epoch by their reconstruction) train
`dec_ae` and are clustered; figures are of the 10,000 test rows, which nothing was fitted to, and of
all 70,000, as the field reports them. The clusters are those of the lowest inertia and the highest
likelihood. No label trains; the recipe was set by the loss, but the agreement of training rows with
their labels was in view while the strength of the distortion was chosen.

Beside it: k-means on the pixels, on as many principal components as the code has numbers, on the
codes of the network before its training; k-means and a mixture on the codes without refinement.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier
from task_table import Figure, write

import aezoo
from aezoo.data import DataSet, load
from aezoo.registry import build
from aezoo.tasks.clustering import Clusterer, agreement

K = 10
GOALS = {"dec": ">= 0.91", "kmeans": ">= 0.88"}


def figures(method: str, found: np.ndarray, data: DataSet, ours: bool = True, goal: str = ""):
    """Return the lines of clusters (70,000,), in the order train, validation, test."""
    truth = np.concatenate([rows.labels for rows in data.roles().values()])
    test = np.zeros(len(truth), bool)
    test[-len(data.test) :] = True
    for data_name, chosen in (("mnist, test", test), ("mnist, all", test | True)):
        for name, value in agreement(truth[chosen], found[chosen]).items():
            of_figure = goal if name == "accuracy" else ""
            yield Figure(data_name, f"{name} of 10 clusters", method, ours, [value], of_figure)


def kmeans(train: np.ndarray, every: np.ndarray) -> np.ndarray:
    """Return the clusters of all rows by k-means fitted to 10,000 training rows."""
    some = train[:: max(1, len(train) // 10_000)]
    return KMeans(K, n_init=3, random_state=0).fit(some).predict(every)


def controls(data: DataSet, every: np.ndarray):
    """Yield the lines of what is compared with."""
    count = len(data.train)
    flat = every.reshape(len(every), -1).astype("float32") / np.float32(255)
    yield from figures("k-means on pixels", kmeans(flat[:count], flat), data, False)
    axes = PCA(10, random_state=0).fit(flat[:count]).transform(flat)
    yield from figures(
        "k-means on 10 principal components", kmeans(axes[:count], axes), data, False
    )
    untrained = build("dec_ae", seed=0)
    untrained.fit_preprocessing(every[:1000])
    codes = untrained.endpoint("encode")(image=every)["latent"]
    found = kmeans(codes[:count], codes)
    yield from figures("k-means on the codes of dec_ae untrained", found, data, False)


def main() -> None:
    """Train, cluster, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30, help="of the autoencoder")
    parser.add_argument("--refine", type=int, default=6, help="epochs of DEC, at most")
    parser.add_argument("--run", type=Path, help="its run folder, if it is trained already")
    parser.add_argument("--out", type=Path, help="keep the refined model there, a .keras file")
    args = parser.parse_args()
    command = f"python benchmarks/clustering.py --epochs {args.epochs} --refine {args.refine}"
    data = load("mnist")
    began = time.perf_counter()
    if args.run is None:
        with tempfile.TemporaryDirectory(prefix="aezoo-") as folder:
            out = Path(folder) / "run"
            model = aezoo.train("dec_ae", data, out=out, epochs=args.epochs, figures=False).model
    else:
        model = aezoo.load(args.run)
    every = np.concatenate([rows.array() for rows in data.roles().values()])
    count = len(data.train)
    lines = list(controls(data, every))
    for method in ("kmeans", "mixture"):
        fitted = Clusterer(K, model, method).fit_data(data)
        name = f"dec_ae and {'k-means' if method == 'kmeans' else 'a mixture'} on its codes"
        lines += figures(name, fitted.predict(every), data, goal=GOALS.get(method, ""))
    refined = Clusterer(K, model, "dec", epochs=args.refine, verbose=True).fit_data(data)
    codes, led = fitted.transform(every), refined.groups_.argmax(axis=1)
    found = KNeighborsClassifier(10).fit(codes[:count], led).predict(codes)
    found[:count] = led
    lines += figures("dec_ae and a mixture on a UMAP of its codes", found, data)
    name = "dec_ae refined by deep embedded clustering"
    lines += figures(name, refined.predict(every), data, goal=GOALS["dec"])
    if args.out is not None:
        aezoo.save(refined.model_, args.out)
    write("clustering", lines, command)
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
