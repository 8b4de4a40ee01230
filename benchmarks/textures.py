"""Where surfaces are odd: scratches, stains and pasted pieces in brick, grass and gravel.

    python benchmarks/textures.py     # results/tasks/localisation.csv, results/textures.png

Each texture is a grey picture of 512x512. Its left half trains, as squares of 64 pixels; defects of
known masks are drawn into its right half, which is answered by tiles. The model learns from defects
of its own making, which are of other shapes (blobs and curves cut out of noise, polygons) and of
other fillings (noise, waves, cells, the left half itself). Nothing was chosen by the right half:
what was chosen was so by columns 192 to 255, with models trained on columns 0 to 191.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from task_table import Figure, write

import aezoo
from aezoo import localizer
from aezoo.drawing import bare, new_figure, write_png
from aezoo.tasks.localisation import aupro, draw, locate, pixel_auroc
from aezoo.tiles import tiled

SIZE, STRIDE = 64, 4  # pixels: what the model sees; from one tile of the training to the next
EPOCHS = 24
SMOOTHED = 1.0  # standard deviation of the Gaussian, in pixels
ALPHA = 0.05  # share of normal tiles that may be marked somewhere
PICTURES, DEFECTS = 20, 12  # pictures of the right half, and defects in each
KINDS = ("scratch", "stain", "paste")
NAMES = ("brick", "grass", "gravel")
OURS, PLAIN = "draem", "residual of conv_ae, smoothed"
GOALS = {"pixel AUROC": ">= 0.95", "AUPRO, limit .3": ">= 0.85"}
ALL = "brick, grass, gravel: mean"


# ---- defects of known masks ----


def defect(x: np.ndarray, foreign: list[np.ndarray], own: np.ndarray, kind: str, rng):
    """Return a square of 64 pixels with a defect, float32, and its mask."""
    x, (down, across) = x.astype("float32"), np.mgrid[:SIZE, :SIZE]
    sign = rng.choice([-1, 1])
    if kind == "scratch":
        canvas = Image.new("L", (SIZE, SIZE))
        place, angle = rng.uniform(16, 48, 2), rng.uniform(0, 2 * np.pi)
        line = [tuple(place)]
        for _ in range(rng.integers(3, 7)):
            angle += rng.normal() * 0.4
            place = np.clip(place + 8 * np.array([np.cos(angle), np.sin(angle)]), 3, SIZE - 4)
            line.append(tuple(place))
        ImageDraw.Draw(canvas).line(line, fill=255, width=int(rng.integers(1, 4)))
        mask = np.asarray(canvas) > 0
        x[mask] += sign * rng.uniform(60, 120)
    elif kind == "stain":
        (y, z), (tall, wide) = rng.integers(18, 46, 2), rng.uniform(5, 14, 2)
        radius = np.square((down - y) / tall) + np.square((across - z) / wide)
        mask = radius < 1
        x += np.clip(1.5 * (1 - radius), 0, 1) * sign * rng.uniform(40, 80)
    else:
        tall, wide = rng.uniform(5, 12, 2)  # half of each side
        y, z, angle = *rng.uniform(18, 46, 2), rng.uniform(0, np.pi)
        u = np.cos(angle) * (down - y) + np.sin(angle) * (across - z)
        v = np.cos(angle) * (across - z) - np.sin(angle) * (down - y)
        mask = (np.abs(u) < tall) & (np.abs(v) < wide)
        x[mask] = piece(foreign, own, rng)[mask]
    return np.clip(np.round(x), 0, 255), mask


def piece(foreign: list[np.ndarray], own: np.ndarray, rng) -> np.ndarray:
    """Return a square of another texture, or one of the same from elsewhere, turned or blurred."""
    same = rng.random() < 0.25
    source = own if same else foreign[rng.integers(len(foreign))]
    top, left = (rng.integers(0, side - SIZE + 1) for side in source.shape)
    found = source[top : top + SIZE, left : left + SIZE].astype("float32")
    if same:
        how = rng.integers(3)
        found = np.rot90(found) if how == 1 else found
        found = ndimage.gaussian_filter(found, 2.0) if how == 2 else found
    return found


def spoiled(surface: np.ndarray, foreign: list[np.ndarray], count: int, defects: int, seed: int):
    """Return pictures of a surface with defects, uint8 (N, H, W), and numbers of their kinds.

    Args:
        surface: (H, W), of which squares of 64 pixels get at most one defect each.
        foreign: Other textures.
        count: N.
        defects: For each picture.
        seed: Of what is drawn.

    Returns:
        Pictures, and 0 where there is no defect, else 1 to 3 for its kind, alike (N, H, W).
    """
    rng = np.random.default_rng(seed)
    pictures = np.repeat(surface[None], count, axis=0)
    kinds = np.zeros(pictures.shape, "uint8")
    places = [
        (i, j) for i in range(surface.shape[0] // SIZE) for j in range(surface.shape[1] // SIZE)
    ]
    for picture, kind in zip(pictures, kinds, strict=True):
        for number, chosen in enumerate(rng.permutation(len(places))[:defects]):
            i, j = places[chosen]
            square = np.s_[SIZE * i : SIZE * (i + 1), SIZE * j : SIZE * (j + 1)]
            which = number % len(KINDS)
            picture[square], mask = defect(picture[square], foreign, surface, KINDS[which], rng)
            kind[square][mask] = which + 1
    return pictures, kinds


# ---- methods ----


def train(entry: str, left: np.ndarray, folder: Path, **settings):
    """Return a model that was trained on overlapping tiles of a surface, with `localize`."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(left).save(folder / "left.png")
    run = aezoo.train(
        entry,
        folder / "left.png",
        image_size=SIZE,
        image_fit="tile",
        stride=STRIDE,
        validation=0.0,
        calibration=0.1,
        test=0.0,
        out=folder / "run",
        figures=False,
        verbose=False,
        **settings,
    )
    normal = run.data.calibration  # of one square of 128 pixels a side
    aezoo.calibrate(run.model, normal, ALPHA)
    sigma = {"draem": SMOOTHED}.get(entry)
    run.model.localizer = localizer.fit(run.model, run.data.train, normal, ALPHA, sigma)
    return run.model


def located(model, picture: np.ndarray):
    """Return where a picture (H, W) is odd."""
    localize = model.endpoint("localize")
    return locate(picture[..., None], lambda tiles: localize(image=tiles), (SIZE, SIZE))


def by_model(model):
    """Return a function of pictures (N, H, W) to maps, by tiles."""
    return lambda pictures: np.stack([located(model, one).anomaly_map for one in pictures])


def windows(picture: np.ndarray, side: int, step: int) -> np.ndarray:
    """Return squares of a picture in [0, 1], (rows, columns, side * side)."""
    cut = np.lib.stride_tricks.sliding_window_view(picture.astype("float32"), (side, side))
    return cut[::step, ::step].reshape(*cut[::step, ::step].shape[:2], -1) / 255.0


def by_windows(distance, side: int, step: int):
    """Return a function of pictures to maps: each pixel has the value of its nearest window."""

    def maps(pictures: np.ndarray) -> np.ndarray:
        made = []
        for picture in pictures:
            cut = windows(picture, side, step)
            values = distance(cut.reshape(-1, side * side)).reshape(cut.shape[:2])
            y, x = (
                np.clip(np.round((np.arange(n) - side / 2) / step), 0, m - 1).astype(int)
                for n, m in zip(picture.shape, values.shape, strict=True)
            )
            made.append(ndimage.gaussian_filter(values[np.ix_(y, x)], 2.0))
        return np.stack(made)

    return maps


def by_pca(left: np.ndarray):
    """The residual of squares of 16 pixels on their 32 main axes."""
    cut = windows(left, 16, 2).reshape(-1, 256)
    pca = PCA(32, random_state=0).fit(cut)
    residual = lambda rows: np.square(rows - pca.inverse_transform(pca.transform(rows))).mean(1)  # noqa: E731
    return by_windows(residual, 16, 2)


def by_nearest(left: np.ndarray):
    """The distance of squares of 8 pixels to the nearest of 4,000 of the left half."""
    cut = windows(left, 8, 1).reshape(-1, 64)
    chosen = np.random.default_rng(0).choice(len(cut), 4_000, replace=False)
    nearest = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(cut[chosen])
    return by_windows(lambda rows: nearest.kneighbors(rows)[0][:, 0], 8, 4)


# ---- figures ----


def seam(anomaly_map: np.ndarray, stride: int) -> float:
    """Return how large steps are where tiles begin, over those elsewhere; 1 is no seam."""
    found = []
    for axis in (0, 1):
        steps = np.abs(np.diff(anomaly_map, axis=axis)).mean(axis=1 - axis)
        border = (np.arange(len(steps)) + 1) % stride == 0
        found.append(steps[border].mean() / steps[~border].mean())
    return float(np.mean(found))


def of_seams(data: str, model, surface: np.ndarray) -> list[Figure]:
    """Return the seams of a normal surface: of overlapping tiles, and of tiles side by side."""
    picture, localize = surface[..., None], model.endpoint("localize")
    apart = tiled(
        picture, lambda x: localize(image=x)["anomaly_map"][..., None], (SIZE, SIZE), overlap=0.0
    )
    blended = located(model, surface).anomaly_map
    named = "step of the map where tiles begin, over steps elsewhere"
    return [
        Figure(data, named, "tiles that overlap, blended", True, [seam(blended, SIZE // 2)], "1"),
        Figure(data, named, "tiles side by side", False, [seam(apart[..., 0], SIZE)]),
    ]


def figures_of(rows: dict) -> list[Figure]:
    """Return each texture's value of each figure and method; the mean once all are measured."""
    made = []
    for (figure, method), by_texture in rows.items():
        ours, goal = method == OURS, GOALS.get(figure, "") if method == OURS else ""
        if len(by_texture) == len(NAMES):
            made.append(Figure(ALL, figure, method, ours, list(by_texture.values()), goal))
        made += [Figure(name, figure, method, ours, [v]) for name, v in by_texture.items()]
    return made


def in_a_process(bundle: Path, picture: Path, out: Path) -> tuple[float, float]:
    """Run `aezoo detect run`; return its highest memory in MB and its time in seconds."""
    code = (  # VmHWM is of this process alone; ru_maxrss starts with what the parent held
        "import re, sys; from aezoo.export import detect; print(detect(*sys.argv[1:])); "
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
    )
    began = time.perf_counter()
    command = [sys.executable, "-c", code, str(bundle), str(picture), str(out)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    print(said, flush=True)
    return int(said.split()[-1]) / 1024, time.perf_counter() - began


def of_large_pictures(bundle: Path, surface: np.ndarray, folder: Path) -> list[Figure]:
    """Return memory and time of a picture of 4096x4096, and of a smaller one."""
    figures = []
    for side, ours in ((4096, True), (512, False)):
        across = -(-side // surface.shape[1])
        mirrored = np.concatenate([surface, surface[:, ::-1]] * across, axis=1)
        mirrored = np.concatenate([mirrored, mirrored[::-1]] * -(-side // len(surface)))
        picture = folder / f"{side}.png"
        Image.fromarray(mirrored[:side, :side]).save(picture)
        memory, seconds = in_a_process(bundle, picture, folder / f"found_{side}")
        name = f"aezoo detect run, {side}x{side}"
        goal = "bounded" if ours else ""
        figures.append(Figure("gravel", "highest memory in MB", name, ours, [memory], goal))
        figures.append(Figure("gravel", "seconds, on a busy machine", name, ours, [seconds]))
    return figures


def picture_of(shown: list[tuple], path: Path) -> None:
    """Draw each texture's first picture, its defects, its map, and what was marked."""
    figure = new_figure(9.6, 4.9 * len(shown))
    grid = figure.subplots(len(shown), 4, squeeze=False)
    for line, (name, spoilt, kinds, found) in zip(grid, shown, strict=True):
        with tempfile.TemporaryDirectory() as folder:
            marked = np.asarray(Image.open(draw(spoilt[..., None], found, Path(folder) / "a.png")))
        panels = (spoilt, kinds > 0, np.minimum(found.anomaly_map, 2), marked)
        for axes, panel in zip(line, panels, strict=True):
            bare(axes)
            axes.imshow(panel, cmap="inferno" if panel is panels[2] else "gray")
        for axes, title in zip(line, (name, "its defects", "map", "marked"), strict=True):
            axes.set_title(title, fontsize=9, loc="left")
    write_png(figure, path)


def of_texture(data: str, method: str, maps, kinds) -> dict[str, float]:
    """Return the figures of one method on one texture; by kind of defect, too, where ours."""
    found = {"pixel AUROC": pixel_auroc(kinds > 0, maps), "AUPRO, limit .3": aupro(kinds > 0, maps)}
    for number, kind in enumerate(KINDS if method == OURS else (), start=1):
        normal, odd = maps[kinds == 0], maps[kinds == number]
        truth = np.repeat([0, 1], [len(normal), len(odd)])
        found[f"pixel AUROC, {kind} alone"] = roc_auc_score(truth, np.concatenate([normal, odd]))
    print(data, method, {name: round(value, 4) for name, value in found.items()}, flush=True)
    return found


def main() -> None:
    """Train, measure, write table and picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    args = parser.parse_args()
    command = f"python benchmarks/textures.py --epochs {args.epochs}"
    root = Path(os.environ.get("AEZOO_DATA", ".")) / "textures"
    textures = {n: np.asarray(Image.open(root / f"{n}.png").convert("L")) for n in NAMES}
    rows, shown, extra = defaultdict(dict), [], []  # rows: (figure, method) -> texture -> value
    spoilt = {}
    with tempfile.TemporaryDirectory(prefix="textures-") as folder:
        for name, texture in textures.items():
            left, right = texture[:, :256], texture[:, 256:]
            foreign = [other[:, 256:] for key, other in textures.items() if key != name]
            pictures, kinds = spoilt[name] = spoiled(right, foreign, PICTURES, DEFECTS, seed=1)
            place = Path(folder) / name
            model = train("draem", left, place, epochs=args.epochs)
            methods = {
                OURS: by_model(model),
                "residual of PCA of 16x16 patches": by_pca(left),
                "distance to the nearest 8x8 patch": by_nearest(left),
            }
            for method, maps_of in methods.items():
                maps = maps_of(pictures)
                for figure, value in of_texture(name, method, maps, kinds).items():
                    rows[figure, method][name] = value
            extra += of_seams(name, model, right)
            shown.append((name, pictures[0], kinds[0], located(model, pictures[0])))
            picture_of(shown, Path("results/textures.png"))
            write("localisation", [*figures_of(rows), *extra], command)
        aezoo.export_bundle(model, place / "bundle")
        extra += of_large_pictures(place / "bundle", right, place)
        write("localisation", [*figures_of(rows), *extra], command)
        for name, (pictures, kinds) in spoilt.items():
            left, place = textures[name][:, :256], Path(folder) / f"{name}_conv_ae"
            maps = by_model(train("conv_ae", left, place, epochs=2, filters=(16, 32)))(pictures)
            for figure, value in of_texture(name, PLAIN, maps, kinds).items():
                rows[figure, PLAIN][name] = value
        write("localisation", [*figures_of(rows), *extra], command)


if __name__ == "__main__":
    main()
