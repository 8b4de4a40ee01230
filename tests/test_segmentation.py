"""What is where: the class, the command that fits, and the one that needs no TensorFlow."""

import csv
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from aezoo.augment import augment
from aezoo.errors import ZooError
from aezoo.export import Bundle, segment
from aezoo.tasks import segmentation_fit
from aezoo.tasks.masks import Overlap, classes_of, overlay, pairs_of, read_mask, segmented
from aezoo.tasks.patches import cut
from aezoo.tasks.segmentation import SegmentationTask

TINY = {"filters": (8, 16), "learning_rate": 0.005, "epochs": 8}
ONE = {"export.endpoints": ("segment",)}  # the fewer, the quicker


def scene(seed: int, height: int = 48, width: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Dark discs numbered from 1 on a bright, uneven and noisy ground: (H, W), both."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    mask = np.zeros((height, width), "int32")
    for number in range(1, 5):
        top, left = rng.integers(6, height - 6), rng.integers(6, width - 6)
        mask[(y - top) ** 2 + (x - left) ** 2 < 30] = number
    picture = np.where(mask > 0, 60, 130) + 40 * x / width + rng.normal(0, 12, mask.shape)
    return picture.clip(0, 255).astype("uint8"), mask


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Six pictures, and masks that number the discs, by 16 bits."""
    root = tmp_path_factory.mktemp("discs")
    for kind in ("pictures", "masks"):
        (root / kind).mkdir()
    for i in range(6):
        picture, mask = scene(i)
        Image.fromarray(picture).save(root / "pictures" / f"{i}.png")
        Image.fromarray((mask * 100).astype("uint16")).save(root / "masks" / f"{i}.tif")
    return root / "pictures", root / "masks"


@pytest.fixture(scope="module")
def made(folders, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "segmenter"
    return segmentation_fit.fit(
        *folders, out, foreground=True, tile=32, seed=1, verbose=False, **TINY, **ONE
    )


def test_discs_are_found_in_pictures_of_another_size(made):
    picture, mask = scene(99, 70, 101)
    (answer,) = made.task.predict([picture])
    assert answer.shape == mask.shape
    assert made.task.overlap([picture], [mask]).dice[1] > 0.85
    by_hand = 2 * (answer & (mask > 0)).sum() / (answer.sum() + (mask > 0).sum())
    assert made.task.overlap([picture], [mask]).dice[1] == pytest.approx(by_hand)
    ours, control = made.measured.values()
    assert ours["Dice"] > max(0.8, control["Dice"])


def test_the_bundle_answers_as_the_task_does(made, folders, tmp_path):
    done = segment(made.folder, folders[0], tmp_path / "out", masks=folders[1])
    pictures = [scene(i)[0] for i in range(6)]
    expected = made.task.predict(pictures)
    lines = list(csv.DictReader((tmp_path / "out" / "areas.csv").read_text().splitlines()))
    for i, mask in enumerate(expected):
        answer = read_mask(tmp_path / "out" / "masks" / f"{i}.png")
        assert (answer != mask).mean() < 0.001  # a pixel at one half may fall to either side
        (line,) = [one for one in lines if one["name"] == f"{i}.png" and one["label"] == "1"]
        assert int(line["pixels"]) == answer.sum()
        assert float(line["share"]) == pytest.approx(answer.mean(), abs=1e-6)
    measured = made.task.overlap(pictures, [scene(i)[1] for i in range(6)])
    assert done.measured["Dice"] == pytest.approx(measured.dice[1], abs=0.002)
    assert "Dice: " in str(done) and (tmp_path / "out" / "report.html").is_file()
    assert len(list((tmp_path / "out" / "overlays").iterdir())) == 6


def test_the_shell_runs_without_tensorflow(made, folders, tmp_path):
    code = (
        "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None\n"
        "from aezoo.cli import app; app()"
    )
    given_ = ["segment", "run", made.folder, folders[0] / "1.png", "--out", tmp_path / "out"]
    command = [sys.executable, "-c", code, *map(str, given_)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(
        read_mask(tmp_path / "out" / "masks" / "1.png") > 0, read_mask(_mask_of(made, folders)) > 0
    )


def _mask_of(made, folders):
    out = made.folder / "again"
    return segment(made.folder / "bundle", folders[0] / "1.png", out).files[0]


def test_one_picture_is_parted_and_its_right_quarter_trains_nothing():
    picture, mask = scene(3, 40, 120)
    train, test, tested = segmentation_fit._dealt([picture], [mask], ["a.png"], 32, 0)
    np.testing.assert_array_equal(train[0][0], picture[:, :90])
    np.testing.assert_array_equal(test[1][0], mask[:, 90:])
    assert "right quarter" in tested


def test_labels_of_several_classes_come_back_as_they_were():
    masks = [np.where(scene(i)[1] > 2, 200, np.where(scene(i)[1] > 0, 7, 0)) for i in range(2)]
    pictures = [scene(i)[0] for i in range(2)]
    few = {"filters": (4, 8), "epochs": 1}
    task = SegmentationTask(tile=16, settings=few).fit(pictures, masks)
    assert task.classes_ == (0, 7, 200)
    tile = pictures[0][:16, :16]
    (answer,) = task.predict([tile])
    asked = task.model_.endpoint("segment")(image=tile[None, ..., None])["mask"][0]
    np.testing.assert_array_equal(answer, np.array([0, 7, 200])[asked])


def test_a_transposed_picture_takes_its_mask_with_it():
    x = np.random.default_rng(0).random((8, 6, 6, 1)).astype("float32")
    masks = (x[..., 0] * 10).astype("int32")
    turned, y = augment(tf.constant(x), tf.constant(masks), ("transpose", "flip_vertical"), (0, 1))
    np.testing.assert_array_equal((turned[..., 0].numpy() * 10).astype("int32"), y)
    assert {bool((a == b).all()) for a, b in zip(turned.numpy(), x, strict=True)} == {True, False}
    contrast, _ = augment(tf.constant(x * 0.2 + 0.4), None, ("contrast",), (0, 1))
    spread = contrast.numpy().std(axis=(1, 2, 3)) / (0.2 * x).std(axis=(1, 2, 3))
    assert spread.min() < 0.95 and spread.max() > 1.05
    np.testing.assert_allclose(
        contrast.numpy().mean(axis=(1, 2, 3)), (x * 0.2 + 0.4).mean((1, 2, 3)), atol=1e-5
    )
    with pytest.raises(ZooError, match="square"):
        augment(tf.zeros((2, 4, 6, 1)), None, ("transpose",), (0, 1))


def test_colours_change_places_and_into_their_negatives():
    x = np.random.default_rng(0).random((6, 3, 3, 3)).astype("float32")
    found, _ = augment(tf.constant(x), None, ("colours",), (0, 2))
    kinds = set()
    for before, after in zip(x, found.numpy(), strict=True):
        for name, one in (("same", before), ("negative", 1 - before)):
            places = [
                tuple(np.flatnonzero([np.allclose(a, b, atol=1e-6) for b in one.T]))
                for a in after.T
            ]
            if all(places):
                kinds.add((name, *places))
    assert {kind[0] for kind in kinds} == {"same", "negative"}
    assert len({kind[1:] for kind in kinds}) == 1  # one order for the batch
    assert sorted(next(iter(kinds))[1:]) == [(0,), (1,), (2,)]


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 4))
def test_the_most_probable_class_of_any_picture_is_found(height, width, classes):
    picture = np.random.default_rng(height).integers(0, classes, (height, width), "uint8")

    def ask(tiles):  # sure of the class that the pixel holds
        return np.eye(classes)[tiles[..., 0]] if classes > 1 else (tiles > 0).astype("float32")

    answer = segmented(picture, ask, (8, 8, 1))
    np.testing.assert_array_equal(answer, picture if classes > 1 else picture > 0)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 2), min_size=4, max_size=40), st.randoms())
def test_dice_and_iou_are_those_of_sets(truth, random):
    truth = np.array(truth)
    answer = np.array([random.randrange(3) for _ in truth])
    found = Overlap.of_classes(3)
    found.add(truth[None, :2], answer[None, :2])
    found.add(truth[None, 2:], answer[None, 2:])
    for label in range(3):
        t, a = set(np.flatnonzero(truth == label)), set(np.flatnonzero(answer == label))
        if t | a:
            assert found.iou[label] == pytest.approx(len(t & a) / len(t | a))
            assert found.dice[label] == pytest.approx(2 * len(t & a) / (len(t) + len(a)))


def test_patches_of_masks_are_those_of_their_pictures():
    pictures = [np.arange(20 * 30).reshape(20, 30, 1), np.arange(9 * 50).reshape(9, 50, 1)]
    (x, y), of = cut(9, 20, np.random.default_rng(0), pictures, [p[..., 0] * 2 for p in pictures])
    np.testing.assert_array_equal(x[..., 0] * 2, y)
    assert x.shape[1:3] == (9, 9) and (of == 0).sum() > (of == 1).sum() > 0


def test_an_overlay_tints_all_but_the_ground():
    picture = np.full((4, 5), 100, "uint8")
    classes = np.zeros((4, 5), "uint8")
    classes[1, 2], classes[3, 3] = 1, 2
    made = overlay(picture, classes)
    assert (made[classes == 0] == 100).all()
    assert made[1, 2].tolist() == [167, 106, 64]  # .55 of grey, .45 of #f97316
    assert made[3, 3].tolist() != made[1, 2].tolist()


def test_mistakes_are_told(made, folders, tmp_path):
    pictures, masks = folders
    with pytest.raises(ZooError, match="number things"):
        SegmentationTask(tile=16).fit([scene(0)[0]], [np.arange(48 * 60).reshape(48, 60)])
    with pytest.raises(ZooError, match="same sizes"):
        SegmentationTask(tile=16).fit([scene(0)[0]], [np.zeros((4, 4), int)])
    with pytest.raises(ZooError, match="one label only"):
        SegmentationTask(tile=16).fit([scene(0)[0]], [np.zeros((48, 60), int)])
    with pytest.raises(ZooError, match="smaller than a tile"):
        SegmentationTask(tile=64).fit([scene(0)[0]], [scene(0)[1]])
    with pytest.raises(ZooError, match="label that the others did not"):
        classes_of(np.array([[0, 3]]), (0, 5), False)
    Image.fromarray(scene(0)[0]).save(tmp_path / "other.png")
    with pytest.raises(ZooError, match="no mask of their name"):
        pairs_of(tmp_path, masks)
    Image.fromarray(np.random.default_rng(0).integers(0, 9, (4, 4, 3), "uint8")).save(
        tmp_path / "colour.png"
    )
    with pytest.raises(ZooError, match="one whole number per pixel"):
        read_mask(tmp_path / "colour.png")
    with pytest.raises(ZooError, match="not empty"):
        segmentation_fit.fit(pictures, masks, made.folder)
    with pytest.raises(ZooError, match="lies inside the input"):
        segment(made.folder, pictures, pictures / "out")


def test_the_bundle_knows_how_files_became_pictures(made):
    rule = Bundle(made.folder / "bundle").manifest.preprocessing["pictures"]
    assert rule["fit"] == "tile" and rule["deep_white"] is None
