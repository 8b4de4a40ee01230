"""`aezoo transfer`: a classifier or a regressor of few labels, on a model's encoder."""

from pathlib import Path
from typing import Annotated

import typer

from aezoo.commands.shell import (
    Settings,
    bold,
    overrides_of,
    print_figures,
    require_data,
    say,
    say_if_beaten,
    say_next,
    start_tensorflow,
)
from aezoo.files import require_paths


def add_to(app: typer.Typer) -> None:
    """Make it a command of `aezoo`."""
    app.command("transfer")(transfer)


def transfer(
    run: Annotated[Path, typer.Argument(help="A run folder, a bundle or a .keras file.")],
    data: Annotated[
        str, typer.Option(help="With classes: a folder for each, a column `label`, a name.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The folder to make, new.")],
    labels: Annotated[
        int | None, typer.Option(help="So many labels, as many of each class; default: all.")
    ] = None,
    frozen: Annotated[
        bool, typer.Option("--frozen", help="Keep the encoder as it is; fit the head alone.")
    ] = False,
    layer_decay: Annotated[
        float | None, typer.Option(help="Of the rate, for each layer away from the answer.")
    ] = None,
    hidden: Annotated[
        list[int] | None, typer.Option(help="Width of a layer of the head. Repeatable.")
    ] = None,
    dropout: Annotated[float, typer.Option(help="In the head.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of split, draw of labels, weights and order.")] = 0,
    settings: Settings = None,
) -> None:
    """Train a classifier on a model's encoder, measure it, export a verified bundle, report."""
    overrides = overrides_of(settings)
    require_data(data)
    require_paths(run)
    start_tensorflow()
    from aezoo.tasks.transfer import fit, next_command

    made = fit(
        run,
        data,
        out,
        labels=labels,
        frozen=frozen,
        layer_decay=layer_decay,
        hidden=tuple(hidden or ()),
        dropout=dropout,
        seed=seed,
        **overrides,
    )
    rows = f"{len(made.data.train):,} training rows, {len(made.data.test):,} test rows"
    print_figures(made.measured, rows)
    first = next(iter(next(iter(made.measured.values()))))  # accuracy, or R2
    higher = {method: {first: of[first]} for method, of in made.measured.items()}
    say_if_beaten(higher, "Label more rows, or train the encoder longer on rows without labels.")
    say(f"{bold(out / 'report.html')} shows the surest mistakes. Next:")
    say_next([next_command(out)])
