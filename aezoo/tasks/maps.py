"""Pictures of what a code holds: maps of rows, walks along its axes, ways between rows.

    place(codes, "umap")                  # (N, 2): also pca and tsne
    along(codes, axis, steps)             # codes from the 1st to the 99th percentile of an axis
    between(start, end, steps, "spherical")

`draw` asks a fitted model or a bundle and writes all of them and a page.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from aezoo import report
from aezoo.data import DataSet
from aezoo.data.arrays import as_modality
from aezoo.errors import ZooError, closest_match, require_known
from aezoo.names import MAPS
from aezoo.spread import evenly
from aezoo.tasks import map_pictures
from aezoo.tasks.manifold import has_umap, umap_of

_TITLES = {"pca": "Principal axes", "tsne": "t-SNE", "umap": "UMAP"}
_STEPS, _AXES, _PAIRS = 11, 10, 4  # of pictures in a walk, of walks, of pairs of rows
_FEW = 200  # rows
_OWN_AXES = 16  # code numbers up to which each is walked along; wider codes have main axes


def place(codes: np.ndarray, kind: str = "pca", seed: int = 0) -> np.ndarray:
    """Return where rows lie on a flat map, (N, 2).

    Args:
        codes: (N, D), at least 4 rows.
        kind: `pca`, `tsne`, or `umap`, which needs umap-learn.
        seed: Of the layout.

    Raises:
        ZooError: For an unknown kind, too few rows, or without umap-learn.

    Example:
        >>> place(np.random.default_rng(0).normal(size=(20, 5))).shape
        (20, 2)
    """
    require_known("map", kind, MAPS)
    flat = np.asarray(codes, "float32").reshape(len(codes), -1)
    if len(flat) < 4:
        raise ZooError("A map needs 4 rows at least.", received=f"{len(flat)} rows")
    if kind == "umap":
        return umap_of(flat, seed=seed)
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if kind == "pca":
        axes = PCA(min(2, flat.shape[1]), random_state=seed).fit_transform(flat)
        return np.pad(axes, ((0, 0), (0, 2 - axes.shape[1])))  # a code of one number has one axis
    perplexity = min(30.0, (len(flat) - 1) / 3)
    how = "exact" if len(flat) <= _FEW else "barnes_hut"  # whose threads few rows keep waiting
    settings = {"perplexity": perplexity, "init": "random", "method": how, "random_state": seed}
    return TSNE(**settings).fit_transform(flat)


def along(codes: np.ndarray, direction: np.ndarray, steps: int, base: np.ndarray) -> np.ndarray:
    """Return codes along a direction through `base`, as far as 98 % of rows go, (steps, D).

    Args:
        codes: (N, D).
        direction: (D,), of length 1.
        steps: How many.
        base: (D,), where the way passes; its own place on the direction is given up.

    Example:
        >>> codes = np.array([[0.0, 5.0], [10.0, 7.0]])
        >>> along(codes, np.array([1.0, 0.0]), 3, codes[0]).round(1).tolist()
        [[0.1, 5.0], [5.0, 5.0], [9.9, 5.0]]
    """
    places = codes @ direction
    values = np.linspace(*np.quantile(places, [0.01, 0.99]), steps)
    return base + (values - base @ direction)[:, None] * direction


def between(start: np.ndarray, end: np.ndarray, steps: int, kind: str = "linear") -> np.ndarray:
    """Return codes from one to another, both included, (steps, D).

    Args:
        start: (D,).
        end: (D,).
        steps: 2 at least.
        kind: `linear`, or `spherical`, along the great circle, the length changing evenly: draws
            of a Gaussian prior lie near a sphere, and a straight line leaves it.

    Raises:
        ZooError: For an unknown kind.

    Example:
        >>> between(np.array([2.0, 0.0]), np.array([0.0, 2.0]), 3, "spherical").round(3).tolist()
        [[2.0, 0.0], [1.414, 1.414], [0.0, 2.0]]
    """
    require_known("way between codes", kind, ("linear", "spherical"))
    t = np.linspace(0.0, 1.0, steps)[:, None]
    lengths = np.linalg.norm(start), np.linalg.norm(end)
    straight = (1 - t) * start + t * end
    if kind == "linear" or min(lengths) < 1e-12:
        return straight
    a, b = start / lengths[0], end / lengths[1]
    angle = np.arccos(np.clip(a @ b, -1.0, 1.0))
    if np.sin(angle) < 1e-6:  # on one line: no circle is the greatest
        return straight
    turned = (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)
    return ((1 - t) * lengths[0] + t * lengths[1]) * turned


# ---- all of them, of a model ----


@dataclasses.dataclass(frozen=True)
class Mapped:
    """What `draw` made.

    Attributes:
        folder: With the pictures and report.html.
        places: Kind of map -> (N, 2).
        codes: (N, D).
        colours: What rows are coloured by: `class`, `cluster` or nothing.
    """

    folder: Path
    places: dict[str, np.ndarray]
    codes: np.ndarray
    colours: str


def draw(
    model: Any,
    data: DataSet,
    out: str | Path,
    *,
    kinds: tuple[str, ...] | None = None,
    rows: int = 2000,
    colour: str | None = None,
    seed: int = 0,
) -> Mapped:
    """Draw the maps, walks and ways of a model's code, and a page with them.

    Args:
        model: A fitted model of the zoo, or a bundle, with an endpoint `encode`.
        data: Whose test rows are shown, or training rows where there are none.
        out: The folder to write; what stands there under these names is replaced.
        kinds: Of maps; None draws all that can be.
        rows: At most so many, an even spread.
        colour: `class` or `cluster`; None takes the classes where rows have some, else the
            clusters where the model tells them.
        seed: Of the layouts and of which rows ways lead between.

    Raises:
        ZooError: If the model has no codes, or cannot colour rows as asked.
    """
    out, ask = Path(out), _Asked(model)
    chosen = data.test if data.test is not None else data.train
    chosen = chosen.take(evenly(len(chosen), rows))
    x = as_modality(chosen.array(), ask.input_name)
    codes = ask("encode", **{ask.input_name: x})["latent"]
    flat = codes.reshape(len(codes), -1).astype("float64")
    groups, names, colour = _groups(ask, data, chosen, x, colour)
    if kinds is None:
        kinds = MAPS if has_umap() else MAPS[:2]
    places = {kind: place(flat, kind, seed) for kind in kinds}
    sections = [("", [report.paragraph(_lead(ask, data, len(x), colour), lead=True)])]
    pictures = x if ask.input_name == "image" else None
    for kind, where in reversed(places.items()):
        path = map_pictures.scatter(where, pictures, groups, names, out / f"{kind}.png")
        sections.append((_TITLES[kind], [report.picture(path, _caption(kind, colour))]))
    if ask.decodes and ask.input_name in ("image", "series"):
        decode = _decoder(ask, codes.shape[1:])
        sections += _walks(decode, flat, out, ask.input_name)
        sections += _ways(decode, flat, x, groups, out, ask.input_name, seed)
    else:
        text = "The model has no endpoint `decode` of codes alone, or its rows are no pictures."
        sections.append(("Walks", [report.paragraph(text)]))
    report.write(out / "report.html", f"The code of {ask.name}", sections)
    return Mapped(out, places, flat, colour)


class _Asked:
    """A model or a bundle, asked alike."""

    def __init__(self, model):
        self.model = model
        bundle = hasattr(model, "manifest")
        specs = {spec.name: spec for spec in model.endpoints}
        if "encode" not in specs:
            raise ZooError("The model has no codes.", do="Take one with an endpoint `encode`.")
        self.endpoints = set(specs)
        self.input_name = specs["encode"].inputs[0].name
        self.name = Path(model.path).name if bundle else model.name
        self.decodes = "decode" in specs and len(specs["decode"].inputs) == 1
        self.bundle = bundle

    def __call__(self, endpoint: str, /, **arrays) -> dict[str, np.ndarray]:
        if self.bundle:
            return self.model.predict(endpoint, **arrays)
        return self.model.endpoint(endpoint)(**arrays)


def _groups(ask: _Asked, data: DataSet, rows, x: np.ndarray, colour: str | None):
    """Return a number per row or None, what the numbers are called, and what they are."""
    if colour not in (None, "class", "cluster"):
        raise ZooError(
            "Rows are coloured by class or by cluster.",
            received=colour,
            closest=closest_match(str(colour), ("class", "cluster")),
        )
    if colour == "class" and rows.labels is None:
        raise ZooError("The rows have no classes.", do="Leave --colour out.")
    if colour == "cluster" and "cluster" not in ask.endpoints:
        raise ZooError(
            "The model tells no clusters.", do="Make one that does: aezoo cluster DATA --out DIR."
        )
    if colour != "cluster" and rows.labels is not None:
        known = data.class_names or {}
        return rows.labels, {int(n): str(known.get(n, n)) for n in np.unique(rows.labels)}, "class"
    if "cluster" in ask.endpoints:
        found = ask("cluster", **{ask.input_name: x})["cluster"][:, 0]
        return found, {int(n): str(n) for n in np.unique(found)}, "cluster"
    return None, {}, ""


def _lead(ask: _Asked, data: DataSet, count: int, colour: str) -> str:
    coloured = f", coloured by {colour}" if colour else ""
    return f"{count:,} rows of {data.name}{coloured}, by their codes."


def _caption(kind: str, colour: str) -> str:
    told = {
        "pca": "The two directions in which codes differ most.",
        "tsne": "Rows whose codes are near each other are near; distances between groups tell "
        "nothing.",
        "umap": "Rows whose codes are near each other are near; distances between groups tell "
        "little.",
    }
    return f"{told[kind]} Colour is the {colour}." if colour else told[kind]


def _decoder(ask: _Asked, shape: tuple[int, ...]) -> Callable[[np.ndarray], np.ndarray]:
    def decode(codes: np.ndarray) -> np.ndarray:
        asked = codes.reshape(len(codes), *shape).astype("float32")
        return ask("decode", latent=asked)["reconstruction"]

    return decode


def _walks(decode, codes: np.ndarray, out: Path, modality: str) -> list:
    """Return the section of walks along the axes, those that vary most first."""
    size = codes.shape[1]
    spread = codes.var(axis=0)
    if size <= _OWN_AXES:
        order = np.argsort(-spread, kind="stable")[:_AXES]
        directions, named = np.eye(size)[order], [f"number {i}" for i in order]
    else:
        from sklearn.decomposition import PCA

        fitted = PCA(min(_AXES, *codes.shape), random_state=0).fit(codes)
        directions = fitted.components_
        named = [f"{share:.0%}" for share in fitted.explained_variance_ratio_]
    base = codes[np.argmin(np.square(codes - codes.mean(axis=0)).sum(axis=1))]
    walks = [decode(along(codes, direction, _STEPS, base)) for direction in directions]
    path = map_pictures.lines(walks, named, out / "walks.png", modality)
    what = "number of the code" if size <= _OWN_AXES else "main axis of the codes"
    caption = (
        f"Each line changes one {what}, from its 1st to its 99th percentile, and leaves the others "
        "as they are in the row nearest to the mean."
    )
    return [("Walks through the code", [report.picture(path, caption)])]


def _ways(decode, codes, x, groups, out: Path, modality: str, seed: int) -> list:
    """Return the section of ways between rows, of different groups where there are groups."""
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(100):
        i, j = rng.choice(len(codes), 2, replace=False)
        if groups is None or len(np.unique(groups)) < 2 or groups[i] != groups[j]:
            pairs.append((i, j))
        if len(pairs) == _PAIRS:
            break
    drawn, named = [], []
    for i, j in pairs:
        for kind in ("linear", "spherical"):
            way = decode(between(codes[i], codes[j], _STEPS, kind))
            drawn.append(np.concatenate([x[i : i + 1], way, x[j : j + 1]]))
            named.append(kind)
    path = map_pictures.lines(drawn, named, out / "ways.png", modality, ends=True)
    caption = "From row to row: the first and the last picture of a line are rows as they are."
    return [("Between rows", [report.picture(path, caption)])]
