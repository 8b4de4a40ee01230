"""`aezoo compress` and `aezoo decompress`."""

from pathlib import Path
from typing import Annotated

import typer

from aezoo.commands.shell import bold, escaped, say


def add_to(app: typer.Typer) -> None:
    """Make them commands of `aezoo`."""
    app.command()(compress)
    app.command()(decompress)


def compress(
    bundle: Annotated[Path, typer.Argument(help="A bundle that encodes and decodes.")],
    inputs: Annotated[
        list[Path], typer.Argument(metavar="PICTURES...", help="Pictures, folders; or one .npy.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The file to write.")],
    step: Annotated[
        float, typer.Option(help="How coarse; the larger, the smaller the file.")
    ] = 64.0,
    report: Annotated[
        Path | None, typer.Option("--report", help="An HTML file: other steps, JPEG and WebP.")
    ] = None,
) -> None:
    """Write pictures as quantised, entropy-coded codes in one file; needs no TensorFlow."""
    from aezoo.export import compare_steps, compress_files

    say(escaped(str(compress_files(bundle, inputs, out, step))))
    if report is not None:
        say(f"{bold(compare_steps(bundle, inputs, step, report))} shows other steps beside it.")
    say(f"Next: aezoo decompress {escaped(str(bundle))} {escaped(str(out))} --out DIR")


def decompress(
    bundle: Annotated[Path, typer.Argument(help="The bundle that compressed them.")],
    file: Annotated[Path, typer.Argument(help="What `aezoo compress` wrote.")],
    out: Annotated[Path, typer.Option("--out", help="The folder to make, new.")],
) -> None:
    """Write the pictures of a compressed file as PNG; needs no TensorFlow."""
    from aezoo.export import decompress_file

    written = decompress_file(bundle, file, out)
    say(f"{len(written):,} files in {bold(out)}.")
