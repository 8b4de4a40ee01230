"""Where pictures are odd, in their own pixels; and how that is measured."""

import csv
import itertools

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from sklearn.metrics import roc_auc_score

import aezoo
from aezoo import localizer
from aezoo.data.image_files import ImageFiles
from aezoo.drawing import ALARM
from aezoo.errors import ZooError
from aezoo.export import detect
from aezoo.tasks.localisation import aupro, draw, locate, pixel_auroc, write_mask


def bright(tiles):
    return {"anomaly_map": tiles[..., 0] / 100.0}


def plain_aupro(masks, maps, limit: float) -> float:
    """Every threshold in turn, every region in turn."""
    points = [(0.0, 0.0)]
    for threshold in sorted(set(maps.ravel()), reverse=True):
        above = maps >= threshold
        overlaps = []
        for mask, one in zip(masks, above, strict=True):
            labels, count = ndimage.label(mask, np.ones((3, 3)))
            overlaps += [one[labels == k].mean() for k in range(1, count + 1)]
        points.append((above[~masks].mean(), np.mean(overlaps)))
    area = 0.0
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if x0 < limit:
            stop = min(x1, limit)
            y_stop = y1 if x1 == x0 else y0 + (y1 - y0) * (stop - x0) / (x1 - x0)
            area += (stop - x0) * (y0 + y_stop) / 2
    return area / limit


@pytest.mark.parametrize("limit", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("levels", [4, 10_000])
def test_aupro_is_that_of_every_threshold_in_turn(rng, limit, levels):
    masks = ndimage.gaussian_filter(rng.normal(size=(3, 20, 24)), (0, 2, 2)) > 0.15
    maps = np.round((rng.random(masks.shape) + 0.5 * masks) * levels)  # four levels: many are equal
    assert aupro(masks, maps, limit) == pytest.approx(plain_aupro(masks, maps, limit), abs=1e-9)


def test_small_regions_count_as_much_as_large_ones():
    masks = np.zeros((1, 40, 40), bool)
    masks[0, :2, :2] = masks[0, 10:30, 10:30] = True
    large = np.zeros(masks.shape)
    large[0, 10:30, 10:30] = 1.0
    assert pixel_auroc(masks, large) > 0.99
    assert 0.5 < aupro(masks, large) < 0.6  # one of two; the rest by chance
    assert pixel_auroc(masks, large) == roc_auc_score(masks.ravel(), large.ravel())


def test_measuring_says_what_is_wrong():
    maps = np.zeros((2, 4, 4))
    for masks, text in ((maps[:1], "one shape"), (maps, "odd pixels"), (maps + 1, "odd pixels")):
        with pytest.raises(ZooError, match=text):
            aupro(masks, maps)
    masks = maps.copy()
    masks[0, 0, 0] = 1
    with pytest.raises(ZooError, match="share"):
        aupro(masks, maps, limit=30)


def test_places_are_in_pixels_of_the_picture_and_masks_of_its_size(tmp_path):
    picture = np.full((150, 210, 3), 60, "uint8")
    picture[100:110, 5:25] = picture[40, 200] = 230
    found = locate(picture, bright, (32, 48))
    assert [(place.start, place.stop) for place in found.places] == [
        ((40, 200), (41, 201)),
        ((100, 5), (110, 25)),
    ]
    np.testing.assert_allclose(found.anomaly_map, picture[..., 0] / 100.0, rtol=1e-6)
    mask = np.asarray(Image.open(write_mask(found, tmp_path / "a" / "mask.png")))
    np.testing.assert_array_equal(mask, np.where(picture[..., 0] > 100, 255, 0))
    assert locate(picture[:32, :48], bright, (32, 48)).places == []


def test_contours_lie_around_what_is_odd_and_large_pictures_are_drawn_smaller(tmp_path):
    picture = np.full((60, 80, 1), 60, "uint8")
    picture[20:30, 30:50] = 230
    drawn = np.asarray(Image.open(draw(picture, locate(picture, bright, (32, 32)), tmp_path / "a")))
    red = (drawn == np.array([int(ALARM[i : i + 2], 16) for i in (1, 3, 5)])).all(axis=-1)
    assert red.sum() == 2 * 10 + 2 * 20 and red[19, 30:50].all() and red[20:30, 50].all()
    assert (drawn[20:30, 30:50] == 230).all()
    wide = np.repeat(np.repeat(picture[20:22], 64, 1), 32, 0)[:100]  # 64x5120
    found = locate(wide, bright, (64, 64))
    assert np.asarray(Image.open(draw(wide, found, tmp_path / "b"))).shape == (22, 1707, 3)


def test_tiles_may_overlap_and_neighbours_play_one_role(tmp_path):
    pixels = np.arange(40 * 56, dtype="uint32").reshape(40, 56) % 251
    Image.fromarray(pixels.astype("uint8")).save(tmp_path / "a.png")
    files = ImageFiles([tmp_path / "a.png"], size=8, fit="tile", stride=4)
    assert len(files) == 9 * 13
    np.testing.assert_array_equal(files.read(np.array([14]))[0, ..., 0], pixels[4:12, 4:12])
    data = aezoo.data.load(
        tmp_path / "a.png", image_size=8, image_fit="tile", stride=4, validation=0.2, test=0.0
    )
    blocks = dict(zip(files.names(tmp_path), files.blocks(), strict=True))
    roles = [{blocks[n] for n in data.names_of(rows)} for rows in (data.train, data.validation)]
    assert len(roles[0]) + len(roles[1]) == 12 and not roles[0] & roles[1]


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """A bundle that was trained on tiles of one picture of stripes, and the picture."""
    folder, rng = tmp_path_factory.mktemp("surface"), np.random.default_rng(0)
    pixels = 120 + 60 * np.sin(np.arange(96) * np.pi / 4) + rng.normal(0, 5, (96, 96))
    surface = np.clip(pixels, 0, 255).astype("uint8")
    Image.fromarray(surface).save(folder / "surface.png")
    run = aezoo.train(
        "conv_ae",
        folder / "surface.png",
        image_size=16,
        image_fit="tile",
        stride=4,
        filters=(8,),
        epochs=8,
        learning_rate=0.01,
        validation=0.0,
        calibration=0.2,
        test=0.0,
        out=folder / "run",
        figures=False,
        verbose=False,
    )
    model, rows = run.model, run.data.calibration
    aezoo.calibrate(model, rows, 0.02)
    model.localizer = localizer.fit(model, run.data.train, rows, 0.02)
    aezoo.export_bundle(model, folder / "bundle")
    return folder, surface


def test_a_large_picture_is_answered_at_its_own_resolution(detector, tmp_path):
    folder, surface = detector
    spoilt = np.tile(surface, (2, 1))[:150, :90].copy()  # no multiple of a tile
    spoilt[61:69, 30:40] = 255
    (tmp_path / "new" / "sub").mkdir(parents=True)
    Image.fromarray(spoilt).save(tmp_path / "new" / "sub" / "spoilt.png")
    Image.fromarray(surface[:, :80]).save(tmp_path / "new" / "good.png")
    found = detect(folder / "bundle", tmp_path / "new", tmp_path / "found")
    assert "sub/spoilt.png" in found.odd_pictures
    with (tmp_path / "found" / "pictures.csv").open() as file:
        lines = {line["picture"]: line for line in csv.DictReader(file)}
    assert set(lines) == {"good.png", "sub/spoilt.png"}
    line = lines["sub/spoilt.png"]
    assert (line["width"], line["height"]) == ("90", "150")
    mask = np.asarray(Image.open(tmp_path / "found" / "masks" / "sub" / "spoilt.png.png")) > 0
    assert mask.shape == (150, 90) and mask[62:68, 31:39].mean() > 0.9
    mask[45:85, 14:56] = False  # of tiles that see the spot, all is rebuilt worse
    assert mask.mean() < 0.03
    assert float(line["odd_share"]) > 0.004 and int(line["places"]) >= 1
    drawn = np.asarray(Image.open(tmp_path / "found" / "marked" / "sub" / "spoilt.png.png"))
    assert drawn.shape == (150, 90, 3) and "masks/ and marked/" in str(found)
