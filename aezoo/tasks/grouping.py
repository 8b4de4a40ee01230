"""From rows to clusters and a bundle that tells them: one call.

data -> train, or take a model -> cluster the codes -> a line per row -> export, verified -> report

OUT/report.html      the most typical rows of each cluster
OUT/clusters.csv     every row: cluster and its probability
OUT/bundle/          verified; its endpoint `cluster` answers for new rows
OUT/run/             the training run, where there was one; the model with its clusters
"""

import csv
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from aezoo import recipes, report, storage
from aezoo.config import DataSection
from aezoo.data import DataSet, load
from aezoo.files import require_new_folder, whole_file
from aezoo.spread import evenly
from aezoo.tasks.clustering import Clusterer, agreement
from aezoo.tasks.typical import typical_rows
from aezoo.training import data_for

FIELDS = ("row", "name", "role", "cluster", "probability")
_BATCH = 512  # rows asked at once
_TYPICAL = 12  # rows of each cluster in the picture
_ROWS = 10_000  # that k-means on the rows themselves is fitted to, at most
_NAMES = {"dec": "deep embedded clustering", "kmeans": "k-means", "mixture": "mixture"}


@dataclasses.dataclass
class Grouped:
    """What `fit` made.

    Attributes:
        folder: With bundle, report, table and run.
        clusterer: The fitted `Clusterer`.
        data: The rows, in their roles.
        probabilities: Role -> `(N, K)`.
        measured: Method -> figure -> value on all rows, where rows have classes; else empty.
    """

    folder: Path
    clusterer: Clusterer
    data: DataSet
    probabilities: dict[str, np.ndarray]
    measured: dict[str, dict[str, float]]

    @property
    def sizes(self) -> np.ndarray:
        """How many rows each cluster has, (K,)."""
        p = np.concatenate(list(self.probabilities.values()))
        return np.bincount(p.argmax(axis=1), minlength=p.shape[1])


def fit(
    data: Any,
    out: str | Path,
    *,
    clusters: int = 10,
    method: str = "dec",
    entry: str | None = None,
    run: str | Path | None = None,
    image_size: int | None = None,
    window: int | None = None,
    seed: int = 0,
    verbose: bool = True,
    **settings: Any,
) -> Grouped:
    """Find the clusters of rows, export what tells them and write a report.

    Args:
        data: What `aezoo.data.load` takes: a folder of pictures, a table, an array, a name.
        out: The folder to make.
        clusters: How many.
        method: `dec`, `kmeans` or `mixture`; see `aezoo.tasks.clustering`.
        entry: A zoo entry to train; None takes one that fits the rows.
        run: A run folder, a bundle or a `.keras` file, whose model to take instead.
        image_size: Pixels a side, for folders of pictures.
        window: Rows per window, for a table of one long series.
        seed: Of the split, the weights, the order, the starts.
        verbose: Whether to show notes and progress.
        **settings: Overrides of recipe and arguments, as `aezoo.train` takes them.

    Returns:
        What was made.

    Raises:
        ZooError: For data that cannot be read or do not fit the model, or an `out` that exists.

    Example:
        aezoo.tasks.grouping.fit("photos", "kinds", clusters=5, image_size=64)
    """
    out = Path(out)
    require_new_folder(out, "Choose another --out, or delete it.")
    ours = {"split_seed": seed, "image_size": image_size, "window": window}
    ours = {name: value for name, value in ours.items() if value is not None}
    for name in [n for n in settings if n.removeprefix("data.") in DataSection.model_fields]:
        ours[name.removeprefix("data.")] = settings.pop(name)
    if run is None:
        model, dataset = entry, load(data, **{"test": 0.0} | ours)
    else:
        model = storage.load(run)
        resolved = recipes.for_model(model, None, {f"data.{k}": v for k, v in ours.items()}, data)
        dataset = data_for(resolved, data)
    clusterer = Clusterer(
        clusters, model, method, settings=settings, random_state=seed, verbose=verbose
    ).fit_data(dataset, out / "run")
    probabilities = _asked(clusterer, dataset)
    _write_table(out / "clusters.csv", dataset, probabilities)
    clusterer.export(out / "bundle")
    made = Grouped(out, clusterer, dataset, probabilities, {})
    made.measured = _measured(made)
    _report(made)
    return made


def _asked(clusterer: Clusterer, data: DataSet) -> dict[str, np.ndarray]:
    found = {}
    for role, rows in data.roles().items():
        starts = range(0, len(rows), _BATCH)
        chunks = [np.arange(s, min(s + _BATCH, len(rows))) for s in starts]
        parts = [clusterer.predict_proba(rows.take(chunk).array()) for chunk in chunks]
        found[role] = np.concatenate(parts)
    return found


def _write_table(path: Path, data: DataSet, probabilities: dict[str, np.ndarray]) -> None:
    with whole_file(path) as part, Path(part).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIELDS)
        for role, rows in data.roles().items():
            names = data.names_of(rows)
            for i, p in enumerate(probabilities[role]):
                cluster = int(p.argmax())
                writer.writerow((rows.index[i], names[i], role, cluster, f"{p[cluster]:.6g}"))


# ---- figures ----


def _measured(made: Grouped) -> dict[str, dict[str, float]]:
    """Return how clusters and classes agree, where rows have classes, beside k-means."""
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    roles = made.data.roles()
    labels = [rows.labels for rows in roles.values()]
    if any(one is None for one in labels):
        return {}
    truth = np.concatenate(labels)
    clusterer, model = made.clusterer, made.clusterer.model_
    found = np.concatenate([made.probabilities[role].argmax(axis=1) for role in roles])
    name = f"{model.name}, {_NAMES[clusterer.method]}"
    measured = {name: agreement(truth, found)}
    if len(truth) > _ROWS:
        chosen = evenly(len(roles["train"]), _ROWS)
        rows, truth = roles["train"].take(chosen).array(), roles["train"].labels[chosen]
    else:
        rows = np.concatenate([rows.array() for rows in roles.values()])
    flat = np.asarray(model.preprocessing.apply(rows)).reshape(len(rows), -1)
    size = min(int(np.prod(model.latent_shape)), *flat.shape)
    compared = {"k-means on the rows": flat}
    compared[f"k-means on PCA, {size} components"] = PCA(size, random_state=0).fit_transform(flat)
    for name, values in compared.items():
        kmeans = KMeans(clusterer.n_clusters, n_init=3, random_state=0)
        measured[name] = agreement(truth, kmeans.fit_predict(values))
    return measured


# ---- report ----


def next_commands(folder: Path) -> list[str]:
    """Return the commands to run next."""
    return [
        f"aezoo predict {folder}/bundle NEW_DATA --endpoint cluster",
        f"aezoo map {folder}/bundle --data DATA --out {folder}/map",
    ]


def _report(made: Grouped) -> None:
    clusterer, data, count = made.clusterer, made.data, int(made.sizes.sum())
    rows, chosen = data.train, _most_typical(made.probabilities["train"])
    picture = typical_rows(
        [rows.take(some).array() for some in chosen],
        [f"{number}\n{size:,}" for number, size in enumerate(made.sizes)],
        made.folder / "figures" / "typical.png",
        data.modality,
        data.columns,
    )
    lead = f"{count:,} rows in {clusterer.n_clusters} clusters, by {_NAMES[clusterer.method]}."
    shown = "The most typical rows" if data.modality != "features" else "Means of typical rows"
    caption = f"{shown} of each cluster, with its number and size."
    sections = [("", [report.paragraph(lead, lead=True), report.picture(picture, caption)])]
    if made.measured:
        text = "Classes were used to measure, not to cluster and not to choose."
        parts = [report.measured(f"{count:,} rows", made.measured), report.paragraph(text)]
        sections.append(("How clusters and classes agree", parts))
    header = ["cluster", "rows", "share", "mean probability"]
    sections.append(("Clusters", [report.table(header, _lines(made))]))
    text = (
        "No label plays a part: the epoch of the training is chosen by the reconstruction of "
        f"validation rows, k-means by its inertia over {clusterer.n_init} starts."
    )
    sections.append(("How it was chosen", [report.paragraph(text)]))
    if data.notes:
        sections.append(("The data", [report.paragraph(note) for note in data.notes]))
    sections.append(("Next", [report.commands(next_commands(made.folder))]))
    report.write(made.folder / "report.html", f"The clusters of {data.name}", sections)


def _lines(made: Grouped) -> list[list[str]]:
    p = np.concatenate(list(made.probabilities.values()))
    found, sizes = p.argmax(axis=1), made.sizes
    means = [p[found == k, k].mean() if sizes[k] else 0.0 for k in range(len(sizes))]
    return [
        [str(k), f"{size:,}", f"{size / len(p):.1%}", f"{mean:.3f}"]
        for k, (size, mean) in enumerate(zip(sizes, means, strict=True))
    ]


def _most_typical(probabilities: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each cluster with the highest probabilities, the highest first."""
    found = probabilities.argmax(axis=1)
    chosen = []
    for cluster in range(probabilities.shape[1]):
        members = np.flatnonzero(found == cluster)
        order = np.argsort(-probabilities[members, cluster], kind="stable")
        chosen.append(members[order[:_TYPICAL]])
    return chosen


__all__ = ["FIELDS", "Grouped", "fit", "next_commands"]
