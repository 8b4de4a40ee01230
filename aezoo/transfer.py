"""From an encoder to a classifier or a regressor of few labels.

An entry, a fitted model or a path gives the encoder; the model that comes back is one of the zoo,
of the classes in `aezoo.models.transfer`.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from aezoo import storage
from aezoo.config import Entry, TrainSection
from aezoo.errors import ZooError, closest_match
from aezoo.models.transfer import Pooling, Transfer, TransferRegressor, encoder_of
from aezoo.registry import build_entry, builder_of, find
from aezoo.spread import evenly
from aezoo.zoo_model import ZooModel

RECIPE = TrainSection(epochs=30, batch_size=32, learning_rate=1e-3, schedule="cosine")
SOLVED_ON = 5_000  # rows that a head is fitted to, at most
_STRENGTHS = 10.0 ** np.arange(-3, 3)  # of the errors against the size of the weights
_FOLDS = 5
_ABSENT = 10.0  # nats, that a class without rows is less likely than the rarest of the others


def classifier(
    start: str | os.PathLike | ZooModel,
    classes: int | Sequence[str],
    *,
    weights: str | os.PathLike | None = None,
    frozen: bool = False,
    pooling: Pooling = "flatten",
    normalize: bool = False,
    hidden: tuple[int, ...] = (),
    dropout: float = 0.0,
    layer_decay: float | None = None,
    learning_rate: float = RECIPE.learning_rate,
    seed: int | None = None,
) -> keras.Model:
    """Return a compiled classifier that begins as the encoder of a model.

    The model itself stays as it is. `fit(x, y)` takes rows in model units and whole numbers from 0
    to `classes - 1`; `aezoo.train(model=..., data=...)` takes data as they come. Saving, loading,
    exporting and verifying are those of every model of the zoo.

    Args:
        start: A model, a run folder, a bundle, a `.keras` file, or the name of a zoo entry, whose
            weights are new.
        classes: How many, or what they are called.
        weights: A run folder, a bundle or a `.keras` file of the entry that `start` names.
        frozen: Whether the encoder stays as it is, so that labels train the head alone.
        pooling: What is done to a code that has places: `flatten`, or `mean` or `max` over them.
        normalize: Whether the code is brought to mean 0 and deviation 1 within each row.
        hidden: Widths of relu layers before the softmax.
        dropout: Share of what each layer of the head sees that training hides.
        layer_decay: By what the learning rate is multiplied for each layer further from the answer,
            above 0, at most 1; None is one rate for all.
        learning_rate: Of the last layer, by Adam.
        seed: Makes the new weights repeatable.

    Returns:
        A model with the endpoints `classify` and `encode`.

    Raises:
        ZooError: If there is no such model, or its encoder takes more than rows of numbers.

    Example:
        >>> import aezoo
        >>> model = classifier(aezoo.build("conv_ae", latent_dim=8), ("coat", "dress", "shirt"))
        >>> model.class_names, [spec.name for spec in model.endpoints]
        (('coat', 'dress', 'shirt'), ['classify', 'encode'])
    """
    names = () if isinstance(classes, int) else tuple(classes)
    target = {"classes": len(names) or classes, "class_names": names}
    head = {"pooling": pooling, "normalize": normalize, "hidden": hidden, "dropout": dropout}
    recipe = {"metrics": ("accuracy",), "monitor": "val_accuracy"}
    recipe |= {"layer_decay": layer_decay, "learning_rate": learning_rate}
    return _begin(
        _started(start, weights, seed),
        "classification",
        {**target, "frozen": frozen, **head},
        RECIPE.model_copy(update=recipe),
        seed,
    )


def regressor(
    start: str | os.PathLike | ZooModel,
    outputs: int = 1,
    *,
    weights: str | os.PathLike | None = None,
    frozen: bool = False,
    pooling: Pooling = "flatten",
    normalize: bool = False,
    hidden: tuple[int, ...] = (),
    dropout: float = 0.0,
    layer_decay: float | None = None,
    learning_rate: float = RECIPE.learning_rate,
    seed: int | None = None,
) -> keras.Model:
    """Return a compiled regressor that begins as the encoder of a model.

    Targets are real numbers `(N, outputs)` in units of their own, and so are the answers.

    Args:
        start: As for `classifier`, and so are all arguments that are not named here.
        outputs: Number of targets of a row.
        weights: See `classifier`.
        frozen: See `classifier`.
        pooling: See `classifier`.
        normalize: See `classifier`.
        hidden: See `classifier`.
        dropout: See `classifier`.
        layer_decay: See `classifier`.
        learning_rate: See `classifier`.
        seed: See `classifier`.

    Returns:
        A model with the endpoints `predict` and `encode`.

    Raises:
        ZooError: As for `classifier`.

    Example:
        >>> model = regressor("conv_ae", outputs=2, frozen=True)
        >>> len(model.trainable_variables)  # kernel and bias of the head
        2
    """
    head = {"pooling": pooling, "normalize": normalize, "hidden": hidden, "dropout": dropout}
    recipe = {"layer_decay": layer_decay, "learning_rate": learning_rate}
    return _begin(
        _started(start, weights, seed),
        "regression",
        {"outputs": outputs, "frozen": frozen, **head},
        RECIPE.model_copy(update=recipe),
        seed,
    )


def fit_head(model: Transfer, x, y) -> Transfer:
    """Fit the last layer to the codes of labelled rows, by logistic or ridge regression.

    The problem is convex and solved, not trained; how much the weights are held small is chosen by
    cross-validation. A frozen encoder needs no more than this. One that is to learn loses less of
    what it knows if it begins so: gradients through a head of random numbers undo a code.

    Args:
        model: What `classifier` or `regressor` returned.
        x: Rows in model units, (N, *input_shape). Of more than 5,000 an even spread is taken.
        y: Classes (N,), or targets (N, outputs).

    Returns:
        The model.

    Source: Kumar et al., "Fine-tuning can distort pretrained features and underperform
    out-of-distribution" (2022), which trains heads first.

    Example:
        >>> import aezoo, numpy as np
        >>> x = np.linspace(0, 1, 40).reshape(40, 1, 1, 1) * np.ones((6, 6, 1))  # dark to bright
        >>> y = np.arange(40) // 20
        >>> model = classifier(aezoo.build("conv_ae", input_shape=(6, 6, 1), seed=0), 2, seed=0)
        >>> answers = fit_head(model, x, y).endpoint("classify")(image=x)["label"][:, 0]
        >>> bool((answers == y).all())
        True
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    chosen = evenly(len(x), SOLVED_ON)
    x, y = np.asarray(x)[chosen], np.asarray(y)[chosen]
    head = model.decoder.get_layer("head")
    before = keras.Model(model.decoder.input, head.input)
    codes = model.encoder.predict(x, batch_size=256, verbose=0)
    seen = before.predict(codes, batch_size=256, verbose=0).astype("float64")  # (N, D)
    of_numbers = isinstance(model, TransferRegressor)
    if of_numbers:
        model.take_targets(y)
        y = np.asarray(model.in_deviations(y))
    regression = _ridge() if of_numbers else _logistic(y)
    fitted = make_pipeline(StandardScaler(), regression).fit(seen, y)
    scaler, found = fitted[0], getattr(fitted[-1], "best_estimator_", fitted[-1])
    weights = np.atleast_2d(found.coef_) / scaler.scale_  # (outputs, D), of codes as they are
    bias = np.ravel(found.intercept_) - weights @ scaler.mean_
    if not of_numbers:
        weights, bias = _of_classes(found.classes_, weights, bias, head.units)
    head.set_weights([weights.T, bias])
    return model


def from_scratch(model: Transfer, seed: int | None = None) -> Transfer:
    """Return the same network with new weights, the encoder's too, for the same rows.

    Its encoder learns, be that of the model frozen or not.

    Example:
        >>> model = classifier("conv_ae", 3, frozen=True, seed=0)
        >>> len(from_scratch(model, seed=0).trainable_variables)
        6
    """
    entry = model.entry.model_copy(update={"args": model.entry.args | {"frozen": False}})
    new = build_entry(entry, seed=seed)
    new.preprocessing = model.preprocessing
    return new


def _ridge():
    from sklearn.linear_model import RidgeCV

    return RidgeCV(1 / _STRENGTHS)


def _logistic(labels: np.ndarray):
    """Return a logistic regression, its strength to be chosen where each class has two rows."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    regression = LogisticRegression(max_iter=1000)
    folds = min(_FOLDS, np.unique(labels, return_counts=True)[1].min())
    if folds < 2:
        return regression
    split = StratifiedKFold(folds, shuffle=True, random_state=0)
    return GridSearchCV(regression, {"C": _STRENGTHS}, scoring="neg_log_loss", cv=split)


def _of_classes(known: np.ndarray, weights: np.ndarray, bias: np.ndarray, classes: int):
    """Return weights (classes, D) and bias of a softmax, from those of the classes with rows."""
    if len(known) == 2:  # one logit: half of it for the one, half against the other
        weights, bias = np.concatenate([-weights, weights]) / 2, np.array([-bias[0], bias[0]]) / 2
    every = np.zeros((classes, weights.shape[1])), np.full(classes, bias.min() - _ABSENT)
    for found, given in zip(every, (weights, bias), strict=True):
        found[known.astype(int)] = given
    return every


def _begin(start: ZooModel, task: str, arguments: dict, recipe: TrainSection, seed) -> Transfer:
    """Return the compiled model of a task, with a copy of the encoder's weights."""
    base, base_args = _base_of(start)
    kind, builder = {
        "classification": ("classifier", "TransferClassifier"),
        "regression": ("regressor", "TransferRegressor"),
    }[task]
    own = start.entry
    entry = Entry(
        schema_version=1,
        name=f"{own.name}_{kind}" if own and own.task != task else (own.name if own else kind),
        title=f"{kind.capitalize()} on an encoder",
        summary=f"Begins as the encoder of {own.name if own else base}.",
        task=task,
        modality=start.input_name,
        source=own.source if own else "",
        builder=f"aezoo.models.transfer:{builder}",
        args={
            "input_shape": start.input_shape,
            "base": base,
            "base_args": base_args,
            **arguments,
        },
        train=recipe,
    )
    model = build_entry(entry, seed=seed)
    model.encoder.set_weights(encoder_of(start).get_weights())
    model.preprocessing = start.preprocessing
    model.probe_rows = start.probe_rows
    return model


def _base_of(start: ZooModel) -> tuple[str, dict[str, Any]]:
    """Return the class of the model whose encoder is taken, and its arguments but the shape."""
    if isinstance(start, Transfer):
        return start.arguments["base"], start.arguments["base_args"]
    own = type(start)
    base = start.entry.builder if start.entry else f"{own.__module__}:{own.__qualname__}"
    return base, {n: v for n, v in start.arguments.items() if n != "input_shape"}


def _started(start, weights, seed: int | None) -> ZooModel:
    """Return the model that `start` and `weights` mean."""
    if isinstance(start, ZooModel) or _is_file(start):
        if weights is not None:
            raise ZooError(
                "A model has its weights already.",
                received=str(weights),
                do="Leave weights out, or give the name of a zoo entry beside it.",
            )
        return start if isinstance(start, ZooModel) else storage.load(start)
    entry = find(start)
    if weights is None:
        return build_entry(entry, seed=seed)
    if not _is_file(weights):
        raise ZooError(
            f"{entry.name!r} has no published weights of this name, nor is it a path.",
            received=str(weights),
            closest=closest_match(str(weights), entry.weights),
            do="Give a run folder, a bundle or a .keras file: `aezoo train "
            f"{entry.name}` makes one.",
        )
    model = storage.load(weights)
    if not isinstance(model, builder_of(entry)):
        raise ZooError(
            f"These weights are not those of a {entry.name}.",
            received=model.entry.name if model.entry else type(model).__name__,
            do=f"Leave the name out: aezoo.classifier({str(weights)!r}, ...).",
        )
    return model


def _is_file(start) -> bool:
    """Tell a path from the name of an entry, be there something at it or not."""
    path = Path(start)
    is_path = not isinstance(start, str) or len(path.parts) > 1 or path.suffix == ".keras"
    return is_path or (path.is_dir() and (path / "model.keras").exists())
