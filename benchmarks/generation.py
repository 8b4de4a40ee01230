"""Generation: a plain autoencoder and a mixture over its codes, beside a VAE from N(0, I).

    python benchmarks/generation.py               # results/tasks/generation.csv

All are trained on the same rows of Fashion-MNIST with the same filters, width of the code, batch
size and epochs; real pictures are test rows. FID, KID, precision and recall are in the features of
the small network that is shipped; they compare with each other, not with those of Inception. The
control is training rows in place of generated ones.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from task_table import Figure, write

import aezoo
from aezoo.data import DataSet, TrainRows, ValidationRows, load
from aezoo.measures.likeness import likeness
from aezoo.tasks.generation import Generator

SAME = {"filters": (32, 64), "latent_dim": 16, "batch_size": 128}
CASES = [  # method, entry, sampler, ours
    ("rae and mixture", "rae", "mixture", True),
    ("conv_ae and mixture", "conv_ae", "mixture", True),
    ("conv_vae and mixture", "conv_vae", "mixture", True),
    ("conv_vae from N(0, I)", "conv_vae", "prior", False),
]
COUNT = 5000  # pictures of each kind


def main() -> None:
    """Train, draw, measure, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000, help="That train.")
    parser.add_argument("--epochs", type=int, default=15)
    args = parser.parse_args()
    source = load("fashion_mnist", validation=0.1)
    some = source.train.take(np.arange(args.rows)).array()
    held = source.validation.take(np.arange(1000)).array()
    data = DataSet("fashion_mnist", "image", TrainRows(some), ValidationRows(held))
    real = source.test.take(np.arange(COUNT)).array().astype("float32") / 255
    found, models = {}, {}
    for method, entry, sampler, _ in CASES:
        if entry not in models:
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "run"
                settings = SAME | {"epochs": args.epochs}
                run = aezoo.train(entry, data, out=out, figures=False, verbose=False, **settings)
                models[entry] = run.model
        drawn = Generator(models[entry], sampler).fit(some).sample(COUNT)
        found[method] = likeness(np.clip(drawn / 255, 0, 1).astype("float32"), real)
        print(method, found[method], flush=True)
    found["training rows, the control"] = likeness(some[:COUNT].astype("float32") / 255, real)
    ours = {method: is_ours for method, _, _, is_ours in CASES}
    beside = found["conv_vae from N(0, I)"]
    figures = []
    for figure in beside:
        for method, values in found.items():
            sign = "<" if figure in ("FID", "KID") else ">"
            goal = f"{sign} {beside[figure]:.3g}" if ours.get(method) else ""
            data = f"fashion_mnist, {args.rows} rows"
            one = Figure(data, figure, method, ours.get(method, False), [values[figure]], goal)
            figures.append(one)
    command = f"python benchmarks/generation.py --rows {args.rows} --epochs {args.epochs}"
    write("generation", figures, command)


if __name__ == "__main__":
    main()
