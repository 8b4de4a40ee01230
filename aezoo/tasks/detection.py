"""From a folder of normal things to a deployed detector: one call.

data -> train -> choose a score -> calibrate -> measure -> export, verified -> report

OUT/report.html      the worst rows first, the place marked
OUT/scores.csv       every test row: score, decision, place
OUT/bundle/          verified; `aezoo detect run OUT NEW_DATA` and servers answer from it
OUT/run/             the training run
"""

import contextlib
import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from aezoo.calibration import best_f1, conformal_threshold, rows_for
from aezoo.config import DataSection, data_overrides, validated
from aezoo.data import MEMORY_LIMIT, DataSet, load
from aezoo.data.find import read
from aezoo.data.source import Source
from aezoo.errors import ZooError, closest_match
from aezoo.files import require_new_folder
from aezoo.spread import evenly
from aezoo.tasks import baselines, detection_report
from aezoo.tasks.anomaly import AnomalyDetector
from aezoo.tasks.screening import BATCH, Screened, asking, screen

NORMAL_NAMES = ("good", "normal", "ok", "okay", "healthy", "nominal", "pass")
_VALIDATION, _CALIBRATION, _TEST = 0.1, 0.2, 0.2  # shares of what the source does not deal itself
_ROWS = 10_000  # that baselines are asked about, at most
_OVERLAP = 4  # windows that a time step lies in
_MOST = 0.4  # of the rows, for calibration, where a fifth is too few for alpha


@dataclasses.dataclass
class Detection:
    """What `fit` made.

    Attributes:
        folder: With bundle, report, table and run.
        detector: The fitted `AnomalyDetector`.
        data: The rows, in their roles.
        screened: What it found of the test rows.
        odd: `(N,)` which of the test rows are anomalous; None where no row is known to be.
        measured: Method -> figure -> value, on test rows: the detector first, then the baselines.
    """

    folder: Path
    detector: AnomalyDetector
    data: DataSet
    screened: Screened
    odd: np.ndarray | None
    measured: dict[str, dict[str, float]]


def fit(
    data: Any,
    out: str | Path,
    *,
    normal: tuple[str | int, ...] = (),
    entry: str | None = None,
    score: str = "auto",
    alpha: float = 0.05,
    folds: int | None = None,
    image_size: int | None = None,
    window: int | None = None,
    seed: int = 0,
    verbose: bool = True,
    **settings: Any,
) -> Detection:
    """Train a detector on normal data, measure it, export it and write a report.

    Args:
        data: What `aezoo.data.load` takes: a folder of pictures, a table, an array, a name. Where
            rows have classes, those of other classes than `normal` train nothing: they measure.
        out: The folder to make.
        normal: The classes that are normal; left out, one of `good`, `normal`, `ok` and the like,
            or 0 where classes are 0 and 1.
        entry: A zoo entry; None takes one that fits the rows.
        score: A kind of `aezoo.scorers`; `auto` chooses.
        alpha: The false-alarm rate, between 0 and 1.
        folds: As `AnomalyDetector` takes them; windows of one series have none, for they overlap.
        image_size: Pixels a side, for folders of pictures.
        window: Rows per window, for a table of one long series.
        seed: Of the split, the weights, the order.
        verbose: Whether to show notes and progress.
        **settings: Overrides of recipe and arguments, as `aezoo.train` takes them.

    Returns:
        What was made.

    Raises:
        ZooError: For data that cannot be read, no normal rows or too few for alpha, or an `out`
            that exists.

    Example:
        aezoo.tasks.detection.fit("photos_of_parts", "detector", image_size=128)
    """
    out = Path(out)
    require_new_folder(out, "Choose another --out, or delete it.")
    ours, settings = data_overrides(settings)
    named = {"image_size": image_size, "window": window}
    ours = {"split_seed": seed} | ours | {k: v for k, v in named.items() if v is not None}
    detector = AnomalyDetector(
        entry,
        score,
        alpha=alpha,
        folds=folds,
        settings=settings,
        random_state=seed,
        verbose=verbose,
    )
    detector.require_names()
    dataset, odd = _dealt(data, normal, detector, ours)
    console = Console(file=sys.stderr, quiet=not verbose, highlight=False)
    detector.fit_data(dataset, out / "run")
    with console.status("measuring, exporting, and asking every exported graph the same"):
        return _finished(detector, dataset, odd, out)


def _finished(
    detector: AnomalyDetector, dataset: DataSet, odd: np.ndarray | None, out: Path
) -> Detection:
    """Measure, export, write table and report."""
    test = dataset.test
    screened = screen(
        asking(detector.model_),
        _batches(test, dataset.names_of(test)),
        out / "scores.csv",
        modality=dataset.modality,
        localizes=detector.model_.localizer is not None,
        columns=dataset.columns,
    )
    measured = _measured(detector, dataset, screened.scores, odd)
    detector.export(out / "bundle")
    made = Detection(out, detector, dataset, screened, odd, measured)
    detection_report.write(made)
    return made


def _batches(rows, names: list[str]):
    for start in range(0, len(rows), BATCH):
        chosen = np.arange(start, min(start + BATCH, len(rows)))
        yield rows.take(chosen).array(), [names[i] for i in chosen]


# ---- rows ----


def _dealt(
    data: Any, normal: tuple[str | int, ...], detector: AnomalyDetector, changes: dict[str, Any]
) -> tuple[DataSet, np.ndarray | None]:
    """Load the data so that all rows but those of test are normal; tell which of those are odd."""
    shares = {"validation": _VALIDATION, "calibration": None, "test": _TEST}
    changes = {name: value for name, value in (shares | changes).items() if value is not None}
    if changes.get("window"):
        changes = {"stride": max(1, changes["window"] // _OVERLAP)} | changes
    section = validated(DataSection, changes, "detect fit")
    source = read(data, section, (), MEMORY_LIMIT)
    classes = _normal_classes(source, normal)
    numbers = {name: number for number, name in (source.class_names or {}).items()}
    normal_labels = [numbers.get(name, name) for name in classes or ()]
    dealt: dict[str, Any] = {}
    labels, count = source.parts["train"].labels, len(source.parts["train"].x)
    if classes is not None and labels is not None:
        dealt["train_classes"] = classes
        count = int(np.isin(labels, normal_labels).sum())
    if section.window:
        count = count // section.stride
    if "calibration" not in changes:
        windows = (section.window, section.stride)
        dealt["calibration"] = _calibration_share(count, detector.alpha, *windows)
        if not section.window and detector.folds_for(count, source.modality):
            dealt["calibration"] = 0.0
    dataset = load(source, section.model_copy(update=dealt))
    if dataset.test is None:
        raise ZooError(
            "No rows are left to measure the detector by.",
            received=f"{len(source.parts['train'].x)} rows",
            do="Give more rows.",
        )
    if classes is None or dataset.test.labels is None:
        return dataset, None
    odd = ~np.isin(dataset.test.labels, normal_labels)
    return dataset, odd if odd.any() else None


def _normal_classes(source: Source, normal: tuple[str | int, ...]) -> tuple[str | int, ...] | None:
    """Return the classes that are normal, None where the rows have none."""
    labels = [part.labels for part in source.parts.values() if part.labels is not None]
    if not labels:
        if normal:
            raise ZooError(
                "The rows have no classes, so none can be named normal.",
                received=", ".join(map(str, normal)),
                do="Leave --normal out: all rows are taken for normal.",
            )
        return None
    names = source.class_names or {}
    numbers = [int(number) for number in np.unique(np.concatenate(labels))]
    by_text = {str(names.get(n, n)).lower(): names.get(n, n) for n in numbers}
    for name in normal:
        if str(name).lower() not in by_text:
            raise ZooError(
                "There is no class of this name.",
                received=name,
                closest=closest_match(str(name), by_text),
                do=f"Classes: {_some(by_text.values())}.",
            )
    if normal:
        return tuple(by_text[str(name).lower()] for name in normal)
    if not names and set(numbers) == {0, 1}:
        meant = ["0"]
    else:
        meant = [*by_text] if len(by_text) == 1 else [n for n in by_text if n in NORMAL_NAMES]
    if not meant:
        raise ZooError(
            "The rows have classes, and no name says which of them is normal.",
            received=_some(by_text.values()),
            do="Name it, or each of them: --normal NAME, and again --normal NAME.",
        )
    chosen = tuple(by_text[name] for name in meant)
    source.notes.append(f"Normal rows are those of class {_some(chosen)}.")
    return chosen


def _some(names) -> str:
    listed = [str(name) for name in names]
    return ", ".join(listed[:20]) + (", ..." if len(listed) > 20 else "")


def _calibration_share(count: int, alpha: float, window: int | None, stride: int | None) -> float:
    """Return a fifth, or more where a fifth of the normal rows is too few for alpha."""
    needed = rows_for(alpha) + 1 + (window // stride if window else 0)  # a role loses its last ones
    return min(max(_CALIBRATION, needed / max(count, 1)), _MOST)


# ---- figures ----


def _measured(
    detector: AnomalyDetector, data: DataSet, scores: np.ndarray, odd: np.ndarray | None
) -> dict[str, dict[str, float]]:
    """Return the figures of the detector and of the baselines on the test rows."""
    model = detector.model_

    def unit(rows) -> np.ndarray:
        return np.asarray(model.preprocessing.apply(rows.take(evenly(len(rows), _ROWS)).array()))

    train, test = unit(data.train), unit(data.test)
    setting = None if data.calibration is None else unit(data.calibration)
    size = int(np.prod(model.latent_shape))
    found = {f"{model.name}, {detector.score_}": _figures(scores, detector.threshold_, odd)}
    if len(test) < len(data.test):
        return found  # baselines hold all rows in memory
    compared = {"nearest training row": baselines.nearest_row}
    if axes := baselines.components(train, size):  # one column has no axis to leave out
        named = {f"PCA, {axes} components": functools.partial(baselines.pca, size=size)}
        compared = named | compared
    for name, fit in compared.items():
        score = fit(train)
        normal = baselines.crosswise(fit, train) if setting is None else score(setting)
        with contextlib.suppress(ZooError):  # it gives all normal rows one score
            threshold = conformal_threshold(normal, detector.alpha)
            found[name] = _figures(score(test), threshold, odd)
    return found


def _figures(scores: np.ndarray, threshold: float, odd: np.ndarray | None) -> dict[str, float]:
    decided = scores > np.float32(threshold)
    if odd is None:
        return {"false alarms": float(decided.mean())}
    from sklearn.metrics import f1_score, roc_auc_score

    found = {"recall": float(decided[odd].mean()), "F1": float(f1_score(odd, decided))}
    found["best F1 by labels"], _ = best_f1(odd, scores)
    if not odd.all():
        alarms = float(decided[~odd].mean())
        found = {"AUROC": float(roc_auc_score(odd, scores)), "false alarms": alarms} | found
    return found
