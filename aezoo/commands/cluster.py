"""`aezoo cluster`: which rows belong together."""

from pathlib import Path
from typing import Annotated

import typer

from aezoo.commands.shell import (
    Settings,
    bold,
    overrides_of,
    print_figures,
    require_data,
    require_entry,
    say,
    say_if_beaten,
    say_next,
    start_tensorflow,
)
from aezoo.errors import require_known
from aezoo.names import CLUSTERINGS


def add_to(app: typer.Typer) -> None:
    """Make it a command of `aezoo`."""
    app.command()(cluster)


def cluster(
    data: Annotated[str, typer.Argument(help="A folder of pictures, a table, an array, a name.")],
    out: Annotated[Path, typer.Option("--out", help="The folder to make, new.")],
    clusters: Annotated[int, typer.Option(help="How many.")] = 10,
    method: Annotated[
        str, typer.Option(help="dec, which trains on; kmeans or mixture on the codes.")
    ] = "dec",
    run: Annotated[
        Path | None, typer.Option("--from", help="A run, bundle or .keras, instead of training.")
    ] = None,
    entry: Annotated[str | None, typer.Option(help="Default: one that fits the rows.")] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Pixels of a side, for folders; default 64.")
    ] = None,
    window: Annotated[int | None, typer.Option(help="Rows per window, for series.")] = None,
    seed: Annotated[int, typer.Option(help="Of split, weights, order and starts.")] = 0,
    settings: Settings = None,
) -> None:
    """Group rows by their codes; write a table, a verified bundle and a report."""
    overrides = overrides_of(settings)
    require_known("method", method, CLUSTERINGS)
    require_entry(entry)
    require_data(data)
    start_tensorflow()
    from aezoo.tasks import grouping

    made = grouping.fit(
        data,
        out,
        clusters=clusters,
        method=method,
        entry=entry,
        run=run,
        image_size=image_size,
        window=window,
        seed=seed,
        **overrides,
    )
    sizes = ", ".join(f"{size:,}" for size in made.sizes)
    say(f"{int(made.sizes.sum()):,} rows in {clusters} clusters: {sizes}")
    if made.measured:
        print_figures(made.measured, "with the classes")
        say_if_beaten(made.measured, "Try another --method, or a longer code: --set latent_dim=20.")
    say(f"{bold(out / 'report.html')} shows the most typical rows of each. Next:")
    say_next(grouping.next_commands(out))
