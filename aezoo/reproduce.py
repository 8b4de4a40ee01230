"""Train an entry as its reference says, once per seed, and put its figure beside the published one.

    aezoo reproduce vae                 # results/reproduced/vae.csv

The table has a row per seed, their mean and spread, the network as it was before training, and the
controls; beside the mean it says whether the aim is reached. A seed that stands in the table with
the same recipe is not trained again, and a training that was interrupted goes on where its last
whole epoch ended: the same command again is enough.
"""

import csv
import dataclasses
import hashlib
import importlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import keras
import numpy as np

from aezoo.config import Entry, ReferenceSection, override
from aezoo.errors import ZooError, require_known
from aezoo.files import whole_file, write_text
from aezoo.registry import build_entry, find
from aezoo.training import Run, train


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: `seed 0`, `mean`, `spread`, `untrained`, or the name of a control.
        value: The figure.
        beside: Other figures of the same measure, such as `val_nll=88.1`.
        best_epoch: Whose weights were measured, 0 without training.
        seconds: Of training and measuring.
        recipe: Equal recipes have equal digests.
    """

    what: str
    value: float
    beside: str
    best_epoch: int
    seconds: int
    recipe: str


def reproduce(
    entry: str | Entry,
    folder: str | Path = "results/reproduced",
    *,
    seeds: Iterable[int] | None = None,
    variant: str | None = None,
    full: bool = False,
    quick: bool = False,
    say: Callable[[str], None] = print,
) -> list[Row]:
    """Train and measure an entry as its `reference` section says; write `<entry>.csv`.

    Args:
        entry: Its name, or the entry.
        folder: Where the table goes; trainings stand in its `runs` until they are measured.
        seeds: Instead of those of the reference.
        variant: Another recipe that the reference names, such as `k50` of `iwae`;
            `<entry>_<variant>.csv`.
        full: The source's own schedule, which may take days; `<entry>_full.csv`.
        quick: A run of seconds to see that all works: small data, one seed, no controls.
        say: Called with each finished line.

    Returns:
        The rows of the table.

    Raises:
        ZooError: If the entry names no reference, no such variant, or no longer schedule.

    Example:
        rows = aezoo.reproduce("vae")
    """
    found = find(entry)
    reference = found.reference
    if reference is None:
        raise ZooError(
            f"The entry {found.name!r} names no figure that it is judged by.",
            do="Add a section `reference` to its YAML.",
        )
    if full and not reference.full:
        raise ZooError(
            f"The recipe of {found.name!r} is the source's own; there is no fuller one.",
            do="Leave out --full.",
        )
    options, changes = "", dict(reference.overrides)
    if variant is not None:
        if not reference.variants:
            raise ZooError(
                f"The entry {found.name!r} is judged by one recipe; it has no variants.",
                received=variant,
                do="Leave out --variant.",
            )
        require_known("variant", variant, reference.variants)
        other = reference.variants[variant]
        options, changes = f" --variant {variant}", changes | other.overrides
        told = {"figure": other.figure, "goal": other.goal, "published": other.published}
        reference = reference.model_copy(update=told)
    if full:
        options, changes = f"{options} --full", changes | reference.full
    changes |= reference.quick if quick else {}
    resolved = override(found, changes)
    wanted = list(reference.seeds if seeds is None else seeds)[: 1 if quick else None]
    parts = [found.name, variant, "full" * full, "quick" * quick]
    path = Path(folder) / f"{'_'.join(filter(None, parts))}.csv"
    recipe = _recipe(resolved)
    rows = {row.what: row for row in read(path) if row.recipe == recipe}

    def written() -> list[Row]:
        table = _with_summary(list(rows.values()), reference, recipe)
        _write(path, found.name + options, reference, table)
        return table

    for seed in wanted:
        if f"seed {seed}" not in rows:
            controls = () if quick else reference.controls
            run = path.parent / "runs" / f"{path.stem}-{seed}-{recipe}"
            try:
                for row in _measured(resolved, seed, run, recipe, rows, controls):
                    rows[row.what] = row
                    written()
                    what = f"{found.name}, {row.what}"
                    say(f"{what}: {reference.figure} {row.value:.5g}  {row.beside}")
            except KeyboardInterrupt:
                say(f"{found.name}: stopped. The same command goes on from here.")
                raise
    return written()  # once more: the reference may be worded anew


def read(path: Path) -> list[Row]:
    """Return the rows of a table, without what is computed from them; none if there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.DictReader(line for line in file if not line.startswith("#"))
        rows = [
            Row(
                what=line["what"],
                value=float(line["value"]),
                beside=line["beside"],
                best_epoch=int(line["best_epoch"]),
                seconds=int(line["seconds"]),
                recipe=line["recipe"],
            )
            for line in lines
        ]
    return [row for row in rows if row.what not in ("mean", "spread")]


def _recipe(entry: Entry) -> str:
    """Return a digest of all that the figure depends on."""
    parts = {"builder": entry.builder, "args": entry.args, "measure": entry.reference.measure}
    for name in ("data", "train"):  # what is as it ever was says nothing, nor does a new option
        parts[name] = getattr(entry, name).model_dump(exclude_defaults=True)
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class _Clock(keras.callbacks.Callback):
    """Keep how long a training has taken beside it, so that the time before an interruption counts.

    Args:
        path: The file, rewritten after every epoch.
    """

    def __init__(self, path: Path):
        super().__init__()
        self.path, self.began = path, time.perf_counter()
        self.before = float(path.read_text()) if path.is_file() else 0.0

    @property
    def seconds(self) -> float:
        """Of all the parts of the training so far."""
        return self.before + time.perf_counter() - self.began

    def on_epoch_end(self, epoch, logs=None):
        """Write the time."""
        write_text(self.path, f"{self.seconds:.3f}")


def _trained(entry: Entry, out: Path, clock: _Clock) -> Run:
    """Train in a folder, or go on with the training that was interrupted there."""
    options = {"callbacks": (clock,), "figures": False, "verbose": False}
    if (out / "checkpoint.npz").is_file():
        return train(resume=out, **options)
    shutil.rmtree(out, ignore_errors=True)  # it stopped before its first epoch
    return train(entry, out=out, **options)


def _measured(
    entry: Entry, seed: int, out: Path, recipe: str, known: dict[str, Row], controls: Iterable[str]
) -> Iterator[Row]:
    """Train with one seed and measure; then whatever of the rest is not known yet."""
    measure = _function(entry.reference.measure)
    drawn = {"data.split_seed": seed} if entry.data.labelled else {}  # other labels, too
    clock = _Clock(out / "seconds.txt")
    run = _trained(override(entry, {"train.seed": seed} | drawn), out, clock)
    values = measure(run.model, run.data)
    yield _row(f"seed {seed}", values, recipe, run.best["epoch"], round(clock.seconds))
    shutil.rmtree(out)
    if "untrained" not in known:
        new = build_entry(run.model.entry, seed=seed)  # without pretraining, too
        run.model.set_weights(new.get_weights())  # what was traced to measure it serves again
        run.model.optimizer.iterations.assign(0)
        yield _row("untrained", measure(run.model, run.data), recipe)
    for control in controls:
        name = control.partition(":")[2].replace("_", " ")
        if name not in known:
            yield _row(name, _function(control)(run.data), recipe)


def _row(what: str, values: dict[str, float], recipe: str, epoch: int = 0, seconds: int = 0) -> Row:
    first, *others = values.values()
    names = list(values)[1:]
    beside = " ".join(f"{n}={v:.5g}" for n, v in zip(names, others, strict=True))
    return Row(what, float(first), beside, epoch, seconds, recipe)


def _function(path: str) -> Callable[..., dict[str, float]]:
    """Return the function that `module:function` names."""
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        raise ZooError("There is no such measure.", received=path) from None


def _with_summary(rows: list[Row], reference: ReferenceSection, recipe: str) -> list[Row]:
    seeds = sorted((r for r in rows if r.what.startswith("seed ")), key=lambda r: int(r.what[5:]))
    values = [row.value for row in seeds]
    seconds = round(sum(row.seconds for row in seeds))
    said = _verdict(values, reference)
    summary = [Row("mean", float(np.mean(values)), said, 0, seconds, recipe)]
    if len(values) > 1:
        summary.append(Row("spread", float(np.std(values, ddof=1)), "", 0, 0, recipe))
    return [*seeds, *summary, *(row for row in rows if row not in seeds)]


def _verdict(values: list[float], reference: ReferenceSection) -> str:
    """Return `reached` or `not reached`, of the mean or the best seed; nothing without a goal."""
    if reference.goal is None:
        return ""
    lower = reference.better == "lower"
    best = min(values) if lower else max(values)
    ours = best if reference.of_seeds == "best" else float(np.mean(values))
    reached = ours <= reference.goal if lower else ours >= reference.goal
    return "reached" if reached else "not reached"


def _write(path: Path, asked: str, r: ReferenceSection, rows: list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aim = "no aim" if r.goal is None else f"aim {'<=' if r.better == 'lower' else '>='} {r.goal:g}"
    with whole_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# aezoo reproduce {asked}\n")
        file.write(f"# {r.figure}: {aim} ({r.of_seeds} of the seeds)\n")
        file.write(f"# beside it: {r.published}\n" if r.published else "")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in dataclasses.fields(Row))
        for row in rows:
            values = dataclasses.astuple(row)
            writer.writerow(f"{v:.6g}" if isinstance(v, float) else v for v in values)
