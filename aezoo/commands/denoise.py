"""`aezoo denoise`: remove noise from pictures."""

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

family = typer.Typer(no_args_is_help=True, help="Remove noise: fit on clean pictures, run on new.")


def add_to(app: typer.Typer) -> None:
    """Make it a command of `aezoo`."""
    app.add_typer(family, name="denoise")


@family.command("fit")
def denoise_fit(
    pictures: Annotated[
        Path, typer.Argument(metavar="PHOTOS", help="A folder of at least 3 clean pictures.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The folder to make, new.")],
    sigma: Annotated[
        list[float] | None,
        typer.Option(help="Noise to train for, of 255; give the least and the largest. [5, 55]"),
    ] = None,
    entry: Annotated[str | None, typer.Option(help="Default: denoise_unet.")] = None,
    tile: Annotated[int, typer.Option(help="Pixels a side that the model sees at once.")] = 64,
    seed: Annotated[int, typer.Option(help="Of split, weights, order and noise.")] = 0,
    settings: Settings = None,
) -> None:
    """Train on clean pictures with made noise, measure beside filters, export, write a report."""
    overrides = overrides_of(settings)
    require_entry(entry)
    require_paths(pictures)
    start_tensorflow()
    from aezoo.tasks import denoising_fit
    from aezoo.tasks.denoising import SIGMA

    levels = (min(sigma), max(sigma)) if sigma else SIGMA
    made = denoising_fit.fit(
        pictures, out, sigma=levels, entry=entry, tile=tile, seed=seed, **overrides
    )
    print_figures(made.measured, f"{len(made.test)} test pictures")
    say_if_beaten(made.measured, "Train longer (--set train.epochs=60) or on more pictures.")
    for note in made.notes:
        say(escaped(note))
    say(f"{bold(out / 'report.html')} shows pictures before and after. Next:")
    say_next(denoising_fit.next_commands(out))


@family.command("run")
def denoise_run(
    folder: Annotated[Path, typer.Argument(help="What `denoise fit` made, or a bundle.")],
    noisy: Annotated[Path, typer.Argument(metavar="NOISY", help="A picture or a folder of them.")],
    out: Annotated[Path, typer.Option("--out", help="The folder to write.")] = Path("denoised"),
    variant: Variant = None,
) -> None:
    """Remove the noise of pictures of any size by ONNX Runtime alone; needs no TensorFlow."""
    from aezoo.export import denoise

    say(escaped(str(denoise(folder, noisy, out, variant))))
