"""The class under every model: an encoder, a decoder, and what is the same for all of them.

On top of plain Keras it adds four things: a target may be left out where the model has one of its
own; loss terms have names; constants that turn user units into model units; and endpoints.
"""

import contextlib
import dataclasses
import inspect
import random
from typing import Annotated

import keras
import numpy as np
from keras import ops
from pydantic import Field

from aezoo import losses, metrics
from aezoo.assigner import Assigner
from aezoo.config import Entry, TrainSection
from aezoo.endpoints import Endpoint, EndpointSpec, TensorSpec
from aezoo.errors import ZooError, closest_match
from aezoo.layers.preprocessing import Preprocessing
from aezoo.localizer import Localizer
from aezoo.optimizers import FusedAdam, LayerwiseAdam, depth_factors
from aezoo.scorers import Scorer

Width = Annotated[int, Field(ge=1)]  # a number of channels, units or rows, in a YAML
Weight = Annotated[float, Field(ge=0)]  # of a term of the loss, in a YAML
Share = Annotated[float, Field(ge=0, lt=1)]  # of units dropped, or of the past kept, in a YAML
EVALUATION_SEED = 0  # evaluation draws alike each time
# Parts that bring constants, which are saved under their names.
_FITTED = ("scorer", "localizer", "assigner")

INPUT_BY_RANK = {1: "features", 2: "series", 3: "image", 4: "video"}
AXES_OF = {
    "features": ("feature",),
    "tokens": ("time",),
    "series": ("time", "channel"),
    "image": ("height", "width", "channel"),
    "video": ("time", "height", "width", "channel"),
}


@contextlib.contextmanager
def seeded(seed: int | None):
    """Give the layers made inside repeatable initial weights; the caller's random state stays."""
    if seed is None:
        yield
        return
    before = random.getstate()  # Keras draws the seed of each initialiser from here
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)


@contextlib.contextmanager
def precision(policy: str):
    """Let the layers made inside have a dtype policy, such as `mixed_float16`."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


class ZooModel(keras.Model):
    """A Keras model with named loss terms, units and endpoints.

    `Autoencoder` and `Segmenter` build on it. A subclass of theirs computes an encoder and a
    decoder and hands them over; its `__init__` signature is the schema of its YAML. Arguments are
    recorded, so no subclass writes `get_config`.

    Args:
        encoder: Maps `(B, *input_shape)` to `(B, *latent_shape)`, built; None for a generator.
        decoder: Maps the code to the answer, built.
        output_range: `"unit"` if the decoder answers in [0, 1], `"real"` if unbounded.
        loss: The loss that `build` compiles where the recipe names none.
        terms: Names of further loss terms, each given by `add_term` in `call`.
    """

    modalities: tuple[str, ...] = ("image", "features", "series")  # what rows it can take
    learns_labels = False  # whether training takes the classes of rows as their targets
    main_term = "reconstruction_loss"  # the logged name of what `compile(loss=...)` replaces
    takes_targets = True  # whether `fit(x, y)` means something

    def __new__(cls, *args, **kwargs):
        """Record the arguments, so that `get_config` needs no code in a subclass."""
        model = super().__new__(cls, *args, **kwargs)
        with contextlib.suppress(TypeError):  # wrong arguments: __init__ says so itself
            bound = inspect.signature(cls.__init__).bind(model, *args, **kwargs)
            bound.apply_defaults()
            model.__dict__["arguments"] = dict(list(bound.arguments.items())[1:])
        return model

    def __init__(
        self,
        encoder: keras.Model | None,
        decoder: keras.Model,
        output_range: str = "real",
        loss: str | keras.losses.Loss | None = "mean_squared_error",
        terms: tuple[str, ...] = (),
    ):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.output_range, self.default_loss = output_range, loss
        # A list where there are several inputs: then the decoder's answer tells what a row is.
        shapes = (encoder and encoder.input_shape, decoder.output_shape)
        is_image = any(isinstance(shape, tuple) and len(shape) == 4 for shape in shapes)
        self.preprocessing = Preprocessing(white=1.0 if is_image else None)
        self.calibration = None
        self.scorer = None
        self.localizer = None
        self.assigner = None
        self.entry: Entry | None = None
        self.probe_rows: dict | None = None  # validation rows as `inputs_of` gives them, for export
        self.metrics_measured: dict | None = None  # by role, for the model card
        self._trackers = {name: keras.metrics.Mean(name=name) for name in (self.main_term, *terms)}
        self._terms: dict = {}  # this forward pass's values: name -> tensor
        self._evaluating = False
        self._endpoints: dict[str, Endpoint] | None = None
        self.built = True

    # ---- forward ----

    def call(self, x, training=False):
        """Return the answer to `x`, `(B, *input_shape)` in model units."""
        answer = self.decoder(self.encoder(x, training=training), training=training)
        return ops.cast(answer, "float32")  # in mixed precision too

    def add_term(self, name: str, value, weight: float = 1.0) -> None:
        """Add `weight * value` to the loss and log `value`, unweighted, under its name."""
        self.add_loss(weight * value)
        self._terms[name] = value

    def pair(self, x, y, training: bool):
        """Return what the model sees and what it should answer; without `y`, `target_of(x)`."""
        return x, (self.target_of(x) if y is None else y)

    def target_of(self, x):
        """Return the target that an input stands for where none is given.

        Raises:
            ZooError: Unless a subclass knows one.
        """
        raise ZooError(f"{self.name} needs a target.", do="Call fit(x, y).")

    def example_targets(self, x):
        """Return targets to try rows on, None where `target_of` knows them; the checks ask."""
        return None

    def prepare_targets(self, y):
        """Return targets of a data set as the loss takes them; labels need no change."""
        return y

    def loss_of(self, name: str | keras.losses.Loss) -> keras.losses.Loss:
        """Return the loss that a recipe means by this name."""
        return losses.get(name)

    def metric(self, name: str):
        """Return the metric that a recipe means by this name."""
        return metrics.get(name)

    @property
    def loss_terms(self) -> tuple[str, ...]:
        """The names of the logged losses: `loss`, the main term, what `add_term` may add."""
        return ("loss", *self._trackers)

    @property
    def players(self) -> dict[str, list]:
        """The logged name of each loss that is minimised, and the weights that minimise it."""
        return {"loss": self.trainable_weights}

    # ---- Keras: loss, metrics, steps ----

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the compiled loss plus every added term, and log each under its name."""
        target = self.target_of(x) if y is None else y
        total = super().compute_loss(x, target, y_pred, sample_weight, training)
        added = ops.sum([ops.sum(term) for term in self.losses]) if self.losses else 0.0
        rows = ops.shape(keras.tree.flatten(x)[0])[0]
        logged = {self.main_term: total - added} | self._terms
        for name, value in logged.items():
            self._trackers[name].update_state(value, sample_weight=rows)
        self._terms = {}
        return total

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Update the compiled metrics against the target, or `target_of(x)` where none is given."""
        target = self.target_of(x) if y is None else y
        return super().compute_metrics(x, target, y_pred, sample_weight)

    def train_step(self, data):
        """One optimizer step on a batch `x`, `(x, y)` or `(x, y, sample_weight)`."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        x, y = self.pair(x, y, training=True)
        return super().train_step((x, y, weight))

    def test_step(self, data):
        """Evaluate a batch; whatever is drawn at random is drawn with a fixed seed."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        x, y = self.pair(x, y, training=False)
        self._evaluating = True
        try:
            return super().test_step((x, y, weight))
        finally:
            self._evaluating = False

    def fit(self, x=None, y=None, *args, **kwargs):
        """`keras.Model.fit`; `y` may be missing if `target_of` knows it; bad rows are refused."""
        self._check_pair(x, y)
        _check_weight(keras.Model.fit, x, y, args, kwargs)
        self.forget()
        held_out = kwargs.get("validation_data")
        if isinstance(held_out, tuple):
            self._check_pair(*(*held_out, None)[:2], where=" of validation_data")
        return super().fit(x, y, *args, **kwargs)

    def pretrain(
        self, x, epochs: int, *, batch_size: int = 128, steps_per_epoch=None, callbacks=()
    ) -> list[dict]:
        """Prepare the weights before `fit`, in a way of a subclass' own, such as layer by layer.

        Args:
            x: Rows in model units, `(N, *input_shape)`, or a `tf.data.Dataset` of batches `(x,)`.
            epochs: Of each stage.
            batch_size: Where `x` is an array.
            steps_per_epoch: Where `x` is an endless dataset.
            callbacks: For the `fit` of each stage.

        Returns:
            One dict per stage and epoch, for `pretraining.csv`.

        Raises:
            ZooError: Unless a subclass has such a way.
        """
        raise ZooError(
            f"{self.name} has no pretraining.",
            received=f"pretrain_epochs={epochs}",
            do="Leave train.pretrain_epochs out.",
        )

    def targets_of(self, rows) -> np.ndarray | None:
        """Return the targets that `fit` takes for training rows, after `pretrain`.

        Args:
            rows: `aezoo.data.Rows`, with targets or without.
        """
        return rows.targets

    def compile_part(self, part: "ZooModel") -> None:
        """Compile a model that `pretrain` trains alone, its optimizer new but set like this one."""
        part.compile(
            type(self.optimizer).from_config(self.optimizer.get_config()),
            part.default_loss,
            jit_compile=self.jit_compile,
            steps_per_execution=self.steps_per_execution,
        )
        part.optimizer.build(part.trainable_variables)  # else `fit` traces each step twice

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """`keras.Model.evaluate`; `y` may be left out where `target_of` knows it."""
        self._check_pair(x, y)
        _check_weight(keras.Model.evaluate, x, y, args, kwargs)
        return super().evaluate(x, y, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        """`keras.Model.predict`: what `call` answers, in model units."""
        self.check_rows(x, "x")
        return super().predict(x, *args, **kwargs)

    def _check_pair(self, x, y, where: str = "") -> None:
        self.check_rows(x, f"x{where}")
        self.check_targets(x, y, f"y{where}")

    def check_targets(self, x, y, name: str) -> None:
        """Refuse arrays that cannot be targets; a subclass says which."""

    def take_targets(self, y) -> None:
        """Fit what a model knows of its targets' units, before the first training on them."""

    def check_rows(self, rows, name: str) -> None:
        """Refuse arrays of another shape and non-finite values; other inputs pass.

        Raises:
            ZooError: With the shape that this model takes.
        """
        if not isinstance(rows, np.ndarray):
            return
        if rows.shape[1:] != self.input_shape:
            axes = ", ".join(map(str, ("rows", *self.input_shape)))
            advice = f"Give an array of shape ({axes})"
            if rows.shape == self.input_shape:
                advice += ": add a batch axis, x[None]"
            elif (*rows.shape[1:], 1) == self.input_shape:
                advice += ": add a channel axis, x[..., None]"
            else:
                advice += f", or build with input_shape={tuple(rows.shape[1:])}"
            raise ZooError(
                f"{name} has a shape that {self.name} does not take.",
                received=rows.shape,
                do=advice + ".",
            )
        if rows.dtype.kind == "f" and not np.isfinite(rows).all():
            bad = np.flatnonzero(~np.isfinite(rows).reshape(len(rows), -1).all(axis=1))
            raise ZooError(
                f"{name} holds NaN or infinity in {len(bad)} of {len(rows)} rows.",
                received=f"first such row: {bad[0]}",
                do="Fill in or drop those rows first.",
            )

    # ---- shapes and units ----

    @property
    def preprocessing(self) -> Preprocessing:
        """The constants between user units and model units; `adapt` fits them."""
        return self._preprocessing

    @preprocessing.setter
    def preprocessing(self, value: Preprocessing) -> None:
        self.__dict__["_preprocessing"] = value
        self.renew_endpoints()

    @property
    def calibration(self) -> dict | None:
        """The threshold of `detect` and how it was set, by `aezoo.calibrate`; None without one."""
        return self._calibration

    @calibration.setter
    def calibration(self, value: dict | None) -> None:
        self.__dict__["_calibration"] = value
        self.renew_endpoints()

    @property
    def scorer(self):
        """What `score` and `detect` answer by, from `aezoo.scorers.fit`; None for the model's own.

        Another one takes the threshold with it, which was of the scores before.
        """
        return self._scorer

    @scorer.setter
    def scorer(self, value) -> None:
        self.__dict__["_scorer"] = value
        self.__dict__["_calibration"] = None
        self.renew_endpoints()

    @property
    def localizer(self):
        """What `localize` answers by, from `aezoo.localizer.fit`; None without that endpoint."""
        return self._localizer

    @localizer.setter
    def localizer(self, value) -> None:
        self.__dict__["_localizer"] = value
        self.renew_endpoints()

    @property
    def assigner(self):
        """What `cluster` answers by, from `aezoo.tasks.clustering`; None without that endpoint."""
        return self._assigner

    @assigner.setter
    def assigner(self, value) -> None:
        self.__dict__["_assigner"] = value
        self.renew_endpoints()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one row."""
        return tuple(self.encoder.input_shape[1:])

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """The shape of one code."""
        return tuple(self.encoder.output_shape[1:])

    @property
    def input_name(self) -> str:
        """The public name of the input by its rank: `features`, `series`, `image`, `video`."""
        return INPUT_BY_RANK[len(self.input_shape)]

    def adapt(self, rows: np.ndarray, scaling: str = "auto", binarize: float | None = None):
        """Fit the preprocessing on training rows in user units, and return them in model units.

        Args:
            rows: `(N, *input_shape)`, before any scaling.
            scaling: `identity`, `unit` (8-bit pictures), `standardize`, `minmax`; `auto` takes
                `unit` for pictures, `minmax` where the decoder answers in [0, 1], else
                `standardize`.
            binarize: Threshold in model units.

        Returns:
            The same rows in model units, float32.
        """
        self.fit_preprocessing(rows, scaling, binarize)
        return np.asarray(self.preprocessing.apply(rows))

    def fit_preprocessing(
        self, rows: np.ndarray, scaling: str = "auto", binarize: float | None = None
    ) -> None:
        """Fit the preprocessing as `adapt` does, without converting the rows."""
        if scaling == "auto":
            unbounded = "standardize" if self.output_range == "real" else "minmax"
            is_unit = rows.dtype == np.uint8 or (
                self.input_name == "image" and rows.min() >= 0 and rows.max() <= 1
            )
            scaling = "unit" if is_unit else unbounded
        self.preprocessing = Preprocessing.fit(rows, scaling, binarize)
        self.forget()

    def forget(self) -> None:
        """Drop what was fitted to other weights or units, and what was measured of them."""
        self.scorer = self.localizer = self.assigner = self.calibration = self.metrics_measured = (
            None
        )

    # ---- endpoints ----

    @property
    def endpoints(self) -> list[EndpointSpec]:
        """The specs of everything this model can be asked, the default one first."""
        return [endpoint.spec for endpoint in self._endpoints_by_name().values()]

    def endpoint(self, name: str) -> Endpoint:
        """Return an endpoint: `model.endpoint("reconstruct")(image=x)` answers a dict of arrays.

        Raises:
            ZooError: If the model has no endpoint of this name.
        """
        known = self._endpoints_by_name()
        if name not in known:
            advice = f"Endpoints: {', '.join(known)}."
            if name == "detect":
                advice = "Call aezoo.calibrate(model, rows, alpha) first: it sets the threshold."
            raise ZooError(
                f"{self.name} has no endpoint of this name.",
                received=name,
                closest=closest_match(name, known),
                do=advice,
            )
        return known[name]

    def _endpoints_by_name(self) -> dict[str, Endpoint]:
        if self._endpoints is None:
            made = self.make_endpoints()
            self.__dict__["_endpoints"] = {endpoint.name: endpoint for endpoint in made}
        return self._endpoints

    def renew_endpoints(self) -> None:
        """Make the endpoints anew when they are next asked for: what they were traced with changed.

        Those that were handed out stay as they are.
        """
        self.__dict__["_endpoints"] = None

    def make_endpoints(self) -> list[Endpoint]:
        """Return the endpoints; a subclass puts its own before or after."""
        return [self._encode_endpoint()]

    def input_spec_of(self, name: str | None = None) -> TensorSpec:
        """Return the spec of the input in user units."""
        p = self.preprocessing
        if p.dtype == "uint8":
            low, high = 0.0, 255.0
        else:
            ends = (0.0, 1.0) if self.output_range == "unit" else (-3.0, 3.0)
            low, high = (
                tuple((end * np.asarray(p.scale) + np.asarray(p.shift)).tolist()) for end in ends
            )
            low, high = (v[0] if len(v) == 1 else v for v in (low, high))
        return TensorSpec(
            name or self.input_name,
            self.input_shape,
            p.dtype,
            AXES_OF[self.input_name],
            low,
            high,
            p.unit_scale,
            "One row in user units.",
        )

    def condition_specs(self) -> tuple[TensorSpec, ...]:
        """Return the specs of what stands beside each row and each code, such as a label."""
        return ()

    def conditions_of(self, rows) -> dict[str, np.ndarray]:
        """Return the values of `condition_specs` for rows of a data set, by public name.

        Raises:
            ZooError: If the data do not have what the model needs.
        """
        return {}

    def row_specs(self) -> tuple[TensorSpec, ...]:
        """Return the specs of what makes one row; a subclass may add to the input."""
        return (self.input_spec_of(), *self.condition_specs())

    def inputs_of(self, rows) -> dict[str, np.ndarray]:
        """Return rows of a data set as `row_specs` describe them, in user units."""
        return {self.input_name: rows.array()} | self.conditions_of(rows)

    def rows_of(self, inputs: dict):
        """Return an endpoint's inputs as `call` takes them, in model units."""
        rows = self.preprocessing.apply(inputs[self.input_name])
        beside = {spec.name: inputs[spec.name] for spec in self.condition_specs()}
        return {self.input_name: rows, **beside} if beside else rows

    def encoder_input(self, x):
        """Return what the encoder takes of what `call` was given."""
        return x

    def decoder_input(self, z, beside: dict):
        """Return what the decoder takes: a code, and conditions that stand beside it."""
        return z

    def latent_spec(self) -> TensorSpec:
        """Return the spec of the code."""
        rank = len(self.latent_shape)
        axes = ("latent",) if rank == 1 else AXES_OF[INPUT_BY_RANK[rank]]
        return TensorSpec(
            "latent", self.latent_shape, axes=axes, low=-3.0, high=3.0, description="The code."
        )

    def codes(self, x):
        """Return the outputs of `encode` for model-unit rows: a dict with `latent`."""
        return {"latent": self.encoder(x, training=False)}

    def noise_specs(self) -> tuple[TensorSpec, ...]:
        """Return the specs of what `generate` takes beside the conditions."""
        noise = TensorSpec(
            "noise",
            self.latent_shape,
            axes=("latent",),
            low=-3.0,
            high=3.0,
            description="Draws from N(0, I).",
        )
        return (noise,)

    def code_of_noise(self, inputs: dict):
        """Return the codes that noise stands for, (B, D)."""
        return inputs["noise"]

    def _generate_endpoint(self) -> Endpoint:
        rows = TensorSpec(
            self.input_name,
            self.input_shape,
            axes=self.input_spec_of().axes,
            unit_scale=self.preprocessing.unit_scale,
            description="A new row, in user units.",
        )

        def generate(inputs):
            z = self.code_of_noise(inputs)
            x = self.decoder(self.decoder_input(z, inputs), training=False)
            return {rows.name: self.preprocessing.invert(x)}

        taken = (*self.noise_specs(), *self.condition_specs())
        return Endpoint(EndpointSpec("generate", taken, (rows,), "New rows."), generate)

    def _encode_endpoint(self) -> Endpoint:
        def encode(inputs):
            codes = self.codes(self.rows_of(inputs))
            return {name: ops.cast(code, "float32") for name, code in codes.items()}

        spec = EndpointSpec("encode", self.row_specs(), self.code_specs(), "The code.")
        return Endpoint(spec, encode)

    def code_specs(self) -> tuple[TensorSpec, ...]:
        """Return the specs of what `codes` gives."""
        return (self.latent_spec(),)

    # ---- configuration ----

    @classmethod
    def modalities_for(cls, arguments: dict) -> tuple[str, ...]:
        """Return what rows a model of these arguments can take, the preferred one first."""
        return cls.modalities

    @classmethod
    def from_entry(cls, entry: Entry, arguments: dict, seed: int | None = None) -> "ZooModel":
        """Return the compiled model of a zoo entry, with checked arguments; see `aezoo.build`."""
        with seeded(seed):
            model = cls(**arguments)
        model.name = entry.name
        model.entry = entry
        compile_for(model, entry.train)
        return model

    def get_config(self) -> dict:
        """Return the arguments, the preprocessing and the calibration as plain values."""
        return {
            "arguments": keras.saving.serialize_keras_object(self.arguments),
            "name": self.name,
            "preprocessing": self.preprocessing.to_config(),
            "calibration": self.calibration and dict(self.calibration),
            "scorer": self.scorer and self.scorer.kind,
            "localizer": self.localizer and {"sigma": self.localizer.sigma},
            "assigner": self.assigner and self.assigner.kind,
            "entry": self.entry and self.entry.model_dump(mode="json"),
        }

    def save_own_variables(self, store) -> None:
        """Keras' hook: write what belongs to no layer, and the constants of fitted parts."""
        super().save_own_variables(store)
        for part in _FITTED:
            fitted = getattr(self, part)
            for name, value in fitted.constants.items() if fitted else ():
                store[f"{part}_{name}"] = value

    def load_own_variables(self, store) -> None:
        """Keras' hook: read what `save_own_variables` wrote."""
        kept = {name: np.array(store[name]) for name in store.keys()}  # noqa: SIM118  no mapping
        for part in _FITTED:
            of_part = [name for name in kept if name.startswith(f"{part}_")]
            constants = {name.removeprefix(f"{part}_"): kept.pop(name) for name in of_part}
            if fitted := getattr(self, part):
                self.__dict__[f"_{part}"] = dataclasses.replace(fitted, constants=constants)
        super().load_own_variables(kept)
        self.renew_endpoints()

    @classmethod
    def from_config(cls, config: dict, custom_objects=None) -> "ZooModel":
        """Return the model that `get_config` described, with new weights."""
        arguments = keras.saving.deserialize_keras_object(
            config["arguments"], custom_objects=custom_objects
        )
        model = cls(**{name: _tuples(value) for name, value in arguments.items()})
        model.name = config["name"]
        model.preprocessing = Preprocessing.from_config(config["preprocessing"])
        if config.get("scorer"):  # models of before 0.1.0 was finished have none
            model.scorer = Scorer(config["scorer"])  # its constants come with the weights
        if config.get("localizer"):
            model.localizer = Localizer(**config["localizer"])
        if config.get("assigner"):
            model.assigner = Assigner(config["assigner"])
        model.calibration = config["calibration"]
        model.entry = Entry(**config["entry"]) if config["entry"] else None
        return model


def _check_weight(method, x, y, args: tuple, kwargs: dict) -> None:
    """Refuse weights that Keras would drop without a word."""
    given = inspect.signature(method).bind_partial(None, x, y, *args, **kwargs).arguments
    in_hand = isinstance(x, np.ndarray | dict) or keras.ops.is_tensor(x)
    if y is None and in_hand and given.get("sample_weight") is not None:
        raise ZooError(
            "sample_weight counts only where y is given.",
            received="y=None",
            do="Give the target, which for an autoencoder is x: fit(x, x, sample_weight=...).",
        )


def _tuples(value):
    """Turn the lists that JSON makes of tuples back."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def compile_for(model: ZooModel, recipe: TrainSection) -> None:
    """Compile a model as its recipe says."""
    shared = {"clipnorm": recipe.clip_norm, "weight_decay": recipe.weight_decay}
    rate = recipe.learning_rate
    epsilon = {} if recipe.epsilon is None else {"epsilon": recipe.epsilon}
    layerwise = recipe.layer_decay is not None
    if layerwise and (recipe.optimizer != "adam" or recipe.weight_decay or recipe.pretrain_epochs):
        raise ZooError(
            "train.layer_decay is for adam, without weight_decay and pretrain_epochs.",
            received=recipe.optimizer,
            do="Leave layer_decay out, or train.optimizer=adam.",
        )
    match recipe.optimizer:
        case "adam" if layerwise:
            factors = depth_factors(model, recipe.layer_decay)
            optimizer = LayerwiseAdam(rate, factors, **shared, **epsilon)
        case "adam":
            optimizer = FusedAdam(rate, **shared, **epsilon)
        case "adamw":
            default = {"weight_decay": 0.004} if recipe.weight_decay is None else {}
            optimizer = keras.optimizers.AdamW(rate, **shared | default, **epsilon)
        case "sgd":
            optimizer = keras.optimizers.SGD(rate, momentum=recipe.momentum, **shared)
        case "rmsprop":
            optimizer = keras.optimizers.RMSprop(rate, **shared)
    model.compile(
        optimizer=optimizer,
        loss=model.loss_of(recipe.loss or model.default_loss),
        metrics=[model.metric(name) for name in recipe.metrics],
        jit_compile=recipe.jit,
        steps_per_execution=recipe.steps_per_execution or 1,
    )
    model.optimizer.build(model.trainable_variables)  # else a saved model would lack its state
