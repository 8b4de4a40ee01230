"""What models share that tell the class of a row.

Targets are classes `(B,)`, whole numbers from 0 to `classes - 1`; `aezoo.train` takes the labels of
the data set.
"""

import numpy as np
from keras import ops
from keras.metrics import SparseCategoricalAccuracy

from aezoo.endpoints import Endpoint, EndpointSpec, TensorSpec
from aezoo.errors import ZooError
from aezoo.specs import UNLABELLED, label_spec


class Classifier:
    """Stands before a base class of models, and gives them an endpoint `classify`.

    The model sets `classes`, and `lowest_class` to `UNLABELLED` where rows may be without one.
    """

    classes: int
    class_names: tuple[str, ...] = ()  # in the order of the classes, where they are known
    lowest_class = 0
    learns_labels = True

    def probabilities_of(self, x):
        """Return the probabilities of the classes for rows in model units, (B, classes)."""
        return self(x, training=False)

    def metric(self, name: str):
        """Return the metric that a recipe means; what Keras makes of a name, `fit` traces twice."""
        return SparseCategoricalAccuracy(name) if name == "accuracy" else super().metric(name)

    # ---- targets ----

    def target_of(self, x):
        """Raise: a row does not say its class.

        Raises:
            ZooError: Always.
        """
        raise ZooError(
            f"{self.name} needs a target: a class for each row.",
            do=f"Call fit(x, y) with {self._wanted()}.",
        )

    def check_targets(self, x, y, name: str) -> None:
        """Refuse missing classes and numbers that are none; batches and tensors pass."""
        if y is None and isinstance(x, np.ndarray):
            self.target_of(x)
        if isinstance(y, np.ndarray) and y.size:
            whole = y.ndim == 1 and y.dtype.kind in "iu"
            if not whole or y.min() < self.lowest_class or y.max() >= self.classes:
                raise ZooError(
                    f"{name} holds classes that {self.name} does not know.",
                    received=f"{y.dtype} {y.shape} from {y.min():g} to {y.max():g}",
                    do=f"Give {self._wanted()}.",
                )

    def _wanted(self) -> str:
        unknown = f", {UNLABELLED} where it is not known" if self.lowest_class == UNLABELLED else ""
        return f"whole numbers from 0 to {self.classes - 1}{unknown}, shape (rows,)"

    def example_targets(self, x) -> np.ndarray:
        """Return classes drawn with a fixed seed, one for each row of `x`."""
        rng = np.random.default_rng(0)
        return rng.integers(self.lowest_class, self.classes, len(x), dtype="int32")

    def prepare_targets(self, y):
        """Return the classes of a data set as they are."""
        return y

    # ---- endpoint ----

    def classify_endpoint(self) -> Endpoint:
        """Return `classify`: `probabilities` and the most probable `label`."""
        probabilities = TensorSpec(
            "probabilities", (self.classes,), axes=("class",), low=0.0, high=1.0
        )
        named = ", ".join(f"{number} {name}" for number, name in enumerate(self.class_names))
        label = label_spec(self.classes, f"The most probable class{named and ': '}{named}.")

        def classify(inputs):
            p = self.probabilities_of(self.rows_of(inputs))
            likeliest = ops.top_k(p, 1)[1]  # an argmax of floats does not convert to ONNX
            return {"probabilities": p, "label": ops.cast(likeliest, "int32")}

        spec = EndpointSpec(
            "classify", self.row_specs(), (probabilities, label), "The class of a row."
        )
        return Endpoint(spec, classify)
