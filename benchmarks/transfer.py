"""A hundred labels: an encoder that has seen 60,000 pictures without any, and what it is worth.

    AEZOO_DATA=... python benchmarks/transfer.py        # results/tasks/transfer.csv

`dec_ae` rebuilds all training pictures upright that come slanted and moved (RUNS/<data>, kept for
the next time). Then 10 labels of each class are drawn, ten times, and three networks of one shape
learn them: the encoder frozen under a head that is solved, all of it fine-tuned from there, and all
weights new; the latter two by one recipe, on changed pictures as well. Beside them, an SVM (RBF) on
the pixels. Test rows measure once; --choose measures 2,000 validation rows by other draws, and the
SVM's C.
"""

import argparse
import math
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from task_table import Figure, write

import aezoo
from aezoo.augment import augment
from aezoo.data import Rows, load
from aezoo.tasks.transfer import answers, drawn, svm
from aezoo.transfer import fit_head, from_scratch

BASE = {"latent_dim": 32, "level": 0.75, "epochs": 12}
LABELS, DRAWS, BATCH = 100, 10, 32
EPOCHS, PASS = 8, 1024  # an epoch sees so many rows, each of the hundred about ten times
RATE, LAYER_DECAY, DROPOUT = 1e-3, 0.8, 0.3
AUGMENT = {"mnist": ("shift",), "fashion_mnist": ("flip_horizontal", "shift")}
SVM_C = 10.0


def pretrained(data: str, runs: Path):
    """Return the data set and the model that has seen its training pictures."""
    run = runs / data
    if not run.exists():
        aezoo.train("dec_ae", data, out=run, **BASE)
    return load(data), aezoo.load(run)


class Learner:
    """A network that learns from draw after draw, each time from the same weights.

    Args:
        network: A compiled classifier.
        ways: In which training changes pictures.
        solved: Whether the head begins as the logistic regression of the codes.
    """

    def __init__(self, network, ways: tuple[str, ...], solved: bool = True):
        self.network, self.ways, self.solved = network, ways, solved
        self.start = network.get_weights()
        self.blank = [np.array(v) for v in network.optimizer.variables]

    def fit(self, rows: Rows, seed: int, epochs: int = EPOCHS):
        """Return the network, trained on a few labelled rows."""
        self.network.set_weights(self.start)
        for variable, value in zip(self.network.optimizer.variables, self.blank, strict=True):
            variable.assign(value)
        x = np.asarray(self.network.preprocessing.apply(rows.array()))
        if self.solved:
            fit_head(self.network, x, rows.labels)
        if self.network.frozen:
            return self.network
        x, y = tf.constant(x), tf.constant(rows.labels)
        count = len(rows)

        def batch(step):
            key = tf.stack([tf.constant(seed, tf.int64), step])
            chosen = tf.random.experimental.stateless_shuffle(tf.range(count), key)[:BATCH]
            pictures = tf.ensure_shape(tf.gather(x, chosen), (BATCH, *rows.shape))
            return augment(pictures, tf.gather(y, chosen), self.ways, seed=(seed, step))

        rate = float(self.network.entry.train.learning_rate)
        schedule = keras.callbacks.LearningRateScheduler(
            lambda epoch: rate * 0.5 * (1 + math.cos(math.pi * epoch / epochs))
        )
        self.network.fit(
            tf.data.Dataset.counter(dtype=tf.int64).map(batch).prefetch(2),
            steps_per_epoch=PASS // BATCH,
            epochs=epochs,
            callbacks=[schedule],
            shuffle=False,
            verbose=0,
        )
        return self.network


def learners(model, data: str, rate=RATE, decay=LAYER_DECAY, dropout=DROPOUT) -> dict:
    """Return the networks by their names: on pictures as they are, then on changed ones."""
    head = {"dropout": dropout, "learning_rate": rate, "seed": 0}
    tuned = aezoo.classifier(model, 10, layer_decay=decay, **head)
    plain = aezoo.classifier(model, 10, **head)
    scratch, changed = from_scratch(plain, seed=0), AUGMENT[data]
    return {
        "frozen": Learner(aezoo.classifier(model, 10, frozen=True, **head), ()),
        "fine-tuned": Learner(tuned, ()),
        "from scratch": Learner(scratch, (), solved=False),
        f"fine-tuned, {' and '.join(changed)}": Learner(tuned, changed),
        f"from scratch, {' and '.join(changed)}": Learner(scratch, changed, solved=False),
    }


def accuracy(answered: np.ndarray, rows: Rows) -> float:
    """Return the share of rows that get their own class, in percent."""
    return 100.0 * float(np.mean(answered == rows.labels))


def measured(data: str, runs: Path, draws: int, choose: bool) -> dict[str, list[float]]:
    """Return the accuracy of each method, one for each draw."""
    dataset, model = pretrained(data, runs)
    rows, first = dataset.test, 0
    if choose:
        rows, first = dataset.validation.take(np.arange(2000)), 1000
    found: dict[str, list[float]] = {}
    methods = learners(model, data)
    for seed in range(first, first + draws):
        few = dataset.train.take(drawn(dataset.train.labels, LABELS, seed))
        for name, learner in methods.items():
            answered = answers(learner.fit(few, seed), rows)
            found.setdefault(name, []).append(accuracy(answered, rows))
        for c in (1.0, 10.0, 100.0) if choose else (SVM_C,):
            answered = svm(model, few, c)(rows)
            found.setdefault(f"SVM on pixels, RBF, C={c:g}", []).append(accuracy(answered, rows))
        print(
            data, seed, {name: round(values[-1], 2) for name, values in found.items()}, flush=True
        )
    return found


def main() -> None:
    """Measure both data sets, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="*", default=["fashion_mnist", "mnist"])
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--runs", type=Path, default=Path("runs/transfer"))
    parser.add_argument("--choose", action="store_true", help="validation rows, nothing written")
    args = parser.parse_args()
    table = []
    for data in args.data:
        found = measured(data, args.runs, args.draws, args.choose)
        beside = {n: np.mean(v) for n, v in found.items() if n.startswith(("from", "SVM"))}
        best = max(beside, key=beside.get)
        what = f"test accuracy in percent, {LABELS} labels"
        for name, values in found.items():
            ours = name not in beside
            method = f"dec_ae, 60,000 pictures: {name}" if ours else name
            goal = f"> {beside[best]:.1f}, {best}" if ours else ""
            table.append(Figure(data, what, method, ours, values, goal))
        print(data, {name: round(float(np.mean(v)), 2) for name, v in found.items()}, flush=True)
    if not args.choose:
        write("transfer", table, "python benchmarks/transfer.py")


if __name__ == "__main__":
    main()
