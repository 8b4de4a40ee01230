"""From a model that has seen many rows to a classifier of few labels: one call.

labelled data -> encoder + head -> train -> measure beside the same network from scratch and an
SVM on pixels -> export, verified

OUT/run/             the training run; none where the encoder is frozen and the head is solved
OUT/bundle/          verified; its endpoint `classify` (or `predict`) answers
OUT/measured.json    figures on test rows, by method

Rows of one class each make a classifier; targets of real numbers `(N, k)` make a regressor. The
head is solved first; then all layers train, unless the encoder is frozen. No row chooses an epoch:
the recipe is fixed, its rate falls to nothing by the last step, so that all labels train.
"""

import dataclasses
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import aezoo
from aezoo import recipes, storage
from aezoo.config import data_overrides
from aezoo.data import DataSet, Rows
from aezoo.errors import ZooError
from aezoo.files import require_new_folder, write_text
from aezoo.models.transfer import Transfer
from aezoo.spread import evenly
from aezoo.tasks import transfer_report
from aezoo.training import data_for, train
from aezoo.transfer import SOLVED_ON, classifier, fit_head, from_scratch, regressor
from aezoo.zoo_model import ZooModel

STEPS = 1200  # of training, at least, where an epoch is short
BATCH_SIZE = 32
EPOCHS = 10  # at least, where it is long
PASS = 1024  # rows of an epoch, at least: few ones are seen several times in each
LAYER_DECAY = 0.8
TEST = 0.2  # of the rows, where the source has no test part
SVM_ROWS = 10_000  # that the SVM is fitted to, at most


@dataclasses.dataclass
class Transferred:
    """What `fit` made.

    Attributes:
        folder: With run, bundle, figures and report.html.
        model: The fitted classifier or regressor.
        data: The rows, in their roles; labels are numbers of classes.
        measured: Method -> figure -> value, on test rows: the model first, then what it is
            compared with.
    """

    folder: Path
    model: Transfer
    data: DataSet
    measured: dict[str, dict[str, float]]


def fit(
    start: str | os.PathLike | ZooModel,
    data: Any,
    out: str | Path,
    *,
    labels: int | None = None,
    frozen: bool = False,
    layer_decay: float | None = None,
    hidden: tuple[int, ...] = (),
    dropout: float = 0.0,
    seed: int = 0,
    verbose: bool = True,
    **settings: Any,
) -> Transferred:
    """Train a classifier or a regressor on a model's encoder, measure, export, write a report.

    Args:
        start: A model, a run folder, a bundle or a `.keras` file.
        data: What `aezoo.data.load` takes, with classes (a folder of pictures for each, a column
            `label`) or with real targets `(N, k)`.
        out: The folder to make.
        labels: So many training rows, as many of each class; None for all.
        frozen: Whether the encoder stays as it is.
        layer_decay: By what the rate is multiplied for each layer further from the answer; None
            takes 0.8, where the encoder learns.
        hidden: Widths of relu layers of the head.
        dropout: Share of what each layer of the head sees that training hides.
        seed: Of new weights, of the order, and of which rows `labels` keeps.
        verbose: Whether to show notes and progress.
        **settings: Of recipe and data, as `aezoo.train` takes them, such as `epochs=20`.

    Returns:
        What was made.

    Raises:
        ZooError: For data without classes or targets, or an `out` that exists.

    Example:
        aezoo.tasks.transfer.fit("runs/mine", "photos_by_class", "pets", frozen=True)
    """
    out = Path(out)
    require_new_folder(out, "Choose another --out, or delete it.")
    model = start if isinstance(start, ZooModel) else storage.load(start)
    of_data, settings = data_overrides(settings)
    of_data = {f"data.{name}": value for name, value in of_data.items()}
    dataset, names = _labelled(model, data, labels, seed, of_data)
    if not frozen and layer_decay is None:
        layer_decay = LAYER_DECAY
    head = {"frozen": frozen, "hidden": hidden, "dropout": dropout, "seed": seed}
    if names is not None:
        network = classifier(model, names, layer_decay=layer_decay, **head)
    else:
        outputs = dataset.train.targets.shape[1]
        network = regressor(model, outputs, layer_decay=layer_decay, **head)
    recipe = recipe_for(len(dataset.train)) | {"seed": seed} | settings
    console = Console(file=sys.stderr, quiet=not verbose, highlight=False)
    if not hidden:
        _solve_head(network, dataset.train)
    if hidden or not frozen or len(dataset.train) > SOLVED_ON:
        repeated = dataclasses.replace(dataset, train=repeated_rows(dataset.train))
        network = train(
            model=network, data=repeated, out=out / "run", verbose=verbose, **recipe
        ).model
    with console.status("the same network from scratch, and an SVM"):
        measured = _measured(network, dataset, recipe, seed)
    network.metrics_measured = {"test": next(iter(measured.values()))}
    write_text(out / "measured.json", json.dumps(measured, indent=1))
    with console.status("exporting, and asking every exported graph the same"):
        aezoo.export_bundle(network, out / "bundle")
    made = Transferred(out, network, dataset, measured)
    transfer_report.write(made, "frozen" if frozen else "fine-tuned", [next_command(out)])
    return made


def next_command(folder: Path) -> str:
    """Return the command to run next."""
    return f"aezoo predict {folder / 'bundle'} INPUT"


def _solve_head(network: Transfer, rows: Rows) -> None:
    """Fit the last layer alone to labelled rows."""
    some = rows.take(evenly(len(rows), SOLVED_ON))
    x = np.asarray(network.preprocessing.apply(some.array()))
    fit_head(network, x, some.targets if some.labels is None else some.labels)


def recipe_for(count: int) -> dict[str, Any]:
    """Return epochs and batch size for so many training rows.

    Example:
        >>> recipe_for(100), recipe_for(60_000)
        ({'batch_size': 32, 'epochs': 38}, {'batch_size': 32, 'epochs': 10})
    """
    steps = max(count, PASS) // min(BATCH_SIZE, count)
    return {"batch_size": BATCH_SIZE, "epochs": max(EPOCHS, math.ceil(STEPS / steps))}


def repeated_rows(rows: Rows) -> Rows:
    """Return rows that are fewer than `PASS` again and again, until they are as many."""
    return rows.take(np.resize(np.arange(len(rows)), max(len(rows), PASS)))


def drawn(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return the positions of so many rows, drawn with a seed, as many of each class, (count,).

    Args:
        labels: Classes, (N,).
        count: From one for each class to N.
        seed: Of the draw.

    Raises:
        ZooError: For another number.

    Example:
        >>> labels = np.array([0, 0, 0, 1, 1, 1])
        >>> labels[drawn(labels, 4, seed=0)].tolist()
        [0, 0, 1, 1]
    """
    classes = np.unique(labels)
    if not len(classes) <= count <= len(labels):
        raise ZooError(
            "This is no possible number of labels.",
            received=count,
            do=f"Give from {len(classes)}, one for each class, to {len(labels)}, all rows.",
        )
    rng = np.random.default_rng((seed, count))
    turn = np.empty(len(labels))  # one of each class, then another of each
    for label in classes:
        of_class = np.flatnonzero(labels == label)
        turn[rng.permutation(of_class)] = np.arange(len(of_class))
    return np.sort(np.lexsort((rng.random(len(labels)), turn))[:count])


# ---- data ----


def _labelled(
    model: ZooModel, data: Any, count: int | None, seed: int, of_data: dict[str, Any]
) -> tuple[DataSet, tuple[str, ...] | None]:
    """Load the data; return them with classes from 0 on, and the names of the classes.

    The names are None where rows have real targets instead.
    """
    shares = {"data.validation": 0.0, "data.test": TEST, "data.split_seed": seed}
    own = recipes.for_data(model.entry, data) if model.entry else {}
    entry = recipes.for_model(model, None, own | shares | of_data, data)
    dataset = data_for(entry, data)
    if dataset.test is None:
        raise ZooError("No rows are left to measure by.", received=repr(dataset), do="Give more.")
    if dataset.train.labels is None:
        targets = dataset.train.targets
        if targets is None or targets.ndim != 2 or targets.dtype.kind != "f" or count is not None:
            raise ZooError(
                "The rows have no classes.",
                received=repr(dataset),
                do="Give a folder of pictures for each class, a table with a column `label`, "
                "or arrays (x, y).",
            )
        return dataset, None
    roles = dataset.roles()
    known = np.unique(np.concatenate([rows.labels for rows in roles.values()]))
    names = tuple(str((dataset.class_names or {}).get(int(n), int(n))) for n in known)
    if len(known) < 2:
        raise ZooError("All rows are of one class.", received=names[0], do="Give two or more.")
    numbered = {
        role: type(rows)(rows.x, np.searchsorted(known, rows.labels), None, rows.index)
        for role, rows in roles.items()
    }
    if count is not None:
        chosen = drawn(numbered["train"].labels, count, seed)
        numbered["train"] = numbered["train"].take(chosen)
        dataset.notes.append(f"{count} training rows, drawn with seed {seed}, are kept.")
    return dataclasses.replace(dataset, class_names=dict(enumerate(names)), **numbered), names


# ---- figures ----


def _measured(
    network: Transfer, data: DataSet, recipe: dict[str, Any], seed: int
) -> dict[str, dict[str, float]]:
    """Return the figures of the model, of the same network from scratch, and of an SVM."""
    scratch = from_scratch(network, seed)
    repeated = dataclasses.replace(data, train=repeated_rows(data.train))
    with tempfile.TemporaryDirectory() as folder:
        quiet = {"out": Path(folder) / "run", "verbose": False, "figures": False}
        train(model=scratch, data=repeated, **quiet, **recipe)
    how = "frozen" if network.frozen else "fine-tuned"
    return {
        f"{network.name}, {how}": figures(answers(network, data.test), data.test),
        "the same network from scratch": figures(answers(scratch, data.test), data.test),
        "SVM on the rows": figures(svm(network, data.train)(data.test), data.test),
    }


def answers(model: Transfer, rows: Rows) -> np.ndarray:
    """Return the classes (N,) or the predictions (N, k) of rows."""
    endpoint = model.endpoints[0]
    answer = model.endpoint(endpoint.name)(**model.inputs_of(rows))
    return answer["label"][:, 0] if endpoint.name == "classify" else answer["prediction"]


def svm(model: Transfer, rows: Rows, c: float = 10.0) -> Callable[[Rows], np.ndarray]:
    """Return a function from rows to the answers of an SVM (RBF) fitted to some rows.

    Args:
        model: In whose units rows are compared.
        rows: With labels or targets.
        c: Weight of the errors.
    """
    from sklearn.multioutput import MultiOutputRegressor
    from sklearn.svm import SVC, SVR

    chosen = rows.take(evenly(len(rows), SVM_ROWS))

    def flat(some: Rows) -> np.ndarray:
        return np.asarray(model.preprocessing.apply(some.array())).reshape(len(some), -1)

    if chosen.labels is not None:
        return _predicting(SVC(C=c).fit(flat(chosen), chosen.labels), flat)
    shift, scale = chosen.targets.mean(axis=0), np.maximum(chosen.targets.std(axis=0), 1e-12)
    fitted = MultiOutputRegressor(SVR(C=c)).fit(flat(chosen), (chosen.targets - shift) / scale)
    return lambda some: shift + scale * fitted.predict(flat(some))


def _predicting(fitted, flat) -> Callable[[Rows], np.ndarray]:
    return lambda some: fitted.predict(flat(some))


def figures(answered: np.ndarray, rows: Rows) -> dict[str, float]:
    """Return accuracy and balanced accuracy; of regressions R2 and mean absolute error."""
    from sklearn import metrics

    if rows.labels is None:
        return {
            "R2": float(metrics.r2_score(rows.targets, answered)),
            "mean absolute error": float(metrics.mean_absolute_error(rows.targets, answered)),
        }
    recalls = [np.mean(answered[rows.labels == c] == c) for c in np.unique(rows.labels)]
    return {
        "accuracy": float(np.mean(answered == rows.labels)),
        "balanced accuracy": float(np.mean(recalls)),
    }
