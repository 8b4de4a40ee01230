"""Arrays, archives and tables."""

import numpy as np
import pandas as pd
import pytest

from aezoo.data import load
from aezoo.errors import ZooError


@pytest.fixture
def table(rng):
    return pd.DataFrame(rng.normal(size=(40, 3)), columns=["a", "b", "c"])


def rows_of(data):
    """All rows in the order of the source."""
    parts = list(data.roles().values())
    order = np.argsort(np.concatenate([part.index for part in parts]))
    return np.concatenate([part.array() for part in parts])[order]


def labels_of(data):
    parts = list(data.roles().values())
    order = np.argsort(np.concatenate([part.index for part in parts]))
    return np.concatenate([part.labels for part in parts])[order]


def error_of(*args, **kwargs):
    with pytest.raises(ZooError) as error:
        load(*args, **kwargs)
    assert len(str(error.value).splitlines()) <= 3 and error.value.do
    return str(error.value)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "semicolons.csv"])
def test_tables_become_features(tmp_path, table, suffix):
    path = tmp_path / f"t.{suffix}"
    if suffix == "parquet":
        table.to_parquet(path)
    else:
        separator = {"csv": ",", "tsv": "\t"}.get(suffix, ";")
        table.to_csv(path, index=False, sep=separator)
    data = load(path)
    assert (data.modality, data.train.shape, data.train.dtype) == ("features", (3,), np.float32)
    np.testing.assert_array_equal(rows_of(data), table.to_numpy("float32"))
    assert data.train.labels is None


def test_a_data_frame_is_a_source(table):
    np.testing.assert_array_equal(rows_of(load(table)), table.to_numpy("float32"))


@pytest.mark.parametrize("name", ["label", "Target", "CLASS", "y"])
def test_a_label_column_is_no_feature_and_this_is_said(table, name):
    table[name] = ["good", "bad"] * 20
    data = load(table)
    assert data.train.shape == (3,) and data.class_names == {0: "bad", 1: "good"}
    assert labels_of(data).tolist() == [1, 0] * 20
    assert f"Column {name!r} is taken for labels; it is no feature." in data.notes


def test_whole_numbers_keep_their_values_as_labels(table):
    table["label"] = [1, 5] * 20
    data = load(table, train_classes=(5,))
    assert set(data.train.labels) == {5} and data.class_names is None


def test_real_numbers_in_a_column_called_y_are_a_feature(table):
    data = load(table.rename(columns={"c": "y"}))
    assert data.train.shape == (3,) and data.train.labels is None
    assert "'y' holds real numbers, no classes" in data.notes[0]


def test_row_numbers_without_a_name_are_left_out(tmp_path, table):
    table.to_csv(tmp_path / "t.csv")
    data = load(tmp_path / "t.csv")
    assert data.train.shape == (3,) and "numbers the rows" in data.notes[0]


def test_a_table_without_a_header_loses_no_row(tmp_path, table):
    table.to_csv(tmp_path / "t.csv", index=False, header=False)
    data = load(tmp_path / "t.csv")
    np.testing.assert_array_equal(rows_of(data), table.to_numpy("float32"))
    assert "columns are numbered from 0" in data.notes[0]


def test_unfit_columns_are_named(table):
    words = table.assign(city="Rome", kind=pd.Categorical(["x", "y"] * 20), when=pd.Timestamp(0))
    assert "Columns 'city', 'kind', 'when' hold text" in error_of(words)
    gaps = table.copy()
    gaps.loc[3, "b"] = np.nan
    assert "Column 'b' has gaps (NaN)." in error_of(gaps)
    assert "Column 'd' is constant" in error_of(table.assign(d=7))
    infinite = table.copy()
    infinite.loc[3, "a"] = -np.inf
    assert "Column 'a' holds infinities." in error_of(infinite)
    many = table.assign(**{f"k{i}": 1.0 for i in range(7)})
    assert "'k0', 'k1', 'k2', 'k3', 'k4' and 2 more are constant" in error_of(many)
    assert "2 rows have none" in error_of(table.assign(label=[None] * 2 + [1.0] * 38))
    double = pd.concat([table, table["a"]], axis=1)
    assert "Two columns of the table have one name." in error_of(double)


def test_unreadable_and_empty_tables_are_named(tmp_path, table):
    (tmp_path / "empty.csv").write_text("")
    assert "The table is empty." in error_of(tmp_path / "empty.csv")
    (tmp_path / "head.csv").write_text("a,b\n")
    assert "The table has no rows." in error_of(tmp_path / "head.csv")
    assert "no columns of features" in error_of(pd.DataFrame({"label": [1, 2]}))
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n1,2,3,4\n")
    assert "ragged.csv cannot be read as a table" in error_of(tmp_path / "ragged.csv")
    (tmp_path / "bytes.csv").write_bytes(b"a,b\n\xff\xfe,1\n")
    assert "bytes.csv cannot be read as a table" in error_of(tmp_path / "bytes.csv")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    assert "bad.parquet cannot be read as a table" in error_of(tmp_path / "bad.parquet")


def test_a_table_with_a_window_is_a_series(tmp_path, table):
    table.to_csv(tmp_path / "t.csv", index=False)
    data = load(tmp_path / "t.csv", window=5, stride=2, modality="series")
    assert data.train.shape == (5, 3)
    np.testing.assert_array_equal(data.train.array()[1], table.to_numpy("float32")[2:7])
    flat = load(tmp_path / "t.csv", window=5, stride=2, modality="features")
    np.testing.assert_array_equal(flat.train.array(), data.train.array().reshape(-1, 15))


def test_without_a_window_each_row_is_a_series_where_a_model_takes_series(table):
    data = load(table, modality="series")
    assert data.train.shape == (3, 1) and "one series of one channel" in " ".join(data.notes)


def test_words_make_no_window_labels(table):
    assert "Labels in words" in error_of(table.assign(label=["a", "b"] * 20), window=5)


@pytest.mark.parametrize(
    ("shape", "dtype", "modality", "row", "row_type", "guessed"),
    [
        ((20, 6), "float64", None, (6,), "float32", "features"),
        ((20, 6), "float32", "series", (6, 1), "float32", None),
        ((20, 6, 2), "float32", None, (6, 2), "float32", "series"),
        ((20, 6, 6), "uint8", None, (6, 6, 1), "uint8", "image"),
        ((20, 6, 6), "int64", "image", (6, 6, 1), "uint8", None),
        ((20, 6, 6, 3), "float32", None, (6, 6, 3), "float32", "image"),
        ((20, 6), "int64", "tokens", (6,), "int32", None),
        ((20, 6, 6), "uint8", "features", (36,), "float32", None),
    ],
)
@pytest.mark.parametrize("stored", ["array", "npy", "npz"])
def test_arrays_get_the_shape_and_type_of_their_modality(
    tmp_path, rng, shape, dtype, modality, row, row_type, guessed, stored
):
    x = rng.integers(0, 200, shape).astype(dtype)
    source = x if stored == "array" else tmp_path / f"x.{stored}"
    if stored == "npy":
        np.save(source, x)
    elif stored == "npz":
        np.savez(source, x)
    data = load(source, modality=modality)
    assert (data.train.shape, str(data.train.dtype)) == (row, row_type)
    np.testing.assert_array_equal(rows_of(data), x.reshape(20, *row))
    assert data.modality == (modality or guessed)
    assert any("are taken as" in note for note in data.notes) == (modality is None)


def test_whole_numbers_beyond_eight_bits_stay_as_they_are(rng):
    x = rng.integers(0, 1000, (20, 6, 6))
    assert load(x, modality="image").train.dtype == np.float32


def test_a_large_npy_stays_on_disk(tmp_path, rng):
    x = rng.normal(size=(100, 8))
    np.save(tmp_path / "x.npy", x)
    near = load(tmp_path / "x.npy")
    far = load(tmp_path / "x.npy", memory_limit=100)
    assert near.train.in_memory and not far.train.in_memory
    assert isinstance(far.train.x.source, np.memmap)
    np.testing.assert_array_equal(far.train.array(), near.train.array())
    np.testing.assert_array_equal(far.train.gather([5, 2]), near.train.array()[[5, 2]])


def test_pairs_bring_labels_or_masks(rng):
    x = rng.normal(size=(30, 8, 8, 1)).astype("float32")
    named = load((x, np.array(["b", "a", "c"] * 10)))
    assert labels_of(named)[:3].tolist() == [1, 0, 2] and named.class_names[2] == "c"
    masks = rng.integers(0, 3, (30, 8, 8), np.uint8)
    data = load((x, masks))
    for rows in data.roles().values():
        np.testing.assert_array_equal(rows.targets, masks[rows.index])
        assert rows.labels is None
    clean = load((x, np.zeros((30, 8, 8, 1)) + 0.5))
    assert clean.train.targets.dtype == np.float32 and (clean.train.targets == 0.5).all()
    column = load((x, np.arange(30)[:, None] % 2))
    assert labels_of(column).tolist() == [0, 1] * 15


def test_keras_pairs_of_train_and_test_keep_their_roles(rng):
    x = rng.normal(size=(30, 4))
    data = load(((x[:20], np.zeros(20, int)), (x[20:], np.ones(10, int))), validation=0)
    np.testing.assert_array_equal(data.test.array(), x[20:].astype("float32"))
    assert data.train.labels.tolist() == [0] * 20 and data.test.labels.tolist() == [1] * 10


def test_labels_where_none_are_expected_are_refused(rng):
    x = rng.normal(size=(30, 4))
    assert "real numbers, one per row; labels are classes" in error_of((x, x[:, 0]))
    assert "30 rows and 29 labels" in error_of((x, np.zeros(29, int)))


def test_archives_bring_their_roles(tmp_path, rng):
    x = rng.normal(size=(40, 4)).astype("float32")
    path = tmp_path / "a.npz"
    np.savez(path, x_train=x[:20], x_val=x[20:28], x_test=x[28:], y_test=np.arange(12))
    data = load(path)
    assert data.record()["sizes"] == {"train": 20, "validation": 8, "test": 12}
    np.testing.assert_array_equal(rows_of(data), x)
    assert data.test.labels.tolist() == list(range(12)) and data.train.labels is None


def test_unfit_arrays_and_archives_are_explained(tmp_path, rng):
    np.savez(tmp_path / "odd.npz", images=np.ones(3), targets=np.ones(3))
    text = error_of(tmp_path / "odd.npz")
    assert "no array 'x' or 'x_train'" in text and "images, targets" in text and "x_test" in text
    np.save(tmp_path / "o.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    assert "o.npy cannot be read" in error_of(tmp_path / "o.npy")
    (tmp_path / "t.npy").write_bytes(b"\x93NUMPY")
    assert "t.npy cannot be read" in error_of(tmp_path / "t.npy")
    (tmp_path / "t.npz").write_bytes(b"PK")
    assert "t.npz cannot be read" in error_of(tmp_path / "t.npz")
    assert "does not hold numbers" in error_of(np.array([["a", "b"]]))
    assert "no row axis" in error_of(np.arange(9.0))
    assert "these rows are no tokens" in error_of(np.ones((4, 3)), modality="tokens").lower()
    assert "(N, height, width)" in error_of(rng.normal(size=(4, 3)), modality="image")
    assert "Did you mean 'image'?" in error_of(np.ones((4, 3)), modality="images")
    assert "Tokens are numbers from 0." in error_of(np.array([[1, -1]] * 9), modality="tokens")


def test_unknown_kinds_of_source_are_explained(tmp_path):
    (tmp_path / "model.h5").write_bytes(b"")
    assert "Files of this kind are not known." in error_of(tmp_path / "model.h5")
    assert "Data of this type cannot be loaded." in error_of(7)
    assert "no data set, file or folder" in error_of("")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("stored", ["array", "npy", "windows"])
def test_values_that_are_not_finite_are_refused_with_their_row(tmp_path, rng, value, stored):
    x = rng.normal(size=(50, 4))
    x[33, 2] = value
    np.save(tmp_path / "x.npy", x)
    source = x if stored == "array" else tmp_path / "x.npy"
    text = error_of(source, window=3 if stored == "windows" else None)
    assert "not finite: the first in row 33" in text and str(value) in text


def test_values_beyond_single_precision_are_refused():
    x = np.ones((9, 2))
    x[4, 1] = 1e39
    assert "not finite: the first in row 4" in error_of(x)


@pytest.mark.parametrize("kind", ["array", "frame", "pictures"])
def test_constant_data_are_refused(kind):
    x = np.full((9, 4, 4), 3, "uint8")
    source = {"array": x[:, 0] * 1.0, "pictures": x, "frame": pd.DataFrame(x[:, 0] * 1.0)}[kind]
    assert "constant" in error_of(source)


def test_one_row_is_refused(rng):
    assert "too few training rows: one row" in error_of(rng.normal(size=(1, 5)))
    assert "too few training rows: no row" in error_of(np.zeros((0, 5)))
    assert "too few training rows: 1 of 3" in error_of(rng.normal(size=(3, 5)), validation=0.6)
    two = load(rng.normal(size=(2, 5)))
    assert len(two.train) == 2 and two.validation is None and two.test is None
    assert "2 rows are too few for validation rows; there are none." in two.notes


@pytest.mark.parametrize(
    ("shape", "taken", "modality", "row"),
    [
        ((20, 140, 1), ("image", "series"), "series", (140, 1)),
        ((20, 28, 28), ("image", "series"), "image", (28, 28, 1)),
        ((20, 9), ("image", "features"), "features", (9,)),
        ((20, 9), ("series", "features"), "series", (9, 1)),
    ],
)
def test_a_model_that_takes_several_modalities_gets_the_first_that_fits(
    rng, shape, taken, modality, row
):
    x = rng.normal(size=shape).astype("float32")
    data = load(x, modality=taken)
    assert (data.modality, data.train.shape) == (modality, row)
    np.testing.assert_array_equal(rows_of(data), x.reshape(20, *row))
    assert load("sample", modality=("series", "image")).modality == "image"
