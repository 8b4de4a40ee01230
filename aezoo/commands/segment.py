"""`aezoo segment`: what is where in pictures."""

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
    require_entry,
    say,
    say_if_beaten,
    say_next,
    start_tensorflow,
)
from aezoo.files import require_paths

family = typer.Typer(
    no_args_is_help=True, help="Tell what is where: fit on pictures and masks, run on new."
)


def add_to(app: typer.Typer) -> None:
    """Make it a command of `aezoo`."""
    app.add_typer(family, name="segment")


@family.command("fit")
def segment_fit(
    pictures: Annotated[Path, typer.Argument(help="A folder of pictures, or one picture.")],
    masks: Annotated[Path, typer.Option(help="Label pictures of the same names.")],
    out: Annotated[Path, typer.Option("--out", help="The folder to make, new.")],
    foreground: Annotated[
        bool, typer.Option("--foreground", help="All labels above 0 are one class.")
    ] = False,
    entry: Annotated[str, typer.Option(help="A zoo entry of segmentation.")] = "unet",
    tile: Annotated[int, typer.Option(help="Pixels a side that the model sees at once.")] = 96,
    seed: Annotated[int, typer.Option(help="Of split, patches, weights and order.")] = 0,
    settings: Settings = None,
) -> None:
    """Train on pictures and masks, measure on others, export a verified bundle, write a report."""
    overrides = overrides_of(settings)
    require_entry(entry)
    require_paths(pictures, masks)
    start_tensorflow()
    from aezoo.tasks import segmentation_fit

    made = segmentation_fit.fit(
        pictures,
        masks,
        out,
        foreground=foreground,
        entry=entry,
        tile=tile,
        seed=seed,
        **overrides,
    )
    print_figures(made.measured, "test pixels")
    say_if_beaten(made.measured, "Train longer (--set train.epochs=160) or mark more pictures.")
    say(escaped(f"Measured on {made.tested}."))
    say(f"{bold(out / 'report.html')} shows masks beside the true ones. Next:")
    say_next(segmentation_fit.next_commands(out))


@family.command("run")
def segment_run(
    folder: Annotated[Path, typer.Argument(help="What `segment fit` made, or a bundle.")],
    pictures: Annotated[Path, typer.Argument(help="A picture or a folder of them.")],
    out: Annotated[Path, typer.Option("--out", help="The folder to write.")] = Path("segmented"),
    masks: Annotated[Path | None, typer.Option(help="True masks, to measure by.")] = None,
    variant: Variant = None,
) -> None:
    """Write a mask for each picture, of any size, by ONNX Runtime alone; needs no TensorFlow."""
    from aezoo.export import segment

    say(escaped(str(segment(folder, pictures, out, masks, variant))))
