"""`aezoo map`: what a code holds, in pictures."""

from pathlib import Path
from typing import Annotated

import typer

from aezoo.commands.shell import (
    Settings,
    bold,
    overrides_of,
    require_data,
    say,
    start_tensorflow,
)
from aezoo.errors import require_known
from aezoo.files import require_paths
from aezoo.names import MAPS


def add_to(app: typer.Typer) -> None:
    """Make it a command of `aezoo`."""
    app.command(name="map")(draw_map)


def draw_map(
    source: Annotated[
        Path, typer.Argument(metavar="RUN_OR_BUNDLE", help="A run, a bundle or a .keras file.")
    ],
    data: Annotated[str, typer.Option(help="A folder of pictures, a table, an array, a name.")],
    out: Annotated[Path, typer.Option("--out", help="The folder to write.")] = Path("map"),
    kind: Annotated[
        list[str] | None, typer.Option(help="pca, tsne or umap; default: all. Repeatable.")
    ] = None,
    colour: Annotated[
        str | None, typer.Option(help="class or cluster; default: what there is.")
    ] = None,
    rows: Annotated[int, typer.Option(help="At most so many.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of the layouts.")] = 0,
    settings: Settings = None,
) -> None:
    """Draw maps of rows by their codes, walks through the code and ways between rows."""
    given = overrides_of(settings)
    for one in kind or ():
        require_known("map", one, MAPS)
    require_paths(source)
    require_data(data)
    overrides = {name.removeprefix("data."): value for name, value in given.items()}
    if not (source / "manifest.json").is_file():
        start_tensorflow()
    from aezoo.tasks import maps

    model, dataset = _opened(source, data, overrides)
    made = maps.draw(
        model,
        dataset,
        out,
        kinds=tuple(kind) if kind else None,
        rows=rows,
        colour=colour,
        seed=seed,
    )
    drawn = ", ".join([*made.places, "walks, ways between rows"])
    say(f"{len(made.codes):,} rows: {drawn}. Look at {bold(out / 'report.html')}")


def _opened(source: Path, data: str, overrides: dict):
    """Return the model or the bundle, and data of the shape that it takes."""
    from aezoo.data import load

    if (source / "manifest.json").is_file():
        from aezoo.export import Bundle

        model = Bundle(source)
        taken = model.spec("encode").inputs[0]
        if taken.name == "image" and (Path(data).is_dir() or Path(data).is_file()):
            sizes = {"image_size": taken.shape[0], "channels": taken.shape[2]}
            overrides = sizes | overrides
        return model, load(data, modality=taken.name, **overrides)
    from aezoo import recipes, storage
    from aezoo.training import data_for

    model = storage.load(source)
    dotted = {f"data.{name}": value for name, value in overrides.items()}
    return model, data_for(recipes.for_model(model, None, dotted, data), data)
