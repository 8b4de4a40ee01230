"""Rows and roles."""

import numpy as np
import pytest
import tensorflow as tf

from aezoo.data import CalibrationRows, Rows, TestRows, TrainRows, ValidationRows
from aezoo.data.rows import Mapped
from aezoo.errors import ZooError


@pytest.fixture
def values(rng):
    return rng.normal(size=(7, 3, 2)).astype("float32")


@pytest.mark.parametrize("lazy", [False, True])
def test_gather_gives_the_rows_asked_for_in_a_pipeline_and_in_a_function(values, lazy):
    rows = TrainRows(Mapped(values) if lazy else values)
    wanted = np.array([[4, 1], [1, 6], [0, 0]])
    batches = tf.data.Dataset.from_tensor_slices(wanted).map(rows.gather, num_parallel_calls=2)
    assert batches.element_spec.shape == (2, 3, 2)
    for positions, batch in zip(wanted, batches, strict=True):
        np.testing.assert_array_equal(batch, values[positions])
    traced = tf.function(rows.gather, input_signature=[tf.TensorSpec([None], tf.int64)])
    np.testing.assert_array_equal(traced(tf.constant([6, 2], tf.int64)), values[[6, 2]])


@pytest.mark.parametrize("lazy", [False, True])
def test_take_keeps_role_labels_targets_and_places(values, lazy):
    masks = np.arange(7 * 4).reshape(7, 4)
    rows = CalibrationRows(
        Mapped(values) if lazy else values, np.arange(7) % 3, masks, np.arange(7) + 50
    )
    some = rows.take([5, 2]).take([-1, 0])
    assert isinstance(some, CalibrationRows)
    np.testing.assert_array_equal(some.array(), values[[2, 5]])
    assert some.labels.tolist() == [2, 2] and some.index.tolist() == [52, 55]
    np.testing.assert_array_equal(some.targets, masks[[2, 5]])
    assert some.shape == (3, 2) and some.dtype == "float32" and len(some) == 2


def test_rows_and_labels_must_be_as_many(values):
    with pytest.raises(ZooError, match="7 rows and 2 labels"):
        TrainRows(values, labels=[0, 1])


def test_array_refuses_what_does_not_fit_into_memory(values):
    rows = TestRows(Mapped(values))
    with pytest.raises(ZooError, match=r"test rows take 168 bytes.*limit of 100 bytes"):
        rows.array(limit_bytes=100)
    np.testing.assert_array_equal(rows.array(limit_bytes=168), values)


def test_fingerprint_follows_content_type_and_shape_and_not_the_way_it_is_stored(values):
    first = TrainRows(values).fingerprint()
    assert first == ValidationRows(Mapped(values)).fingerprint()
    changed = values.copy()
    changed[3, 1, 1] += 1e-3
    others = [changed, values.reshape(7, 6), values[:6], values[::-1], values.view("int32")]
    prints = {TrainRows(np.ascontiguousarray(x)).fingerprint() for x in others}
    assert len(prints) == 5 and first not in prints


def test_each_role_is_a_type_of_its_own():
    roles = [kind.role for kind in (TrainRows, ValidationRows, CalibrationRows, TestRows)]
    assert roles == ["train", "validation", "calibration", "test"]
    assert all(issubclass(kind, Rows) for kind in (TrainRows, TestRows))
    assert not issubclass(TestRows, TrainRows)
