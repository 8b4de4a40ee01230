"""Where surfaces are odd: scratches, stains and pasted pieces in brick, grass and gravel.

    python benchmarks/textures.py                # results/tasks/localisation.csv, results/textures.png

Each texture is a grey picture of 512x512. Its left half trains, as squares of 64 pixels; defects of
known masks are drawn into its right half, which is answered by tiles. The model learns from defects
of its own making, which are of other shapes (blobs and curves cut out of noise, polygons) and of
other fillings (noise, waves, cells, the left half itself). Nothing was chosen by the right half:
what was chosen was so by columns 192 to 255, with models trained on columns 0 to 191.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

SIZE = 64  # pixels a side, of what the model sees
KINDS = ("scratch", "stain", "paste")
NAMES = ("brick", "grass", "gravel")


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
    places = [(i, j) for i in range(surface.shape[0] // SIZE) for j in range(surface.shape[1] // SIZE)]
    for picture, kind in zip(pictures, kinds, strict=True):
        for number, chosen in enumerate(rng.permutation(len(places))[:defects]):
            i, j = places[chosen]
            square = np.s_[SIZE * i : SIZE * (i + 1), SIZE * j : SIZE * (j + 1)]
            which = number % len(KINDS)
            picture[square], mask = defect(picture[square], foreign, surface, KINDS[which], rng)
            kind[square][mask] = which + 1
    return pictures, kinds
