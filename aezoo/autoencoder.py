"""The base class of autoencoders: an encoder, a decoder, and a `call` that chains them.

    x -> encoder -> code -> decoder -> reconstruction            (model units, float32)

The input is the target where none is given. Endpoints: reconstruct, encode, decode, score,
detect once calibrated, localize once it has a localizer, and cluster once it has an assigner.
"""

import dataclasses

import numpy as np
from keras import ops

from aezoo.endpoints import Endpoint, EndpointSpec, TensorSpec
from aezoo.errors import ZooError
from aezoo.zoo_model import AXES_OF, ZooModel


class Autoencoder(ZooModel):
    """A Keras model that reconstructs its input.

    A subclass computes an encoder and a decoder and hands them over; its `__init__` signature is
    the schema of its YAML. Arguments are recorded, so no subclass writes `get_config`.

    Args:
        encoder: Maps `(B, *input_shape)` to `(B, *latent_shape)`, built.
        decoder: Maps `(B, *latent_shape)` to `(B, *input_shape)`, built.
        output_range: `"unit"` if the decoder answers in [0, 1], `"real"` if unbounded.
        loss: The reconstruction loss that `build` compiles where the recipe names none.
        terms: Names of further loss terms, each given by `add_term` in `call`.

    Example:
        >>> from aezoo.models.dense import DenseAE
        >>> model = DenseAE(input_shape=(6,), hidden=(4,), latent_dim=2)
        >>> model(np.zeros((3, 6), "float32")).shape
        TensorShape([3, 6])
    """

    def target_of(self, x):
        """Return the target that an input stands for where none is given."""
        return x

    def check_targets(self, x, y, name: str) -> None:
        """Refuse labels, arrays of another shape than rows have, and non-finite values.

        Raises:
            ZooError: With what this model takes as a target.
        """
        if isinstance(y, np.ndarray) and y.ndim == 1:
            raise ZooError(
                f"{name} holds labels; {self.name} reconstructs rows and takes none.",
                received=y.shape,
                do="Call fit(x), or fit(noisy, clean) with rows as the target.",
            )
        if y is not None:
            self.check_rows(y, name)

    def prepare_targets(self, y):
        """Return targets of a data set, such as clean pictures, in model units."""
        return self.preprocessing.apply(y)

    # ---- endpoints ----

    def make_endpoints(self) -> list[Endpoint]:
        """Return the endpoints; a subclass adds or replaces some."""
        made = [
            self._reconstruct_endpoint(),
            self._encode_endpoint(),
            self._decode_endpoint(),
            self.score_endpoint(self.scorer),
        ]
        made += [self._detect_endpoint()] if self.calibration else []
        made += [self._localize_endpoint()] if self.localizer else []
        return made + ([self._cluster_endpoint()] if self.assigner else [])

    def answer_specs(self) -> tuple[TensorSpec, ...]:
        """Return the specs of what `answers` gives."""
        return (
            TensorSpec(
                "reconstruction",
                self.input_shape,
                "float32",
                AXES_OF[self.input_name],
                unit_scale=self.preprocessing.unit_scale,
                description="The input as the code remembers it, in user units.",
            ),
        )

    def answers(self, y):
        """Return the outputs of `reconstruct` and `decode` for what the decoder gave."""
        return {"reconstruction": self.preprocessing.invert(y)}

    def _reconstruct_endpoint(self) -> Endpoint:
        def reconstruct(inputs):
            return self.answers(self(self.rows_of(inputs), training=False))

        spec = EndpointSpec(
            "reconstruct", self.row_specs(), self.answer_specs(), "Encode and decode."
        )
        return Endpoint(spec, reconstruct)

    def _decode_endpoint(self) -> Endpoint:
        def decode(inputs):
            taken = self.decoder_input(inputs["latent"], inputs)
            return self.answers(self.decoder(taken, training=False))

        taken = (self.latent_spec(), *self.condition_specs())
        spec = EndpointSpec("decode", taken, self.answer_specs(), "From code to row.")
        return Endpoint(spec, decode)

    # ---- scores ----

    def error_map(self, x, reconstruction):
        """Return the squared error, averaged over channels: (B, H, W, C) -> (B, H, W)."""
        squared = ops.square(ops.cast(x, "float32") - ops.cast(reconstruction, "float32"))
        return squared if squared.ndim == 2 else ops.mean(squared, axis=-1)

    def scored(self, x):
        """Return the rows that `scores` compares the reconstruction with, (B, *input_shape)."""
        return self.target_of(x)

    def scores(self, x):
        """Return `score` (B, 1), the mean of `error_map`, and the map, in model units."""
        error_map = self.error_map(self.scored(x), self(x, training=False))
        flat = ops.reshape(error_map, (-1, int(np.prod(error_map.shape[1:]))))
        return {"score": ops.mean(flat, axis=-1, keepdims=True), "error_map": error_map}

    def score_specs(self) -> tuple[TensorSpec, ...]:
        """Return the specs of what `scores` gives."""
        shape, axes = self.input_shape, AXES_OF[self.input_name]
        if len(shape) > 1:
            shape, axes = shape[:-1], axes[:-1]
        return (
            TensorSpec("score", (1,), axes=("score",), description="Mean squared error."),
            TensorSpec("error_map", shape, axes=axes, description="Squared error by place."),
        )

    def score_endpoint(self, scorer=None) -> Endpoint:
        """Return the endpoint `score` by a scorer of `aezoo.scorers`, or by the model's own score.

        The model's `scorer`, and the threshold of its scores, stay as they are.
        """
        specs = self.score_specs()
        if scorer:
            specs = tuple(
                dataclasses.replace(
                    spec, description=scorer.description, unit_scale=scorer.unit_scale
                )
                if spec.name == "score"
                else spec
                for spec in specs
            )

        def score(inputs):
            x = self.rows_of(inputs)
            outputs = self.scores(x)
            return outputs | {"score": scorer(self, x, outputs)} if scorer else outputs

        return Endpoint(EndpointSpec("score", self.row_specs(), specs, "How odd a row is."), score)

    def _detect_endpoint(self) -> Endpoint:
        threshold = TensorSpec(
            "threshold",
            (1,),
            axes=("threshold",),
            low=None if self.scorer else 0.0,
            description="Scores above it are anomalous; the default is the calibrated one.",
            default=float(self.calibration["threshold"]),
        )
        decision = TensorSpec(
            "anomalous", (1,), "bool", ("decision",), description="score > threshold."
        )

        score = self.score_endpoint(self.scorer)

        def detect(inputs):
            scores = score.function(inputs)
            # Not `score > threshold`: NaN, the score of values beyond all bounds, alarms.
            normal = scores["score"] <= inputs["threshold"]
            return scores | {"anomalous": ops.logical_not(normal)}

        spec = EndpointSpec(
            "detect",
            (*self.row_specs(), threshold),
            (*score.spec.outputs, decision),
            "Normal or not.",
        )
        return Endpoint(spec, detect)

    def _localize_endpoint(self) -> Endpoint:
        error_map = self.score_endpoint().spec.tensor("error_map")
        spec = dataclasses.replace(
            error_map,
            name="anomaly_map",
            description="Above 1 a place is odd.",
            unit_scale=self.localizer.unit_scale,
        )

        def localize(inputs):
            x = self.rows_of(inputs)
            return {"anomaly_map": self.localizer(self.scores(x)["error_map"])}

        described = "Where a row is odd."
        return Endpoint(EndpointSpec("localize", self.row_specs(), (spec,), described), localize)

    # ---- clusters ----

    def _cluster_endpoint(self) -> Endpoint:
        assigner = self.assigner
        count = len(assigner.centres) if assigner.constants else None  # while it is being loaded
        probabilities = TensorSpec(
            "probabilities",
            (count,),
            axes=("cluster",),
            low=0.0,
            high=1.0,
            unit_scale=assigner.unit_scale,
            description=assigner.description,
        )
        number = TensorSpec(
            "cluster", (1,), "int32", ("cluster",), description="The most probable one, from 0."
        )

        def cluster(inputs):
            p = assigner(self.codes(self.rows_of(inputs))["latent"])
            likeliest = ops.top_k(p, 1)[1]  # an argmax of floats does not convert to ONNX
            return {"probabilities": p, "cluster": ops.cast(likeliest, "int32")}

        spec = EndpointSpec(
            "cluster", self.row_specs(), (probabilities, number), "The cluster of a row."
        )
        return Endpoint(spec, cluster)
