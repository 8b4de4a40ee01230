"""`aezoo search`: find what is alike."""

from pathlib import Path
from typing import Annotated

import typer

from aezoo.commands.shell import Variant, bold, escaped, say

family = typer.Typer(
    no_args_is_help=True, help="Find what is alike: index a bundle's codes, ask with a picture."
)

_Index = Annotated[Path, typer.Argument(metavar="INDEX", help="What `search index` made.")]
_Rows = Annotated[
    Path, typer.Argument(metavar="PHOTOS", help="A picture or a folder of them, .npy, CSV.")
]
_Bundle = Annotated[
    Path | None, typer.Option("--bundle", help="Where the bundle is now, if it moved.")
]


def add_to(app: typer.Typer) -> None:
    """Make it a command of `aezoo`."""
    app.add_typer(family, name="search")


@family.command("index")
def search_index(
    bundle: Annotated[Path, typer.Argument(help="A bundle with an endpoint `encode`.")],
    rows: _Rows,
    out: Annotated[Path, typer.Option("--out", help="The file to make, new.")],
    variant: Variant = None,
) -> None:
    """Encode pictures, series or rows of a table and keep their codes; needs no TensorFlow."""
    from aezoo.export import make_index

    index = make_index(bundle, rows, out, variant)
    say(f"{len(index):,} rows in {bold(out)}. Next: aezoo search find {escaped(str(out))} PICTURE")


@family.command("add")
def search_add(index: _Index, rows: _Rows, bundle: _Bundle = None) -> None:
    """Add what is not in the index yet, by name."""
    from aezoo.export import add_to_index

    made, there = add_to_index(index, rows, bundle)
    known = f" {there:,} were there already; remove them first to replace them." if there else ""
    say(f"{len(made):,} rows in {bold(index)}.{known}")


@family.command("remove")
def search_remove(
    index: _Index,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="As `find` prints them.")],
    bundle: _Bundle = None,
) -> None:
    """Forget rows by name."""
    from aezoo.export import remove_from_index

    say(f"{len(remove_from_index(index, names, bundle)):,} rows in {bold(index)}.")


@family.command("find")
def search_find(
    index: _Index,
    rows: Annotated[
        Path, typer.Argument(metavar="PICTURE", help="A picture or a folder of them, .npy, CSV.")
    ],
    k: Annotated[int, typer.Option("--k", min=1, help="How many to find.")] = 10,
    out: Annotated[Path, typer.Option("--out", help="The folder to write.")] = Path("found"),
    approximate: Annotated[
        bool, typer.Option("--approximate", help="Faster in large indexes, may miss one: Faiss.")
    ] = False,
    bundle: _Bundle = None,
) -> None:
    """Print and draw what is nearest, by ONNX Runtime alone; needs no TensorFlow."""
    from aezoo.export import find_in_index

    say(escaped(str(find_in_index(index, rows, out, k, bundle, approximate))))
