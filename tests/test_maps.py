"""Maps of codes, walks along their axes, ways between rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

import aezoo
from aezoo.cli import app
from aezoo.errors import ZooError
from aezoo.tasks import map_pictures, maps


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small model, pictures of two kinds, and their maps by the command."""
    folder, rng = tmp_path_factory.mktemp("maps"), np.random.default_rng(0)
    rows = rng.integers(0, 30, (60, 8, 8), "uint8")
    rows[::2, 1:4] += 200
    rows[1::2, :, 5:7] += 200
    np.savez(folder / "rows.npz", x=rows, y=np.arange(60) % 2)
    model = aezoo.build("simple_ae", input_shape=(8, 8, 1), latent_dim=3, seed=0)
    model.fit_preprocessing(rows[..., None])
    aezoo.save(model, folder / "model.keras")
    arguments = ["map", folder / "model.keras", "--data", folder / "rows.npz", "--rows", 40]
    arguments += ["--out", folder / "map", "--kind", "pca", "--kind", "tsne"]
    done = CliRunner().invoke(app, [*map(str, arguments), "--set", "test=0.5"])
    assert done.exit_code == 0, done.output
    return folder, model


@settings(deadline=None)
@given(
    st.lists(st.floats(-5, 5), min_size=2, max_size=6),
    st.lists(st.floats(-5, 5), min_size=2, max_size=6),
    st.sampled_from(["linear", "spherical"]),
)
def test_ways_begin_and_end_at_the_rows(a, b, kind):
    size = min(len(a), len(b))
    start, end = np.array(a[:size]), np.array(b[:size])
    way = maps.between(start, end, 5, kind)
    np.testing.assert_allclose(way[[0, -1]], [start, end], atol=1e-6)
    if kind == "spherical" and min(np.linalg.norm(start), np.linalg.norm(end)) > 0.1:
        a, b = start / np.linalg.norm(start), end / np.linalg.norm(end)
        if abs(a @ b) < 0.99:
            lengths = np.linspace(np.linalg.norm(start), np.linalg.norm(end), 5)
            np.testing.assert_allclose(np.linalg.norm(way, axis=1), lengths, rtol=1e-6)


def test_walks_change_one_number_alone(rng):
    codes = rng.normal(size=(200, 4))
    walk = maps.along(codes, np.eye(4)[2], 7, codes[0])
    np.testing.assert_array_equal(walk[:, [0, 1, 3]], np.tile(codes[0, [0, 1, 3]], (7, 1)))
    low, high = np.quantile(codes[:, 2], [0.01, 0.99])
    np.testing.assert_allclose(walk[:, 2], np.linspace(low, high, 7))


def test_maps_keep_groups_apart(rng):
    codes = np.concatenate([rng.normal(size=(20, 6)), 9 + rng.normal(size=(20, 6))])
    for kind in ("pca", "tsne"):
        places = maps.place(codes, kind)
        gap = np.linalg.norm(places[:20].mean(axis=0) - places[20:].mean(axis=0))
        assert gap > 2 * places[:20].std(axis=0).max()
    assert maps.place(codes[:, :1], "pca")[:, 1].tolist() == [0.0] * 40


def test_the_command_draws_what_it_says(made):
    folder = made[0] / "map"
    for name in ("pca", "tsne", "walks", "ways"):
        with Image.open(folder / f"{name}.png") as picture:
            assert min(picture.size) > 150
            assert len(np.unique(np.asarray(picture.convert("L").resize((60, 60))))) > 5
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png") == 4 and "coloured by class" in page


def test_a_bundle_draws_the_same_map(made, tmp_path):
    folder, model = made
    aezoo.export_bundle(model, tmp_path / "bundle")
    data = aezoo.data.load(folder / "rows.npz", test=0.5)
    ours = maps.draw(model, data, tmp_path / "ours", kinds=("pca",))
    theirs = maps.draw(
        aezoo.export.Bundle(tmp_path / "bundle"), data, tmp_path / "theirs", kinds=("pca",)
    )
    np.testing.assert_allclose(ours.codes, theirs.codes, atol=1e-4)
    with pytest.raises(ZooError, match="tells no clusters"):
        maps.draw(model, data, tmp_path / "no", colour="cluster")


def test_wrong_names_are_told(rng):
    with pytest.raises(ZooError, match="no map of this name"):
        maps.place(rng.normal(size=(9, 2)), "tsen")
    with pytest.raises(ZooError, match="4 rows at least"):
        maps.place(rng.normal(size=(3, 2)))
    with pytest.raises(ZooError, match="no way between codes"):
        maps.between(np.ones(2), np.zeros(2), 3, "round")


@pytest.mark.parametrize("shape", [(6, 9, 3), (9, 6, 1)])
def test_thumbnails_of_any_shape_are_drawn_once_a_cell(shape, rng, tmp_path):
    places = rng.uniform(size=(50, 2))
    pictures = rng.integers(60, 255, (50, *shape), "uint8")
    groups = np.arange(50) % 12
    names = {n: f"kind {n}" for n in range(12)}
    path = map_pictures.scatter(places, pictures, groups, names, tmp_path / "map.png")
    assert path.stat().st_size > 10_000
    assert len(np.unique(map_pictures.palette(12), axis=0)) == 12
