"""`aezoo fill`: what is missing, from what is known."""

from pathlib import Path
from typing import Annotated

import typer

from aezoo.commands.shell import (
    Settings,
    bold,
    escaped,
    overrides_of,
    print_figures,
    require_entry,
    say,
    say_next,
    start_tensorflow,
)
from aezoo.files import require_paths

family = typer.Typer(no_args_is_help=True, help="Fill in missing cells: fit on data, run on new.")


def add_to(app: typer.Typer) -> None:
    """Make it a command of `aezoo`."""
    app.add_typer(family, name="fill")


@family.command("fit")
def fill_fit(
    data: Annotated[
        Path, typer.Argument(help="A .csv, .parquet or .npy file; empty cells and NaN are missing.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The folder to make, new.")],
    entry: Annotated[str | None, typer.Option(help="Default: one that fits the rows.")] = None,
    modality: Annotated[
        str | None, typer.Option(help="image, series or features; default: by the axes.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of split, weights and holes.")] = 0,
    settings: Settings = None,
) -> None:
    """Learn to fill holes, measure it on rows kept aside, export a verified bundle, report."""
    overrides = overrides_of(settings)
    require_entry(entry)
    require_paths(data)
    start_tensorflow()
    from aezoo.tasks import filling

    made = filling.fit(
        data, out, entry=entry, modality=modality, seed=seed, settings=overrides or None
    )
    print_figures(made.measured, f"error in made holes of {made.test_rows:,} test rows")
    say(f"Filled by {made.taken}. {bold(out / 'report.html')} shows what it put in. Next:")
    say_next([filling.next_command(out)])


@family.command("run")
def fill_run(
    folder: Annotated[Path, typer.Argument(help="What `fill fit` made, or a bundle.")],
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", help="A .csv, .tsv, .parquet or .npy file with gaps.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The file to write: .csv, .parquet or .npy.")],
    passes: Annotated[
        int | None, typer.Option(help="Through the autoencoder, at most.", min=1)
    ] = None,
) -> None:
    """Fill the gaps of a file with a bundle, by ONNX Runtime alone; needs no TensorFlow."""
    from aezoo.export import fill

    say(escaped(str(fill(folder, table, out, passes=passes))))
