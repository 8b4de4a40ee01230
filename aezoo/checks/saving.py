"""Checks of models that are saved, loaded and copied."""

import tempfile
from pathlib import Path

import keras

from aezoo.checks.bench import ask, bench_of, draw, require, require_equal
from aezoo.checks.running import check
from aezoo.config import Entry


@check
def a_saved_model_answers_alike(entry: Entry) -> None:
    """A model with a past, saved as `.keras`, has its weights, units and answers when loaded."""
    bench = bench_of(entry)
    model = bench.seasoned
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        loaded = keras.saving.load_model(path)
    for one, two in zip(model.get_weights(), loaded.get_weights(), strict=True):
        require_equal(one, two, "A loaded weight differs.")
    states = (which.optimizer.variables for which in (model, loaded))
    for one, two in zip(*states, strict=True):
        require_equal(one, two, "A variable of the loaded optimizer differs.")
    require_equal(loaded(bench.x), model(bench.x), "The loaded model answers otherwise.")
    require(loaded.preprocessing == model.preprocessing, "The loaded preprocessing differs.")
    require(loaded.calibration == model.calibration, "The loaded calibration differs.")
    require(loaded.entry == model.entry, "The loaded entry differs.")
    require(loaded.endpoints == model.endpoints, "The loaded endpoints differ.")
    for spec in model.endpoints:
        inputs = {tensor.name: draw(tensor, bench.rows, seed=0) for tensor in spec.inputs}
        answers, expected = (ask(which, spec.name, inputs) for which in (loaded, model))
        for name, values in expected.items():
            require_equal(answers[name], values, f"{spec.name} gives another {name} when loaded.")


@check
def a_clone_with_the_same_weights_answers_alike(entry: Entry) -> None:
    """`keras.models.clone_model` gives a model of its own with the same arguments."""
    bench = bench_of(entry)
    model = bench.restored()
    clone = keras.models.clone_model(model)
    shared = {id(w) for w in model.weights} & {id(w) for w in clone.weights}
    require(not shared, "The clone shares weights with the model.")
    clone.set_weights(model.get_weights())
    require_equal(clone(bench.x), model(bench.x), "The clone answers otherwise.")
