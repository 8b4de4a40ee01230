"""Clusters of codes: found, saved, exported, told by a bundle as by the model."""

import csv

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.mixture import GaussianMixture
from typer.testing import CliRunner

import aezoo
from aezoo.assigner import Assigner
from aezoo.cli import app
from aezoo.data import load
from aezoo.errors import ZooError
from aezoo.export import Bundle
from aezoo.layers.corruption import Corruption, distorted
from aezoo.tasks import grouping, manifold
from aezoo.tasks.clustering import Clusterer, agreement
from aezoo.tasks.deep_clustering import refine

FEW = {"epochs": 12, "hidden": (16,), "latent_dim": 3, "batch_size": 16, "learning_rate": 0.01}


@pytest.fixture(scope="module")
def table():
    """Three kinds of rows far apart, and their kinds."""
    rng, kinds = np.random.default_rng(0), np.repeat([0, 1, 2], 50)
    return 15 * np.eye(3, 5)[kinds] + rng.normal(size=(150, 5)), kinds


@pytest.fixture(scope="module")
def fitted(table):
    return Clusterer(3, method="kmeans", settings=FEW).fit(table[0])


def test_agreement_pairs_clusters_with_classes_by_the_best_matching():
    labels, clusters = np.array([0, 0, 1, 1, 2, 2]), np.array([2, 2, 0, 0, 1, 0])
    found = agreement(labels, clusters)
    assert found["accuracy"] == pytest.approx(5 / 6)
    assert agreement(labels, np.zeros(6, int))["accuracy"] == pytest.approx(1 / 3)
    assert agreement(labels, labels)["ARI"] == 1.0


def test_the_mixture_answers_as_scikit_learn_does(rng):
    codes = np.concatenate([rng.normal(size=(60, 2)), rng.normal(size=(60, 2)) * [3, 0.5] + 4])
    theirs = GaussianMixture(2, random_state=0).fit(codes)
    roots = theirs.precisions_cholesky_
    logits = np.log(theirs.weights_) + np.log(np.einsum("kdd->kd", roots)).sum(axis=1)
    ours = Assigner("gaussian", {"means": theirs.means_, "roots": roots, "logits": logits})
    np.testing.assert_allclose(ours(codes), theirs.predict_proba(codes), atol=1e-5)


def test_each_method_finds_kinds_that_lie_apart(fitted, table):
    rows, kinds = table
    assert agreement(kinds, fitted.labels_)["accuracy"] > 0.95
    for method, more in (("mixture", {}), ("dec", {"start": "kmeans", "epochs": 2})):
        found = Clusterer(3, fitted.model_, method, **more).fit(rows)
        assert agreement(kinds, found.labels_)["accuracy"] > 0.95
        np.testing.assert_allclose(found.predict_proba(rows).sum(axis=1), 1.0, rtol=1e-5)


def test_k_means_takes_the_nearest_centre(fitted, table):
    codes = fitted.transform(table[0])
    gaps = np.square(codes[:, None] - fitted.cluster_centers_).sum(axis=-1)
    np.testing.assert_array_equal(fitted.labels_, gaps.argmin(axis=1))
    assert fitted.inertia_ == pytest.approx(gaps.min(axis=1).sum(), rel=0.3)  # of training rows


def test_refining_sharpens_and_leaves_the_given_model_alone(fitted, table):
    model = fitted.model_
    before = [np.array(weight) for weight in model.weights]
    refined = Clusterer(3, model, "dec", start="kmeans", epochs=4, learning_rate=3e-3).fit(table[0])
    for weight, was in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, was)
    assert model.assigner is fitted.assigner_
    sure = refined.predict_proba(table[0]).max(axis=1).mean()
    assert sure > fitted.predict_proba(table[0]).max(axis=1).mean()
    assert [line["epoch"] for line in refined.history_] == list(range(1, len(refined.history_) + 1))


def test_given_groups_lead_the_first_epochs(fitted, table):
    """The centres say nothing of the kinds; the encoder learns what the groups say."""
    rows, kinds = table
    model = aezoo.build(
        "simple_ae", input_shape=(5,), latent_dim=2, latent_activation="linear", seed=0
    )
    model.fit_preprocessing(rows)
    halves = (kinds == 0).astype(int)
    start = Assigner(
        "student",
        {"centres": np.array([[-1, 0], [1, 0]], "float32"), "scale": np.ones(1, "float32")},
    )
    data = load(rows, modality="features", validation=0.0, test=0.0)
    led, _ = refine(
        model,
        data.train,
        start,
        groups=np.eye(2)[halves[data.train.index]],
        epochs=2,
        batch_size=8,
        learning_rate=0.1,
        reconstruction=0.0,
    )
    codes = model.endpoint("encode")(features=rows)["latent"]
    assert np.mean(np.asarray(led(codes)).argmax(axis=1) == halves) > 0.9


@pytest.mark.parametrize("method", ["kmeans", "mixture"])
def test_a_bundle_tells_clusters_as_the_saved_model_does(method, fitted, table, tmp_path):
    rows = table[0].astype("float32")
    found = Clusterer(3, fitted.model_, method).fit(rows)
    aezoo.save(found.model_, tmp_path / "model.keras")
    again = aezoo.load(tmp_path / "model.keras")
    expected = again.endpoint("cluster")(features=rows)
    np.testing.assert_array_equal(expected["cluster"][:, 0], found.labels_)
    if method == "kmeans":
        found.export(tmp_path / "bundle")
        bundle = Bundle(tmp_path / "bundle")
        told = bundle.predict("cluster", features=rows)
        np.testing.assert_array_equal(told["cluster"], expected["cluster"])
        np.testing.assert_allclose(told["probabilities"], expected["probabilities"], atol=1e-4)
        theirs = Clusterer(3, bundle, "kmeans").fit(rows)
        assert agreement(found.labels_, theirs.labels_)["accuracy"] == 1.0
        assert clone(theirs).model.path == bundle.path
        with pytest.raises(ZooError, match="cannot be trained on"):
            Clusterer(3, bundle).fit(rows)
    again.fit(rows, epochs=1, verbose=0)
    assert again.assigner is None and "cluster" not in {spec.name for spec in again.endpoints}


def test_it_clones_as_scikit_learn_asks():
    one = Clusterer(4, "conv_ae", "kmeans", settings={"epochs": 1}, random_state=3)
    assert clone(one).get_params() == one.get_params()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"method": "kmean"}, "no method of this name"),
        ({"start": "k"}, "no start of this name"),
        ({"n_clusters": 1}, "2 clusters at least"),
        ({"n_clusters": 999}, "no more than rows"),
    ],
)
def test_wrong_arguments_are_told_before_the_training(arguments, message, table):
    with pytest.raises(ZooError, match=message):
        Clusterer(**{"n_clusters": 3} | arguments).fit(table[0])


def test_fewer_different_rows_than_clusters_are_refused(fitted):
    with pytest.raises(ZooError, match="too few different ones"):
        Clusterer(3, fitted.model_, "kmeans").fit(np.tile([[0.0] * 5, [1.0] * 5], (10, 1)))


@pytest.mark.slow  # umap compiles itself anew in each process
def test_groups_on_the_manifold_are_those_that_hang_together(rng, monkeypatch):
    pytest.importorskip("umap")
    kinds = np.repeat([0, 1, 2], 60)
    codes = rng.normal(size=(180, 4)) * [1, 0.1, 3, 1] + 12 * np.eye(3, 4)[kinds]
    monkeypatch.setattr(manifold, "_FITTED_ON", 120)  # the others ask their neighbours
    found = manifold.groups_of(codes, 3)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    assert agreement(kinds, found.argmax(axis=1))["accuracy"] > 0.95


def test_without_umap_the_error_says_what_to_install(monkeypatch, rng):
    monkeypatch.setattr(manifold, "has_umap", lambda: False)
    with pytest.raises(ZooError, match="umap-learn, which is not installed"):
        manifold.umap_of(rng.normal(size=(9, 2)))


def test_distortions_move_pictures_and_can_be_repeated():
    picture = np.zeros((64, 21, 21, 1), "float32")
    picture[:, 8:13, 8:13] = 1.0
    made = np.asarray(distorted(picture, 1.0, seed=1))
    np.testing.assert_array_equal(made, distorted(picture, 1.0, seed=1))
    mass = made.sum(axis=(1, 2, 3))
    assert np.abs(mass / 25 - 1).max() < 0.3  # stretched by a tenth at most, along each axis
    places = np.arange(21)
    centre = (made.sum(axis=(2, 3)) * places).sum(axis=1) / mass - 10
    assert 0.3 < centre.std() < 1.5 and np.abs(centre).max() < 1.9  # a fourteenth of 21 is 1.5
    with pytest.raises(ZooError, match="Only pictures"):
        Corruption("distortion", 1.0)(np.ones((2, 5), "float32"), training=True)


def test_the_command_writes_a_line_per_row_a_bundle_and_a_page(tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 40, (90, 14, 14), "uint8")
    for kind in range(3):
        rows[kind::3, 4 * kind : 4 * kind + 5, 3:11] += 200
    np.savez(tmp_path / "rows.npz", x=rows, y=np.arange(90) % 3)
    arguments = ["cluster", tmp_path / "rows.npz", "--out", tmp_path / "kinds", "--clusters", 3]
    arguments += ["--entry", "simple_ae", "--method", "kmeans", "--set", "epochs=4"]
    done = CliRunner().invoke(app, [*map(str, arguments), "--set", "latent_dim=4"])
    assert done.exit_code == 0, done.output
    with (tmp_path / "kinds" / "clusters.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert sorted(int(line["row"]) for line in lines) == list(range(90))
    assert tuple(lines[0]) == grouping.FIELDS
    told = Bundle(tmp_path / "kinds" / "bundle").predict("cluster", image=rows[..., None])
    for line in lines:
        assert int(line["cluster"]) == told["cluster"][int(line["row"]), 0]
    page = (tmp_path / "kinds" / "report.html").read_text()
    assert "data:image/png" in page and "k-means on the rows" in page
