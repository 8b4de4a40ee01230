"""The page of a bundle in a real browser: its answers are those of Keras, and it asks no one else.

Needs Chromium, npm and the package playwright; skipped with a reason where one is missing.
"""

import dataclasses
import fcntl
import functools
import os
import shutil
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import aezoo
from aezoo.cli import app
from aezoo.errors import ZooError
from aezoo.export import web
from aezoo.export.bundle import export_bundle
from aezoo.export.pictures import PictureFiles
from aezoo.export.rows import read_table
from aezoo.specs import TensorSpec

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP elsewhere.test 127.0.0.1",
]
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
PATIENCE = 60  # seconds, on a busy machine

LABELS = np.array([[3], [7], [1], [0]], "int32")  # of the example rows of cvae

_EXPORTED: dict = {}


def rows_of(kind: str, count: int, seed: int = 0) -> np.ndarray:
    """Return rows with structure: a bright box on dark ground, or two waves."""
    rng = np.random.default_rng(seed)
    if kind == "series":
        t = np.arange(12) / 2 + rng.uniform(0, 6, (count, 1))
        return np.stack([np.sin(t), 2 * np.cos(t)], -1).astype("float32")  # (count, 12, 2)
    rows = rng.integers(0, 60, (count, 12, 16, 3 if kind == "unet" else 1), dtype="uint8")
    for row, corner in zip(rows, rng.integers(1, 6, count), strict=True):
        row[corner : corner + 5, corner : corner + 6] += 150
    return rows


def conv():
    model = aezoo.build("conv_ae", input_shape=(12, 16, 1), filters=(4, 2), seed=0)
    model.fit(model.adapt(rows_of("conv", 64)), verbose=0)
    aezoo.calibrate(model, rows_of("conv", 40, seed=1), alpha=0.1)
    return model


def vae():
    model = aezoo.build("vae", input_shape=(12, 16, 1), hidden=(16,), latent_dim=18, seed=0)
    model.adapt(rows_of("vae", 16))
    return model


def cvae():
    model = aezoo.build("cvae", input_shape=(12, 16, 1), hidden=(16,), latent_dim=3, seed=0)
    model.adapt(rows_of("cvae", 16))
    return model


def vq_vae():
    model = aezoo.build("vq_vae", input_shape=(12, 16, 1), filters=(4,), seed=0)
    model.adapt(rows_of("vq_vae", 16))
    return model


def series():
    model = aezoo.build(
        "seq2seq_ae", input_shape=(12, 2), units=8, latent_dim=2, variable_length=True, seed=0
    )
    model.adapt(rows_of("series", 16))
    aezoo.calibrate(model, rows_of("series", 40, seed=1), alpha=0.1)
    return model


def unet():
    model = aezoo.build("unet", input_shape=(12, 16, 3), filters=(4, 8), classes=3, seed=0)
    model.adapt(rows_of("unet", 16))
    return model


MODELS = {made.__name__: made for made in (conv, vae, cvae, vq_vae, series, unet)}


@functools.cache
def runtime() -> Path | None:
    """Return the folder of ONNX Runtime for browsers, None where it cannot be had."""
    try:
        return web.find_runtime()
    except ZooError:
        return None


def exported(kind: str, factory):
    """Return a model and the folder of its bundle, made once for all files and workers."""
    if kind not in _EXPORTED:
        shared = factory.getbasetemp()
        if "PYTEST_XDIST_WORKER" in os.environ:
            shared = shared.parent
        folder = shared / "bundles" / kind
        folder.parent.mkdir(exist_ok=True)
        with (folder.parent / f"{kind}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                model = MODELS[kind]()
                rows = rows_of(kind, 4, seed=2)
                if kind == "cvae":
                    rows = {"image": rows, "label": LABELS}
                export_bundle(model, folder, sample=rows, web=runtime() or False)
        _EXPORTED[kind] = aezoo.load(folder), folder
    return _EXPORTED[kind]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        try:
            yield started
        finally:
            started.close()


@pytest.fixture(scope="module")
def served(browser, tmp_path_factory):
    """A function that serves a bundle's folder: its model and its address."""
    if runtime() is None:
        pytest.skip("ONNX Runtime for browsers cannot be fetched: apt-get install npm")
    servers = {}

    def serve(kind: str):
        model, folder = exported(kind, tmp_path_factory)
        if kind not in servers:
            handler = functools.partial(Quiet, directory=folder)
            servers[kind] = ThreadingHTTPServer(("127.0.0.1", 0), handler)
            threading.Thread(target=servers[kind].serve_forever, daemon=True).start()
        return model, f"http://127.0.0.1:{servers[kind].server_port}/{web.FOLDER}/", folder

    try:
        yield serve
    finally:
        for server in servers.values():
            server.shutdown()
            server.server_close()


@pytest.fixture
def opened(browser, served):
    """A function that opens a bundle's page, ready; at the end nothing may have gone wrong."""
    contexts, seen = [], []

    def open_page(kind: str, host="127.0.0.1", state="ready", route=None, **look):
        model, address, folder = served(kind)
        context = browser.new_context(**{"viewport": DESKTOP} | look)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        origin = address.replace("127.0.0.1", host)
        page.on("console", lambda message: seen.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: seen.append(f"error: {error}"))
        page.on("request", lambda request: leaves(request.url, origin, seen))
        if route:
            page.route(*route)
        page.goto(origin)
        page.wait_for_selector(f"body[data-state={state}]")
        return page, model, folder

    yield open_page
    for context in contexts:
        context.close()
    assert seen == []


def leaves(url: str, origin: str, seen: list) -> None:
    if not url.startswith((origin.removesuffix(f"{web.FOLDER}/"), "data:", "blob:")):
        seen.append(f"request to {url}")


def settled(page) -> dict:
    """Return what the page was asked and what it answered, once nothing is left to do."""
    deadline = time.monotonic() + PATIENCE
    while page.evaluate("aezoo.busy || aezoo.latent?.running || false"):
        assert time.monotonic() < deadline, "the page does not come to rest"
        page.wait_for_timeout(20)
    return page.evaluate(
        """() => {
          const plain = (part) => part && Object.fromEntries(
            Object.entries(part).map(([name, values]) => [name, Array.from(values, Number)]));
          const answers = Object.entries(aezoo.answers ?? {});
          return {
            asked: plain(aezoo.asked),
            answers: Object.fromEntries(answers.map(([name, one]) => [name, plain(one)])),
            made: aezoo.made,
          };
        }"""
    )


def by_keras(model, endpoint: str, seen: dict) -> dict[str, np.ndarray]:
    """Return what Keras answers to what the page asked."""
    tensors = model.endpoint(endpoint).spec.inputs
    rows = {
        t.name: np.reshape(np.array(seen["asked"][t.name], t.dtype), (1, *t.shape))
        for t in tensors
        if t.name in seen["asked"]
    }
    return model.endpoint(endpoint)(**rows)


def assert_same(seen: dict, expected: dict, scales=1.0):
    assert set(seen) == set(expected)
    for name, values in expected.items():
        scale = 255 if name == "reconstruction" and scales == 255 else 1
        np.testing.assert_allclose(
            seen[name], values.astype("float64").ravel(), rtol=1e-4, atol=1e-5 * scale
        )


def shown_score(page) -> float:
    return float(page.get_attribute("#score", "data-value"))


def test_an_example_gets_the_score_and_the_pictures_that_keras_gives(opened):
    page, model, _ = opened("conv")
    page.click("#rows button:nth-child(3)")
    seen = settled(page)
    row = rows_of("conv", 4, seed=2)[2]
    np.testing.assert_array_equal(seen["asked"]["image"], row.ravel())
    for endpoint in ("reconstruct", "encode", "detect"):
        assert_same(seen["answers"][endpoint], by_keras(model, endpoint, seen), 255)
    expected = model.endpoint("score")(image=row[None])
    np.testing.assert_allclose(shown_score(page), expected["score"][0, 0], rtol=1e-4)
    assert page.locator("#views figure").count() == 3
    largest = float(page.text_content("#views .ends span:last-child"))
    np.testing.assert_allclose(largest, expected["error_map"].max(), rtol=1e-3)


def test_a_stroke_is_scored_as_keras_scores_the_pixels_that_are_seen(opened):
    page, model, _ = opened("conv", has_touch=True)
    before = settled(page)["asked"]["image"]
    page.check("#mode-draw", force=True)
    box = page.locator("#pad").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.1, box["y"] + box["height"] * 0.2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] * 0.8, steps=5)
    page.mouse.up()
    seen = settled(page)
    changed = np.array(before) != np.array(seen["asked"]["image"])
    assert 15 < changed.sum() < 100  # a line across, and the rest as it was
    assert max(np.array(seen["asked"]["image"])[changed]) == 255
    expected = by_keras(model, "detect", seen)
    np.testing.assert_allclose(shown_score(page), expected["score"][0, 0], rtol=1e-4)

    page.click("#clear")
    assert len(set(settled(page)["asked"]["image"])) == 1
    page.locator("#pad").tap()  # in its middle
    seen = settled(page)
    assert 1 <= (np.array(seen["asked"]["image"]) > 150).sum() < 30  # a dot
    expected = by_keras(model, "score", seen)["score"][0, 0]
    np.testing.assert_allclose(shown_score(page), expected, rtol=1e-4)


def test_the_decision_follows_the_threshold_as_in_keras(opened):
    page, model, _ = opened("conv")
    calibrated = np.float32(model.calibration["threshold"])
    np.testing.assert_allclose(float(page.input_value("#threshold")), calibrated, rtol=1e-6)
    score = shown_score(page)
    for threshold in (0.5 * score, 1.5 * score):
        page.locator("#threshold").evaluate(
            "(slider, value) => { slider.max = 1; slider.value = value;"
            " slider.dispatchEvent(new Event('input')); }",
            threshold,
        )
        seen = settled(page)
        np.testing.assert_allclose(seen["asked"]["threshold"], threshold, rtol=1e-6)
        anomalous = bool(by_keras(model, "detect", seen)["anomalous"][0, 0])
        assert anomalous == (threshold < score)
        assert page.get_attribute("#decision", "data-anomalous") == str(anomalous).lower()
    page.click("#calibrated")
    assert settled(page)["asked"]["threshold"] == [calibrated]


ROWS_OF_FILE = """async ([bytes, spec, preprocessing]) => {
  const { rowsOfFile } = await import("./pictures.js");
  const file = new File([new Uint8Array(bytes)], "");
  const { rows, names } = await rowsOfFile(file, spec, preprocessing);
  return { rows: rows.map((row) => Array.from(row)), names };
}"""


@pytest.mark.parametrize("kind", ["conv", "unet"])  # grey and colour
def test_picture_files_become_the_rows_that_python_makes(opened, tmp_path, rng, kind):
    page, _, folder = opened(kind)
    bundle = aezoo.export.Bundle(folder)
    spec = bundle.endpoints[0]
    noise = rng.integers(0, 256, (37, 50, 3), dtype="uint8")
    smooth = Image.fromarray(noise).resize((61, 83)).crop((3, 1, 60, 80))
    file = tmp_path / "picture.png"
    for image in (Image.fromarray(noise), smooth, smooth.convert("L").resize((16, 24))):
        image.save(file)
        for rule in ("fit", "crop", "tile"):
            made = bundle.manifest.preprocessing | {"pictures": {"fit": rule, "deep_white": None}}
            bundle.manifest = bundle.manifest.model_copy(update={"preprocessing": made})
            asked = [list(file.read_bytes()), dataclasses.asdict(spec.inputs[0]), made]
            found = page.evaluate(ROWS_OF_FILE, asked)
            python = PictureFiles(bundle, spec, file)
            rows = python.read(0, len(python))
            np.testing.assert_array_equal(found["rows"], rows.reshape(len(rows), -1))
            names = [name.removeprefix(file.name) for name in python.names(0, len(python))]
            assert found["names"] == names

    tensor = dataclasses.replace(spec.inputs[0], dtype="float32")  # pictures in [0, 1]
    bundle.manifest = bundle.manifest.model_copy(update={"preprocessing": made | {"white": 1.0}})
    asked = [list(file.read_bytes()), dataclasses.asdict(tensor), made | {"white": 1.0}]
    rows = PictureFiles(bundle, dataclasses.replace(spec, inputs=(tensor,)), file).read(0, 1)
    found = page.evaluate(ROWS_OF_FILE, asked)["rows"]
    np.testing.assert_array_equal(np.float32(found[0]), rows[0].ravel())
    assert 0.5 < rows.max() <= 1


TABLES = {  # a text, and the shape and dtype of a row
    "1,2,3,4": ((4,), "float32"),
    "a;b;c\n1;2;3\n\n4.5;-5e-1;6\n": ((3,), "float32"),
    "1\t2\n3\t4\n5\t6\n7\t8": ((2, 2), "float32"),
    "1,2,3,4\n5,6,7,8": ((2, 2), "float32"),
    "\ufeffx\n1\n2\n3\n4\n5\n6": ((3, 1), "float32"),
    "3,1,0,0\n2,2,5,0": ((4,), "int32"),
}


def test_tables_become_the_rows_that_python_makes(opened, tmp_path):
    page, _, _ = opened("series")
    for text, (shape, dtype) in TABLES.items():
        tensor = TensorSpec("rows", shape, dtype)
        (tmp_path / "rows.csv").write_text(text, encoding="utf-8")
        expected, _ = read_table(tensor, tmp_path / "rows.csv")
        found = page.evaluate(
            """async ([text, spec]) => {
              const { rowsOfText, textOfRow } = await import("./numbers.js");
              const { rows } = rowsOfText(text, spec);
              const again = rowsOfText(textOfRow(rows[0], spec), spec).rows[0];
              return { rows: rows.map((row) => Array.from(row)), again: Array.from(again) };
            }""",
            [text, dataclasses.asdict(tensor)],
        )
        np.testing.assert_array_equal(found["rows"], expected.reshape(len(expected), -1))
        assert found["again"] == found["rows"][0]


def test_a_chosen_picture_is_scored_and_what_is_none_changes_nothing(opened, tmp_path):
    page, model, folder = opened("conv")
    file = tmp_path / "photo.png"
    Image.linear_gradient("L").rotate(30).save(file)
    page.set_input_files("#file", file)
    page.wait_for_function("() => document.getElementById('file-name').textContent")
    seen = settled(page)
    rows = PictureFiles(aezoo.export.Bundle(folder), model.endpoints[0], file).read(0, 1)
    np.testing.assert_array_equal(seen["asked"]["image"], rows.ravel())
    score = shown_score(page)
    np.testing.assert_allclose(score, model.endpoint("score")(image=rows)["score"][0, 0], rtol=1e-4)

    dropped = """(bytes) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], "dropped.png"));
      document.dispatchEvent(new DragEvent("drop", { dataTransfer: data, cancelable: true }));
    }"""
    Image.fromarray(rows[0, ::-1, :, 0]).save(file)
    page.evaluate(dropped, list(file.read_bytes()))
    page.wait_for_selector("button[title='dropped.png']")
    np.testing.assert_array_equal(settled(page)["asked"]["image"], rows[0, ::-1].ravel())
    score = shown_score(page)

    (tmp_path / "none.png").write_text("no picture")
    page.set_input_files("#file", tmp_path / "none.png")
    page.wait_for_selector("#problem:not([hidden])")
    assert page.text_content("#problem") == "none.png is no picture that this browser can read."
    assert shown_score(page) == score and page.locator("#views figure").count() == 3


def test_sliders_show_what_the_decoder_makes_of_them(opened):
    page, model, _ = opened("vae")
    seen = settled(page)
    code = by_keras(model, "encode", seen)["latent"]
    np.testing.assert_allclose(seen["made"]["code"], code[0], rtol=1e-4, atol=1e-5)
    assert page.locator("#sliders input").count() == 16  # of 18

    page.locator("#code-1").focus()
    page.keyboard.press("End")
    moved = settled(page)["made"]
    assert moved["code"][1] >= 3 and moved["code"][17] == seen["made"]["code"][17]
    for made in (seen["made"], moved):
        latent = np.array(made["code"], "float32")[None]
        expected = model.endpoint("decode")(latent=latent)["reconstruction"]
        np.testing.assert_allclose(made["data"], expected.ravel(), rtol=1e-4, atol=255e-5)
    assert not np.allclose(moved["data"], seen["made"]["data"], atol=1e-3)

    page.click("#rows button:nth-child(2)")  # a moved code stays
    assert settled(page)["made"]["code"] == moved["code"]
    page.click("#encode")
    code = by_keras(model, "encode", settled(page))["latent"]
    np.testing.assert_allclose(settled(page)["made"]["code"], code[0], rtol=1e-4, atol=1e-5)
    page.click("#random")
    drawn = np.array(settled(page)["made"]["code"])
    assert drawn.std() > 0.4 and not np.allclose(drawn, code[0], atol=0.1)


def test_what_stands_beside_a_code_is_typed_or_that_of_the_input(opened):
    page, model, _ = opened("cvae")
    seen = settled(page)
    assert seen["made"]["beside"] == {"label": 3}  # that of the first example
    page.fill("#code-label", "2")
    page.keyboard.press("Enter")
    made = settled(page)["made"]
    assert made["beside"] == {"label": 2} and made["code"] == seen["made"]["code"]
    assert not np.allclose(made["data"], seen["made"]["data"], atol=1e-3)
    page.fill("#input-label", "1")
    page.keyboard.press("Enter")
    assert settled(page)["made"]["beside"] == {"label": 2}  # it was typed: the input leaves it
    page.click("#encode")
    followed = settled(page)
    assert followed["made"]["beside"] == {"label": 1}
    latent = by_keras(model, "encode", followed)["latent"]
    np.testing.assert_allclose(followed["made"]["code"], latent[0], rtol=1e-4, atol=1e-5)
    for one in (made, followed["made"]):
        asked = {"latent": np.array([one["code"]], "float32")}
        asked["label"] = np.array([[one["beside"]["label"]]], "int32")
        expected = model.endpoint("decode")(**asked)["reconstruction"]
        np.testing.assert_allclose(one["data"], expected.ravel(), rtol=1e-4, atol=255e-5)

    page.fill("#code-label", "17")
    page.keyboard.press("Enter")
    page.wait_for_selector("#problem:not([hidden])")
    assert page.text_content("#problem").startswith("label: ")


def test_an_example_brings_its_own_label(opened):
    page, model, _ = opened("cvae")
    for example in (0, 2):
        page.locator("#rows button").nth(example).click()
        seen = settled(page)
        assert page.input_value("#input-label") == str(LABELS[example, 0])
        assert seen["asked"]["label"] == [LABELS[example, 0]]
        assert_same(seen["answers"]["score"], by_keras(model, "score", seen))


def test_an_input_without_a_default_is_not_made_up(opened):
    page, _, _ = opened("cvae")
    said = page.evaluate("aezoo.bundle.ask('reconstruct', {}).catch((problem) => problem.message)")
    assert said == "reconstruct needs image."


def test_codes_that_are_numbers_of_a_table_are_whole(opened):
    page, model, _ = opened("vq_vae")
    seen = settled(page)
    codes = by_keras(model, "encode", seen)["codes"]
    assert seen["made"]["code"] == codes.ravel().tolist()
    page.click("#random")
    drawn = settled(page)["made"]
    assert drawn["code"] != seen["made"]["code"]
    for made in (seen["made"], drawn):
        asked = np.array(made["code"], "int32").reshape(codes.shape)
        expected = model.endpoint("decode")(codes=asked)["reconstruction"]
        np.testing.assert_allclose(made["data"], expected.ravel(), rtol=1e-4, atol=255e-5)


def test_a_pasted_series_is_scored_up_to_its_length(opened):
    page, model, _ = opened("series")
    seen = settled(page)
    np.testing.assert_array_equal(seen["asked"]["series"], rows_of("series", 4, seed=2)[0].ravel())
    assert seen["asked"]["length"] == [12]
    assert_same(seen["answers"]["detect"], by_keras(model, "detect", seen))

    page.check("#mode-paste", force=True)
    steps = rows_of("series", 1, seed=5)[0, :7]
    lines = ["left;right", *(f"{a:.9g};{b:.9g}" for a, b in steps)]
    page.fill("#numbers", "\n".join(lines))
    page.click("#use-numbers")
    seen = settled(page)
    np.testing.assert_array_equal(np.float32(seen["asked"]["series"][:14]), steps.ravel())
    assert seen["asked"]["series"][14:] == [0] * 10 and seen["asked"]["length"] == [7]
    assert_same(seen["answers"]["detect"], by_keras(model, "detect", seen))
    score = shown_score(page)
    np.testing.assert_allclose(score, by_keras(model, "score", seen)["score"][0, 0], rtol=1e-4)
    points = page.get_attribute("#views polyline.line1", "points").split()
    assert len(points) == 7 and page.locator("#views rect").count() == 7

    for text, message in {
        "1;2;3\n4;5;6": "Received 2 lines of 3 numbers. A row is up to 12 lines of 2 numbers",
        "1;2\n4;x": "“x” in line 2 is no number.",
        "1;2\n3": "Line 2 holds 1 numbers, the first 2.",
        " ": "There are no numbers yet.",
    }.items():
        page.fill("#numbers", text)
        page.click("#use-numbers")
        assert page.text_content("#problem").startswith(message)
        assert shown_score(page) == score and page.input_value("#numbers") == text

    page.fill("#input-length", "4")
    page.locator("#input-length").blur()
    seen = settled(page)
    assert seen["asked"]["length"] == [4] and not page.locator("#problem").is_visible()
    np.testing.assert_allclose(
        shown_score(page), by_keras(model, "score", seen)["score"][0, 0], rtol=1e-4
    )


def test_pointing_at_the_map_of_codes_decodes_that_place(opened):
    page, model, _ = opened("series")
    box = page.locator("#map").bounding_box()
    before = settled(page)["made"]
    place = {"x": box["width"] / 2, "y": box["height"] / 4}
    page.locator("#map").click(position=place)
    made = settled(page)["made"]
    ranges = [page.locator(f"#code-{i}").evaluate("s => [+s.min, +s.max]") for i in (0, 1)]
    middle, upper = (
        low + share * (high - low) for (low, high), share in zip(ranges, (0.5, 0.75), strict=True)
    )
    np.testing.assert_allclose(made["code"], [middle, upper], atol=0.05)
    expected = model.endpoint("decode")(latent=np.array([made["code"]], "float32"))
    np.testing.assert_allclose(made["data"], expected["reconstruction"].ravel(), atol=1e-5)
    assert not np.allclose(made["data"], before["data"], atol=1e-3)


def test_a_segmenter_shows_the_mask_that_keras_gives(opened):
    page, model, _ = opened("unet")
    seen = settled(page)
    expected = by_keras(model, "segment", seen)
    mask = expected["mask"].ravel()
    np.testing.assert_array_equal(seen["answers"]["segment"]["mask"], mask)
    assert_same(seen["answers"]["segment"], expected)
    assert len(np.unique(mask)) > 1
    pixels = page.locator("#views .pair figure:nth-child(2) canvas").evaluate(
        "c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"
    )
    coloured = np.array(pixels).reshape(-1, 4)[:, :3]
    row = np.array(seen["asked"]["image"]).reshape(-1, 3)
    np.testing.assert_array_equal((coloured != row).any(-1), mask > 0)
    shares = page.locator("#views .legend li").all_text_contents()
    for number, text in enumerate(shares):
        assert text.endswith(f": {100 * (mask == number).mean():.1f} %")
    assert page.locator("#views .many canvas").count() == 3
    assert not page.locator("#verdict").is_visible()


def test_a_graph_that_was_changed_is_not_asked(opened):
    def changed(route):
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.body() + b"\0")

    page, _, _ = opened("conv", route=("**/onnx/detect.onnx", changed))
    message = "onnx/detect.onnx was changed after the export, so it is not asked."
    page.wait_for_selector("#problem:not([hidden])")
    assert page.text_content("#problem").startswith(message)
    assert page.get_attribute("#score", "data-value") is None


def test_a_changed_manifest_opens_nothing(opened):
    def changed(route):
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.body().replace(b"conv_ae", b"conv_ea"))

    page, _, _ = opened("conv", state="broken", route=("**/manifest.json", changed))
    assert page.text_content("#problem") == "manifest.json was changed after the export."


def test_where_the_browser_cannot_check_files_the_page_says_so(opened):
    page, model, _ = opened("conv", host="elsewhere.test")
    assert page.evaluate("crypto.subtle") is None
    assert "are not checked" in page.text_content("#integrity")
    seen = settled(page)
    np.testing.assert_allclose(
        shown_score(page), by_keras(model, "score", seen)["score"][0, 0], rtol=1e-4
    )
    here, _, _ = opened("conv")
    assert "is compared with the manifest's sha256" in here.text_content("#integrity")


CONTRAST = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const light = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    const [r, g, b] = Array.from(canvas.getImageData(0, 0, 1, 1).data.slice(0, 3), (v) => {
      const x = v / 255;
      return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratios = {};
  for (const one of document.querySelectorAll("body *")) {
    const text = Array.from(one.childNodes).some((n) => n.nodeType === 3 && n.data.trim());
    if (!text || !one.checkVisibility()) continue;
    const behind = [];
    for (let at = one; at; at = at.parentElement) {
      behind.unshift(getComputedStyle(at).backgroundColor);
    }
    const style = getComputedStyle(one);
    const front = one.ownerSVGElement ? style.fill : style.color;
    const [a, b] = [light(behind), light([...behind, front])].sort((x, y) => y - x);
    const called = `${one.tagName}.${one.className.baseVal ?? one.className}#${one.id}`;
    ratios[called] = Math.min((a + 0.05) / (b + 0.05), ratios[called] ?? 21);
  }
  return ratios;
}"""


@pytest.mark.parametrize("kind", ["conv", "series", "unet"])
def test_it_fits_a_phone_and_a_desktop_and_can_be_read_in_light_and_dark(opened, kind, tmp_path):
    page, _, _ = opened(kind)
    for viewport in (PHONE, DESKTOP):
        page.set_viewport_size(viewport)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            settled(page)
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= viewport["width"]
            page.screenshot(full_page=True, path=tmp_path / "page.png")
            shot = np.asarray(Image.open(tmp_path / "page.png").convert("L"))
            assert (np.median(shot) < 128) == (scheme == "dark") and shot.std() > 10
            ratios = page.evaluate(CONTRAST)
            assert len(ratios) > 10
            weak = {name: ratio for name, ratio in ratios.items() if ratio < 4.5}
            assert not weak, (scheme, weak)


def test_every_control_has_a_name_and_the_keyboard_reaches_the_examples(opened):
    for kind in ("conv", "series"):
        page, _, _ = opened(kind)
        unnamed = page.evaluate(
            """() => Array.from(document.querySelectorAll("input, textarea, button, canvas, svg"))
              .filter((one) => one.checkVisibility() && !one.closest("[aria-hidden]"))
              .filter((one) => !(one.labels?.[0]?.textContent || one.ariaLabel || one.textContent)
                .trim() && !one.closest("button"))
              .map((one) => one.outerHTML)"""
        )
        assert unnamed == []
    before = settled(page)["asked"]["series"]
    page.locator("#rows button:nth-child(2)").focus()
    page.keyboard.press("Enter")
    assert settled(page)["asked"]["series"] != before
    assert page.get_attribute("#rows button:nth-child(2)", "aria-pressed") == "true"
    assert page.get_attribute("[role=status]", "aria-live") == "polite"


# ---- where the runtime comes from ----


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """A function that puts a script in the place of npm; returns the cache and the calls of it."""
    folder, calls = tmp_path / "bin", tmp_path / "calls"
    folder.mkdir()
    calls.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(folder), prepend=":")

    def install(script: str):
        (folder / "npm").write_text(f'#!/bin/sh\necho "$@" >> "{calls}"\n{script}\n')
        (folder / "npm").chmod(0o755)
        return tmp_path / "cache" / "aezoo", calls

    return install


FAKE = """d=node_modules/onnxruntime-web/dist; mkdir -p $d
echo js > $d/ort.wasm.bundle.min.mjs; echo wasm > $d/ort-wasm-simd-threaded.wasm"""


def test_the_runtime_is_fetched_once_and_goes_beside_the_page(npm, tmp_path):
    cache, calls = npm(FAKE)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        web.write(tmp_path / name)
    assert calls.read_text().count("install") == 1
    assert f"onnxruntime-web@{web.VERSION}" in calls.read_text()
    assert "--ignore-scripts" in calls.read_text()
    assert [p.name for p in cache.iterdir()] == [f"onnxruntime-web-{web.VERSION}"]
    page = tmp_path / "b" / "web"
    assert (page / "ort.js").read_text() == "js\n" and (page / "ort.wasm").read_text() == "wasm\n"
    for name in ("index.html", "app.js", "style.css"):
        assert (page / name).read_bytes() == (Path(web.__file__).parent / "web" / name).read_bytes()
    assert "Microsoft" in (page / "onnxruntime.LICENSE.txt").read_text()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'npm error network' >&2; exit 1", "npm error network"),
        (f"{FAKE}; rm $d/*.wasm", "npm ended with 0"),
        (f"{FAKE}; exit 3", "npm ended with 3"),
    ],
)
def test_a_failed_fetch_is_one_message_and_leaves_nothing(npm, tmp_path, script, reason):
    cache, _ = npm(script)
    with pytest.raises(ZooError, match=rf"cannot be fetched\.\nReceived: '{reason}") as caught:
        web.write(tmp_path)
    assert "Install Node.js" in str(caught.value)
    assert list(cache.iterdir()) == [] and not (tmp_path / "web").exists()


def test_without_npm_a_folder_can_be_given(npm, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ZooError, match=r"npm is not installed(.|\n)*give the folder"):
        web.find_runtime()
    given = tmp_path / "onnxruntime-web" / "dist"
    with pytest.raises(ZooError, match=r"does not hold ONNX Runtime(.|\n)*simd-threaded\.wasm"):
        web.find_runtime(given.parent)
    given.mkdir(parents=True)
    for name in ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"):
        (given / name).write_text(name)
    assert web.find_runtime(given.parent) == web.find_runtime(given) == given


def test_the_shell_exports_a_page_that_the_manifest_lists(tmp_path):
    if runtime() is None:
        pytest.skip("ONNX Runtime for browsers cannot be fetched: apt-get install npm")
    model = aezoo.build("vallina_ae", input_shape=(6,), hidden=(4,), latent_dim=2, seed=0)
    model.save(tmp_path / "model.keras")
    command = ["export", str(tmp_path / "model.keras"), str(tmp_path / "bundle"), "--web"]
    result = CliRunner().invoke(app, [*command, "--web-runtime", str(runtime())])
    assert result.exit_code == 0, result.output
    listed = aezoo.export.Bundle(tmp_path / "bundle").manifest.files
    assert {"web/index.html", "web/app.js", "web/ort.js", "web/ort.wasm"} <= set(listed)
    aezoo.verify_bundle(tmp_path / "bundle")
    with pytest.raises(ZooError, match="does not hold ONNX Runtime"):
        aezoo.export_bundle(model, tmp_path / "other", web=tmp_path)
    assert not (tmp_path / "other").exists()
