"""Train the small network whose features Fréchet distances are measured in.

    python benchmarks/feature_network.py        # minutes on two cores; needs mnist, fashion_mnist

It tells the ten digits and the ten kinds of clothes apart and has seen training rows alone. Its
weights are shipped, so that a distance means the same on every machine.
"""

from pathlib import Path

import numpy as np

from aezoo import data
from aezoo.data.rows import TrainRows
from aezoo.files import whole_file
from aezoo.measures.generation import WEIGHTS, feature_network
from aezoo.measures.networks import fit_classifier, unit
from aezoo.zoo_model import seeded

EPOCHS = 3


def joined(role: str) -> TrainRows:
    """Return digits and clothes of a role, labels 0 to 9 and 10 to 19."""
    sets = [getattr(data.load(name), role) for name in ("mnist", "fashion_mnist")]
    labels = [rows.labels + 10 * number for number, rows in enumerate(sets)]
    return TrainRows(np.concatenate([rows.array() for rows in sets]), np.concatenate(labels))


def main() -> None:
    """Train, show the accuracy on validation rows, write the weights."""
    with seeded(0):
        network = feature_network()
    fit_classifier(network, joined("train"), EPOCHS)
    held_out = joined("validation")
    loss, accuracy = network.evaluate(
        unit(held_out.array()), held_out.labels, batch_size=500, verbose=0
    )
    print(f"validation rows: cross-entropy {loss:.4f}, accuracy {accuracy:.4f}")
    weights = {f"{number}": value for number, value in enumerate(network.get_weights())}
    with whole_file(Path(WEIGHTS)) as part, part.open("wb") as file:
        np.savez_compressed(file, **weights)
    print(f"{WEIGHTS}: {Path(WEIGHTS).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
