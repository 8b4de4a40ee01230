"""`aezoo detect`: find what is odd."""

from pathlib import Path
from typing import Annotated

import typer

from aezoo.commands.shell import (
    Settings,
    Variant,
    bold,
    escaped,
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
from aezoo.names import SCORES

family = typer.Typer(no_args_is_help=True, help="Find what is odd: fit on normal data, run on new.")


def add_to(app: typer.Typer) -> None:
    """Make it a command of `aezoo`."""
    app.add_typer(family, name="detect")


@family.command("fit")
def detect_fit(
    data: Annotated[str, typer.Argument(help="A folder of pictures, a table, an array, a name.")],
    out: Annotated[Path, typer.Option("--out", help="The folder to make, new.")],
    normal: Annotated[
        list[str] | None,
        typer.Option(help="A class that is normal; default: good, normal, ok. Repeatable."),
    ] = None,
    entry: Annotated[str | None, typer.Option(help="Default: one that fits the rows.")] = None,
    score: Annotated[
        str,
        typer.Option(help="auto chooses; or residual, peak, ssim, neighbours, hybrid ..."),
    ] = "auto",
    alpha: Annotated[float, typer.Option(help="The false-alarm rate.")] = 0.05,
    folds: Annotated[
        int | None,
        typer.Option(help="Models that set the threshold; 0: rows set apart. Default: by size."),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Pixels of a side, for folders; default 64.")
    ] = None,
    window: Annotated[int | None, typer.Option(help="Rows per window, for series.")] = None,
    seed: Annotated[int, typer.Option(help="Of split, weights and order.")] = 0,
    settings: Settings = None,
) -> None:
    """Train on normal data, calibrate, measure, export a verified bundle, write a report."""
    overrides = overrides_of(settings)
    require_known("score", score, ("auto", *SCORES))
    require_entry(entry)
    require_data(data)
    start_tensorflow()
    from aezoo.tasks import detection
    from aezoo.tasks.detection_report import next_commands

    made = detection.fit(
        data,
        out,
        normal=tuple(normal or ()),
        entry=entry,
        score=score,
        alpha=alpha,
        folds=folds,
        image_size=image_size,
        window=window,
        seed=seed,
        **overrides,
    )
    print_figures(made.measured, f"{len(made.screened.scores):,} test rows")
    aurocs = {name: {"AUROC": of["AUROC"]} for name, of in made.measured.items() if "AUROC" in of}
    if aurocs:
        say_if_beaten(aurocs, "Try another --score, or train longer: --set train.epochs=200.")
    say(f"{bold(out / 'report.html')} shows the worst first. Next:")
    say_next(next_commands(out))


@family.command("run")
def detect_run(
    folder: Annotated[Path, typer.Argument(help="What `detect fit` made, or a bundle.")],
    rows: Annotated[
        Path, typer.Argument(metavar="NEW_DATA", help="Pictures, .npy, .parquet or CSV.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The folder to write.")] = Path("detected"),
    threshold: Annotated[float | None, typer.Option(help="Instead of the calibrated one.")] = None,
    variant: Variant = None,
    stride: Annotated[
        int | None, typer.Option(min=1, help="Between windows of a long series; a quarter of one.")
    ] = None,
) -> None:
    """Find the odd rows of new data with a bundle, by ONNX Runtime alone; needs no TensorFlow."""
    from aezoo.export import detect

    say(escaped(str(detect(folder, rows, out, threshold, variant, stride))))
