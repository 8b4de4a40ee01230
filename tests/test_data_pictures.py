"""Folders of pictures."""

import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from aezoo.data import load
from aezoo.data.image_files import ImageFiles
from aezoo.errors import ZooError

SUFFIXES = ("png", "jpg", "bmp", "gif", "tif", "webp")


def smooth(width, height, channels=3, seed=0):
    """A picture without sharp edges, so that JPEG and resizing change little."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (4, 4, channels), np.uint8).squeeze()
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def write(folder, sizes, suffix="png", channels=3):
    folder.mkdir(parents=True, exist_ok=True)
    for number, (width, height) in enumerate(sizes):
        smooth(width, height, channels, number).save(folder / f"{number:03}.{suffix}")
    return folder


def pixels(data):
    """All rows in the order of the files."""
    rows = list(data.roles().values())
    order = np.argsort(np.concatenate([part.index for part in rows]))
    return np.concatenate([part.array() for part in rows])[order]


def test_any_mix_of_formats_and_sizes_gives_rows_of_one_shape(tmp_path):
    for number, suffix in enumerate(SUFFIXES * 2):
        smooth(70 + 10 * number, 90, seed=number).save(tmp_path / f"{number:02}.{suffix}")
    data = load(tmp_path)
    assert data.train.shape == (64, 64, 3) and data.train.dtype == np.uint8
    assert data.train.labels is None and data.class_names is None
    assert sum(len(rows) for rows in data.roles().values()) == 12
    assert data.notes[0] == (
        "12 colour pictures of 12 sizes, 70x90 to 180x90, were cropped to 64x64: shorter side "
        "resized, centre kept."
    )


@pytest.mark.parametrize(
    ("suffix", "off"), [("png", 0), ("bmp", 0), ("tif", 0), ("webp", 4), ("jpg", 4)]
)
def test_every_format_gives_the_picture_that_was_stored(tmp_path, suffix, off):
    picture = smooth(64, 64)
    picture.save(tmp_path / f"same.{suffix}")
    row = ImageFiles([tmp_path / f"same.{suffix}"], size=64).read(np.arange(1))[0]
    assert np.abs(row.astype(float) - np.asarray(picture)).mean() <= off


def test_subfolders_are_classes_and_their_names_are_kept(tmp_path):
    write(tmp_path / "cats", [(32, 32)] * 12)
    write(tmp_path / "dogs" / "large", [(32, 32)] * 8)
    data = load(tmp_path, image_size=32)
    assert data.class_names == {0: "cats", 1: "dogs"}
    counts = sum(np.bincount(rows.labels, minlength=2) for rows in data.roles().values())
    assert counts.tolist() == [12, 8]
    assert set(load(tmp_path, image_size=32, train_classes=("dogs",)).train.labels) == {1}


def test_subfolders_called_train_and_test_are_roles(tmp_path):
    for role, count in (("train", 9), ("val", 3), ("test", 4)):
        write(tmp_path / role / "good", [(16, 16)] * count)
    write(tmp_path / "test" / "broken", [(16, 16)] * 2)
    data = load(tmp_path, image_size=16)
    assert data.record()["sizes"] == {"train": 9, "validation": 3, "test": 6}
    assert data.class_names == {0: "broken", 1: "good"} and set(data.train.labels) == {1}


def test_grey_pictures_have_one_channel_even_in_colour_formats(tmp_path):
    grey = smooth(16, 16, channels=1)
    for suffix in SUFFIXES:
        grey.save(tmp_path / f"plain.{suffix}")
    grey.convert("RGB").save(tmp_path / "as_colour.png")
    data = load(tmp_path, image_size=16)
    assert data.train.shape == (16, 16, 1)
    np.testing.assert_array_equal(pixels(data)[0, ..., 0], np.asarray(grey))
    smooth(16, 16).save(tmp_path / "colour.png")
    assert load(tmp_path, image_size=16).train.shape == (16, 16, 3)


def test_the_number_of_channels_can_be_set(tmp_path):
    write(tmp_path, [(16, 16)] * 3)
    row = pixels(load(tmp_path, image_size=16, channels=1))[1]
    np.testing.assert_array_equal(row[..., 0], np.asarray(smooth(16, 16, seed=1).convert("L")))
    smooth(16, 16, 1).save(tmp_path / "grey.png")
    grey = pixels(load(tmp_path, image_size=16))[3]
    np.testing.assert_array_equal(grey, np.asarray(smooth(16, 16, 1).convert("RGB")))


def test_transparency_is_laid_over_white(tmp_path):
    clear = np.zeros((8, 8, 4), np.uint8)
    clear[:4] = (200, 30, 10, 255)
    for name in ("a", "b"):
        Image.fromarray(clear).save(tmp_path / f"{name}.png")
    row = pixels(load(tmp_path, image_size=8))[0]
    assert (row[:4] == (200, 30, 10)).all() and (row[4:] == 255).all()


def test_pictures_deeper_than_eight_bits_are_scaled_by_their_depth(tmp_path):
    for number, top in enumerate((4095, 2000)):
        values = np.linspace(0, top, 64).reshape(8, 8).astype("uint16")
        Image.fromarray(values).save(tmp_path / f"{number}.{('png', 'tif')[number]}")
    data = load(tmp_path, image_size=8)
    rows = pixels(data)
    assert rows[0].max() == 255 and rows[1].max() == round(2000 * 255 / 4095)
    assert "4095 is white" in " ".join(data.notes)


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_the_camera_s_orientation_is_honoured(tmp_path, suffix):
    picture = smooth(48, 32)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    for name in ("a", "b"):
        picture.save(tmp_path / f"{name}.{suffix}", exif=exif, lossless=True)
    files = ImageFiles(sorted(tmp_path.iterdir()), size=32, fit="crop")
    upright = picture.transpose(Image.Transpose.ROTATE_270)
    assert files.sizes == [(32, 48)] * 2
    np.testing.assert_array_equal(files.read(np.arange(1))[0], np.asarray(upright)[8:40])


@pytest.mark.parametrize(
    ("sizes", "fit", "words"),
    [
        ([(16, 16)] * 3, "fit", "3 colour pictures of 16x16 were fitted without resizing."),
        ([(32, 32), (20, 20)], "fit", "2 sizes, 20x20 to 32x32, were fitted to 16x16."),
        ([(40, 30), (20, 15)], "fit", "fitted to 16x16 by resizing, which changes their aspect."),
        ([(40, 30), (30, 40)], "crop", "cropped to 16x16: shorter side resized, centre kept."),
        ([(64, 70), (80, 64)], "tile", "were tiled into 36 squares of 16x16."),
        ([(64, 70), (80, 63)], "crop", "cropped to 16x16"),
        ([(64, 64)] * 50, "fit", "50 colour pictures of 64x64 were fitted to 16x16."),
        ([(64, 64)], "tile", "1 colour picture of 64x64 was tiled into 16 squares of 16x16."),
    ],
)
def test_fitting_is_chosen_by_the_sizes_and_said(tmp_path, sizes, fit, words):
    write(tmp_path, sizes)
    files = ImageFiles(sorted(tmp_path.iterdir()), size=16)
    assert files.fit == fit
    assert words in load(tmp_path, image_size=16).notes[0]


def test_tiles_are_squares_of_the_picture_and_cover_its_middle(tmp_path):
    write(tmp_path, [(70, 67)])
    values = np.asarray(Image.open(tmp_path / "000.png"))
    files = ImageFiles([tmp_path / "000.png"], size=16)
    rows = files.read(np.arange(len(files)))
    assert len(rows) == 16
    for row, (x, y) in zip(rows, files.corners, strict=True):
        np.testing.assert_array_equal(row, values[y : y + 16, x : x + 16])
    assert sorted({int(x) for x, _ in files.corners}) == [3, 19, 35, 51]
    assert sorted({int(y) for _, y in files.corners}) == [1, 17, 33, 49]


def test_tiles_of_one_picture_play_one_role_where_there_are_enough_pictures(tmp_path):
    write(tmp_path, [(32, 32)] * 20)
    data = load(tmp_path, image_size=8)
    pictures = [set(rows.index // 16) for rows in data.roles().values()]
    assert [len(p) for p in pictures] == [16, 2, 2]
    assert not pictures[0] & pictures[1] and not pictures[0] & pictures[2]


def test_streamed_pictures_equal_those_in_memory(tmp_path):
    write(tmp_path / "a", [(40, 30)] * 6 + [(30, 50)] * 6)
    write(tmp_path / "b", [(33, 47)] * 8, "jpg")
    near = load(tmp_path, image_size=16)
    far = load(tmp_path, image_size=16, memory_limit=1000)
    assert near.train.in_memory and not far.train.in_memory
    assert "they are read from their files in each epoch" in " ".join(far.notes)
    for role, rows in near.roles().items():
        np.testing.assert_array_equal(getattr(far, role).array(), rows.array())
        np.testing.assert_array_equal(getattr(far, role).labels, rows.labels)
    order = tf.constant([[5, 0, 3], [2, 2, 9]])
    batches = tf.data.Dataset.from_tensor_slices(order).map(far.train.gather, 2)
    for indices, batch in zip(order.numpy(), batches, strict=True):
        np.testing.assert_array_equal(batch, near.train.array()[indices])


def test_streamed_tiles_equal_those_in_memory(tmp_path):
    write(tmp_path, [(64, 64), (70, 80)])
    near = load(tmp_path, image_size=16)
    far = load(tmp_path, image_size=16, memory_limit=1000)
    np.testing.assert_array_equal(far.train.gather([7, 1, 4]), near.train.array()[[7, 1, 4]])


def test_the_fingerprint_of_streamed_pictures_follows_their_files(tmp_path, monkeypatch):
    write(tmp_path, [(16, 16)] * 4)
    settings = {"image_size": 16, "memory_limit": 100}
    first = load(tmp_path, **settings).train.fingerprint()
    assert load(tmp_path, **settings).train.fingerprint() == first
    monkeypatch.chdir(tmp_path)
    assert load(".", **settings).train.fingerprint() == first
    write(tmp_path, [(17, 17)] * 4)
    assert load(tmp_path, **settings).train.fingerprint() != first


def test_the_first_frame_of_several_is_taken_and_said(tmp_path):
    frames = [smooth(16, 16, 1, seed) for seed in range(3)]
    for name in ("a.gif", "b.tif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    data = load(tmp_path, image_size=16)
    np.testing.assert_array_equal(pixels(data)[1, ..., 0], np.asarray(frames[0]))
    assert "Files of several frames, of which the first is used: 2." in data.notes


def test_other_and_hidden_files_are_ignored_and_said(tmp_path):
    write(tmp_path, [(16, 16)] * 4)
    (tmp_path / "notes.txt").write_text("none")
    (tmp_path / ".hidden.png").write_text("none")
    write(tmp_path / ".thumbnails", [(16, 16)])
    data = load(tmp_path, image_size=16)
    assert sum(len(rows) for rows in data.roles().values()) == 4
    assert "Ignored files that are no pictures: 1 (.txt)." in data.notes


def error_of(*args, **kwargs):
    with pytest.raises(ZooError) as error:
        load(*args, **kwargs)
    assert len(str(error.value).splitlines()) <= 3 and error.value.do
    return str(error.value)


@pytest.mark.parametrize("memory_limit", [2**30, 100])
def test_unreadable_pictures_are_all_counted_and_five_named(tmp_path, memory_limit):
    write(tmp_path, [(40, 40)] * 9)
    for number in range(6):
        (tmp_path / f"bad{number}.png").write_bytes(b"no picture")
    whole = (tmp_path / "000.png").read_bytes()
    (tmp_path / "truncated.png").write_bytes(whole[: len(whole) // 2])
    text = error_of(tmp_path, memory_limit=memory_limit)
    assert text.startswith("7 of 16 pictures cannot be read: ") and "and 2 more" in text
    assert all(f"bad{number}.png" in text for number in range(5)) and "bad5" not in text
    for number in range(6):
        (tmp_path / f"bad{number}.png").unlink()
    text = error_of(tmp_path, memory_limit=memory_limit)
    assert text.startswith("1 of 10 pictures cannot be read: ") and "truncated.png" in text


def test_a_picture_of_two_gigabytes_is_refused_before_it_is_decoded(tmp_path):
    write(tmp_path, [(40, 40)] * 3)
    header = struct.pack(">IIBBBBB", 46_000, 46_000, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    coded = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    ]
    (tmp_path / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(coded))
    text = error_of(tmp_path)
    assert "huge.png" in text and "2116000000 pixels" in text


def test_a_folder_without_pictures_says_what_it_holds(tmp_path):
    assert "The folder is empty." in error_of(tmp_path)
    (tmp_path / "a.heic").write_bytes(b"1")
    (tmp_path / "b.heic").write_bytes(b"1")
    (tmp_path / "c.txt").write_bytes(b"1")
    text = error_of(tmp_path)
    assert "no pictures among its 3 files (2 .heic, 1 .txt)" in text and "WebP" in text


def test_one_picture_only_is_refused(tmp_path):
    write(tmp_path, [(40, 40)])
    assert "one picture only" in error_of(tmp_path)
    assert "one picture only" in error_of(tmp_path / "000.png")


def test_black_pictures_are_refused(tmp_path):
    for number in range(3):
        Image.new("L", (16, 16)).save(tmp_path / f"{number}.png")
    assert "constant: every value is the same" in error_of(tmp_path)


def test_a_picture_smaller_than_a_tile_is_named(tmp_path):
    write(tmp_path, [(20, 20), (20, 12)])
    with pytest.raises(ZooError, match=r"001.png is smaller than a tile of 16x16 pixels"):
        ImageFiles(sorted(tmp_path.iterdir()), size=16, fit="tile")


def test_pictures_are_no_series_and_have_no_windows(tmp_path):
    write(tmp_path, [(16, 16)] * 4)
    assert "takes series, but" in error_of(tmp_path, modality="series")
    assert "no such table" in error_of(tmp_path, window=4)
