"""A recipe and data give a fitted model in a run folder.

    entry + overrides -> data -> preprocessing -> fit -> best weights -> figures and metrics

The loop is `keras.Model.fit` on the fast pipeline of `aezoo.batches`. After every epoch the run
folder holds all that is needed to go on from there.
"""

import dataclasses
import json
import math
import sys
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console

from aezoo import checkpoint, recipes, storage
from aezoo.batches import evaluation_batches, plan_epoch, training_batches
from aezoo.callbacks import (
    HistoryFile,
    ProgressBar,
    StopOnNonFinite,
    WarmUp,
    overfitting,
    write_history,
)
from aezoo.config import Entry, TrainSection
from aezoo.errors import ZooError, ZooWarning
from aezoo.files import require_new_folder, whole_file, write_text
from aezoo.metrics import rises
from aezoo.registry import build_entry, builder_of, checked_arguments
from aezoo.spread import evenly
from aezoo.zoo_model import compile_for, precision

PROBE_ROWS = 33  # kept with the run for verification; the largest batch that verification tries
_EVALUATION_BATCH = 512
_SAMPLE_BYTES = 256 * 2**20


@dataclasses.dataclass
class Run:
    """A finished training run.

    Attributes:
        model: With the best weights, or the last ones where the recipe says so.
        directory: The run folder.
        history: One dict per epoch: `epoch`, `loss`, `val_loss` and the other terms.
        data: The data set, its roles apart.
        metrics: Loss terms of the best weights on validation and test rows.
        monitor: What the best epoch was chosen by.
    """

    model: keras.Model
    directory: Path
    history: list[dict]
    data: Any
    metrics: dict[str, dict[str, float]]
    monitor: str = "val_loss"

    @property
    def best(self) -> dict:
        """The line of the history whose weights the model has."""
        choose = max if rises(self.monitor.removeprefix("val_")) else min
        return choose(self.history, key=lambda row: row.get(self.monitor, row["loss"]))

    def __repr__(self) -> str:
        return f"<run {self.directory}: {len(self.history)} epochs, best {self.best}>"


def train(
    entry: str | Entry | None = None,
    data: Any = None,
    *,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    model: keras.Model | None = None,
    callbacks: tuple = (),
    figures: bool = True,
    verbose: bool = True,
    **overrides: Any,
) -> Run:
    """Train a zoo entry on data, or go on with a run.

    Args:
        entry: The name of a zoo entry, or the path of a YAML file; left out when resuming.
        data: What `aezoo.data.load` takes: a name, a folder, a file, an array, or a data set.
            None takes the entry's own.
        out: The run folder to make; None chooses `runs/<entry>-<n>`.
        resume: A run folder to go on with, exactly where its last whole epoch ended.
        model: Fine-tune this model instead of building a new one; its preprocessing is kept.
        callbacks: Further Keras callbacks.
        figures: Whether to draw the pictures of the run folder, which takes a second or two.
        verbose: Whether to show notes and progress.
        **overrides: Of the recipe, the data or the builder: `epochs=5`, `latent_dim=8`.

    Returns:
        The run: model, history, metrics, folder.

    Raises:
        ZooError: For wrong names or values, unfit data, an existing folder, a loss that is not
            finite (the folder then keeps the weights of the last whole epoch).
    """
    console = Console(file=sys.stderr, quiet=not verbose)
    state = None
    if resume is not None:
        before, resolved = recipes.for_resume(
            Path(resume), overrides, entry=entry, model=model, out=out
        )
        out = Path(resume)
        if before.train.schedule == "cosine" and before.train.epochs != resolved.train.epochs:
            console.print(
                f"The cosine schedule was made for {before.train.epochs} epochs and goes on as one "
                f"of {resolved.train.epochs}: the bits are not those of one run of that length.",
                soft_wrap=True,
            )
        for leftover in out.glob(".part-*"):  # of a killed run
            leftover.unlink()
        state = checkpoint.read(out / "checkpoint.npz")
    elif entry is None and model is None:
        raise ZooError("Which model?", do="Name a zoo entry: aezoo.train('conv_ae').")
    elif model is not None:
        resolved = recipes.for_model(model, entry, overrides, data)
    else:
        resolved = recipes.resolve(entry, recipes.for_data(entry, data) | overrides)
    checked_arguments(builder_of(resolved), resolved.args, resolved.name)
    dataset = data_for(resolved, data)
    if builder_of(resolved).learns_labels:
        dataset = dataset.with_labels_as_targets()
    if resume is not None:
        _check_same_rows(dataset, out)
    kept = {"scaling": resolved.data.scaling, "binarize": resolved.data.binarize}
    section = dataset.section.model_copy(update=kept)  # with the actual source
    resolved = resolved.model_copy(update={"data": section})
    if model is None:
        resolved = recipes.for_rows(resolved, dataset.train.shape)
    out = _run_folder(out, resolved, exists=resume is not None)

    with precision(resolved.train.precision):
        model = _prepare_model(resolved, dataset, model, out if resume else None)
        for note in dataset.notes:
            console.print(note, style="dim", highlight=False, soft_wrap=True)
        run = _fit(model, resolved, dataset, out, state, callbacks, figures, console)
    if resolved.train.keep == "best" and (message := overfitting(run.history)):
        warnings.warn(message, ZooWarning, stacklevel=2)
    return run


def data_for(entry: Entry, data: Any = None):
    """Return the data set of an entry, or what is given, read as the entry's model takes it.

    Args:
        entry: Whose `data` section says how.
        data: A data set, or what `aezoo.data.load` takes; None takes the entry's own source.

    Raises:
        ZooError: If the entry's source was an array in memory, or the data cannot be read.

    Example:
        >>> from aezoo.registry import find
        >>> data_for(find("vallina_ae"), "sample").name
        'sample'
    """
    from aezoo.data import DataSet, load

    if isinstance(data, DataSet):
        return data
    source = entry.data.source if data is None else data
    if isinstance(source, str) and source.startswith("<") and data is None:
        raise ZooError(
            "The model was trained on arrays in memory, which a run folder does not keep.",
            received=source,
            do="Pass the same arrays again, as `data`.",
        )
    builder = builder_of(entry)
    taken = builder.modalities_for(entry.args)
    if entry.modality in taken:  # what the entry is for comes first
        taken = tuple(dict.fromkeys((entry.modality, *taken)))
    return load(source, entry.data, modality=taken)


def _check_same_rows(dataset, run: Path) -> None:
    before = json.loads((run / "run.json").read_text(encoding="utf-8"))["data"]["fingerprints"]
    for role in ("train", "validation"):
        rows = getattr(dataset, role)
        if (rows.fingerprint() if rows else None) != before.get(role):
            raise ZooError(
                f"The {role} rows are not those that this run was started with.",
                received=dataset.name,
                do="Resume with the same data, or start a new run from the model: "
                "aezoo.train(model=aezoo.load(run), data=...).",
            )


def _run_folder(out: str | Path | None, entry: Entry, *, exists: bool) -> Path:
    if out is None:
        taken = {p.name for p in Path("runs").glob(f"{entry.name}-*")}
        number = next(n for n in range(1, len(taken) + 2) if f"{entry.name}-{n}" not in taken)
        out = Path("runs") / f"{entry.name}-{number}"
    out = Path(out)
    if not exists:
        require_new_folder(out, "Choose another --out, or go on with that run by --resume.")
    out.mkdir(parents=True, exist_ok=True)
    return out


def _prepare_model(entry: Entry, dataset, model, resumed: Path | None):
    """Build or take the model, and make sure that it has a preprocessing for these rows."""
    if resumed is not None:
        return storage.load(resumed / "start.keras")
    if model is not None:
        if tuple(dataset.train.shape) != model.input_shape:
            raise ZooError(
                f"The rows do not have the shape that {model.name} takes.",
                received=dataset.train.shape,
                do=f"Load them as {model.input_shape}, pictures with data.image_size and "
                "data.channels.",
            )
        _take_unit(model, dataset)
        compile_for(model, entry.train)
    else:
        model = build_entry(entry, seed=entry.train.seed)
        model.fit_preprocessing(_sample(dataset.train), entry.data.scaling, entry.data.binarize)
    if dataset.pictures is not None or dataset.columns is not None:
        columns = None if dataset.columns is None else tuple(dataset.columns)
        rule = {"pictures": dataset.pictures, "columns": columns}
        model.preprocessing = dataclasses.replace(model.preprocessing, **rule)
    model.entry = entry
    for role, rows in dataset.roles().items():
        model.conditions_of(rows)  # raises where the data lack them
        if rows.targets is None:
            one = rows.take(np.arange(1)).array()
            model.target_of(model.preprocessing.apply(one))  # raises where it needs targets
        if rows.dtype == np.int32:
            model.check_rows(rows.array(), f"x of {role}")  # an unknown id would end in TensorFlow
        model.check_targets(None, rows.targets, f"the target of {role}")
    if dataset.train.targets is not None:
        model.take_targets(dataset.train.targets)
    recipes.check_monitor(entry.train, model)
    if entry.train.warm_up and not hasattr(model, "warmth"):
        raise ZooError(
            f"{model.name} has no KL term to warm up.",
            received=f"train.warm_up={entry.train.warm_up}",
            do="Leave train.warm_up out.",
        )
    return model


def _take_unit(model, dataset) -> None:
    """Let a model of pictures in [0, 1] take 8-bit ones; refuse any other change of unit."""
    p = model.preprocessing
    eight_bits = dataset.train.dtype == np.uint8
    if eight_bits == (p.dtype == "uint8") or p.dtype == "int32":
        return
    if not eight_bits or p.white is None:
        raise ZooError(
            f"The rows are not in the unit that {model.name} takes.",
            received=str(dataset.train.dtype),
            do=f"Give them as {p.dtype}, in the values that it was trained on.",
        )
    model.preprocessing = p.of_8_bits()
    dataset.notes.append(f"The model took pictures up to {p.white:g}; these go up to 255.")


def _sample(rows) -> np.ndarray:
    """Return the rows that constants are fitted on: all, or an even spread of what is streamed."""
    if rows.in_memory:
        return rows.array()
    count = max(64, min(20_000, _SAMPLE_BYTES // max(1, rows.nbytes // len(rows))))
    return rows.take(evenly(len(rows), count)).array()


def _fit(model, entry, dataset, out, state, callbacks, figures, console) -> Run:
    recipe = entry.train
    (out / storage.METRICS_FILE).unlink(missing_ok=True)  # of weights that are about to change
    plan = plan_epoch(len(dataset.train), recipe.batch_size, _steps_per_call(model, recipe))
    model.steps_per_execution = plan.per_execution
    if state is None:
        if recipe.pretrain_epochs:
            _pretrain(model, recipe, dataset, plan, out, console)
        _write_start(model, entry, dataset, out)
    first_epoch = state["epoch"] if state else 0
    history: list[dict] = list(state["history"]) if state else []
    if first_epoch >= recipe.epochs:
        console.print(f"{out} has its {recipe.epochs} epochs already; give a higher train.epochs.")
    if state is not None:
        checkpoint.restore(model, state)
        if first_epoch < recipe.epochs and checkpoint.stopped_early(state, recipe.patience):
            first_epoch = recipe.epochs  # it had ended; only the last files are missing

    rows = dataset.train
    if (targets := model.targets_of(rows)) is not rows.targets:
        rows = type(rows)(rows.x, rows.labels, targets, rows.index)
    watchers = _callbacks(recipe, dataset, history, out)
    bar = ProgressBar(recipe.epochs, plan.steps * plan.batch_size, console)
    saver = checkpoint.Checkpoint(out / "checkpoint.npz", watchers, history, state)
    try:
        model.fit(
            _batches(model, recipe, rows, plan, first_epoch),
            steps_per_epoch=plan.steps,
            initial_epoch=first_epoch,
            epochs=recipe.epochs,
            validation_data=_validation(model, dataset),
            callbacks=[*watchers, *callbacks, bar, saver],
            shuffle=False,  # the pipeline has shuffled
            verbose=0,
        )
    except (KeyboardInterrupt, ZooError) as stopped:
        best = next(w.best_weights for w in watchers if hasattr(w, "best_weights"))
        if best is not None:
            model.set_weights(best)
        storage.save(model, out / "model.keras")
        if isinstance(stopped, KeyboardInterrupt):
            console.print(f"Stopped. Go on with: aezoo train --resume {out}", soft_wrap=True)
        raise
    finally:
        bar.close()
    if len(history) < recipe.epochs:
        console.print(f"Stopped early: {recipe.patience} epochs without improvement.")
    run = _finish(model, entry, dataset, out, history)
    if figures:
        _draw(run)
    return run


def _batches(model, recipe: TrainSection, rows, plan, first_epoch: int) -> tf.data.Dataset:
    return training_batches(
        rows,
        plan,
        seed=recipe.seed,
        first_epoch=first_epoch,
        prepare=_prepare(model, rows, recipe),
    )


def _pretrain(model, recipe: TrainSection, dataset, plan, out: Path, console) -> None:
    """Pretrain once, before the first epoch, and keep the history beside that of the epochs."""
    console.print(f"Pretraining, {recipe.pretrain_epochs} epochs for each stage.", style="dim")
    bar = ProgressBar(recipe.pretrain_epochs, plan.steps * plan.batch_size, console)
    schedule = _schedule(recipe, recipe.pretrain_epochs)
    try:
        history = model.pretrain(
            _batches(model, recipe, dataset.train, plan, first_epoch=0),
            recipe.pretrain_epochs,
            steps_per_epoch=plan.steps,
            callbacks=(*schedule, StopOnNonFinite(), bar, *_warm_up(recipe)),
        )
    finally:
        bar.close()
    write_history(out / "pretraining.csv", history)


def _steps_per_call(model, recipe: TrainSection) -> int | None:
    if recipe.steps_per_execution is not None:
        return recipe.steps_per_execution
    recurrent = any(isinstance(layer, keras.layers.RNN) for layer in model._flatten_layers())
    return 1 if recurrent else None  # more steps per call do not help a loop over time


def _monitor(recipe: TrainSection, dataset) -> str:
    return recipe.monitor if dataset.validation else recipe.monitor.removeprefix("val_")


def _callbacks(recipe: TrainSection, dataset, history: list[dict], out: Path) -> list:
    monitor = _monitor(recipe, dataset)
    mode = "max" if rises(monitor.removeprefix("val_")) else "min"
    early = keras.callbacks.EarlyStopping(
        monitor,
        patience=recipe.patience or recipe.epochs,
        mode=mode,
        restore_best_weights=recipe.keep == "best",
    )
    logs = keras.callbacks.TensorBoard(out / "logs", write_graph=False, update_freq="epoch")
    watchers = [StopOnNonFinite(), HistoryFile(out / "history.csv", history), early, logs]
    watchers += _warm_up(recipe)
    schedule = _schedule(recipe, recipe.epochs)
    if recipe.schedule == "plateau":
        patience = max(2, (recipe.patience or 10) // 2)
        schedule = [
            keras.callbacks.ReduceLROnPlateau(monitor, factor=0.5, patience=patience, mode=mode)
        ]
    return [*schedule, *watchers]  # first, so that the history has its learning rate


def _schedule(recipe: TrainSection, epochs: int) -> list:
    """Return the callback that sets the learning rate over so many epochs, if the recipe has it."""
    if recipe.schedule not in _SHARES:
        return []
    share = _SHARES[recipe.schedule]
    return [
        keras.callbacks.LearningRateScheduler(
            lambda epoch: recipe.learning_rate * share(epoch, epochs)
        )
    ]


def _warm_up(recipe: TrainSection) -> list:
    return [WarmUp(recipe.warm_up)] if recipe.warm_up else []


def _cosine(epoch: int, epochs: int) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * epoch / epochs))


def _tripling(epoch: int, epochs: int) -> float:
    """Return 10^(-i/7) in stage i, which lasts 3^i epochs, from i = 0.

    Source: Burda, Grosse & Salakhutdinov (2016), section 5: eight stages, 3,280 epochs.
    """
    stage, ended = 0, 1
    while epoch >= ended:
        stage += 1
        ended += 3**stage
    return 10.0 ** (-stage / 7)


_SHARES = {"cosine": _cosine, "tripling": _tripling}  # of the learning rate, for epoch and epochs


def _prepare(model, rows, recipe: TrainSection | None):
    """Return the function from row indices to what `fit` gets, in model units."""
    from aezoo.augment import augment

    ways = recipe.augment if recipe is not None else ()
    supervised = rows.targets is not None
    beside = {name: tf.constant(values) for name, values in model.conditions_of(rows).items()}
    targets = tf.constant(rows.targets) if supervised else None

    def prepare(indices, step):
        x = model.preprocessing.apply(rows.gather(indices))
        y = model.prepare_targets(tf.gather(targets, indices)) if supervised else None
        if ways:
            x, y = augment(x, y, ways, seed=(recipe.seed, step))
        if beside:
            x = {model.input_name: x} | {k: tf.gather(v, indices) for k, v in beside.items()}
        return (x, y) if supervised else (x,)

    return prepare


def _validation(model, dataset):
    if not dataset.validation:
        return None
    prepare = _prepare(model, dataset.validation, None)
    return evaluation_batches(dataset.validation, _EVALUATION_BATCH, prepare)


def _write_start(model, entry: Entry, dataset, out: Path) -> None:
    from aezoo.version import __version__

    model.entry = entry
    record = {
        "aezoo": __version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "entry_digest": entry.digest(),
        "data": dataset.record(),
    }
    kept = dataset.validation or dataset.train
    model.probe_rows = model.inputs_of(kept.take(np.arange(min(PROBE_ROWS, len(kept)))))
    with whole_file(out / storage.PROBE_FILE) as part:
        np.savez_compressed(part, **model.probe_rows)
    storage.save(model, out / "start.keras")
    write_text(out / "run.json", json.dumps(record, indent=1))
    write_text(out / "config.yaml", entry.to_yaml())


def _finish(model, entry: Entry, dataset, out: Path, history: list[dict]) -> Run:
    """Measure the weights that are kept, write model and metrics."""
    if model.steps_per_execution != 1:
        model.steps_per_execution = 1
        model.make_test_function(force=True)
    metrics = {}
    for role in ("validation", "test"):
        rows = getattr(dataset, role)
        if rows:
            batches = evaluation_batches(rows, _EVALUATION_BATCH, _prepare(model, rows, None))
            values = model.evaluate(batches, return_dict=True, verbose=0)
            metrics[role] = {name: float(value) for name, value in values.items()}
    model.metrics_measured = metrics
    model.entry = entry
    storage.save(model, out / "model.keras")
    write_text(out / "config.yaml", entry.to_yaml())
    write_text(out / storage.METRICS_FILE, json.dumps(metrics, indent=1))
    return Run(model, out, history, dataset, metrics, _monitor(entry.train, dataset))


def _draw(run: Run) -> None:
    from aezoo import figures

    folder = run.directory / "figures"
    figures.loss_curves(run.history, folder / "loss.png")
    shown = run.data.test or run.data.validation or run.data.train
    figures.of_model(run.model, shown, folder, run.data.class_names)
