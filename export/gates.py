"""How much worse a variant's answers may be, on real test rows."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from aezoo.data import DataSet
from aezoo.data.rows import Rows
from aezoo.endpoints import Endpoint
from aezoo.errors import ZooError
from aezoo.export.probe import Arrays, probe_inputs
from aezoo.specs import CHUNK, EndpointSpec, TensorSpec, check_inputs
from aezoo.spread import evenly
from aezoo.zoo_model import ZooModel

TEST_ROWS = 1000
CALIBRATION_ROWS = 200
MOST_BYTES = 2**28  # of test rows; large pictures are measured on fewer

# What is measured, and the most that a variant may have of it.
LIMITS = {
    "increase of the reconstruction error": 0.02,  # of the mean squared error, relative
    "loss of Dice": 0.005,  # against the true masks; without them, against those of float32
    "loss of AUROC": 0.005,  # where the rows have labels and the model saw some classes only
    "mean change of the score": 0.02,  # relative to the mean score
    "changed decisions": 0.01,  # fraction of rows
    "relative difference": 0.1,  # root mean square, of the spread of what float32 answers
}


@dataclasses.dataclass(frozen=True)
class Measured:
    """One measure of one output: the lower the better, 0 where nothing changed."""

    output: str
    measure: str
    value: float


class MeasuringRows:
    """Rows to calibrate variants on and rows to measure them on, as the endpoints take them.

    Args:
        model: The float32 model.
        endpoints: Its endpoints.
        data: With test rows; calibration rows are those of that role, else validation or
            training rows.
        part: Rows that are asked at once.

    Attributes:
        origin: Where the rows came from, in words.
        count: How many test rows measure.
        part: Rows that are asked at once.

    Raises:
        ZooError: If the data set has no test rows.
    """

    def __init__(self, model: ZooModel, endpoints: list[Endpoint], data: DataSet, part: int):
        if data.test is None:
            raise ZooError(
                "A variant is measured on test rows, and the data have none.",
                received=data.name,
                do="Give data with a test part, or a larger data.test.",
            )
        self.part = part
        shown = _some(data.calibration or data.validation or data.train, CALIBRATION_ROWS)
        test = _some(data.test, TEST_ROWS)
        self.original, self.targets, self.count = test.array(), test.targets, len(test)
        self.anomalous = _anomalous(data, test.labels)
        self.origin = f"{self.count} test rows of {data.name}"
        self._calibration = self._inputs(model, shown)
        self._test = self._inputs(model, test)
        self._expected = {e.name: self.answers(e.spec, lambda x, e=e: e(**x)) for e in endpoints}

    def _inputs(self, model: ZooModel, rows: Rows) -> Arrays:
        """Return every input for the rows: a whole length, the calibrated threshold."""
        taken = [tensor for spec in model.endpoints for tensor in spec.inputs]
        given = {
            t.name: np.full((len(rows), *t.shape), t.default, t.dtype)
            for t in taken
            if t.default is not None
        }
        names = {tensor.name for tensor in taken}
        given |= {k: v for k, v in model.inputs_of(rows).items() if k in names}
        return probe_inputs(model, {k: (v, "") for k, v in given.items()}, len(rows))[0]

    def answers(self, spec: EndpointSpec, ask: Callable[[Arrays], Arrays]) -> Arrays:
        """Return the answers to all test rows, asked a part at a time."""
        asked = self.test_inputs(spec)
        starts = range(0, self.count, self.part)
        parts = [ask({k: v[i : i + self.part] for k, v in asked.items()}) for i in starts]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def calibration(self, spec: EndpointSpec) -> list[Arrays]:
        """Return the inputs of an endpoint, a few rows at a time."""
        rows = check_inputs(spec, {t.name: self._calibration[t.name] for t in spec.inputs})
        step = min(self.part, 10)
        count = len(rows[spec.inputs[0].name])
        return [{k: v[i : i + step] for k, v in rows.items()} for i in range(0, count, step)]

    def test_inputs(self, spec: EndpointSpec) -> Arrays:
        """Return the inputs of an endpoint for the test rows."""
        return check_inputs(spec, {t.name: self._test[t.name] for t in spec.inputs})

    def expected(self, spec: EndpointSpec) -> Arrays:
        """Return what Keras answers to the test rows."""
        return self._expected[spec.name]


def measure(spec: EndpointSpec, rows: MeasuringRows, answered: Arrays) -> list[Measured]:
    """Measure every output of an endpoint.

    Args:
        spec: The endpoint.
        rows: The test rows.
        answered: What the variant answered.

    Raises:
        ZooError: If there is nothing to measure, for then no gate could close.
    """
    expected = rows.expected(spec)
    measured = [
        Measured(tensor.name, name, float(value))
        for tensor in spec.outputs
        for name, value in _measures(tensor, rows, expected[tensor.name], answered[tensor.name])
    ]
    if not measured:
        raise ZooError("Nothing that it answers can be measured.")
    return measured


def _measures(
    tensor: TensorSpec, rows: MeasuringRows, b: np.ndarray, a: np.ndarray
) -> Iterator[tuple[str, float]]:
    if not np.isfinite(a).all():
        yield "relative difference", np.inf
    elif tensor.name == "reconstruction" and b.shape == rows.original.shape and b.dtype.kind == "f":
        before, after = (_squared_error(tensor, rows.original, x) for x in (b, a))
        yield "increase of the reconstruction error", max(0.0, after / max(before, 1e-30) - 1)
    elif tensor.name == "mask":
        truth = b if rows.targets is None else rows.targets.reshape(b.shape)
        yield "loss of Dice", max(0.0, _dice(truth, b) - _dice(truth, a))
    elif tensor.name == "score":
        yield "mean change of the score", np.abs(a - b).mean() / max(np.abs(b).mean(), 1e-30)
        if rows.anomalous is not None:
            before, after = (roc_auc_score(rows.anomalous, x.ravel()) for x in (b, a))
            yield "loss of AUROC", max(0.0, before - after)
    elif b.dtype.kind == "f" and tensor.name not in ("error_map", "probabilities"):
        spread = np.sqrt(np.square(b - b.mean(axis=0), dtype="float64").mean())
        off = np.sqrt(np.square(a.astype("float64") - b).mean())
        yield "relative difference", off / max(spread, 1e-30)
    elif b.dtype.kind != "f":
        yield "changed decisions", (a != b).mean()


def _squared_error(tensor: TensorSpec, rows: np.ndarray, answer: np.ndarray) -> float:
    """Return the mean squared error in model units."""
    scale = np.asarray(tensor.unit_scale)
    total = 0.0
    for i in range(0, len(rows), CHUNK):
        error = (rows[i : i + CHUNK].astype("float64") - answer[i : i + CHUNK]) / scale
        total += float(np.square(error).sum())
    return total / rows.size


def _dice(truth: np.ndarray, mask: np.ndarray) -> float:
    """Return Dice over all pixels, averaged over the classes but the background."""
    classes = [c for c in np.unique(truth) if c > 0] or [0]
    return float(
        np.mean(
            [
                2 * np.sum((truth == c) & (mask == c)) / (np.sum(truth == c) + np.sum(mask == c))
                for c in classes
            ]
        )
    )


def _some(rows: Any, count: int) -> Any:
    """Return an even spread of the rows."""
    count = min(count, max(1, MOST_BYTES * len(rows) // max(1, rows.nbytes)))
    return rows.take(evenly(len(rows), count))


def _anomalous(data: DataSet, labels: np.ndarray | None) -> np.ndarray | None:
    """Return which rows are of classes that training left out, None if that is not known."""
    if labels is None or data.section.train_classes is None:
        return None
    numbers = {name: number for number, name in (data.class_names or {}).items()}
    normal = [numbers.get(name, name) for name in data.section.train_classes]
    anomalous = ~np.isin(labels, normal)
    return anomalous if 0 < anomalous.mean() < 1 else None
