"""Which rows belong together: k-means, a mixture or deep embedded clustering on the codes.

    clusterer = Clusterer(n_clusters=10).fit(rows)
    clusterer.labels_                      # a cluster per row, from 0
    clusterer.predict(new)
    clusterer.export("artifacts/kinds")    # a verified bundle; its endpoint `cluster` answers alike

Parameters, attributes and cloning are scikit-learn's. No label plays a part: the epoch is chosen by
the reconstruction of validation rows, the start of k-means by its inertia, that of the mixture by
its likelihood.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from aezoo import storage
from aezoo.assigner import Assigner
from aezoo.data import DataSet, load
from aezoo.data.arrays import as_modality
from aezoo.errors import ZooError, require_known
from aezoo.names import CLUSTERINGS
from aezoo.tasks.deep_clustering import refine
from aezoo.tasks.manifold import groups_of, has_umap
from aezoo.training import train

STARTS = ("auto", "kmeans", "manifold")
_SMALL_PICTURE = 12  # pixels a side, up to which one layer sees a picture as a whole
_VALIDATION = 0.1  # share of the rows that chooses the epoch
_STEPS = 2_000  # of the optimiser, at least


class Clusterer(TransformerMixin, ClusterMixin, BaseEstimator):
    """Groups rows by the codes of an autoencoder.

    Args:
        n_clusters: How many groups.
        model: A fitted model of the zoo, which is copied and stays as it is; a bundle, which
            answers `kmeans` and `mixture`; the name of an entry, or the path of a YAML, to train;
            None trains one that fits the rows.
        method: `dec`, deep embedded clustering, which begins with k-means and trains on; `kmeans`
            on the codes; `mixture`, of Gaussians with a covariance each.
        n_init: From how many starts k-means and the mixture are fitted; the best one stays.
        start: Where `dec` begins: `kmeans` on the codes, or `manifold`, a mixture on a UMAP of
            them, which finds groups of any shape and needs umap-learn (`aezoo[maps]`); `auto` takes
            the latter where that is installed.
        epochs: Of `dec`, at most.
        learning_rate: Of `dec`.
        reconstruction: Weight of the model's own loss in `dec`.
        modality: `image`, `features` or `series`; None takes what the array looks like.
        settings: Overrides of the entry's recipe and arguments, as `aezoo.train` takes them.
        random_state: Seed of split, weights, order and starts.
        verbose: Whether to show the training.

    Attributes:
        model_: The model, with its `assigner`; the bundle where one was given.
        assigner_: What tells clusters by codes.
        cluster_centers_: Of the codes, (K, D).
        labels_: Of the rows that `fit` was given, (N,).
        inertia_: Of k-means, where `dec` and `mixture` begin, too.
        start_: Where `dec` began.
        groups_: How likely the training rows were of the clusters there, (N, K), of `manifold`.
        history_: Of `dec`, one dict per epoch: `epoch`, `loss`, `changed`.
        run_: The training, where there was one.

    Example:
        >>> rows = np.random.default_rng(0).normal(size=(120, 4)) + np.repeat([[-9], [9]], 60, 0)
        >>> found = Clusterer(2, method="kmeans", settings={"epochs": 2}).fit_predict(rows)
        >>> sorted(agreement(np.repeat([0, 1], 60), found).items())
        [('ARI', 1.0), ('NMI', 1.0), ('accuracy', 1.0)]
    """

    def __init__(
        self,
        n_clusters: int = 10,
        model: Any = None,
        method: str = "dec",
        n_init: int = 10,
        start: str = "auto",
        epochs: int = 30,
        learning_rate: float = 3e-4,
        reconstruction: float = 1.0,
        modality: str | None = None,
        settings: dict | None = None,
        random_state: int = 0,
        verbose: bool = False,
    ):
        self.n_clusters = n_clusters
        self.model = model
        self.method = method
        self.n_init = n_init
        self.start = start
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.reconstruction = reconstruction
        self.modality = modality
        self.settings = settings
        self.random_state = random_state
        self.verbose = verbose

    # ---- fitting ----

    def fit(self, X, y=None):
        """Train where there is no model, and find the clusters.

        Args:
            X: Rows in user units: pictures (N, H, W) or (N, H, W, C), series (N, T, C), a table
                (N, F).
            y: Not used.

        Returns:
            The clusterer.

        Raises:
            ZooError: For unknown names, unfit rows, or fewer rows than clusters.
        """
        rows = np.asarray(X)
        self._require(len(rows))
        modality = self.modality
        if modality is None and _is_fitted(self.model):
            modality = _input_of(self.model)
        held = 0.0 if _is_fitted(self.model) else _VALIDATION
        split = {"validation": held, "test": 0.0, "split_seed": self.random_state}
        self.fit_data(load(rows, modality=modality, **split))
        self.labels_ = self.predict(rows)
        return self

    def fit_data(self, data: DataSet, out: str | Path | None = None) -> "Clusterer":
        """Fit to the training rows of a data set whose roles are dealt.

        Args:
            data: From `aezoo.data.load`; its validation rows choose the epoch of the training.
            out: Keep the run folder there, if there is a training.

        Returns:
            The clusterer, without `labels_`.
        """
        self._require(len(data.train))
        data = data.without_targets()
        with tempfile.TemporaryDirectory(prefix="aezoo-") as folder:
            self.model_ = self._model_for(data, Path(folder) if out is None else Path(out))
        codes = self._codes(data.train.array(None))
        # Equal rows may have codes that differ in their last bits, by their places in the batch.
        rounded = np.round(codes / max(float(np.abs(codes).max()), 1e-30), 5)
        different = len(np.unique(rounded, axis=0))
        if different < self.n_clusters:
            raise ZooError(
                "The codes of the rows are too few different ones for so many clusters.",
                received=f"{different} codes, {self.n_clusters} clusters",
                do="Train for longer, or ask for fewer clusters.",
            )
        self.history_ = []
        self.assigner_ = self._kmeans(codes)
        if self.method == "mixture":
            self.assigner_ = self._mixture(codes)
        if self.method == "dec":
            self.groups_ = self._groups(codes)
            if self.groups_ is not None:
                self.assigner_ = _around(codes, self.groups_)
            self.assigner_, self.history_ = refine(
                self.model_,
                data.train,
                self.assigner_,
                groups=self.groups_,
                epochs=self.epochs,
                learning_rate=self.learning_rate,
                reconstruction=self.reconstruction,
                seed=self.random_state,
                report=_print_line if self.verbose else lambda line: None,
            )
        if not _is_bundle(self.model_):
            self.model_.assigner = self.assigner_
            if out is not None:
                storage.save(self.model_, Path(out) / "model.keras")  # with its assigner
        self.cluster_centers_ = self.assigner_.centres
        self.n_features_in_ = int(np.prod(data.train.shape))
        return self

    def _require(self, count: int) -> None:
        require_known("method", self.method, CLUSTERINGS)
        require_known("start", self.start, STARTS)
        if not 2 <= self.n_clusters <= count:
            raise ZooError(
                "There are 2 clusters at least, and no more than rows.",
                received=f"{self.n_clusters} clusters, {count} rows",
            )
        if _is_bundle(self.model) and self.method == "dec":
            raise ZooError(
                "A bundle cannot be trained on, as deep embedded clustering does.",
                do="Load its model, aezoo.load(bundle), or choose method='kmeans'.",
            )

    def _model_for(self, data: DataSet, folder: Path):
        """Return a model of the rows: trained, or a copy of what was given."""
        if _is_bundle(self.model):
            return self.model
        if not _is_fitted(self.model):
            entry, settings = self._recipe(data)
            self.run_ = train(
                entry,
                data,
                out=folder / "run" if not folder.exists() or any(folder.iterdir()) else folder,
                figures=False,
                verbose=self.verbose,
                **{"seed": self.random_state} | settings,
            )
            model = self.run_.model
        else:
            with tempfile.TemporaryDirectory(prefix="aezoo-") as copies:
                model = storage.load(storage.save(self.model, Path(copies) / "model.keras"))
            model.probe_rows = self.model.probe_rows
        if not hasattr(model, "assigner") or not hasattr(model, "error_map"):
            raise ZooError(f"{model.name} has no codes to cluster.", do="Take an autoencoder.")
        return model

    def _recipe(self, data: DataSet) -> tuple[str, dict]:
        """Return the entry and the overrides to train."""
        given = dict(self.settings or {})
        if isinstance(self.model, str | Path):
            return str(self.model), given
        shape, batch = data.train.shape, 128 if len(data.train) > 2000 else 32
        epochs = min(200, max(20, -(-_STEPS // max(1, len(data.train) // batch))))
        recipe: dict = {"latent_dim": 10, "batch_size": batch, "epochs": epochs}
        if data.modality == "image" and min(shape[:2]) > _SMALL_PICTURE:
            return "dec_ae", recipe | given
        if data.modality == "series":
            return "seq2seq_ae", {"epochs": epochs} | given
        if data.modality == "features":
            columns = shape[0]
            recipe |= {"latent_dim": min(10, columns), "output_activation": "linear"}
            recipe |= {"hidden": (max(16, 2 * columns),)}
        if data.modality in ("features", "image"):
            return "simple_ae", recipe | {"latent_activation": "linear"} | given
        raise ZooError(
            "There is no recipe for rows of this kind.",
            received=data.modality,
            do="Name an entry: Clusterer(model=...).",
        )

    def _kmeans(self, codes: np.ndarray) -> Assigner:
        from sklearn.cluster import KMeans

        fitted = KMeans(self.n_clusters, n_init=self.n_init, random_state=self.random_state)
        fitted.fit(codes.astype("float64"))
        self.inertia_ = float(fitted.inertia_)
        return _student(fitted.cluster_centers_, self.inertia_ / codes.size)

    def _groups(self, codes: np.ndarray) -> np.ndarray | None:
        """Return how likely rows are of the clusters that `dec` begins with; None for k-means."""
        self.start_ = self.start
        if self.start == "auto":
            self.start_ = "manifold" if has_umap() else "kmeans"
        if self.start_ == "kmeans":
            return None
        return groups_of(codes, self.n_clusters, self.random_state)

    def _mixture(self, codes: np.ndarray) -> Assigner:
        from sklearn.mixture import GaussianMixture

        ridge = 1e-4 * float(np.mean(np.var(codes, axis=0)))
        fitted = GaussianMixture(
            self.n_clusters,
            n_init=max(1, self.n_init // 5),
            reg_covar=max(ridge, 1e-10),
            random_state=self.random_state,
        ).fit(codes.astype("float64"))
        roots = fitted.precisions_cholesky_  # (K, D, D)
        logits = np.log(fitted.weights_) + np.log(np.einsum("kdd->kd", roots)).sum(axis=1)
        constants = {"means": fitted.means_, "roots": roots, "logits": logits}
        return Assigner("gaussian", {k: v.astype("float32") for k, v in constants.items()})

    # ---- asking ----

    def predict(self, X) -> np.ndarray:
        """Return the cluster of each row, from 0, int (N,)."""
        return self.predict_proba(X).argmax(axis=1)

    def predict_proba(self, X) -> np.ndarray:
        """Return the probabilities of the clusters, (N, K)."""
        check_is_fitted(self, "assigner_")
        return np.asarray(self.assigner_(self._codes(np.asarray(X))))

    def transform(self, X) -> np.ndarray:
        """Return the codes of rows, (N, D)."""
        check_is_fitted(self, "assigner_")
        return self._codes(np.asarray(X))

    def export(self, path: str | Path, **options) -> Path:
        """Write a verified bundle, whose endpoint `cluster` answers as this clusterer does.

        Args:
            path: The folder to make.
            **options: As `aezoo.export_bundle` takes them.

        Raises:
            ZooError: If the clusterer asks a bundle, which stays as it is.
        """
        import aezoo

        check_is_fitted(self, "assigner_")
        if _is_bundle(self.model_):
            raise ZooError(
                "The clusters were fitted to a bundle, which stays as it is.",
                do="Fit them to its model, aezoo.load(bundle), and export that.",
            )
        aezoo.export_bundle(self.model_, path, **options)
        return Path(path)

    def _codes(self, rows: np.ndarray) -> np.ndarray:
        name = _input_of(self.model_)
        asked = {name: as_modality(rows, name)}
        if _is_bundle(self.model_):
            codes = self.model_.predict("encode", **asked)["latent"]
        else:
            codes = self.model_.endpoint("encode")(**asked)["latent"]
        return codes.reshape(len(codes), -1)


def agreement(labels: np.ndarray, clusters: np.ndarray) -> dict[str, float]:
    """Return how well clusters agree with known classes; nothing may be chosen by it.

    Args:
        labels: Classes, (N,).
        clusters: Numbers, (N,).

    Returns:
        `accuracy` under the best pairing of clusters and classes (Hungarian method), `NMI`, `ARI`.

    Example:
        >>> agreement(np.array([5, 5, 7, 7]), np.array([1, 1, 0, 1]))["accuracy"]
        0.75
    """
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix

    table = contingency_matrix(labels, clusters)  # (classes, clusters)
    paired = linear_sum_assignment(-table)
    return {
        "accuracy": float(table[paired].sum() / table.sum()),
        "NMI": float(normalized_mutual_info_score(labels, clusters)),
        "ARI": float(adjusted_rand_score(labels, clusters)),
    }


def _student(centres: np.ndarray, variance: float) -> Assigner:
    """Return the assigner of centres (K, D) and the variance of an axis of codes in a cluster."""
    scale = np.array([max(variance, 1e-12)], "float32")
    return Assigner("student", {"centres": centres.astype("float32"), "scale": scale})


def _around(codes: np.ndarray, groups: np.ndarray) -> Assigner:
    """Return the assigner whose centres are the means of groups, (N, K) of probabilities."""
    centres = groups.T @ codes / (groups.sum(axis=0)[:, None] + 1e-12)  # (K, D)
    return _student(centres, float(np.mean(np.square(codes - groups @ centres))))


def _is_bundle(model) -> bool:
    return hasattr(model, "manifest") and hasattr(model, "predict")


def _is_fitted(model) -> bool:
    return model is not None and not isinstance(model, str | Path)


def _input_of(model) -> str:
    """Return the name of what a model or a bundle encodes."""
    return model.spec("encode").inputs[0].name if _is_bundle(model) else model.input_name


def _print_line(line: dict) -> None:
    print(f"cluster epoch {line['epoch']}: loss {line['loss']:.4f}, {line['changed']:.2%} changed")
