"""Whether a conditional generator gives what it is asked for: a classifier reads its rows."""

import numpy as np

from aezoo.data import DataSet
from aezoo.errors import ZooError
from aezoo.measures.generation import generated_pictures
from aezoo.measures.networks import reader_of, unit

PER_LABEL, SEED = 1000, 0


def label_reading(model, dataset: DataSet) -> dict[str, float]:
    """Return how many generated rows a classifier of real rows reads as the label asked for.

    The classifier is trained on the training rows, with a fixed seed; noise is N(0, I), 1,000 draws
    for each label, seeded.

    Args:
        model: With an endpoint `generate` of noise and label, of pictures.
        dataset: With labels.

    Returns:
        `read as asked` (share of all generated rows), `worst label` (the smallest share of one
        label), `accuracy of the reader` on the test rows, or the validation rows without them.

    Raises:
        ZooError: If the rows are no pictures, have no labels, or the model takes none.
    """
    inputs = {tensor.name for tensor in model.endpoint("generate").spec.inputs}
    if inputs != {"noise", "label"} or len(model.input_shape) != 3:
        raise ZooError(
            "Reading labels needs a model that generates pictures from noise and a label.",
            received=f"{model.name}, which generates {model.input_name} from {sorted(inputs)}",
        )
    held_out = dataset.test or dataset.validation
    labels = {rows.role: model.conditions_of(rows)["label"] for rows in (dataset.train, held_out)}
    reader = reader_of(dataset.train, model.classes)
    shares = [_share_read(model, reader, label) for label in np.unique(labels["train"])]
    read = reader.predict(unit(held_out.array()), batch_size=500, verbose=0)
    right = read.argmax(-1) == labels[held_out.role][:, 0]
    return {
        "read as asked": float(np.mean(shares)),
        "worst label": float(np.min(shares)),
        "accuracy of the reader": float(right.mean()),
    }


def _share_read(model, reader, label: int) -> float:
    labels = np.full((PER_LABEL, 1), label)
    pictures = generated_pictures(model, PER_LABEL, seed=SEED + int(label), label=labels)
    read = reader.predict(pictures, batch_size=500, verbose=0)
    return float((read.argmax(-1) == label).mean())
