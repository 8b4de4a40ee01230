"""`predict_file`: pictures, arrays and tables through a bundle."""

import numpy as np
import pytest
from PIL import Image

import aezoo
from aezoo.errors import ZooError
from aezoo.export import predict_file
from aezoo.export.rows import read_table
from aezoo.specs import TensorSpec


@pytest.fixture(scope="module")
def model():
    made = aezoo.build("vallina_ae", input_shape=(6, 4, 3), hidden=(8,), latent_dim=3, seed=0)
    made.adapt(np.random.default_rng(0).integers(0, 256, (9, 6, 4, 3), dtype="uint8"))
    made.calibration = {"threshold": 0.05, "alpha": 0.1}
    return made


@pytest.fixture(scope="module")
def bundle(model, tmp_path_factory):
    return aezoo.export_bundle(model, tmp_path_factory.mktemp("files") / "bundle")


def saved_picture(path, rng, height=6, width=4):
    pixels = rng.integers(0, 256, (height, width, 3), dtype="uint8")
    Image.fromarray(pixels).save(path)
    return pixels


def test_pictures_in_a_folder_are_answered_by_name_in_order(bundle, model, rng, tmp_path):
    (tmp_path / "photos" / "b").mkdir(parents=True)
    second = saved_picture(tmp_path / "photos" / "b" / "2.png", rng)
    first = saved_picture(tmp_path / "photos" / "1.png", rng)
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    done = predict_file(bundle, tmp_path / "photos", "detect")
    assert done.names == ["1.png", "b/2.png"]
    expected = model.endpoint("detect")(image=np.stack([first, second]))
    np.testing.assert_allclose(done.answers["score"], expected["score"], rtol=1e-5)
    np.testing.assert_array_equal(done.answers["anomalous"], expected["anomalous"])
    assert "highest scores" in str(done) and "1.png" in str(done)


def test_pictures_of_another_size_are_brought_to_the_models(bundle, model, rng, tmp_path):
    saved_picture(tmp_path / "large.png", rng, 60, 40)
    done = predict_file(bundle, tmp_path / "large.png")
    with Image.open(tmp_path / "large.png") as image:
        small = np.asarray(image.resize((4, 6), Image.Resampling.BICUBIC))
    expected = model.endpoint("reconstruct")(image=small[None])["reconstruction"]
    np.testing.assert_allclose(done.answers["reconstruction"], expected, atol=255e-5)


@pytest.mark.parametrize("fit", ["fit", "crop", "tile"])
@pytest.mark.parametrize("deep", [False, True])
def test_pictures_become_rows_as_those_of_the_training_did(fit, deep, rng, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(4):
        values = rng.integers(0, 4096 if deep else 256, (20, 26))
        values[0, 0] = 4095 if deep else 255
        Image.fromarray(values.astype("uint16" if deep else "uint8")).save(folder / f"{number}.png")
    run = aezoo.train(
        "vallina_ae",
        folder,
        out=tmp_path / "run",
        epochs=1,
        hidden=(16,),
        latent_activation="linear",  # of several values, whatever one epoch did
        image_size=8,
        image_fit=fit,
        validation=0,
        figures=False,
        verbose=False,
    )
    bundle = aezoo.export_bundle(aezoo.load(run.directory), tmp_path / "bundle")
    done = predict_file(tmp_path / "bundle", folder, "encode")
    rows = np.concatenate([rows.array() for rows in run.data.roles().values()])
    order = np.argsort(np.concatenate([rows.index for rows in run.data.roles().values()]))
    expected = bundle.predict("encode", image=rows[order])["latent"]
    assert len(np.unique(expected, axis=0)) == len(expected)
    np.testing.assert_array_equal(done.answers["latent"], expected)
    assert len(done.names) == {"fit": 4, "crop": 4, "tile": 24}[fit]
    assert done.names[1] == {"fit": "1.png", "crop": "1.png", "tile": "0.png@9,2"}[fit]
    assert str(done).startswith("4 grey pictures of 26x20 were ")
    if deep:  # its brightest value is not white: the training's depth is kept
        Image.fromarray(np.full((20, 26), 255, "uint16")).save(tmp_path / "dim.png")
        dim = predict_file(tmp_path / "bundle", tmp_path / "dim.png", "encode")
        one = bundle.predict("encode", image=np.full((1, 8, 8, 1), 16, "uint8"))  # 255 / 4095
        np.testing.assert_array_equal(dim.answers["latent"][:1], one["latent"])
        brighter = bundle.predict("encode", image=np.full((1, 8, 8, 1), 255, "uint8"))
        assert np.abs(brighter["latent"] - one["latent"]).max() > 1e-3
        Image.fromarray(np.full((20, 26), 5000, "uint16")).save(tmp_path / "deep.png")
        with pytest.raises(ZooError, match="deeper than those that the model was trained on"):
            predict_file(tmp_path / "bundle", tmp_path / "deep.png", "encode")


@pytest.mark.parametrize(("top", "scaling"), [(1, "unit"), (1, "standardize"), (255, "minmax")])
def test_a_model_of_float_pictures_gets_them_in_its_own_unit(top, scaling, rng, tmp_path):
    model = aezoo.build(
        "vallina_ae",
        input_shape=(6, 4, 3),
        hidden=(8,),
        latent_dim=3,
        latent_activation="linear",
        seed=0,
    )
    model.adapt(rng.uniform(0, top, (9, 6, 4, 3)).astype("float32"), scaling=scaling)
    aezoo.export_bundle(model, tmp_path / "bundle")
    row = saved_picture(tmp_path / "one.png", rng)
    done = predict_file(tmp_path / "bundle", tmp_path / "one.png", "encode")
    expected = model.endpoint("encode")(image=row[None] * np.float32(top / 255))["latent"]
    assert np.abs(expected).max() > 1e-2
    np.testing.assert_allclose(done.answers["latent"], expected, rtol=1e-5, atol=1e-6)


def test_codes_are_no_pictures_and_hidden_files_are_none(rng, tmp_path):
    model = aezoo.build("conv_ae", input_shape=(8, 8, 3), filters=(2, 3), seed=0)
    model.adapt(rng.integers(0, 256, (9, 8, 8, 3), dtype="uint8"))
    aezoo.export_bundle(model, tmp_path / "bundle")
    (tmp_path / "photos").mkdir()
    saved_picture(tmp_path / "photos" / "one.png", rng, 8, 8)
    (tmp_path / "photos" / "._one.png").write_bytes(b"left by another system")
    done = predict_file(tmp_path / "bundle", tmp_path / "photos", "encode")
    assert done.names == ["one.png"] and "fitted without resizing" in done.notes[0]
    with pytest.raises(ZooError, match="Endpoint 'decode' takes no pictures"):
        predict_file(tmp_path / "bundle", tmp_path / "photos", "decode")


def test_a_model_of_other_values_takes_no_pictures(rng, tmp_path):
    model = aezoo.build("vallina_ae", input_shape=(6, 4, 3), hidden=(8,), latent_dim=3, seed=0)
    model.adapt(rng.normal(size=(9, 6, 4, 3)).astype("float32"))
    aezoo.export_bundle(model, tmp_path / "bundle")
    saved_picture(tmp_path / "one.png", rng)
    with pytest.raises(ZooError, match="takes no pictures"):
        predict_file(tmp_path / "bundle", tmp_path / "one.png")


def test_arrays_give_the_same_answers_and_are_written(bundle, model, rng, tmp_path):
    rows = rng.integers(0, 256, (3, 6, 4, 3), dtype="uint8")
    np.save(tmp_path / "rows.npy", rows)
    np.savez(tmp_path / "rows.npz", image=rows, threshold=np.full((3, 1), 9.0), labels=np.zeros(3))
    done = predict_file(bundle, tmp_path / "rows.npy", "score", output=tmp_path / "out.npz")
    expected = model.endpoint("score")(image=rows)
    with np.load(tmp_path / "out.npz") as written:
        assert set(written.files) == {"score", "error_map"}
        np.testing.assert_allclose(written["score"], expected["score"], rtol=1e-5)
    assert done.written == tmp_path / "out.npz"
    strict = predict_file(bundle, tmp_path / "rows.npz", "detect", output=tmp_path / "out.npy")
    assert not strict.answers["anomalous"].any()  # the file's own threshold was used
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), strict.answers["score"])


def test_files_that_do_not_fit_are_refused(bundle, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ZooError, match="holds no picture"):
        predict_file(bundle, tmp_path / "empty")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ZooError, match=r"broken\.png"):
        predict_file(bundle, tmp_path / "broken.png")
    with pytest.raises(ZooError, match="takes no pictures"):
        predict_file(bundle, tmp_path / "broken.png", "decode")
    with pytest.raises(ZooError, match=r"Did you mean 'broken\.png'"):
        predict_file(bundle, tmp_path / "brokn.npy")
    with pytest.raises(ZooError, match=r"\.npz or \.npy"):
        predict_file(bundle, tmp_path / "broken.png", output=tmp_path / "out.json")
    np.savez(tmp_path / "cut.npz", image=np.zeros((2, 6, 4, 3)))
    content = (tmp_path / "cut.npz").read_bytes()
    for damaged in (content[:200], content[:120] + b"\xff" * 8 + content[128:]):
        (tmp_path / "cut.npz").write_bytes(damaged)
        with pytest.raises(ZooError, match=r"cut\.npz cannot be read"):
            predict_file(bundle, tmp_path / "cut.npz")
    (tmp_path / "huge.csv").write_text("1,2\n" + "3" * 200_000 + ",4\n")
    with pytest.raises(ZooError, match=r"huge\.csv cannot be read: field larger"):
        predict_file(bundle, tmp_path / "huge.csv")
    np.savez(tmp_path / "other.npz", a=np.zeros(1), b=np.zeros(1))
    with pytest.raises(ZooError, match="holds no array"):
        predict_file(bundle, tmp_path / "other.npz")


def test_endings_in_capitals_are_known(bundle, rng, tmp_path):
    rows = rng.integers(0, 256, (3, 6, 4, 3), dtype="uint8")
    for ending, write in ((".NPY", np.save), (".NPZ", np.savez)):
        with (tmp_path / f"rows{ending}").open("wb") as file:
            write(file, rows)
        out = tmp_path / f"out{ending}"
        done = predict_file(bundle, tmp_path / f"rows{ending}", "score", output=out)
        read = np.load(out) if ending == ".NPY" else np.load(out)["score"]
        np.testing.assert_array_equal(read, done.answers["score"])


@pytest.mark.parametrize(
    ("shape", "text", "expected"),
    [
        ((2,), "1,2\n3,4\n", [[1, 2], [3, 4]]),
        ((2,), "a;label;b\n1;9;2\n3;9;4\n", [[1, 2], [3, 4]]),
        ((3, 1), "1,2,3\n4,5,6\n", [[[1], [2], [3]], [[4], [5], [6]]]),
        ((2, 2), "u\tv\n1\t2\n3\t4\n5\t6\n7\t8\n", [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]),
    ],
    ids=["features", "a label column", "a series per line", "a step per line"],
)
def test_a_table_is_read_as_the_model_takes_its_rows(shape, text, expected, tmp_path):
    (tmp_path / "rows.csv").write_text(text)
    read, _ = read_table(TensorSpec("x", shape), tmp_path / "rows.csv")
    np.testing.assert_array_equal(read, expected)
