"""Where a picture is odd, in its own pixels: by tiles, whatever its size; drawn, and measured.

found = locate(picture, lambda tiles: model.endpoint("localize")(image=tiles), (64, 64))
found.places, found.mask            # boxes, the oddest first; what is above 1
pixel_auroc(masks, maps), aupro(masks, maps)
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from aezoo.drawing import ALARM
from aezoo.errors import ZooError
from aezoo.files import whole_file
from aezoo.tasks.places import Place, find_places
from aezoo.tiles import tiled

OVERLAP = 0.5  # of tiles: four answers for each pixel, blended
BOXES = 100  # in a picture, the oddest first
_LARGEST = 2048  # pixels a side of a drawing


@dataclasses.dataclass(frozen=True)
class Located:
    """Where a picture is odd.

    Attributes:
        anomaly_map: (H, W) float32; above 1 it is odd.
        places: The connected places above 1, the oddest first.
    """

    anomaly_map: np.ndarray
    places: list[Place]

    @property
    def mask(self) -> np.ndarray:
        """What is odd, booleans (H, W)."""
        return np.asarray(self.anomaly_map > 1)


def locate(
    picture: np.ndarray,
    localize: Callable[[np.ndarray], dict[str, np.ndarray]],
    size: tuple[int, int],
    out: np.ndarray | None = None,
) -> Located:
    """Find where a picture of any size is odd, by overlapping tiles that leave no seam.

    Args:
        picture: (H, W, C) in user units, an array or a memory map.
        localize: Answers tiles (N, h, w, C) with their `anomaly_map`: a model's endpoint or a
            bundle's.
        size: Height and width of a tile: what the model takes.
        out: Where to write the map (H, W), such as a memory map; None makes an array.

    Example:
        >>> picture = np.zeros((100, 80, 1), "uint8")
        >>> picture[40:44, 10:16] = 255
        >>> bright = lambda tiles: {"anomaly_map": tiles[..., 0] / 100.0}
        >>> [place.text() for place in locate(picture, bright, (32, 32)).places]
        ['x 10-15, y 40-43']
    """

    def answer(tiles: np.ndarray) -> np.ndarray:
        found = np.nan_to_num(localize(tiles)["anomaly_map"], nan=np.inf)
        return np.clip(found, 0.0, 1e6)[..., None]

    written = tiled(
        picture, answer, size, overlap=OVERLAP, out=None if out is None else out[..., None]
    )
    anomaly_map = written[..., 0]
    odd = float(anomaly_map.max()) > 1
    return Located(anomaly_map, find_places(anomaly_map, most=BOXES) if odd else [])


# ---- drawn ----


def write_mask(found: Located, path: Path) -> Path:
    """Write what is odd as a PNG of the picture's size: 255 where it is, else 0."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        Image.fromarray(found.mask.astype("uint8") * 255).save(part, format="PNG")
    return path


def draw(picture: np.ndarray, found: Located, path: Path) -> Path:
    """Write a PNG of the picture with contours of what is odd, and boxes around it.

    Pictures above 2,048 pixels a side are drawn smaller.

    Args:
        picture: (H, W, C) uint8, of one channel or three.
        found: What `locate` found of it.
        path: The PNG to write.
    """
    factor = -(-max(picture.shape[:2]) // _LARGEST)
    canvas = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
    canvas = (canvas.reduce(factor) if factor > 1 else canvas).convert("RGB")
    mask = _shrunk(found.mask, factor)
    contour = ndimage.binary_dilation(mask) & ~mask
    canvas.paste(ALARM, mask=Image.fromarray(contour.astype("uint8") * 255))
    pen = ImageDraw.Draw(canvas)
    for place in found.places:
        (top, left), (bottom, right) = place.start, place.stop
        box = left // factor - 3, top // factor - 3, right // factor + 2, bottom // factor + 2
        pen.rectangle(box, outline="#f59e0b")
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        canvas.save(part, format="PNG")
    return path


def _shrunk(mask: np.ndarray, factor: int) -> np.ndarray:
    """Return where any of `factor` x `factor` pixels is set."""
    height, width = mask.shape
    padded = np.pad(mask, ((0, -height % factor), (0, -width % factor)))
    return padded.reshape(len(padded) // factor, factor, -1, factor).any(axis=(1, 3))


# ---- measured ----


def pixel_auroc(masks: np.ndarray, maps: np.ndarray) -> float:
    """Return how well maps rank odd pixels above the others; 0.5 is chance, 1 the best.

    Args:
        masks: Which pixels are odd, booleans (N, H, W).
        maps: The higher, the odder, (N, H, W).

    Raises:
        ZooError: If no pixel is odd, or all are, or the shapes differ.
    """
    from sklearn.metrics import roc_auc_score

    masks, maps = _pair(masks, maps)
    return float(roc_auc_score(masks.ravel(), maps.ravel()))


def aupro(masks: np.ndarray, maps: np.ndarray, limit: float = 0.3) -> float:
    """Return the area under the per-region overlap, up to a share of false positives, from 0 to 1.

        1/limit  integral, FPR(t) from 0 to limit, of  mean over regions |region above t| / |region|

    Every connected odd region (of eight neighbours) counts alike, however small. Source: Bergmann
    et al., "The MVTec anomaly detection dataset" (2021).

    Args:
        masks: Which pixels are odd, booleans (N, H, W).
        maps: The higher, the odder, (N, H, W).
        limit: Highest share of false positives among normal pixels, above 0, at most 1.

    Raises:
        ZooError: If no pixel is odd, or all are, or the shapes differ.

    Example:
        >>> mask = np.zeros((1, 4, 4), bool)
        >>> mask[0, :2, :2] = True
        >>> aupro(mask, mask.astype("float32")), aupro(mask, 1.0 - mask)
        (1.0, 0.0)
    """
    masks, maps = _pair(masks, maps)
    if not 0 < limit <= 1:
        raise ZooError("The limit of false positives is a share.", received=limit, do="Give 0.3.")
    weights = np.zeros(maps.shape)  # of an odd pixel, 1 / (its region's size * regions)
    regions = 0
    for mask, weight in zip(masks, weights, strict=True):
        labels, count = ndimage.label(mask, np.ones((3, 3)))
        sizes = np.bincount(labels.ravel())
        weight[mask] = 1.0 / sizes[labels[mask]]
        regions += count
    order = np.argsort(-maps, axis=None, kind="stable")
    sorted_maps, normal = maps.ravel()[order], ~masks.ravel()[order]
    overlap = np.cumsum(weights.ravel()[order]) / regions
    alarms = np.cumsum(normal) / normal.sum()
    last = np.append(np.flatnonzero(np.diff(sorted_maps)), len(order) - 1)  # of equal values
    x, y = np.append(0.0, alarms[last]), np.append(0.0, overlap[last])
    inside = x <= limit
    at_limit = np.interp(limit, x, y) if not inside.all() else y[-1]
    x, y = np.append(x[inside], limit), np.append(y[inside], at_limit)
    return float(np.trapezoid(y, x) / limit)


def _pair(masks, maps) -> tuple[np.ndarray, np.ndarray]:
    masks, maps = np.asarray(masks, bool), np.asarray(maps)
    if masks.shape != maps.shape or masks.ndim != 3:
        raise ZooError(
            "Masks and maps are arrays of one shape (N, H, W).",
            received=f"{masks.shape} and {maps.shape}",
        )
    if masks.all() or not masks.any():
        raise ZooError(
            "There must be odd pixels and others.",
            received=f"{masks.mean():.0%} of the pixels are odd",
        )
    return masks, maps
