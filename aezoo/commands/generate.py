"""`aezoo generate`: new rows from a fitted model."""

from pathlib import Path
from typing import Annotated

import typer

from aezoo.commands.shell import (
    bold,
    print_figures,
    require_data,
    say,
    start_tensorflow,
)
from aezoo.errors import require_known
from aezoo.files import require_paths
from aezoo.names import SAMPLERS


def add_to(app: typer.Typer) -> None:
    """Make it a command of `aezoo`."""
    app.command("generate")(generate)


def generate(
    model: Annotated[Path, typer.Argument(metavar="RUN_OR_BUNDLE", help="A fitted model.")],
    out: Annotated[Path, typer.Option("--out", help="The folder to make, new.")],
    data: Annotated[
        str | None, typer.Option(help="What it was trained on; default: what the run says.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many new rows.")] = 64,
    sampler: Annotated[
        str, typer.Option(help="mixture, gaussian, neighbours, flow; prior: from N(0, I).")
    ] = "mixture",
    label: Annotated[int | None, typer.Option(help="Only of this class.")] = None,
    seed: Annotated[int, typer.Option(help="Of the sampler and its draws.")] = 0,
) -> None:
    """Draw new rows, show them beside the nearest training rows, measure them beside real ones."""
    require_known("sampler", sampler, SAMPLERS)
    require_paths(model)
    require_data(data)
    start_tensorflow()
    import aezoo
    from aezoo.tasks import generating
    from aezoo.training import data_for

    fitted = aezoo.load(model)
    dataset = data_for(fitted.entry, data)
    made = generating.generate(
        fitted, dataset, out, count=count, sampler=sampler, seed=seed, label=label
    )
    if made.measured:
        print_figures(made.measured, "beside held-out rows")
    say(made.copied_text)
    say(f"{bold(out / 'report.html')} shows them, and each beside its nearest training row.")
