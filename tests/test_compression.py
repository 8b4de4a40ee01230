"""Compression: what comes back, what it costs, what is refused."""

import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from typer.testing import CliRunner

import aezoo
from aezoo.cli import app
from aezoo.errors import ZooError
from aezoo.export import (
    Bundle,
    compare_steps,
    compress_files,
    compressing,
    decompress_file,
    predict_file,
)
from aezoo.export.compressing import cut, joined
from aezoo.export.rate_report import psnr
from aezoo.tasks.compression import Compressed, Compressor, decibels
from aezoo.tasks.entropy import pack, unpack


def linear(shape=(8, 8, 1), seed=0):
    """A model that keeps nearly everything: as many numbers in the code as pixels."""
    model = aezoo.build(
        "simple_ae",
        input_shape=shape,
        latent_dim=64,
        latent_activation="linear",
        output_activation="linear",
        seed=seed,
    )
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(64, 64)))[0]
    model.set_weights([turn, np.zeros(64), turn.T, np.zeros(64)])
    return model


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    model = linear()
    model.adapt(np.arange(128, dtype="uint8").reshape(2, 8, 8, 1))
    return aezoo.export_bundle(model, tmp_path_factory.mktemp("compression") / "bundle").path


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(
        "int32",
        st.tuples(st.integers(1, 30), st.integers(1, 4)),
        elements=st.one_of(st.integers(-3, 3), st.integers(-(2**20), 2**20)),
    )
)
def test_symbols_come_back_to_the_last_bit(symbols):
    np.testing.assert_array_equal(unpack(pack(symbols), *symbols.shape), symbols)


def test_symbols_cost_what_their_distribution_says(rng):
    symbols = np.rint(rng.normal(0, 3, (5000, 8))).astype("int32")
    shares = [np.unique(channel, return_counts=True)[1] / 5000 for channel in symbols.T]
    entropy = -sum((p * np.log2(p)).sum() * 5000 for p in shares) / 8  # bytes
    assert entropy < len(pack(symbols)) < 1.02 * entropy
    even = rng.integers(0, 128, (4000, 1)).astype("int32")
    assert len(pack(even)) < 1.05 * 4000 * 7 / 8
    assert len(pack(np.full((4000, 2), 7, "int32"))) < 60  # what never changes costs nothing


def test_a_finer_step_costs_more_and_errs_less(rng):
    model, rows = linear(), rng.uniform(size=(200, 8, 8, 1)).astype("float32")
    made = {step: Compressor(model, step).compress(rows) for step in (0.1, 0.4)}
    sizes = {step: len(one.to_bytes()) for step, one in made.items()}
    answers = {step: Compressor(model).decompress(one) for step, one in made.items()}
    assert sizes[0.1] > 1.5 * sizes[0.4]
    for step, answer in answers.items():  # an isometry: each number errs by step^2 / 12
        assert np.mean((answer - rows) ** 2) == pytest.approx(step**2 / 12, rel=0.1)
    assert decibels(rows, answers[0.1], 1.0) > decibels(rows, answers[0.4], 1.0) + 10


def test_a_file_gives_the_same_codes_and_answers(rng, tmp_path):
    model, rows = linear(), rng.uniform(size=(9, 8, 8, 1)).astype("float32")
    made = Compressor(model, 0.2).compress(rows, {"note": "x"})
    assert made.save(tmp_path / "f") == (tmp_path / "f").stat().st_size
    again = Compressed.load(tmp_path / "f")
    np.testing.assert_array_equal(again.symbols, made.symbols)
    np.testing.assert_array_equal(again.widths, made.widths)
    assert again.origin == {"note": "x"}
    first, second = (Compressor(model).decompress(one) for one in (made, again))
    np.testing.assert_array_equal(first, second)


def test_codes_that_are_whole_numbers_stay_as_they_are(rng):
    model = aezoo.build("vq_vae", input_shape=(6, 6, 1), filters=(4,), codes=6, code_width=3)
    rows = rng.uniform(size=(7, 6, 6, 1)).astype("float32")
    made = Compressed.from_bytes(Compressor(model).compress(rows).to_bytes())
    np.testing.assert_array_equal(made.symbols, model.endpoint("encode")(image=rows)["codes"])
    answer = model.endpoint("reconstruct")(image=rows)["reconstruction"]
    np.testing.assert_allclose(Compressor(model).decompress(made), answer, atol=1e-5)


def test_series_and_spatial_codes_go_the_same_way(rng):
    model = aezoo.build("conv_ae", input_shape=(16, 2), filters=(4,))
    rows = rng.uniform(size=(5, 16, 2)).astype("float32")
    made = Compressor(model, 1e-3).compress(rows)
    assert made.symbols.shape == (5, 8, 4) and made.widths.shape == (4,)
    answer = model.endpoint("reconstruct")(series=rows)["reconstruction"]
    found = Compressor(model).decompress(Compressed.from_bytes(made.to_bytes()))
    np.testing.assert_allclose(found, answer, atol=3e-3)


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 9), st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_tiles_are_joined_to_the_same_picture(height, width, h, w):
    picture = np.arange(height * width * 3).reshape(height, width, 3)
    lines, columns = -(-height // h), -(-width // w)
    again = joined(cut(picture, (h, w)), lines, columns)[:height, :width]
    np.testing.assert_array_equal(again, picture)


def test_the_shell_writes_pictures_of_any_size_and_gives_them_back(bundle, tmp_path, rng):
    originals = {}
    for name, size in (("a/one", (8, 8)), ("a/two", (13, 21)), ("three", (5, 40))):
        file = tmp_path / "in" / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        originals[name] = rng.integers(60, 200, size).astype("uint8")
        Image.fromarray(originals[name]).save(file)

    def run(*words):
        told = CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)
        assert told.exit_code == 0
        return told.output

    out = tmp_path / "in.aez"
    told = run("compress", bundle, tmp_path / "in", "--out", out, "--step", 8)
    assert f"3 in {out.stat().st_size:,} bytes" in told and "dB" in told
    assert "3 files" in run("decompress", bundle, out, "--out", tmp_path / "back")
    for name, original in originals.items():
        with Image.open(tmp_path / "back" / f"{name}.png") as picture:
            found = np.asarray(picture)
        assert found.shape == original.shape
        assert np.abs(found.astype(int) - original).mean() < 8 / np.sqrt(12) + 1


def test_the_page_compares_steps_with_jpeg_and_webp(bundle, tmp_path, rng, monkeypatch):
    monkeypatch.setattr(compressing, "_MEASURED", 3)
    (tmp_path / "in").mkdir()
    for name in range(5):
        made = rng.integers(60, 200, (9 + name, 20)).astype("uint8")
        Image.fromarray(made).save(tmp_path / "in" / f"{name}.png")
    page = tmp_path / "page.html"
    words = ("compress", bundle, tmp_path / "in", "--out", tmp_path / "f", "--step", 8)
    told = CliRunner().invoke(app, [*map(str, words), "--report", str(page)])
    assert told.exit_code == 0 and "page.html" in told.output
    text = page.read_text()
    assert "3 of 5 pictures" in text and text.count("<img") == 2
    cells = [re.findall("<td>(.*?)</td>", row) for row in re.findall("<tr.*?</tr>", text)[1:]]
    ours = [list(map(float, line[2:])) for line in cells if line[0] == "simple_ae"]
    assert [line[1] for line in cells[:5]] == [f"step {n}" for n in (2, 4, 8, 16, 32)]
    assert ours == sorted(ours, reverse=True)  # a coarser step: fewer bits, more error
    few = [tmp_path / "in" / f"{name}.png" for name in (0, 2, 4)]
    alone = compress_files(bundle, few, tmp_path / "g", step=8)
    bits, quality = ours[2]
    assert bits == pytest.approx(8 * alone.bytes / alone.pixels, rel=0.02)
    decompress_file(bundle, tmp_path / "g", tmp_path / "back")
    back = [np.asarray(Image.open(tmp_path / "back" / f"{name}.png")) for name in (0, 2, 4)]
    assert quality == pytest.approx(psnr([np.asarray(Image.open(f)) for f in few], back), abs=0.01)
    assert {line[0] for line in cells} == {"simple_ae", "JPEG, a file each", "WebP, a file each"}


def page_of(bundle, inputs, step, folder):
    text = compare_steps(bundle, [inputs], step, folder / "page.html").read_text()
    cells = [re.findall("<td>(.*?)</td>", row) for row in re.findall("<tr.*?</tr>", text)[1:]]
    return text, cells


def test_the_page_of_a_table_has_no_other_formats(tmp_path, rng):
    model, rows = linear((64,)), rng.normal(size=(20, 64)).astype("float32")
    model.adapt(rows)
    bundle = aezoo.export_bundle(model, tmp_path / "bundle").path
    np.save(tmp_path / "rows.npy", rows)
    text, cells = page_of(bundle, tmp_path / "rows.npy", 0.1, tmp_path)
    assert "20 of 20 rows" in text and "Bits per number" in text and text.count("<img") == 1
    made = compress_files(bundle, [tmp_path / "rows.npy"], tmp_path / "f", step=0.1)
    assert float(cells[2][2]) == pytest.approx(8 * made.bytes / 1280, rel=0.02)
    assert {line[0] for line in cells} == {"simple_ae"}


def test_the_page_of_whole_codes_has_one_point(tmp_path, rng):
    rows = rng.integers(0, 255, (12, 8, 8, 3)).astype("uint8")
    model = aezoo.build("vq_vae", input_shape=(8, 8, 3), filters=(4,), codes=6, code_width=3)
    model.adapt(rows)
    bundle = aezoo.export_bundle(model, tmp_path / "bundle").path
    np.save(tmp_path / "rows.npy", rows)
    text, cells = page_of(bundle, tmp_path / "rows.npy", 64.0, tmp_path)
    assert "12 of 12 pictures" in text and "Bits per pixel" in text
    assert "--step" not in text  # which would change nothing
    assert [line[:2] for line in cells[:2]] == [
        ["vq_vae", "whole codes"],
        ["JPEG, a file each", "quality 1"],
    ]


def test_of_a_large_picture_the_middle_is_compared(bundle, tmp_path, rng, monkeypatch):
    monkeypatch.setattr(compressing, "_PIXELS", 16 * 24)
    whole = np.zeros((40, 56), "uint8")
    whole[16:24, 16:40] = rng.integers(0, 255, (8, 24))  # not black where it is looked at
    Image.fromarray(whole).save(tmp_path / "large.png")
    tiles, origin = compressing._read(Compressor(Bundle(bundle)), [tmp_path / "large.png"])
    some, told = compressing._some(tiles, origin)
    assert told == {"pictures": [["large.png", 16, 16]]}
    np.testing.assert_array_equal(
        compressing._whole(some, told, 255.0)[0][..., 0], whole[8:24, 16:32]
    )
    text, _ = page_of(bundle, tmp_path / "large.png", 8.0, tmp_path)
    assert "1 of 1 pictures" in text


def test_grey_pictures_of_an_array_need_no_axis_of_channels(bundle, tmp_path, rng):
    rows = rng.integers(0, 255, (20, 8, 8, 1)).astype("uint8")
    np.save(tmp_path / "with.npy", rows)
    np.save(tmp_path / "without.npy", rows[..., 0])
    for name in ("with", "without"):
        compress_files(bundle, [tmp_path / f"{name}.npy"], tmp_path / name)
        predict_file(bundle, tmp_path / f"{name}.npy", "score", tmp_path / f"{name}.npz")
    assert (tmp_path / "with").read_bytes() == (tmp_path / "without").read_bytes()
    first, second = (np.load(tmp_path / f"{name}.npz")["score"] for name in ("with", "without"))
    np.testing.assert_array_equal(first, second)


def test_rows_of_an_array_come_back_as_an_array(bundle, tmp_path, rng):
    rows = rng.integers(0, 255, (20, 8, 8, 1)).astype("uint8")
    np.save(tmp_path / "rows.npy", rows)
    made = compress_files(bundle, [tmp_path / "rows.npy"], tmp_path / "f", step=4)
    assert made.count == 20 and made.pixels == 20 * 64
    (file,) = decompress_file(bundle, tmp_path / "f", tmp_path / "back")
    found = np.load(file)
    assert decibels(rows, found, 255) == pytest.approx(made.decibels) and made.decibels > 40


def test_decompressing_needs_no_tensorflow(bundle, tmp_path, rng):
    np.save(tmp_path / "rows.npy", rng.integers(0, 255, (4, 8, 8, 1)).astype("uint8"))
    compress_files(bundle, [tmp_path / "rows.npy"], tmp_path / "f", step=4)
    (expected,) = decompress_file(bundle, tmp_path / "f", tmp_path / "here")
    code = (
        "import sys; sys.modules.update(tensorflow=None, keras=None)\n"
        "from aezoo.export import decompress_file\n"
        f"decompress_file({str(bundle)!r}, {str(tmp_path / 'f')!r}, {str(tmp_path / 'there')!r})"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "there/rows.npy"), np.load(expected))


def test_every_flipped_byte_is_noticed(rng):
    rows = rng.uniform(size=(3, 8, 8, 1)).astype("float32")
    content = Compressor(linear(), 0.5).compress(rows).to_bytes()
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 16
        with pytest.raises(ZooError, match=r"damaged|no file that aezoo"):
            Compressed.from_bytes(bytes(damaged))
    for length in (0, 5, 25, len(content) - 1):
        with pytest.raises(ZooError, match=r"damaged|no file that aezoo"):
            Compressed.from_bytes(content[:length])


def test_mistakes_are_told(bundle, rng, tmp_path, monkeypatch):
    rows = rng.uniform(size=(3, 8, 8, 1)).astype("float32")
    made = Compressor(linear(), 0.5).compress(rows)
    named = tmp_path / "x.png"
    Image.fromarray(np.zeros((9, 9), "uint8")).save(named)
    for mistake, message in (
        (lambda: Compressor(linear(seed=1)).decompress(made), "of another model"),
        (lambda: Compressor(Bundle(bundle)).decompress(made), "of another model"),
        (lambda: Compressor(linear(), step=0), "above 0"),
        (lambda: Compressor(linear(), step=1e-9).compress(rows).to_bytes(), "too small"),
        (lambda: Compressor(linear()).compress(rows[:0]), "no rows"),
        (lambda: Compressed.load(tmp_path / "none"), "no file"),
        (lambda: compress_files(bundle, [named, named], tmp_path / "f"), "the same name"),
        (lambda: compress_files(bundle, [tmp_path / "y.png"], tmp_path / "f"), "'x.png'"),
    ):
        with pytest.raises(ZooError, match=message):
            mistake()
    monkeypatch.setitem(sys.modules, "constriction", None)
    with pytest.raises(ZooError, match=r"aezoo\[compress\]"):
        made.to_bytes()
