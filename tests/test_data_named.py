"""Data sets that have a name."""

import gzip
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

from aezoo.data import load
from aezoo.data.named import EMBEDDED, LOADERS
from aezoo.errors import ZooError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("AEZOO_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def offline(monkeypatch):
    def fail(*_):
        raise Exception("URL fetch failure on https://example.org: None -- no route to host")

    for name in ("mnist", "fashion_mnist", "cifar10", "cifar100"):
        monkeypatch.setattr(getattr(keras.datasets, name), "load_data", fail)
    monkeypatch.setattr(keras.utils, "get_file", fail)


def arrays(rng, shape, rows=(40, 20), classes=4):
    train, test = rows
    return {
        "x_train": rng.integers(0, 256, (train, *shape), np.uint8),
        "y_train": np.arange(train) % classes,
        "x_test": rng.integers(0, 256, (test, *shape), np.uint8),
        "y_test": np.arange(test) % classes,
    }


def write_idx(path, values):
    head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(head + values.astype("uint8").tobytes()))


def test_importing_the_module_and_loading_import_no_tensorflow():
    code = (
        "import sys, aezoo.data; d = aezoo.data.load('sample'); d.train.take([0]).array(); "
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules or 'pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_embedded_sample_is_two_thousand_real_pictures():
    data = load("fashion_sample", validation=0)
    assert data.name == "sample" and data.modality == "image" and data.validation is None
    assert data.train.array().shape == (2000, 28, 28, 1) and data.train.dtype == np.uint8
    assert np.bincount(data.test.labels).tolist() == [50] * 10
    assert data.class_names[9] == "ankle boot"
    assert data.train.array().mean() == pytest.approx(72.97, abs=0.5)  # all 60,000: 72.94


def test_the_digits_are_spread_over_eight_bits():
    data = load("digits")
    values = np.unique(data.train.array())
    assert data.train.shape == (8, 8, 1) and values[0] == 0 and values[-1] == 255
    assert len(values) == 17
    assert sum(len(rows) for rows in data.roles().values()) == 1797


def test_idx_files_are_read(folder, rng, offline):
    given = arrays(rng, (28, 28))
    (folder / "fashion_mnist").mkdir()
    for key, name in (
        ("x_train", "train-images-idx3-ubyte.gz"),
        ("y_train", "train-labels-idx1-ubyte.gz"),
        ("x_test", "t10k-images-idx3-ubyte.gz"),
        ("y_test", "t10k-labels-idx1-ubyte.gz"),
    ):
        write_idx(folder / "fashion_mnist" / name, given[key])
    data = load("Fashion-MNIST", validation=0)
    np.testing.assert_array_equal(data.train.array()[..., 0], given["x_train"])
    np.testing.assert_array_equal(data.test.array()[..., 0], given["x_test"])
    np.testing.assert_array_equal(data.test.labels, given["y_test"])


@pytest.mark.parametrize(
    ("name", "shape"), [("mnist", (28, 28)), ("cifar10", (32, 32, 3)), ("cifar100", (32, 32, 3))]
)
def test_archives_are_read(folder, rng, offline, name, shape):
    given = arrays(rng, shape)
    (folder / name).mkdir()
    np.savez(folder / name / f"{name}.npz", **given)
    data = load(name, validation=0)
    assert data.train.shape == (*shape, 1)[:3]
    np.testing.assert_array_equal(data.train.array().reshape(40, *shape), given["x_train"])


def test_heart_beats_are_series_and_label_one_is_normal(folder, rng):
    given = arrays(rng, (140,), classes=5)
    given["y_train"] = (given["y_train"] + 1).astype("int8")
    given["y_test"] = (given["y_test"] + 1).astype("int8")
    (folder / "ecg5000").mkdir()
    np.savez(folder / "ecg5000" / "ECG5000.npz", **given)
    data = load("ecg5000", train_classes=(1,), validation=0.25)
    assert (data.modality, data.train.shape, data.train.dtype) == ("series", (140, 1), np.float32)
    assert (len(data.train), len(data.validation), len(data.test)) == (6, 2, 20)
    assert data.class_names[1] == "normal" and set(data.test.labels) == {1, 2, 3, 4, 5}


def test_the_embedded_brain_slices_are_dealt_by_slab(monkeypatch):
    monkeypatch.delenv("AEZOO_DATA", raising=False)
    data = load("brain_mri")
    places = {role: (rows.index[0], rows.index[-1]) for role, rows in data.roles().items()}
    assert places == {"train": (0, 35), "validation": (36, 41), "test": (49, 64)}
    assert data.train.shape == (96, 112, 1) and data.train.labels is None
    assert data.class_names[2] == "grey matter"
    for rows in data.roles().values():
        assert np.unique(rows.targets).tolist() == [0, 1, 2, 3]
        x = rows.array()[..., 0]
        tissues = [x[rows.targets == tissue].mean() for tissue in (1, 2, 3)]
        assert tissues == sorted(tissues) and tissues[2] > tissues[0] + 80  # white is bright


def test_heart_beats_are_fetched_from_the_archive_where_no_folder_has_them(
    monkeypatch, tmp_path, rng
):
    beats = {"TRAIN": rng.normal(size=(8, 141)), "TEST": rng.normal(size=(5, 141))}
    with zipfile.ZipFile(tmp_path / "ECG5000.zip", "w") as archive:
        for role, rows in beats.items():
            rows[:, 0] = rng.integers(1, 6, len(rows))
            text = "\n".join("  ".join(f"{v:.7e}" for v in row) for row in rows)
            archive.writestr(f"ECG5000_{role}.txt", text)
    asked = []
    monkeypatch.delenv("AEZOO_DATA", raising=False)
    monkeypatch.setattr(
        keras.utils,
        "get_file",
        lambda name, url: asked.append(url) or str(tmp_path / name),
    )
    data = load("ecg5000", validation=0)
    np.testing.assert_allclose(data.train.array()[..., 0], beats["TRAIN"][:, 1:], rtol=1e-6)
    assert data.test.labels.tolist() == beats["TEST"][:, 0].tolist()
    assert asked == ["https://www.timeseriesclassification.com/aeon-toolkit/ECG5000.zip"]


def test_what_keras_has_is_taken_from_keras(monkeypatch, rng):
    given = arrays(rng, (32, 32, 3))
    monkeypatch.delenv("AEZOO_DATA", raising=False)
    monkeypatch.setattr(
        keras.datasets.cifar10,
        "load_data",
        lambda: (
            (given["x_train"], given["y_train"][:, None]),
            (given["x_test"], given["y_test"][:, None]),
        ),
    )
    data = load("cifar10", validation=0)
    np.testing.assert_array_equal(data.train.array(), given["x_train"])
    np.testing.assert_array_equal(data.test.labels, given["y_test"])
    assert data.class_names[8] == "ship"


def test_data_that_are_nowhere_name_folder_variable_and_what_would_work(folder, offline):
    with pytest.raises(ZooError) as error:
        load("cifar10")
    text = str(error.value)
    assert len(text.splitlines()) == 3
    for part in (str(folder / "cifar10"), "AEZOO_DATA", "no route to host", *EMBEDDED):
        assert part in text
    with pytest.raises(ZooError, match="ecg5000 was not found"):
        load("ecg5000")


def test_without_the_variable_the_error_says_so(monkeypatch, offline):
    monkeypatch.delenv("AEZOO_DATA", raising=False)
    with pytest.raises(ZooError, match="AEZOO_DATA is not set"):
        load("mnist")


@pytest.mark.parametrize("name", ["mnist.npz", "train-images-idx3-ubyte.gz"])
def test_a_damaged_file_is_named(folder, name):
    (folder / "mnist").mkdir()
    for idx in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        write_idx(folder / "mnist" / f"{idx}-ubyte.gz", np.zeros(3))
    (folder / "mnist" / name).write_bytes(b"\x1f\x8bno archive")
    with pytest.raises(ZooError, match=rf"{name} cannot be read"):
        load("mnist")


@pytest.mark.parametrize(
    ("word", "closest"), [("minst", "mnist"), ("fashion", "fashion_mnist"), ("ecg500", "ecg5000")]
)
def test_an_unknown_name_is_answered_with_the_nearest(word, closest):
    with pytest.raises(ZooError) as error:
        load(word)
    assert error.value.closest == closest
    assert all(name in str(error.value) for name in LOADERS)


def test_a_misspelt_path_is_answered_with_its_neighbour(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(ZooError) as error:
        load(tmp_path / "photo")
    assert error.value.closest == str(tmp_path / "photos")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "ecg5000"])
def test_the_full_data_sets_load(full_data, name):
    sizes = load(name).record()["sizes"]
    assert (
        sizes
        == {
            "mnist": {"train": 54000, "validation": 6000, "test": 10000},
            "fashion_mnist": {"train": 54000, "validation": 6000, "test": 10000},
            "ecg5000": {"train": 450, "validation": 50, "test": 4500},
        }[name]
    )


def test_pictures_change_to_features_and_to_another_size_where_a_model_needs_it():
    plain = load("sample")
    flat = load("sample", modality="features")
    np.testing.assert_array_equal(flat.test.array(), plain.test.array().reshape(500, 784))
    assert flat.train.dtype == np.float32 and "flattened" in flat.notes[0]
    small = load("sample", image_size=14, channels=3)
    assert small.train.shape == (14, 14, 3)
    means = plain.test.array().mean((1, 2, 3)), small.test.array().mean((1, 2, 3))
    assert np.abs(means[0] - means[1]).max() < 4
    assert "Pictures of shape (28, 28, 1) were changed to (14, 14, 3)." in small.notes
    same = load("sample", channels=3).test.array()
    np.testing.assert_array_equal(same, np.repeat(plain.test.array(), 3, axis=-1))
    with pytest.raises(ZooError, match="without masks"):
        load((np.zeros((9, 8, 8, 1)) + np.eye(8)[..., None], np.ones((9, 8, 8))), image_size=4)
    with pytest.raises(ZooError, match="takes tokens, but sample holds image"):
        load("sample", modality="tokens")


def test_a_name_goes_before_a_path_and_this_is_said(tmp_path, monkeypatch):
    (tmp_path / "sample").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load("sample").notes == ["sample is the data set; write ./sample for the path."]
    with pytest.raises(ZooError, match="The folder is empty"):
        load("./sample")
