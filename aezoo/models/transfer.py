"""Classifiers and regressors that begin as the encoder of another model of the zoo.

    p(y | x) = softmax(W h(encoder(x)) + b)            loss: -log p(y | x), mean per row, in nats
    y^(x)    = m + s * (W h(encoder(x)) + b)           loss: mean of ((y - y^) / s)^2

h is the code, flattened or averaged over places, and what hidden layers make of it; m and s are
mean and standard deviation of the training targets. The encoder stays as it was learned (frozen),
or goes on learning, which `layer_decay` in the recipe slows layer by layer towards the input.

Source: Hinton & Salakhutdinov, "Reducing the dimensionality of data with neural networks" (2006);
the slower layers are those of Howard & Ruder, "Universal language model fine-tuning" (2018).
"""

from typing import Annotated, Any, Literal

import keras
import numpy as np
from keras import ops
from pydantic import Field

from aezoo.classifying import Classifier
from aezoo.endpoints import Endpoint, EndpointSpec, TensorSpec
from aezoo.errors import ZooError
from aezoo.registry import checked_arguments, import_class
from aezoo.zoo_model import Share, Width, ZooModel

CONV = "aezoo.models.conv:ConvAE"
Pooling = Literal["flatten", "mean", "max"]


class Transfer(ZooModel):
    """What classifiers and regressors on an encoder share.

    Args:
        input_shape: Shape of one row.
        base: The class whose encoder it is, `package.module:Class`.
        base_args: Its arguments but `input_shape`.
        head: From the shape of the code to the model behind it.
        frozen: Whether the encoder stays as it is, dropout and all.
        output_range: As for `ZooModel`.
        loss: As for `ZooModel`.

    Raises:
        ZooError: If the encoder takes anything but rows of numbers.
    """

    frozen: bool

    def _set_up(self, input_shape, base, base_args, head, frozen, output_range, loss):
        encoder = encoder_of(base_model(base, {"input_shape": input_shape, **base_args}))
        super().__init__(encoder, head(encoder.output_shape[1:]), output_range, loss)
        self.encoder.trainable, self.frozen = not frozen, frozen

    def call(self, x, training=False):
        """Return the answer to `x`, `(B, *input_shape)` in model units."""
        code = self.encoder(x, training=training and not self.frozen)
        return ops.cast(self.decoder(code, training=training), "float32")


@keras.saving.register_keras_serializable(package="aezoo")
class TransferClassifier(Classifier, Transfer):
    """An encoder and a softmax on its code; `aezoo.classifier` makes one from a fitted model.

    Args:
        input_shape: Shape of one row.
        classes: Number of classes, which count from 0.
        class_names: What they are called; empty where they have numbers only.
        base: The class whose encoder it is, `package.module:Class`.
        base_args: Its arguments but `input_shape`.
        frozen: Whether the encoder stays as it is.
        pooling: What is done to a code that has places: `flatten`, or `mean` or `max` over them.
        normalize: Whether the code is brought to mean 0 and deviation 1 within each row.
        hidden: Widths of relu layers before the softmax.
        dropout: Share of what each layer of the head sees that training hides.

    Example:
        >>> model = TransferClassifier(input_shape=(6, 6, 1), classes=3)
        >>> model.endpoint("classify")(image=np.zeros((2, 6, 6, 1)))["probabilities"].shape
        (2, 3)
    """

    main_term = "classification_loss"

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (28, 28, 1),
        classes: Annotated[int, Field(ge=2)] = 10,
        class_names: tuple[str, ...] = (),
        base: str = CONV,
        base_args: dict[str, Any] = {},  # noqa: B006  recorded, never changed
        frozen: bool = False,
        pooling: Pooling = "flatten",
        normalize: bool = False,
        hidden: tuple[Width, ...] = (),
        dropout: Share = 0.0,
    ):
        self._set_up(
            input_shape,
            base,
            base_args,
            lambda shape: head_of(shape, classes, "softmax", pooling, normalize, hidden, dropout),
            frozen,
            "unit",
            "sparse_categorical_crossentropy",
        )
        self.classes, self.class_names = classes, tuple(class_names)

    def make_endpoints(self) -> list[Endpoint]:
        """Return `classify` and `encode`."""
        return [self.classify_endpoint(), *super().make_endpoints()]


@keras.saving.register_keras_serializable(package="aezoo")
class TransferRegressor(Transfer):
    """An encoder and an affine map of its code; `aezoo.regressor` makes one from a fitted model.

    Targets are real numbers `(B, outputs)`, in units of their own, which `call` and the endpoint
    `predict` answer in; the first `fit` takes their means and deviations from the targets it gets.

    Args:
        input_shape: Shape of one row.
        outputs: Number of targets of a row.
        base: The class whose encoder it is, `package.module:Class`.
        base_args: Its arguments but `input_shape`.
        frozen: Whether the encoder stays as it is.
        pooling: What is done to a code that has places: `flatten`, or `mean` or `max` over them.
        normalize: Whether the code is brought to mean 0 and deviation 1 within each row.
        hidden: Widths of relu layers before the last one.
        dropout: Share of what each layer of the head sees that training hides.

    Example:
        >>> model = TransferRegressor(input_shape=(6, 6, 1), outputs=2)
        >>> model.fit_targets(np.array([[1.0, 10.0], [3.0, 30.0]]))
        >>> model.endpoint("predict")(image=np.zeros((1, 6, 6, 1)))["prediction"].tolist()
        [[2.0, 20.0]]
    """

    main_term = "regression_loss"

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (28, 28, 1),
        outputs: Width = 1,
        base: str = CONV,
        base_args: dict[str, Any] = {},  # noqa: B006  recorded, never changed
        frozen: bool = False,
        pooling: Pooling = "flatten",
        normalize: bool = False,
        hidden: tuple[Width, ...] = (),
        dropout: Share = 0.0,
    ):
        self._set_up(
            input_shape,
            base,
            base_args,
            lambda shape: head_of(shape, outputs, None, pooling, normalize, hidden, dropout),
            frozen,
            "real",
            "mean_squared_error",
        )
        self.outputs = outputs
        shift, scale = (
            self.add_weight((outputs,), initializer, trainable=False, name=name)
            for name, initializer in (("target_mean", "zeros"), ("target_deviation", "ones"))
        )
        self.target_mean, self.target_deviation = shift, scale

    # ---- targets ----

    def fit_targets(self, y) -> None:
        """Take mean and deviation from targets `(N, outputs)`."""
        y = np.asarray(y, "float64").reshape(-1, self.outputs)
        deviation = y.std(axis=0)
        self.target_mean.assign(y.mean(axis=0))
        self.target_deviation.assign(np.where(deviation > 0, deviation, 1.0))
        self.renew_endpoints()

    def take_targets(self, y) -> None:
        """Fit means and deviations to the targets that training begins with, once."""
        if not np.any(self.target_mean) and np.all(np.equal(self.target_deviation, 1.0)):
            self.fit_targets(y)

    def fit(self, x=None, y=None, *args, **kwargs):
        """`keras.Model.fit` on rows in model units and targets in their own."""
        self._check_pair(x, y)
        if isinstance(y, np.ndarray):
            self.take_targets(y)
        return super().fit(x, y, *args, **kwargs)

    def target_of(self, x):
        """Raise: a row does not say its target."""
        raise ZooError(
            f"{self.name} needs a target: {self.outputs} numbers for each row.",
            do="Call fit(x, y), or train on a pair of arrays (x, y).",
        )

    def check_targets(self, x, y, name: str) -> None:
        """Refuse missing targets, another number of them, and what is not finite."""
        if y is None and isinstance(x, np.ndarray):
            self.target_of(x)
        if not isinstance(y, np.ndarray):
            return
        shapes = [(self.outputs,), ()] if self.outputs == 1 else [(self.outputs,)]
        if y.shape[1:] not in shapes or y.dtype.kind not in "buif" or not np.isfinite(y).all():
            raise ZooError(
                f"{name} holds no targets that {self.name} takes.",
                received=f"{y.dtype} {y.shape}",
                do=f"Give finite numbers of shape (rows, {self.outputs}).",
            )

    def example_targets(self, x) -> np.ndarray:
        """Return targets drawn with a fixed seed, one row for each row of `x`."""
        return np.random.default_rng(0).normal(size=(len(x), self.outputs)).astype("float32")

    def in_deviations(self, y):
        """Return targets as deviations from their mean, (B, outputs)."""
        y = ops.reshape(ops.cast(y, "float32"), (-1, self.outputs))
        return (y - self.target_mean) / self.target_deviation

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the loss of targets in units of their deviation."""
        pair = (None if v is None else self.in_deviations(v) for v in (y, y_pred))
        return super().compute_loss(x, *pair, sample_weight, training)

    def call(self, x, training=False):
        """Return the predictions (B, outputs), in the units of the targets."""
        return self.target_mean + self.target_deviation * super().call(x, training)

    # ---- endpoints ----

    def make_endpoints(self) -> list[Endpoint]:
        """Return `predict` and `encode`."""
        prediction = TensorSpec(
            "prediction",
            (self.outputs,),
            axes=("output",),
            unit_scale=tuple(map(float, self.target_deviation.numpy())),
            description="In the units of the targets.",
        )

        def predict(inputs):
            return {"prediction": self(self.rows_of(inputs), training=False)}

        spec = EndpointSpec("predict", self.row_specs(), (prediction,), "The numbers of a row.")
        return [Endpoint(spec, predict), *super().make_endpoints()]


def base_model(base: str, arguments: dict[str, Any]) -> ZooModel:
    """Return a new model of the class whose encoder is wanted."""
    builder = import_class(base, "base")
    return builder(**checked_arguments(builder, arguments, "base_args"))


def encoder_of(model: ZooModel) -> keras.Model:
    """Return rows -> code, of the layers that the code needs; they stay those of the model.

    The code of a variational model is the posterior's mean, that of a vector-quantised one the
    vectors before they are replaced.

    Raises:
        ZooError: If the model has no encoder, or one that takes more than rows of numbers.
    """
    encoder = model.encoder
    given = [] if encoder is None else encoder.inputs
    if len(given) != 1 or "int" in given[0].dtype:
        raise ZooError(
            f"The encoder of {model.name} is not one of rows of numbers alone.",
            received=[f"{x.name}: {x.dtype}" for x in given] or "no encoder",
            do="Begin with a model of pictures, series or tables that takes nothing beside them.",
        )
    if len(encoder.outputs) == 1:
        return encoder
    named = encoder.output_shape  # of several outputs the first is the code, or that of its name
    place = sorted(named).index("latent") if isinstance(named, dict) else 0
    return keras.Model(given[0], encoder.outputs[place], name="encoder")


def head_of(code_shape, units, activation, pooling, normalize, hidden, dropout) -> keras.Model:
    """(B, *code_shape) -> (B, units)."""
    k = keras.layers
    x = code = keras.Input(code_shape)
    if len(code_shape) > 1:
        places = tuple(range(1, len(code_shape)))
        pool = {"mean": ops.mean, "max": ops.max}.get(pooling)
        x = pool(x, axis=places) if pool else k.Flatten()(x)  # (B, D)
    if normalize:
        x = k.LayerNormalization(epsilon=1e-6, center=False, scale=False, name="normalized")(x)
    for width in hidden:
        x = k.Dense(width, "relu")(k.Dropout(dropout)(x))
    x = k.Dropout(dropout)(x)
    x = k.Dense(units, activation, dtype="float32", name="head")(x)
    return keras.Model(code, x, name="decoder")
