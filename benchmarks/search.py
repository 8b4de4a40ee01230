"""Search by likeness on Fashion-MNIST: which rows of the 60,000 are nearest to those of the test.

    python benchmarks/search.py            # results/tasks/search.csv

A dense autoencoder with a code of 64 numbers is trained on the 60,000 training pictures without
labels, which are indexed; the test pictures ask. Relevant is what is of the same class: labels
measure and do nothing else. Controls: distances of pixels and of 64 main components, Euclidean and
by the cosine. The metric was chosen on rows of the training part. Times are of one query by one
thread, in turn with the others, so that a busy machine is as busy for all of them.
"""

import argparse
import statistics
import tempfile
import time

import faiss
import numpy as np
from sklearn.decomposition import PCA
from task_table import Figure, write

import aezoo
from aezoo.data import load
from aezoo.measures.retrieval import mean_average_precision, precision_at
from aezoo.tasks.nearest import exact, squares_of
from aezoo.tasks.search import Index

RECIPE = {
    "hidden": (512,),
    "latent_dim": 64,
    "latent_activation": "linear",
    "batch_size": 128,
    "learning_rate": 2e-3,
    "schedule": "cosine",
    "seed": 0,
}
BLOCK = 200  # queries ranked at once


def ranked(among, asked, labels, asked_labels) -> tuple[float, float]:
    """Return P@10 and mAP, with all rows ranked by Euclidean distance.

    The distances are sorted with the relevance as their last bit, which is much faster than to sort
    positions and look the relevance up.
    """
    squares, precise, average = squares_of(among), [], []
    for start in range(0, len(asked), BLOCK):
        some = asked[start : start + BLOCK]
        squared = squares + squares_of(some)[:, None] - 2 * some @ among.T
        keys = np.maximum(squared, 0).astype("float32").view("uint32")
        relevant = labels == asked_labels[start : start + BLOCK, None]
        keys = np.sort(keys & ~np.uint32(1) | relevant, axis=1)
        alike = (keys & 1).astype(bool)
        precise.append(precision_at(alike, 10) * len(some))
        average.append(mean_average_precision(alike) * len(some))
    return sum(precise) / len(asked), sum(average) / len(asked)


def unit(rows: np.ndarray) -> np.ndarray:
    """Return rows of length 1."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def milliseconds(ways: dict, asked: dict, count: int) -> dict[str, float]:
    """Return the median time of a query of each way, the ways in turn."""
    taken = {name: [] for name in ways}
    for number in range(count):
        for name, way in ways.items():
            row = asked[name][number : number + 1]
            began = time.perf_counter()
            way(row)
            taken[name].append(1000 * (time.perf_counter() - began))
    return {name: statistics.median(values) for name, values in taken.items()}


def main() -> None:
    """Train, index, ask, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--timed", type=int, default=300)
    args = parser.parse_args()
    command = f"python benchmarks/search.py --epochs {args.epochs} --queries {args.queries}"
    faiss.omp_set_num_threads(1)
    data = load("fashion_mnist", validation=0.0)
    rows, labels = data.train.array(), np.asarray(data.train.labels)
    asked, truth = data.test.array()[: args.queries], np.asarray(data.test.labels)[: args.queries]
    with tempfile.TemporaryDirectory() as folder:
        recipe = RECIPE | {"epochs": args.epochs}
        run = aezoo.train("simple_ae", data, out=f"{folder}/run", figures=False, **recipe)
    index = Index(run.model).add(rows)
    pixels, asked_pixels = (x.reshape(len(x), -1).astype("float32") / 255 for x in (rows, asked))
    main_parts = PCA(64, svd_solver="covariance_eigh").fit(pixels)
    parts, asked_parts = (main_parts.transform(x).astype("float32") for x in (pixels, asked_pixels))
    ways = {
        "codes of simple_ae, cosine": (index.codes, index.encode(asked)),
        "pixels": (pixels, asked_pixels),
        "pixels, cosine": (unit(pixels), unit(asked_pixels)),
        "64 main components": (parts, asked_parts),
        "64 main components, cosine": (unit(parts), unit(asked_parts)),
    }
    figures = []
    for number, (name, (among, queries)) in enumerate(ways.items()):
        found = ranked(among, queries, labels, truth)
        for figure, value in zip(("P@10", "mAP"), found, strict=True):
            goal = "above the others" if number == 0 else ""
            figures.append(Figure("fashion_mnist", figure, name, number == 0, [value], goal))
        print(name, found, flush=True)
    figures += _speed(index, ways, args.timed)
    write("search", figures, command)


def _speed(index: Index, ways: dict, count: int) -> list[Figure]:
    codes, pixels = ways["codes of simple_ae, cosine"], ways["pixels"]
    index.nearest(codes[1][:1], approximate=True)  # is built
    squares = squares_of(pixels[0])
    named = {
        "approximate search of codes": lambda q: index.nearest(q, 10, approximate=True),
        "exact search of codes": lambda q: index.nearest(q, 10),
        "exact search of pixels": lambda q: exact(pixels[0], q, 10, squares),
    }
    asked = {name: codes[1] if "codes" in name else pixels[1] for name in named}
    taken = milliseconds(named, asked, count)
    near, _ = index.nearest(codes[1][:1000], 10, approximate=True)
    truly, _ = index.nearest(codes[1][:1000], 10)
    shared = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(near, truly, strict=True)])
    slowest, data = taken["exact search of pixels"], "fashion_mnist, 60,000 rows"
    found = []
    for name, value in taken.items():
        ours, goal = "codes" in name, "< 1" if "approximate" in name else ""
        found.append(Figure(data, "ms of a query in the index", name, ours, [value], goal))
        found.append(Figure(data, "times as fast as pixels", name, ours, [slowest / value]))
    method = "approximate search of codes"
    return [*found, Figure(data, "share of the true 10 nearest", method, True, [float(shared)])]


if __name__ == "__main__":
    main()
