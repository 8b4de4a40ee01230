"""Training: the loop, its files, resuming bit for bit, and what stops it."""

import csv
import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from resumption import train_and_resume
from rich.console import Console

import aezoo
from aezoo import training
from aezoo.batches import plan_epoch, training_batches
from aezoo.callbacks import ProgressBar, overfitting
from aezoo.data.rows import TrainRows
from aezoo.errors import ZooError, ZooWarning
from aezoo.recipes import resolve
from aezoo.registry import find
from aezoo.specs import PictureRule

SMALL = {"input_shape": (6,), "hidden": (5,), "latent_dim": 2, "output_activation": "linear"}


@pytest.fixture
def rows(rng):
    """Rows on a plane in six dimensions, so that a code of two numbers can hold them."""
    return (rng.normal(size=(200, 2)) @ rng.normal(size=(2, 6)) + 3.0).astype("float32")


def train(rows, out, **overrides):
    recipe = {"epochs": 4, "batch_size": 32, "learning_rate": 1e-2} | SMALL
    recipe |= {"figures": False, "verbose": False} | overrides
    recipe.pop("input_shape")
    return aezoo.train("vallina_ae", rows, out=out, **recipe)


def test_training_lowers_the_loss_and_writes_the_run(rows, tmp_path):
    run = train(rows, tmp_path / "run", epochs=8, figures=True)
    losses = [row["val_loss"] for row in run.history]
    assert losses[-1] < 0.7 * losses[0]
    with (tmp_path / "run" / "history.csv").open() as file:
        written = list(csv.DictReader(file))
    assert [float(row["val_loss"]) for row in written] == losses
    assert run.metrics["validation"]["loss"] == pytest.approx(min(losses), rel=1e-5)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == run.metrics
    for name in ("config.yaml", "run.json", "model.keras", "figures/loss.png"):
        assert (tmp_path / "run" / name).stat().st_size > 0
    assert list((tmp_path / "run" / "logs").rglob("events*"))


def test_the_best_weights_are_kept_and_loaded(rows, tmp_path):
    run = train(rows, tmp_path / "run")
    assert not (tmp_path / "run" / "figures").exists()  # nobody asked for them
    again = aezoo.load(tmp_path / "run")
    np.testing.assert_array_equal(
        run.model.endpoint("reconstruct")(features=rows)["reconstruction"],
        again.endpoint("reconstruct")(features=rows)["reconstruction"],
    )
    assert set(again.probe_rows) == {"features"}
    np.testing.assert_array_equal(again.probe_rows["features"], run.data.validation.array()[:33])
    np.savez(tmp_path / "run" / "probe_rows.npz", x=again.probe_rows["features"])  # of old
    old = aezoo.load(tmp_path / "run").probe_rows
    assert set(old) == {"features"}
    np.testing.assert_array_equal(old["features"], again.probe_rows["features"])


def test_preprocessing_is_fitted_on_training_rows_only(rows, tmp_path):
    run = train(rows, tmp_path / "run")
    inside = run.data.train.array()
    np.testing.assert_allclose(run.model.preprocessing.shift, inside.mean(0), rtol=1e-5)
    assert not np.allclose(run.model.preprocessing.shift, rows.mean(0), rtol=1e-6)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(rows, tmp_path):
    a, b, c = (
        train(rows, tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert a.history == b.history
    assert a.history != c.history


RECIPE = {"batch_size": 32, "learning_rate": 1e-2, "hidden": (5,), "latent_dim": 2}


@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
def test_a_run_cut_off_goes_on_to_the_same_bits(rows, tmp_path, schedule):
    train_and_resume("vallina_ae", rows, tmp_path, schedule=schedule, **RECIPE)


def test_the_full_schedule_of_importance_weighting_is_that_of_its_paper(rows, tmp_path):
    full = find("iwae").reference.full
    assert (full["train.epochs"], full["train.batch_size"]) == (sum(3**i for i in range(8)), 20)
    shares = [training._tripling(epoch, 3280) for epoch in range(3280)]
    stages, epochs = np.unique(shares, return_counts=True)
    np.testing.assert_allclose(stages[::-1], 10.0 ** (-np.arange(8) / 7))
    assert epochs[::-1].tolist() == [3**i for i in range(8)]
    recipe = {"schedule": "tripling", "epsilon": 1e-4, "learning_rate": 0.01, "epochs": 5}
    run = train(rows, tmp_path / "run", **recipe)
    assert run.model.optimizer.epsilon == 1e-4
    rates = [epoch["learning_rate"] for epoch in run.history]
    np.testing.assert_allclose(rates, 0.01 * 10.0 ** (-np.array([0, 1, 1, 1, 2]) / 7), rtol=1e-6)


def test_a_kl_term_gains_its_weight_over_the_first_epochs_and_so_does_a_resumed_one(rows, tmp_path):
    recipe = RECIPE | {"likelihood": "gaussian", "warm_up": 3}
    _, resumed = train_and_resume("vae", rows, tmp_path, **recipe)  # cut off after 2 of 4 epochs
    shares = [(e["loss"] - e["reconstruction_loss"]) / e["kl_loss"] for e in resumed.history]
    np.testing.assert_allclose(shares, [0.25, 0.5, 0.75, 1.0], rtol=1e-4)
    for epoch in resumed.history:  # measured by the whole bound
        whole = epoch["val_reconstruction_loss"] + epoch["val_kl_loss"]
        assert epoch["val_loss"] == pytest.approx(whole, rel=1e-5)
    assert float(resumed.model.warmth) == 1.0


def test_a_model_without_a_kl_term_cannot_warm_one_up(rows, tmp_path):
    with pytest.raises(aezoo.ZooError, match="has no KL term"):
        train(rows, tmp_path / "run", warm_up=3)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_goes_on_to_the_same_bits(rows, tmp_path, precision):
    recipe = RECIPE | {"precision": precision}
    train_and_resume("vallina_ae", rows, tmp_path, epochs=3, cut=1, **recipe)


def test_random_layers_go_on_to_the_same_bits(rows, tmp_path):
    train_and_resume("vae", rows, tmp_path, likelihood="gaussian", **RECIPE)


def test_two_and_two_epochs_give_the_bits_of_four(rows, tmp_path):
    whole = train(rows, tmp_path / "whole", epochs=4)
    train(rows, tmp_path / "parts", epochs=2)
    resumed = aezoo.train(
        resume=tmp_path / "parts", data=rows, epochs=4, figures=False, verbose=False
    )
    assert resumed.history == whole.history
    for a, b in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def _train_and_interrupt(rows, out, after, **overrides):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == after:
                raise KeyboardInterrupt

    recipe = {"epochs": 4, "batch_size": 32, "learning_rate": 1e-2} | SMALL | overrides
    recipe.pop("input_shape")
    aezoo.train("vallina_ae", rows, out=out, verbose=False, callbacks=(Interrupt(),), **recipe)


def test_a_killed_run_goes_on_from_its_last_whole_epoch(rows, tmp_path):
    np.save(tmp_path / "rows.npy", rows)
    script = textwrap.dedent(
        f"""
        import time, aezoo.quiet
        aezoo.quiet.import_tensorflow()
        import keras
        class Slow(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                time.sleep(1)
        aezoo.train("vallina_ae", {str(tmp_path / "rows.npy")!r}, out={str(tmp_path / "run")!r},
                    epochs=6, batch_size=32, hidden=(5,), output_activation="linear",
                    callbacks=(Slow(),), verbose=False)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    checkpoint = tmp_path / "run" / "checkpoint.npz"
    deadline = time.monotonic() + 90
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    resumed = aezoo.train(resume=tmp_path / "run", epochs=7, figures=False, verbose=False)
    whole = aezoo.train(
        "vallina_ae",
        str(tmp_path / "rows.npy"),
        out=tmp_path / "whole",
        epochs=7,
        batch_size=32,
        hidden=(5,),
        output_activation="linear",
        figures=False,
        verbose=False,
    )
    assert resumed.history == whole.history


def test_resuming_with_other_rows_is_refused(rows, tmp_path):
    train(rows, tmp_path / "run", epochs=1)
    with pytest.raises(ZooError, match="not those that this run was started with"):
        aezoo.train(resume=tmp_path / "run", data=rows + 1, verbose=False)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_good_weights(rows, tmp_path):
    with pytest.raises(ZooError, match=r"at epoch \d+, .*kept the weights") as caught:
        train(rows, tmp_path / "run", learning_rate=1e30, optimizer="sgd", epochs=50)
    assert "train.learning_rate" in str(caught.value)
    model = aezoo.load(tmp_path / "run")
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_early_stopping_counts_epochs_without_improvement(rows, tmp_path):
    run = train(rows, tmp_path / "run", epochs=30, patience=2, learning_rate=1e-9)
    assert len(run.history) < 30


def test_an_output_folder_that_exists_is_kept(rows, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("mine")
    with pytest.raises(ZooError, match="exists already"):
        train(rows, tmp_path / "run")
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["mine.txt"]


def test_a_run_stopped_in_its_first_epoch_begins_again(rows, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        _train_and_interrupt(rows, tmp_path / "run", after=0)
    resumed = aezoo.train(resume=tmp_path / "run", data=rows, figures=False, verbose=False)
    assert resumed.history == train(rows, tmp_path / "whole").history


def test_a_resumed_run_keeps_its_recipe(rows, tmp_path):
    train(rows, tmp_path / "run", epochs=1)
    with pytest.raises(ZooError, match="keeps its recipe"):
        aezoo.train(resume=tmp_path / "run", data=rows, learning_rate=0.5)
    with pytest.raises(ZooError, match="has its entry already"):
        aezoo.train("conv_ae", resume=tmp_path / "run", data=rows)


def test_targets_that_are_no_rows_are_refused_before_training(rng, tmp_path):
    pictures = rng.integers(0, 255, (40, 8, 8, 1)).astype("uint8")
    masks = rng.integers(0, 2, (40, 8, 8)).astype("uint8") * 255
    small = {"filters": (4,), "epochs": 1, "verbose": False, "figures": False}
    with pytest.raises(ZooError, match="the target of train has a shape"):
        aezoo.train("conv_ae", (pictures, masks), out=tmp_path / "a", **small)
    small["filters"] = (4, 8)
    with pytest.raises(ZooError, match="labels that unet does not know"):
        aezoo.train("unet", (pictures, masks), out=tmp_path / "b", **small)
    with pytest.raises(ZooError, match="needs a target"):
        aezoo.train("unet", pictures, out=tmp_path / "c", **small)


def test_what_an_entry_says_of_its_own_data_is_not_said_of_others(rng, tmp_path):
    waves = rng.normal(size=(60, 12)).astype("float32")  # seq2seq_ae trains on class 1 of its own
    run = aezoo.train(
        "seq2seq_ae",
        waves,
        out=tmp_path / "run",
        epochs=1,
        units=4,
        latent_dim=2,
        figures=False,
        verbose=False,
    )
    assert run.data.section.train_classes is None
    assert run.model.input_shape == (12, 1)


def test_a_data_set_in_hand_is_scaled_as_the_entry_says(rng, tmp_path):
    pictures = rng.integers(0, 255, (60, 8, 8)).astype("uint8")
    data = aezoo.data.load(pictures)
    run = train(data, tmp_path / "run", epochs=1, binarize=0.5, output_activation="sigmoid")
    assert run.model.preprocessing.binarize == 0.5


def test_fine_tuning_records_the_model_that_it_tuned(rows, tmp_path):
    first = train(rows, tmp_path / "first", epochs=1)
    options = {"model": first.model, "data": rows, "verbose": False, "figures": False, "epochs": 1}
    tuned = aezoo.train("vallina_ae", out=tmp_path / "tuned", **options)
    assert tuned.model.entry.args["hidden"] == (5,)
    with pytest.raises(ZooError, match="architecture"):
        aezoo.train(out=tmp_path / "x", latent_dim=9, **options)
    with pytest.raises(ZooError, match="is a vallina_ae, not a conv_ae"):
        aezoo.train("conv_ae", out=tmp_path / "y", **options)


def test_fine_tuning_starts_from_the_given_weights(rows, tmp_path):
    first = train(rows, tmp_path / "first", epochs=6)
    before = first.model.evaluate(
        first.model.preprocessing.apply(rows).numpy(), return_dict=True, verbose=0
    )["loss"]
    second = aezoo.train(
        model=aezoo.load(tmp_path / "first"),
        data=rows + 0.1,
        out=tmp_path / "second",
        epochs=2,
        learning_rate=1e-4,
        figures=False,
        verbose=False,
    )
    assert second.history[0]["loss"] < 2 * before
    assert second.model.preprocessing == first.model.preprocessing


def test_fine_tuning_brings_pictures_to_the_models_size(rng, tmp_path):
    pictures = rng.integers(0, 256, (20, 12, 12, 1), np.uint8)
    first = aezoo.train(
        "conv_ae",
        pictures,
        out=tmp_path / "first",
        epochs=1,
        filters=(2, 2),
        figures=False,
        verbose=False,
    )
    (tmp_path / "photos").mkdir()
    for number in range(12):
        pixels = rng.integers(0, 256, (50, 70, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    tuned = aezoo.train(
        data=tmp_path / "photos",
        model=aezoo.load(first.directory),
        out=tmp_path / "tuned",
        epochs=1,
        figures=False,
        verbose=False,
    )
    assert tuned.data.train.shape == first.model.input_shape
    assert tuned.model.preprocessing.pictures == PictureRule("tile")
    assert tuned.model.preprocessing.scale == first.model.preprocessing.scale
    with pytest.raises(ZooError, match="not in the unit"):
        aezoo.train(
            data=rng.uniform(size=(20, 12, 12, 1)).astype("float32"),
            model=tuned.model,
            out=tmp_path / "other",
            verbose=False,
        )


def test_a_model_of_pictures_in_0_to_1_is_tuned_on_8_bit_ones_in_their_unit(rng, tmp_path):
    pictures = rng.integers(0, 256, (20, 12, 12, 1), np.uint8)
    model = aezoo.build("conv_ae", input_shape=(12, 12, 1), filters=(2, 2), seed=0)
    model.adapt((pictures / 255).astype("float32"))
    model.preprocessing = dataclasses.replace(model.preprocessing, shift=(0.25,), scale=(0.5,))
    before = np.asarray(model.preprocessing.apply((pictures / 255).astype("float32")))
    run = aezoo.train(
        data=pictures, model=model, out=tmp_path / "run", epochs=1, figures=False, verbose=False
    )
    assert run.model.preprocessing.dtype == "uint8"
    np.testing.assert_allclose(run.model.preprocessing.apply(pictures), before, atol=1e-6)


def test_overrides_reach_recipe_data_and_builder():
    entry = resolve("conv_ae", {"epochs": 2, "image_size": 32, "latent_dim": 4, "train.seed": 9})
    assert (entry.train.epochs, entry.data.image_size, entry.args["latent_dim"]) == (2, 32, 4)
    assert entry.train.seed == 9
    with pytest.raises(ZooError, match="Did you mean 'epochs'"):
        resolve("conv_ae", {"epoch": 2})


def test_over_fitting_is_warned_of(rng, tmp_path):
    noise = rng.normal(size=(40, 30)).astype("float32")  # nothing to learn but the rows themselves
    with pytest.warns(ZooWarning, match="Over-fitting"):
        aezoo.train(
            "vallina_ae",
            noise,
            out=tmp_path / "run",
            figures=False,
            verbose=False,
            epochs=60,
            batch_size=8,
            learning_rate=5e-3,
            hidden=(64,),
            latent_dim=30,
            latent_activation="linear",
            output_activation="linear",
        )


def test_a_healthy_history_is_no_over_fitting():
    history = [{"loss": 1 / e, "val_loss": 1.05 / e} for e in range(1, 9)]
    assert overfitting(history) is None


def test_every_row_is_seen_once_an_epoch_in_an_order_that_seed_and_epoch_fix():
    rows = TrainRows(np.arange(64.0, dtype="float32")[:, None])
    plan = plan_epoch(64, 16)

    def epochs(seed, first, count):
        batches = training_batches(
            rows, plan, seed=seed, first_epoch=first, prepare=lambda i, step: rows.gather(i)
        ).take(plan.steps * count)
        values = np.concatenate([b.numpy()[:, 0] for b in batches])
        return values.reshape(count, -1)

    both = epochs(1, 0, 2)
    for epoch in both:
        assert sorted(epoch) == list(range(64))
    assert not np.array_equal(both[0], both[1])
    np.testing.assert_array_equal(both[1:], epochs(1, 1, 1))
    assert not np.array_equal(both[0], epochs(2, 0, 1)[0])


@pytest.mark.parametrize(("count", "batch"), [(1, 128), (127, 128), (129, 128), (60_000, 128)])
def test_a_plan_covers_the_rows_to_within_a_batch(count, batch):
    plan = plan_epoch(count, batch)
    assert plan.batch_size == min(count, batch)
    assert abs(plan.steps * plan.batch_size - count) < batch
    assert plan.steps % plan.per_execution == 0


def test_plain_fit_trains_as_the_fast_loop_does(rows):
    model = aezoo.build("vallina_ae", seed=0, **SMALL)
    x = model.adapt(rows)
    fitted = model.fit(x, x, epochs=3, batch_size=32, verbose=0, validation_data=(x, x))
    assert fitted.history["val_loss"][-1] < fitted.history["val_loss"][0]


def test_the_sources_own_call_works_as_it_stands(rng):
    clean = aezoo.data.load("sample").train.array()[:128] / np.float32(255)
    noisy = np.clip(clean + 0.2 + rng.normal(0, 0.2, clean.shape), 0, 1).astype("float32")
    model = aezoo.build("denoise_AE", seed=0)
    fitted = model.fit(noisy, clean, epochs=4, batch_size=128, shuffle=True, verbose=0)
    assert fitted.history["loss"][-1] < 0.98 * fitted.history["loss"][0]


def test_a_gradient_tape_loop_written_by_hand_trains(rows):
    model = aezoo.build("vallina_ae", seed=0, **SMALL)
    x = tf.constant(model.adapt(rows))
    optimizer = keras.optimizers.SGD(0.1)
    losses = []
    for _ in range(10):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(x - model(x, training=True)))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        losses.append(float(loss))
    assert losses[-1] < losses[0]


def test_adam_by_the_fused_kernel_is_adam(rng):
    start = rng.normal(size=(5, 3)).astype("float32")
    ours, theirs = tf.Variable(start), tf.Variable(start)
    from aezoo.optimizers import FusedAdam

    fused, plain = FusedAdam(0.01, weight_decay=0.1), keras.optimizers.Adam(0.01, weight_decay=0.1)
    for _ in range(20):
        gradient = rng.normal(size=(5, 3)).astype("float32")
        fused.apply_gradients([(tf.constant(gradient), ours)])
        plain.apply_gradients([(tf.constant(gradient), theirs)])
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=0, atol=3e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, x: m.fit(x[:, :3]), r"build with input_shape=\(3,\)"),
        (lambda m, x: m.predict(x[0]), r"add a batch axis"),
        (lambda m, x: m.fit(np.where(x == x[3, 3], np.nan, x)), "NaN or infinity in 1 of 200"),
        (lambda m, x: m.fit(x, np.arange(len(x))), "holds labels"),
        (lambda m, x: m.fit(x, x[:, :3]), "y has a shape"),
        (lambda m, x: m.fit(x, validation_data=(x, np.full_like(x, np.inf))), "y of validation"),
        (lambda m, x: m.evaluate(x, x * np.nan), "y holds NaN"),
    ],
)
def test_rows_that_do_not_fit_are_answered_with_advice(rows, call, message):
    model = aezoo.build("vallina_ae", seed=0, **SMALL)
    with pytest.raises(ZooError, match=message):
        call(model, rows)


def test_a_metric_that_rises_keeps_its_highest_epoch(rng, tmp_path):
    pictures = rng.integers(0, 256, (24, 8, 8, 1), np.uint8)
    masks = (pictures[..., 0] > 128).astype("uint8")
    run = aezoo.train(
        "unet",
        (pictures, masks),
        out=tmp_path / "run",
        epochs=4,
        learning_rate=1e-3,
        filters=(2, 2),
        classes=2,
        monitor="val_dice",
        metrics=("dice",),
        augment=(),
        validation=0.25,
        figures=False,
        verbose=False,
    )
    highest = max(row["val_dice"] for row in run.history)
    assert len({row["val_dice"] for row in run.history}) > 1
    assert run.metrics["validation"]["dice"] == pytest.approx(highest, abs=1e-6)
    assert f"'val_dice': {highest}" in repr(run)


def test_a_monitor_that_nothing_logs_is_refused_before_training(rows, tmp_path):
    with pytest.raises(ZooError) as error:
        train(rows, tmp_path / "run", monitor="val_recontruction_loss")
    assert error.value.closest == "val_reconstruction_loss"
    assert not (tmp_path / "run" / "history.csv").exists()


def test_the_bar_counts_training_time_only():
    console = Console(file=io.StringIO(), width=120)
    bar = ProgressBar(2, rows=1000, console=console)
    bar.on_train_begin()
    bar.on_epoch_begin(0)
    bar._started -= 0.5  # half a second of training ...
    bar.on_train_batch_end(9)
    time.sleep(0.3)  # ... and then validation
    bar.on_epoch_end(0, {"loss": 0.25, "val_loss": 0.5})
    assert bar._bar is None
    rate = int(console.file.getvalue().split("val_loss 0.5")[1].split()[0].replace(",", ""))
    assert 1600 < rate <= 2000


def test_the_bar_moves_within_an_epoch_on_a_terminal():
    screen = Console(file=io.StringIO(), width=120, force_terminal=True)
    bar = ProgressBar(2, rows=70, console=screen)
    bar.set_params({"steps": 7})
    bar.on_train_begin()
    bar.on_epoch_begin(0)
    bar._shown -= 1  # the last look is long ago
    bar.on_train_batch_end(3, {"loss": 0.5})
    assert bar._bar.tasks[0].completed == pytest.approx(4 / 7)
    assert bar._bar.tasks[0].fields["terms"] == "57% of epoch 1  loss 0.5"
    bar._shown -= 1
    bar.on_train_batch_end(8, {"loss": 0.4})  # three steps a call overshoot seven
    assert bar._bar.tasks[0].completed == 1
    bar.on_epoch_end(0, {"loss": 0.25})
    bar.close()


def test_an_unknown_token_is_refused_before_training(rng, tmp_path):
    words = rng.integers(1, 12, (60, 5))
    with pytest.raises(ZooError) as error:
        aezoo.train(
            "seq2seq_ae", words, out=tmp_path / "run", vocabulary=9, figures=False, verbose=False
        )
    assert "x of train" in str(error.value)


def test_tokens_train_where_a_vocabulary_is_given(rng, tmp_path):
    words = rng.integers(1, 9, (60, 5)).astype("int64")
    words[::2, 3:] = 0  # half of them are shorter
    run = aezoo.train(
        "seq2seq_ae",
        words,
        out=tmp_path / "run",
        epochs=2,
        units=6,
        latent_dim=3,
        embedding_dim=4,
        vocabulary=9,
        variable_length=True,
        metrics=("accuracy",),
        figures=False,
        verbose=False,
    )
    assert run.data.modality == "tokens" and run.model.input_shape == (5,)
    assert run.history[1]["loss"] < run.history[0]["loss"] < 1.2 * np.log(9)
    answer = aezoo.load(run.directory).endpoint("reconstruct")(tokens=words[:2].astype("int32"))
    assert answer["reconstruction"].shape == (2, 5) and answer["probabilities"].shape == (2, 5, 9)


def test_a_longer_cosine_says_that_it_is_another_one(rows, tmp_path, capsys):
    train(rows, tmp_path / "run", epochs=2, schedule="cosine")
    (tmp_path / "run" / ".part-x.npz").write_text("left by a killed run")
    aezoo.train(resume=tmp_path / "run", data=rows, epochs=3, figures=False)
    assert "was made for 2 epochs and goes on as one of 3" in capsys.readouterr().err
    assert not list((tmp_path / "run").glob(".part-*"))


def test_weights_that_keras_would_drop_are_refused(rows):
    model = aezoo.build("vallina_ae", **SMALL)
    with pytest.raises(ZooError, match="sample_weight counts only where y is given"):
        model.fit(rows, sample_weight=np.ones(len(rows)), verbose=0)
    with pytest.raises(ZooError, match="fit\\(x, x, sample_weight"):
        model.evaluate(rows, None, None, 0, np.ones(len(rows)))
    with pytest.raises(ZooError, match="sample_weight"):
        model.fit(tf.constant(rows), sample_weight=np.ones(len(rows)), verbose=0)
