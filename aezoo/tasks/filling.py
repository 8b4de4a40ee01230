"""From a file with gaps to a bundle that fills them: one call.

20 % of the rows are kept aside; holes are made in them, and what is put in is compared with
what was there, beside the mean, the nearest neighbours and the regressions of scikit-learn.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from aezoo import storage
from aezoo.data import gapped
from aezoo.errors import ZooError
from aezoo.files import require_new_folder, write_text
from aezoo.tasks import baselines, filling_report, holes
from aezoo.tasks.imputation import Imputer
from aezoo.tasks.projection import SETTINGS_FILE
from aezoo.tasks.trial import Trial

_TEST = 0.2  # of the rows, kept aside
_TRIED = 200  # rows with made holes; fewer are taken again, with other holes


@dataclasses.dataclass
class Filling:
    """What `fit` made.

    Attributes:
        folder: With bundle, model, settings, figures and report.html.
        imputer: The fitted `Imputer`.
        measured: Method -> figure -> value on made holes of test rows, ours first.
        test_rows: How many there are.
    """

    folder: Path
    imputer: Imputer
    measured: dict[str, dict[str, float]]
    test_rows: int

    @property
    def taken(self) -> str:
        """What the imputer took of what it tried."""
        return self.imputer.entry_


def fit(
    data: Any,
    out: str | Path,
    *,
    entry: str | None = None,
    modality: str | None = None,
    seed: int = 0,
    settings: dict | None = None,
    verbose: bool = False,
) -> Filling:
    """Fit an imputer to a file with gaps, measure it, export it, write a report.

    Args:
        data: A `.csv`, `.parquet` or `.npy` file, a pandas table, or an array with NaN.
        out: The folder to make.
        entry: A zoo entry; None takes what fits the rows.
        modality: `image`, `series` or `features`; None goes by the axes.
        seed: Of the split, the weights and the holes.
        settings: Overrides of the entry's recipe and arguments.
        verbose: Whether to show the training.

    Raises:
        ZooError: For data that cannot be read, too few rows, or an `out` that exists.

    Example:
        aezoo.tasks.filling.fit("measured.csv", "filler")
    """
    out = Path(out)
    require_new_folder(out, "Choose another --out, or delete it.")
    if isinstance(data, str | Path):
        given = gapped.read(data)
    else:
        is_table = type(data).__name__ == "DataFrame"
        given = gapped.of_frame(data) if is_table else gapped.Gapped(np.asarray(data))
    _refuse_empty(given)
    imputer = Imputer(entry, modality, settings=settings, random_state=seed, verbose=verbose)
    order = np.random.default_rng(seed).permutation(len(given.rows))
    aside = max(1, round(_TEST * len(order)))
    test, learning = given.rows[order[:aside]], given.rows[order[aside:]]
    imputer.fit(learning)
    model = imputer.model_
    if given.columns:
        named = dataclasses.replace(model.preprocessing, columns=tuple(given.columns))
        model.preprocessing = named
    trial = _tried(imputer, learning, test, given.columns, np.random.default_rng(seed))
    imputer.export(out / "bundle")
    storage.save(model, out / "model.keras")
    kept = {"passes": int(imputer.passes_), "tolerance": imputer.tolerance}
    write_text(out / SETTINGS_FILE, json.dumps(kept))
    name = Path(data).name if isinstance(data, str | Path) else "a table"
    filling_report.write(out, trial, name, [next_command(out)])
    measured = {method: {"RMSE": error} for method, error in trial.errors().items()}
    return Filling(out, imputer, measured, len(test))


def next_command(folder: Path) -> str:
    """Return the command to run next."""
    return f"aezoo fill run {folder} TABLE --out FILLED.csv"


def _refuse_empty(given: gapped.Gapped) -> None:
    empty = np.isnan(given.rows).all(axis=0)
    if given.columns and empty.any():
        names = [name for name, is_empty in zip(given.columns, empty, strict=True) if is_empty]
        raise ZooError(
            "Nothing is known of a column.",
            received=", ".join(names[:5]),
            do="Remove such columns: there is nothing to fill them with.",
        )


def _tried(
    imputer: Imputer,
    learning: np.ndarray,
    test: np.ndarray,
    columns: list[str] | None,
    rng: np.random.Generator,
) -> Trial:
    """Return what each method puts into the same made holes of test rows."""
    modality = imputer.model_.input_name
    times = -(-_TRIED // len(test))
    test = np.concatenate([test] * times)
    _, known = holes.rows_and_known(test, None, modality)
    kept = holes.made(known, modality, rng).reshape(test.shape)
    axes = (0,) if test.ndim == 2 else None  # columns have units of their own, pixels share one
    spread = np.nanstd(learning, axis=axes, keepdims=True)
    trial = Trial(
        test,
        known.reshape(test.shape) & ~kept,
        np.where(spread > 0, spread, 1.0),
        modality,
        columns or [str(number) for number in range(test.shape[-1])],
        times,
    )
    trial.filled[imputer.entry_] = imputer.transform(trial.opened)
    for method, fill_in in baselines.imputers(learning).items():
        trial.filled[method] = fill_in(trial.opened)
    return trial
