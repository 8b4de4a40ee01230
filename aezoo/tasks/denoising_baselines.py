"""What scikit-image removes of noise: filters tuned on training pictures, told how strong it is.

scikit-image is no dependency of the library: without it there are no baselines.
"""

import functools
import importlib.util
import itertools
from collections.abc import Callable

import numpy as np

from aezoo import metrics
from aezoo.tasks.restoring import with_noise

Filter = Callable[[np.ndarray], np.ndarray]  # one picture (H, W, C), uint8 -> the same
MISSING = (
    "Baselines are left out: they need scikit-image and PyWavelets, `pip install aezoo[test]`."
)

# The settings tried; noise levels are shares of the true one.
_GRIDS = {
    "bilateral filter": {"sigma_color": (1.0, 2.0, 4.0), "sigma_spatial": (1.0, 2.0, 3.0)},
    "non-local means": {
        "h": (0.4, 0.6, 0.8, 1.0),
        "patch_size": (5, 7),
        "fast_mode": (True, False),
    },
    "wavelets": {"method": ("BayesShrink", "VisuShrink"), "share": (0.5, 0.75, 1.0)},
}


def available() -> bool:
    """Whether scikit-image and what its wavelets need are installed."""
    return all(importlib.util.find_spec(name) for name in ("skimage", "pywt"))


def tuned(pictures: list[np.ndarray], sigma: float, seed: int = 0) -> dict[str, Filter]:
    """Return the filters with the settings of the highest mean PSNR on noisy pictures.

    Args:
        pictures: Clean training pictures or parts of them, (H, W, C), uint8.
        sigma: Standard deviation of the noise, of 255; the filters are told it.
        seed: Of the noise.
    """
    noisy = [with_noise(picture, sigma, (seed, i)) for i, picture in enumerate(pictures)]
    chosen = {}
    for name, grid in _GRIDS.items():
        tried = [
            functools.partial(
                _filtered, kind=name, sigma=sigma, settings=dict(zip(grid, values, strict=True))
            )
            for values in itertools.product(*grid.values())
        ]
        chosen[name] = max(tried, key=lambda one: _mean_psnr(pictures, map(one, noisy)))
    return chosen


def _mean_psnr(clean, answers) -> float:
    pairs = zip(clean, answers, strict=True)
    return float(np.mean([metrics.psnr(c[None] / 255, a[None] / 255)[0] for c, a in pairs]))


def _filtered(picture: np.ndarray, *, kind: str, sigma: float, settings: dict) -> np.ndarray:
    """Return a filtered picture, uint8."""
    from skimage import restoration

    x, s = picture.astype("float32") / 255, sigma / 255
    match kind:
        case "bilateral filter":
            color = settings["sigma_color"] * s
            spatial = settings["sigma_spatial"]
            x = restoration.denoise_bilateral(x, None, color, spatial, channel_axis=-1)
        case "non-local means":
            settings = settings | {"h": settings["h"] * s, "sigma": s, "patch_distance": 6}
            x = restoration.denoise_nl_means(x, channel_axis=-1, **settings)
        case _:
            x = restoration.denoise_wavelet(
                x,
                settings["share"] * s,
                method=settings["method"],
                convert2ycbcr=x.shape[-1] == 3,
                rescale_sigma=True,
                channel_axis=-1,
            )
    return np.clip(np.round(x * 255), 0, 255).astype("uint8")
