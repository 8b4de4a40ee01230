"""Splits and windows: every row plays one role."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aezoo.config import DataSection
from aezoo.data import load
from aezoo.data.splits import split, split_in_time
from aezoo.errors import ZooError

FRACTIONS = st.floats(0, 0.3)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 200),
    validation=FRACTIONS,
    calibration=FRACTIONS,
    seed=st.integers(0, 99),
    classes=st.integers(1, 5) | st.none(),
)
def test_every_row_plays_exactly_one_role(count, validation, calibration, seed, classes):
    labels = None if classes is None else np.random.default_rng(seed).integers(0, classes, count)
    shares = {"validation": validation, "calibration": calibration, "test": 0.1}
    dealt = split(count, shares, seed=seed, labels=labels)
    assert sorted(np.concatenate(list(dealt.values()))) == list(range(count))
    assert {role: len(dealt[role]) for role in shares} == {
        role: round(share * count) for role, share in shares.items()
    }
    again = split(count, shares, seed=seed, labels=labels)
    assert all(np.array_equal(dealt[role], again[role]) for role in dealt)


def test_another_seed_deals_other_rows():
    first, second = (split(100, {"test": 0.2}, seed=seed)["test"].tolist() for seed in (0, 1))
    assert first != second


def test_each_role_gets_its_share_of_each_class():
    labels = np.repeat([0, 1, 2], [100, 50, 10])
    dealt = split(160, {"validation": 0.1, "test": 0.2}, seed=3, labels=labels)
    assert np.bincount(labels[dealt["test"]]).tolist() == [20, 10, 2]
    assert np.bincount(labels[dealt["validation"]]).tolist() == [10, 5, 1]


def test_a_class_too_small_for_all_roles_does_not_stop_the_split():
    labels = np.array([0] * 18 + [1] * 2)
    dealt = split(20, {"validation": 0.2, "test": 0.2}, seed=0, labels=labels)
    assert {role: len(rows) for role, rows in dealt.items()} == {
        "train": 12,
        "validation": 4,
        "test": 4,
    }


def test_rows_of_one_group_stay_together():
    groups = np.repeat(np.arange(20), 7)
    dealt = split(140, {"test": 0.25}, seed=0, groups=groups)
    assert len(dealt["test"]) == 35
    assert not set(groups[dealt["test"]]) & set(groups[dealt["train"]])


@given(count=st.integers(0, 300), validation=FRACTIONS, test=FRACTIONS)
def test_a_split_in_time_is_in_order_and_without_gaps(count, validation, test):
    spans = split_in_time(count, {"validation": validation, "test": test})
    places = [np.arange(count)[span] for span in spans.values()]
    assert np.concatenate(places).tolist() == list(range(count))


@settings(max_examples=60, deadline=None)
@given(
    steps=st.integers(60, 120),
    window=st.integers(2, 12),
    stride=st.integers(1, 9),
    columns=st.integers(1, 3),
    validation=st.floats(0, 0.3),
    calibration=st.floats(0, 0.2),
)
def test_windows_are_slices_of_their_own_role(
    steps, window, stride, columns, validation, calibration
):
    table = np.arange(steps * columns, dtype="float32").reshape(steps, columns)
    data = load(table, window=window, stride=stride, validation=validation, calibration=calibration)
    seen, last = [], -1
    for rows in data.roles().values():
        for row, start in zip(rows.array(), rows.index, strict=True):
            np.testing.assert_array_equal(row, table[start : start + window])
        assert np.all(np.diff(rows.index) == stride)
        assert rows.index[0] > last  # roles follow each other: train, validation, ...
        last = rows.index[-1] + window - 1
        seen.append(set(np.add.outer(rows.index, np.arange(window)).ravel()))
    assert len(set().union(*seen)) == sum(map(len, seen))
    assert data.modality == "series" and data.train.shape == (window, columns)


def test_windows_overlap_by_default_and_say_where_they_lie():
    data = load(np.arange(100.0), window=10, validation=0.2)
    assert data.train.index.tolist() == list(range(61))
    assert data.train.array()[1, :, 0].tolist() == list(range(1, 11))
    assert data.notes[-1] == (
        "Windows of 10 time steps, stride 1: train 61 (time steps 0 to 69), "
        "validation 11 (time steps 70 to 89), test 1 (time steps 90 to 99)."
    )


def test_a_window_has_the_highest_label_of_its_steps():
    labels = np.zeros(40, int)
    labels[5] = 1
    data = load((np.arange(80.0).reshape(40, 2), labels), window=3, validation=0)
    assert np.flatnonzero(data.train.labels).tolist() == [3, 4, 5]


def test_windows_need_a_table_that_is_long_enough():
    with pytest.raises(ZooError, match="No training window: 9 of 10 time steps"):
        load(np.arange(10.0), window=10, validation=0)
    with pytest.raises(ZooError, match="no such table"):
        load("sample", window=4)
    short = load(np.arange(30.0), window=10)
    assert short.validation is None and short.test is None
    assert short.notes[-1].endswith("there are no validation or test rows.")


def test_windows_too_large_for_memory_are_cut_when_they_are_read(rng):
    table = rng.normal(size=(200, 2))
    near, far = load(table, window=20), load(table, window=20, memory_limit=100)
    assert near.train.in_memory and not far.train.in_memory
    np.testing.assert_array_equal(far.train.gather([3, 60]), near.train.array()[[3, 60]])
    assert far.train.fingerprint() == near.train.fingerprint()


def test_a_given_test_part_is_kept_and_positions_run_through_all_parts():
    data = load("sample", calibration=0.05)
    assert repr(data) == (
        "<data sample: image (28, 28, 1), 1700 train, 200 validation, 100 calibration, 500 test>"
    )
    places = np.concatenate([rows.index for rows in data.roles().values()])
    assert sorted(places) == list(range(2500))
    assert data.test.index.tolist() == list(range(2000, 2500))
    assert np.bincount(data.validation.labels).tolist() == [20] * 10


def test_without_a_test_part_a_tenth_is_drawn_and_said(rng):
    data = load(rng.normal(size=(50, 3)))
    assert (len(data.train), len(data.validation), len(data.test)) == (40, 5, 5)
    assert "5 of 50 rows, drawn with seed 0, are test rows" in " ".join(data.notes)


def test_validation_by_the_test_rows_is_said(rng):
    data = load("sample", validation="test")
    assert len(data.train) == 2000
    np.testing.assert_array_equal(data.validation.index, data.test.index)
    assert "Validation rows are the test rows" in data.notes[-1]


def test_train_classes_limit_all_roles_but_test():
    data = load("sample", train_classes=("trouser", 9), calibration=0.1)
    for role in ("train", "validation", "calibration"):
        assert set(getattr(data, role).labels) == {1, 9}
    assert set(data.test.labels) == set(range(10))
    assert "1600 rows of other classes are left out" in " ".join(data.notes)
    everything = load("sample", train_classes=(1,), validation="test")
    assert set(everything.validation.labels) == {1} and len(everything.test) == 500


def test_an_unknown_class_is_named_with_its_nearest():
    with pytest.raises(ZooError) as error:
        load("sample", train_classes=("trousers",))
    assert "Did you mean 'trouser'?" in str(error.value)
    assert "9 (ankle boot)" in str(error.value)
    with pytest.raises(ZooError, match="no labels"):
        load(np.arange(20.0).reshape(10, 2), train_classes=(1,))


def test_fractions_that_leave_no_training_rows_are_refused():
    with pytest.raises(ZooError, match="leave no training rows"):
        load("digits", DataSection(validation=0.5, calibration=0.4))


def test_the_record_is_json_and_tells_splits_apart():
    record = load("sample").record()
    assert json.loads(json.dumps(record)) == record
    assert record["sizes"] == {"train": 1800, "validation": 200, "test": 500}
    assert record == load("sample").record()
    other = load("sample", split_seed=1).record()
    assert other["split_seed"] == 1
    for key in ("fingerprints", "index_digests"):
        assert record[key]["train"] != other[key]["train"]
        assert record[key]["test"] == other[key]["test"]


def test_a_wrong_setting_is_named():
    with pytest.raises(ZooError, match="unknown key 'windwo'") as error:
        load("sample", windwo=3)
    assert error.value.closest == "window"
