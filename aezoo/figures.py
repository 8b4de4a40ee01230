"""Pictures of a model and its training; each function writes one PNG, whole or not at all."""

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.ticker import MaxNLocator

from aezoo.drawing import (
    ACCENT,
    INK,
    MUTED,
    as_picture,
    bare,
    name_row,
    new_figure,
    plain,
    write_png,
)
from aezoo.spread import evenly

SHOWN = 8  # examples in a row of pictures
_LINES = 10  # labels whose pictures are shown


def loss_curves(history: list[dict], path: Path) -> Path:
    """Draw each loss term by epoch, training and validation, the best epoch marked.

    Args:
        history: One dict per epoch: `epoch`, `loss`, other terms, and `val_` twins.
        path: The PNG to write.
    """
    terms = [
        name
        for name in history[0]
        if name.endswith("loss") and not name.startswith("val_") and name != "loss"
    ]
    duplicate = len(terms) == 1  # the only term is the loss
    terms = ["loss"] if duplicate else ["loss", *terms]
    figure = new_figure(3.6 * len(terms), 2.9)
    epochs = [row["epoch"] for row in history]
    for axes, term in zip(figure.subplots(1, len(terms), squeeze=False)[0], terms, strict=True):
        axes.plot(epochs, [row[term] for row in history], color=MUTED, label="training")
        if f"val_{term}" in history[0]:
            values = [row[f"val_{term}"] for row in history]
            axes.plot(epochs, values, color=ACCENT, label="validation")
            if term == "loss":
                best = int(np.argmin(values))
                axes.plot(epochs[best], values[best], "o", color=ACCENT, markersize=5)
                axes.annotate(
                    f"{values[best]:.4g}",
                    (epochs[best], values[best]),
                    xytext=(0, 8),
                    textcoords="offset points",
                    ha="center",
                    fontsize=8,
                    color=ACCENT,
                )
        axes.set_title(term.replace("_", " "), fontsize=10, color=INK, loc="left")
        axes.set_xlabel("epoch", fontsize=8, color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False, fontsize=8)
        plain(axes)
    return write_png(figure, path)


def picture_rows(rows: dict[str, np.ndarray], path: Path, heat: tuple[str, ...] = ()) -> Path:
    """Draw rows of pictures under each other, one column per example.

    Args:
        rows: Label to pictures, (N, H, W, C) in user units, or maps (N, H, W) named in `heat`.
        path: The PNG to write.
        heat: The labels whose rows are error maps; they share one colour scale.
    """
    columns = min(SHOWN, *(len(values) for values in rows.values()))
    figure = new_figure(1.05 * columns + 1.0, 1.1 * len(rows))
    lines = figure.subplots(len(rows), squeeze=False)[:, 0]
    for axes, (label, values) in zip(lines, rows.items(), strict=True):
        if label in heat:
            top = float(np.quantile(values[:columns], 0.995))
            axes.imshow(_side_by_side(values[:columns]), cmap="magma", vmin=0, vmax=max(top, 1e-9))
        else:
            shown = [as_picture(value) for value in values[:columns]]
            axes.imshow(_side_by_side(shown), cmap="gray", vmin=0, vmax=1)
        bare(axes)
        name_row(axes, label)
    return write_png(figure, path)


def _side_by_side(pictures) -> np.ndarray:
    """Return one picture of many, (H, W, ...) each: an axes for each takes far longer to draw."""
    gap = max(1, round(0.05 * pictures[0].shape[1]))
    beside = ((0, 0), (0, gap), *((0, 0) for _ in pictures[0].shape[2:]))
    white = 1.0 if pictures[0].ndim == 3 else np.nan  # no colour of any map
    padded = [np.pad(np.asarray(p, "float32"), beside, constant_values=white) for p in pictures]
    return np.concatenate(padded, axis=1)[:, :-gap]


def series_rows(series: np.ndarray, reconstruction: np.ndarray, path: Path) -> Path:
    """Draw series and reconstructions over each other, the difference shaded, (N, T, C)."""
    columns = min(4, len(series))
    figure = new_figure(2.6 * columns, 2.4)
    for axes, x, y in zip(
        figure.subplots(1, columns, squeeze=False)[0], series, reconstruction, strict=False
    ):
        for channel in range(min(3, x.shape[-1])):
            axes.plot(x[:, channel], color=INK, linewidth=1.0)
            axes.plot(y[:, channel], color=ACCENT, linewidth=1.2)
            axes.fill_between(
                np.arange(len(x)), x[:, channel], y[:, channel], color=ACCENT, alpha=0.15
            )
        plain(axes)
    figure.suptitle("input (dark) and reconstruction (green)", fontsize=9, color=INK)
    return write_png(figure, path)


def feature_rows(features: np.ndarray, reconstruction: np.ndarray, path: Path) -> Path:
    """Draw table rows against their reconstructions, one dot per value, (N, F)."""
    figure = new_figure(3.2, 3.0)
    axes = figure.subplots()
    low, high = float(features.min()), float(features.max())
    axes.plot([low, high], [low, high], color=MUTED, linewidth=0.8)
    axes.scatter(features.ravel(), reconstruction.ravel(), s=4, color=ACCENT, alpha=0.4)
    axes.set_xlabel("value", fontsize=8, color=INK)
    axes.set_ylabel("reconstruction", fontsize=8, color=INK)
    plain(axes)
    return write_png(figure, path)


def mask_rows(
    images: np.ndarray, mask: np.ndarray, path: Path, truth: np.ndarray | None = None
) -> Path:
    """Draw pictures with their masks laid over them, (N, H, W, C) and integer (N, H, W)."""
    masks = {"truth": truth} if truth is not None else {}
    masks["prediction"] = mask
    columns = min(6, len(images))
    figure = new_figure(1.5 * columns + 1.0, 1.5 * (1 + len(masks)))
    grid = figure.subplots(1 + len(masks), columns, squeeze=False)
    for line, label in zip(grid, ["image", *masks], strict=True):
        for column, axes in enumerate(line):
            axes.imshow(as_picture(images[column]), cmap="gray", vmin=0, vmax=1)
            if label != "image":
                layer = np.squeeze(masks[label][column])
                axes.imshow(np.ma.masked_equal(layer, 0), cmap="Set1", vmin=1, vmax=9, alpha=0.55)
            bare(axes)
        name_row(line[0], label)
    return write_png(figure, path)


def latent_map(
    codes: np.ndarray,
    path: Path,
    labels: np.ndarray | None = None,
    class_names: dict[int, str] | None = None,
    pictures: np.ndarray | None = None,
) -> Path:
    """Draw codes in two dimensions, coloured by label, some as thumbnails.

    Args:
        codes: (N, ...); codes of more than two numbers are projected on their two main axes.
        path: The PNG to write.
        labels: (N,), for the colours.
        class_names: From label to name.
        pictures: (N, H, W, C) in user units, for thumbnails.
    """
    flat = np.asarray(codes).reshape(len(codes), -1)
    title = "codes"
    if flat.shape[1] > 2:
        from sklearn.decomposition import PCA

        projection = PCA(2, random_state=0).fit(flat)
        share = projection.explained_variance_ratio_.sum()
        title = f"codes of {flat.shape[1]} numbers on their two main axes ({share:.0%} of variance)"
        flat = projection.transform(flat)
    elif flat.shape[1] == 1:
        flat = np.column_stack([flat[:, 0], np.zeros(len(flat))])
    figure = new_figure(6.4, 5.0)
    axes = figure.subplots()
    if labels is None:
        axes.scatter(flat[:, 0], flat[:, 1], s=8, color=ACCENT, alpha=0.7)
    else:
        colours = colormaps["tab10"] if len(np.unique(labels)) <= 10 else colormaps["tab20"]
        for number, label in enumerate(np.unique(labels)):
            chosen = flat[labels == label]
            name = (class_names or {}).get(int(label), str(label))
            colour = colours(number % colours.N)
            axes.scatter(chosen[:, 0], chosen[:, 1], s=10, color=colour, alpha=0.7, label=name)
        figure.legend(frameon=False, fontsize=8, loc="outside right upper", markerscale=1.6)
    if pictures is not None:
        _thumbnails(axes, flat, pictures)
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    plain(axes)
    return write_png(figure, path)


def generated(model, path: Path) -> Path:
    """Draw new pictures of a model with a `generate` endpoint, a line for each of its labels."""
    endpoint = model.endpoint("generate")
    rng = np.random.default_rng(0)
    drawn = {
        t.name: rng.integers(int(t.low), int(t.high), (SHOWN, *t.shape), t.dtype, endpoint=True)
        if t.dtype == "int32"
        else rng.standard_normal((SHOWN, *t.shape)).astype("float32")
        for t in endpoint.spec.inputs
    }
    labels = [t for t in endpoint.spec.inputs if t.name == "label"]
    if not labels:
        return picture_rows({"generated": endpoint(**drawn)["image"]}, path)
    count = min(int(labels[0].high) + 1, _LINES)
    lines = {
        str(label): endpoint(**drawn | {"label": np.full((SHOWN, 1), label)})["image"]
        for label in range(count)
    }
    return picture_rows(lines, path)


def _thumbnails(axes, points: np.ndarray, pictures: np.ndarray, count: int = 40) -> None:
    """Put pictures on the map, spread out: each far from those already there."""
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    scaled = (points - points.min(0)) / np.maximum(np.ptp(points, axis=0), 1e-9)
    chosen = [int(np.argmin(((scaled - 0.5) ** 2).sum(1)))]
    distance = ((scaled - scaled[chosen[0]]) ** 2).sum(1)
    while len(chosen) < min(count, len(points)) and distance.max() > 0.004:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, ((scaled - scaled[chosen[-1]]) ** 2).sum(1))
    for index in chosen:
        picture = as_picture(pictures[index])
        box = OffsetImage(picture, zoom=18.0 / max(picture.shape[:2]), cmap="gray")
        axes.add_artist(
            AnnotationBbox(box, points[index], pad=0.1, bboxprops={"edgecolor": MUTED, "lw": 0.4})
        )


def of_model(
    model, rows, folder: Path, class_names: dict[int, str] | None = None
) -> dict[str, Path]:
    """Draw what a model does to some rows of a data set, as fits its endpoints.

    Args:
        model: A fitted model.
        rows: `aezoo.data.Rows`, in user units.
        folder: Where the PNGs go.
        class_names: From label to name, for the map of codes.

    Returns:
        Name to path.
    """
    first = model.endpoints[0]
    some = rows.take(evenly(len(rows), SHOWN))
    x, asked = some.array(), model.inputs_of(some)
    if first.name == "segment":
        mask = model.endpoint("segment")(image=x)["mask"]
        return {"masks": mask_rows(x, mask, folder / "masks.png", some.targets)}
    name, made = model.input_name, {}
    if name == "image" and "generate" in {spec.name for spec in model.endpoints}:
        made["generated"] = generated(model, folder / "generated.png")
    known = {t.name for t in first.inputs} <= set(asked)
    if first.name != "reconstruct" or not known or name == "tokens":
        return made
    answer = model.endpoint("reconstruct")(**asked)["reconstruction"]
    if name == "image":
        errors = model.endpoint("score")(**asked)["error_map"]
        made["reconstructions"] = picture_rows(
            {"input": x, "reconstruction": answer, "error": errors},
            folder / "reconstructions.png",
            heat=("error",),
        )
    elif name == "series":
        made["reconstructions"] = series_rows(x, answer, folder / "reconstructions.png")
    else:
        made["reconstructions"] = feature_rows(x, answer, folder / "reconstructions.png")
    mapped = rows.take(np.arange(min(len(rows), 2000)))
    if len(mapped) > 2:
        shown = model.inputs_of(mapped)
        pictures = shown[name]
        codes = model.endpoint("encode")(**shown)["latent"]
        made["latent_map"] = latent_map(
            codes,
            folder / "latent_map.png",
            mapped.labels,
            class_names,
            pictures=pictures if name == "image" else None,
        )
    return made
