"""Search by likeness: what is found, what is kept, what is refused."""

import csv
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import aezoo
from aezoo.cli import app
from aezoo.errors import ZooError
from aezoo.export import Bundle, find_in_index, make_index, open_index
from aezoo.measures.retrieval import mean_average_precision, precision_at
from aezoo.tasks import search
from aezoo.tasks.nearest import exact, main_axes
from aezoo.tasks.search import Index


def model_of(seed: int = 0):
    return aezoo.build(
        "simple_ae", input_shape=(8, 8, 1), latent_dim=5, latent_activation="linear", seed=seed
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Twelve pictures: four kinds of three that are nearly alike."""
    folder, rng = tmp_path_factory.mktemp("search") / "photos", np.random.default_rng(0)
    for kind in "abcd":
        (folder / kind).mkdir(parents=True)
        base = rng.integers(0, 255, (8, 8))
        for i in range(3):
            pixels = np.clip(base + rng.normal(0, 3, (8, 8)), 0, 255).astype("uint8")
            Image.fromarray(pixels).save(folder / kind / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def bundle(photos):
    model = model_of()
    model.adapt(np.arange(128, dtype="uint8").reshape(2, 8, 8, 1))
    return model, aezoo.export_bundle(model, photos.parent / "bundle").path


@pytest.fixture
def rows(rng):
    return rng.uniform(size=(40, 8, 8, 1)).astype("float32")


def test_exact_search_is_that_of_all_distances(rng):
    among, asked = rng.normal(size=(50, 4)), rng.normal(size=(7, 4))
    places, distances = exact(among, asked, 5)
    apart = np.linalg.norm(among[None] - asked[:, None], axis=2)
    np.testing.assert_array_equal(places, np.argsort(apart, axis=1)[:, :5])
    np.testing.assert_allclose(distances, np.sort(apart, axis=1)[:, :5], rtol=1e-5)


def test_whitened_codes_have_an_equal_spread_along_all_axes(rng):
    found = (rng.normal(size=(500, 6)) * [1, 2, 3, 4, 5, 0]) @ rng.normal(size=(6, 6))
    turned = found @ main_axes(found, whiten=1.0)
    assert turned.shape == (500, 5)  # one axis is empty
    np.testing.assert_allclose(turned.T @ turned / 500, np.eye(5), atol=1e-3)
    np.testing.assert_array_equal(found @ main_axes(found, whiten=0.0), found)
    np.testing.assert_array_equal(main_axes(found[:20], whiten=1.0), np.eye(6))  # too few


def test_wide_codes_are_narrowed_and_keep_their_distances(rng):
    found = rng.normal(size=(600, 5)) @ rng.normal(size=(5, 200))
    axes = main_axes(found, whiten=0.0)
    assert axes.shape == (200, 5)
    turned = found @ axes
    apart = np.linalg.norm(found[:9] - found[9:18], axis=1)
    np.testing.assert_allclose(np.linalg.norm(turned[:9] - turned[9:18], axis=1), apart, rtol=1e-3)


def test_the_cosine_takes_rows_by_direction(rows):
    index = Index(model_of(), whiten=0.0).add(rows)
    np.testing.assert_allclose(np.linalg.norm(index.codes, axis=1), 1, rtol=1e-5)
    hits = index.find(rows[:3], k=40)
    assert [names[0] for names in hits.names] == ["0", "1", "2"]
    cosines = 1 - hits.distances[0] ** 2 / 2
    order = [int(name) for name in hits.names[0]]
    np.testing.assert_allclose(cosines, (index.codes @ index.codes[0])[order], atol=1e-5)


def test_rows_come_and_go(rows):
    index = Index(model_of(), metric="euclidean").add(rows[:20], [f"r{i}" for i in range(20)])
    index.add(rows[20:30], [f"r{i}" for i in range(20, 30)])
    assert index.find(rows[25:26], k=1).names == [["r25"]]
    index.remove(["r25", "r3"])
    assert len(index) == 28 and "r25" not in index.find(rows[25:26], k=28).names[0]
    index.add(rows[25:26], ["back"])
    hits = index.find(rows[25:26], k=1)
    assert hits.names == [["back"]] and hits.distances[0, 0] == pytest.approx(0, abs=1e-5)


def test_a_saved_index_answers_as_before(rows, tmp_path):
    model = model_of()
    index = Index(model, origin={"note": "x"}).add(rows)
    index.save(tmp_path / "rows.index")
    again = Index.load(tmp_path / "rows.index", model)
    first, second = index.find(rows[:5], k=7), again.find(rows[:5], k=7)
    assert first.names == second.names and again.origin == {"note": "x"}
    np.testing.assert_array_equal(first.distances, second.distances)
    assert [p.name for p in tmp_path.iterdir()] == ["rows.index"]


def test_approximate_search_finds_most_of_what_is_near(rng, tmp_path, monkeypatch):
    pytest.importorskip("faiss")
    monkeypatch.setattr("aezoo.tasks.inverted._LEAST", 100)
    many, model = rng.uniform(size=(1500, 8, 8, 1)).astype("float32"), model_of()
    index = Index(model).add(many[:1400])
    asked = index.encode(many[:200])
    index.nearest(asked, 10, approximate=True)
    index.add(many[1400:])
    for opened in (index, Index.load(index.save(tmp_path / "i"), model)):
        near, apart = opened.nearest(asked, 10, approximate=True)
        all_near, all_apart = opened.nearest(asked, 10)
        shared = [len(set(a) & set(b)) for a, b in zip(near, all_near, strict=True)]
        assert np.mean(shared) > 8.5 and (near[:, 0] == np.arange(200)).all()
        np.testing.assert_allclose(apart[:, 0], all_apart[:, 0], atol=1e-3)
    assert sorted(index.nearest(asked[:2], 1500, approximate=True)[0][0]) == list(range(1500))
    index.remove([str(i) for i in range(700)])
    assert index.find(many[900:901], 1, approximate=True).names == [["900"]]


def test_without_faiss_approximate_search_says_what_to_install(rows, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ZooError, match=r"aezoo\[search\]"):
        Index(model_of()).add(rows).find(rows[:1], approximate=True)


def test_another_model_is_refused_and_a_bundle_of_the_same_is_not(bundle, tmp_path, rng):
    model, path = bundle
    pictures = rng.integers(0, 255, (30, 8, 8, 1)).astype("uint8")
    kept = Index(model).add(pictures).save(tmp_path / "i")
    by_bundle = Index.load(kept, Bundle(path))
    assert (
        by_bundle.find(pictures[4:5], 3).names
        == Index.load(kept, model).find(pictures[4:5], 3).names
    )
    for other in (model_of(seed=1), aezoo.build("conv_ae", filters=(2,))):
        with pytest.raises(ZooError, match="another model"):
            Index.load(kept, other)


def test_the_shell_indexes_adds_removes_and_finds(bundle, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(photos.parent)
    out = tmp_path / "photos.index"

    def run(*words):
        told = CliRunner().invoke(app, ["search", *map(str, words)], catch_exceptions=False)
        assert told.exit_code == 0
        return told.output

    assert "3 rows" in run("index", bundle[1], "photos/b", "--out", out)
    told = run("add", out, "photos")
    assert "12 rows" in told and "3 were there already" in told
    told = run("find", out, photos / "b" / "1.png", "--k", 3, "--out", tmp_path / "found")
    assert told.index("photos/b/1.png") < told.index("0.0000") and "report.html" in told
    page = (tmp_path / "found" / "report.html").read_text()
    assert "photos/b/1.png" in page and "holds 12 rows by simple_ae" in page and "<img" in page
    with (tmp_path / "found" / "hits.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["name"] for line in lines} == {f"photos/b/{i}.png" for i in range(3)}
    assert [line["rank"] for line in lines] == ["1", "2", "3"]
    with Image.open(tmp_path / "found" / "hits.png") as drawn:
        assert drawn.size[0] > 400
    again = run(
        "find", out, photos / "b" / "1.png", "--k", 3, "--out", tmp_path / "2", "--approximate"
    )
    assert again.splitlines()[:3] == told.splitlines()[:3]
    assert "11 rows" in run("remove", out, "photos/b/1.png")
    assert "photos/b/1.png" not in open_index(out).names


def test_what_is_like_nothing_in_the_index_is_told(bundle, tmp_path, rng):
    flat = np.full((40, 8, 8, 1), 100.0) + np.arange(40)[:, None, None, None]
    np.save(tmp_path / "rows.npy", (flat + rng.normal(0, 2, flat.shape)).astype("uint8"))
    strange = np.where(np.indices((8, 8)).sum(0) % 2, 255, 0)[None, ..., None]
    np.save(tmp_path / "new.npy", np.concatenate([flat[20:21], strange]).astype("uint8"))
    make_index(bundle[1], tmp_path / "rows.npy", tmp_path / "i")
    found = find_in_index(tmp_path / "i", tmp_path / "new.npy", tmp_path / "found", k=1)
    assert found.strange.tolist() == [False, True]
    assert "1 query is farther than this" in str(found)
    index = open_index(tmp_path / "i")
    distances = np.linalg.norm(index.codes[:, None] - index.codes, axis=2)
    distances[distances < 1e-3] = 9  # itself
    assert found.usual == pytest.approx(np.quantile(distances.min(axis=1), 0.99), rel=1e-3)
    with np.load(tmp_path / "i") as kept:  # so that asking does not measure it again
        assert kept["usual"] == found.usual
    index.add(np.load(tmp_path / "rows.npy"), [f"copy {i}" for i in range(40)])
    twice = np.quantile(np.repeat(distances.min(axis=1), 2), 0.99)
    assert index.usual() == pytest.approx(twice, rel=1e-3)  # a copy is no other row
    few = Index(Bundle(bundle[1])).add(np.load(tmp_path / "rows.npy")[:19])
    assert np.isnan(few.usual())  # too few rows to say what is usual


def test_asking_needs_no_tensorflow(bundle, photos, tmp_path):
    make_index(bundle[1], photos, tmp_path / "i")
    code = (
        "import sys; sys.modules.update(tensorflow=None, keras=None, faiss=None)\n"
        "from aezoo.export import find_in_index\n"
        f"print(find_in_index({str(tmp_path / 'i')!r}, {str(photos / 'c' / '2.png')!r}, "
        f"{str(tmp_path / 'found')!r}, k=1).hits.names)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == str([[str(photos / "c" / "2.png")]]), done.stderr


def test_rows_of_an_array_are_found_by_number(bundle, tmp_path, rng):
    pictures = rng.integers(0, 255, (30, 8, 8, 1)).astype("uint8")
    np.save(tmp_path / "rows.npy", pictures)
    np.save(tmp_path / "new.npy", pictures[[7, 2]])
    make_index(bundle[1], tmp_path / "rows.npy", tmp_path / "i")
    found = find_in_index(tmp_path / "i", tmp_path / "new.npy", tmp_path / "found", k=2)
    assert [names[0] for names in found.hits.names] == [f"{tmp_path}/rows.npy:{i}" for i in (7, 2)]
    (tmp_path / "rows.npy").unlink()  # there is nothing to draw any more, but still an answer
    again = find_in_index(tmp_path / "i", tmp_path / "new.npy", tmp_path / "found", k=2)
    assert again.hits.names == found.hits.names


def test_series_and_tables_are_searched_alike(rng):
    for entry, shape in (("simple_ae", (6,)), ("conv_ae", (16, 2))):
        some = {"latent_dim": 4} if entry == "simple_ae" else {"filters": (2,)}
        new = rng.uniform(size=(9, *shape)).astype("float32")
        model = aezoo.build(entry, input_shape=shape, **some)
        assert Index(model).add(new).find(new[5:6], 1).distances[0, 0] < 1e-4


@pytest.mark.parametrize("damage", [b"", b"no zip", "cut", "flipped"])
def test_damaged_files_are_refused(rows, tmp_path, damage):
    path = Index(model_of()).add(rows).save(tmp_path / "i")
    whole = bytearray(path.read_bytes())
    if damage == "cut":
        damage = bytes(whole[: len(whole) // 2])
    elif damage == "flipped":
        whole[whole.index(b"codes.npy") + 300] ^= 255
        damage = bytes(whole)
    path.write_bytes(damage)
    with pytest.raises(ZooError, match="no index of aezoo, or it is damaged"):
        search.read(path)


def test_mistakes_are_told(rows, bundle, tmp_path):
    model = model_of()
    index = Index(model).add(rows, [f"r{i}" for i in range(40)])
    for mistake, message in (
        (lambda: index.add(rows[:1], ["r3"]), "there already"),
        (lambda: index.add(rows[:2], ["x"]), "one name for each"),
        (lambda: index.remove(["r44", "r1"]), "Did you mean 'r4"),
        (lambda: index.find(rows[:1], k=0), "At least one"),
        (lambda: Index(model).find(rows[:1]), "is empty"),
        (lambda: Index(model, metric="cosin"), "Did you mean 'cosine'"),
        (lambda: Index(model, whiten=2), "from 0 to 1"),
        (lambda: search.read(tmp_path / "none"), "no file"),
        (lambda: make_index(bundle[1], tmp_path, tmp_path), "already"),
    ):
        with pytest.raises(ZooError, match=message):
            mistake()
    assert len(index) == 40


def test_precision_is_counted_by_hand():
    alike = np.array([[1, 0, 1, 0], [0, 0, 0, 1]], bool)  # in the order of nearness
    assert precision_at(alike, 2) == pytest.approx((0.5 + 0) / 2)
    assert mean_average_precision(alike) == pytest.approx(((1 + 2 / 3) / 2 + 1 / 4) / 2)
