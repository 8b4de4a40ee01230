"""The report of a detector: the worst rows first, what it reaches, what it gets wrong."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aezoo import report
from aezoo.data import DataSet
from aezoo.tasks import marked
from aezoo.tasks.anomaly import AnomalyDetector
from aezoo.tasks.screening import Finding, asking, look

if TYPE_CHECKING:
    from aezoo.tasks.detection import Detection


def next_commands(folder: Path) -> list[str]:
    """Return the commands to run next."""
    return [
        f"aezoo detect run {folder} NEW_DATA --out {folder}/new",
        f"aezoo serve {folder}/bundle",
        f"aezoo export {folder}/run BUNDLE --web",
    ]


def write(made: "Detection") -> None:
    """Write report.html and its figures."""
    detector, data, odd = made.detector, made.data, made.odd
    figures, scores = made.folder / "figures", made.screened.scores
    count, alarms = len(scores), int(made.screened.anomalous.sum())
    sections = [("", _first(made, figures, alarms))]
    measured = [report.measured(f"{count:,} test rows", made.measured)]
    setting = data.train if data.calibration is None else data.calibration
    seen = (
        "each by a model that has not seen it"
        if setting is data.train
        else "that no weight has seen"
    )
    text = (
        f"The threshold was set on {len(setting):,} normal rows, {seen}, "
        f"for a false-alarm rate of {detector.alpha:.3g}; nothing here was chosen by test rows. "
    )
    if odd is None:
        text += "No test row is known to be anomalous, so the rate of false alarms is all there is."
    else:
        text += "The best F1 is what the labels of the test rows could have given: a bound."
    measured.append(report.paragraph(text))
    normal = scores if odd is None else scores[~odd]
    marked.score_histogram(
        normal,
        scores[:0] if odd is None else scores[odd],
        detector.threshold_,
        figures / "scores.png",
        detector.score_.replace("_", " "),
    )
    measured.append(report.picture(figures / "scores.png", "Scores of the test rows."))
    sections.append(("Test rows, which nothing was fitted to", measured))
    sections += _mistakes(made, figures)
    if detector.score == "auto":
        sections.append(("How the score was chosen", _choice(detector, len(data.validation))))
    loss = made.folder / "run" / "figures" / "loss.png"
    caption = "Loss by epoch; the dot marks the weights that were kept."
    sections.append(("Training", [report.picture(loss, caption)]))
    if data.notes:
        sections.append(("The data", [report.paragraph(note) for note in data.notes]))
    sections.append(("Next", [report.commands(next_commands(made.folder))]))
    report.write(made.folder / "report.html", f"What is odd in {data.name}", sections)


def _first(made: "Detection", figures: Path, alarms: int) -> list[str]:
    count = len(made.screened.scores)
    path = _draw(made.screened.worst, figures / "worst.png", made.data)
    return [
        report.paragraph(
            f"{alarms:,} of {count:,} test rows are anomalous. The worst come first; marked is "
            "where they are odd.",
            lead=True,
        ),
        report.picture(path, "The test rows with the highest scores."),
    ]


def _mistakes(made: "Detection", figures: Path) -> list[tuple[str, list[str]]]:
    """Return a section for the anomalous rows that were missed, and one for the false alarms."""
    if made.odd is None:
        return []
    scores, decided = made.screened.scores, made.screened.anomalous
    sections = []
    for heading, rows, order in (
        ("Anomalous rows that were missed", made.odd & ~decided, scores),
        ("Normal rows that alarmed", ~made.odd & decided, -scores),
    ):
        chosen = np.flatnonzero(rows)
        chosen = chosen[np.argsort(order[chosen], kind="stable")][: marked.SHOWN]
        if len(chosen):
            some = made.data.test.take(chosen)
            model = made.detector.model_
            found = look(
                asking(model),
                some.array(),
                made.data.names_of(some),
                made.data.modality,
                model.localizer is not None,
            )
            name = heading.split()[-1] + ".png"
            path = _draw(found, figures / name, made.data)
            text = f"{int(rows.sum()):,} rows; these are the worst mistakes."
            sections.append((heading, [report.picture(path, text)]))
    return sections


def _draw(found: list[Finding], path: Path, data: DataSet) -> Path:
    return marked.marked_rows(found, path, data.modality, data.columns)


def _choice(detector: AnomalyDetector, rows: int) -> list[str]:
    tried = sorted(detector.scores_tried_.items(), key=lambda item: -item[1])
    table = [[kind.replace("_", " "), f"{auroc:.3f}"] for kind, auroc in tried]
    chosen = [kind for kind, _ in tried].index(detector.score_)
    return [
        report.table(["score", "AUROC on made anomalies"], table, ours=chosen),
        report.paragraph(
            f"Of {rows:,} validation rows odd ones were made: a stretch from elsewhere, halves of "
            "two rows, the mean of two rows. Of the scores within .02 of the best the simplest is "
            "taken. Real anomalies are others; to choose by hand, use --score."
        ),
    ]
