"""What every command prints and starts with."""

from pathlib import Path
from typing import Annotated

import typer

from aezoo.errors import ZooError

Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Override a key: train.epochs=5. Repeatable.")
]
Variant = Annotated[str | None, typer.Option(help="fp16 or int8, where the bundle has it.")]


def console(stderr: bool = False):
    """Return a console; made when needed, because `aezoo list` needs none and should be instant."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def say(text) -> None:
    """Print a line; the terminal breaks it, not we, so that paths can be copied."""
    console().print(text, soft_wrap=True)


def escaped(text: str) -> str:
    """Return text whose brackets are no markup."""
    from rich.markup import escape

    return escape(text)


def bold(path: Path) -> str:
    """Return a path as bold markup."""
    return f"[bold]{escaped(str(path))}[/]"


def show_warnings() -> None:
    """Print warnings as one line each, without the source line that raised them."""
    import warnings

    def show(message, category, filename, lineno, file=None, line=None):
        console(stderr=True).print(f"[yellow]warning:[/] {escaped(str(message))}", soft_wrap=True)

    warnings.showwarning = show


def overrides_of(settings: list[str] | None) -> dict:
    """Return what --set says: name -> value."""
    from aezoo.config import parse_assignment

    return dict(parse_assignment(text) for text in settings or [])


def require_entry(entry: str | None) -> None:
    """Refuse a misspelt name before TensorFlow has loaded."""
    if entry is not None:
        from aezoo.registry import find

        find(entry)


def require_data(data: str | None) -> None:
    """Refuse what names no data before TensorFlow has loaded."""
    if data is not None:
        from aezoo.data.find import require_found

        require_found(data)


def start_tensorflow() -> None:
    """Import TensorFlow without its chatter, or say that it is missing."""
    from aezoo import quiet

    try:
        quiet.import_tensorflow()
    except ModuleNotFoundError as error:
        if error.name != "tensorflow":
            raise
        raise ZooError(
            "TensorFlow is not installed here; verify and predict work without it, this does not.",
            do="Run `pip install aezoo`, which brings it.",
        ) from None
    show_warnings()


def print_figures(measured: dict[str, dict[str, float]], head: str) -> None:
    """Print the figures of each method, of which the first is ours; the fewer ones are columns."""
    from rich.table import Table

    names = list(next(iter(measured.values())))
    wide = len(names) <= len(measured)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(head)
    for number, column in enumerate(names if wide else measured):
        ours = number == 0 and not wide
        table.add_column(column, justify="right", style="green" if ours else None)
    cells = {m: [f"{values[n]:.3f}" for n in names] for m, values in measured.items()}
    lines = cells if wide else dict(zip(names, zip(*cells.values(), strict=True), strict=True))
    for number, (line, row) in enumerate(lines.items()):
        table.add_row(line, *row, style="green" if number == 0 and wide else None)
    say(table)


def say_if_beaten(measured: dict[str, dict[str, float]], do: str) -> None:
    """Say where something simpler did better than the first method, ours, and what to do then.

    Args:
        measured: Method -> figure -> value, of which the higher is the better.
        do: One sentence.
    """
    (_, ours), *others = measured.items()
    better: dict[str, list[str]] = {}
    for figure, value in ours.items():
        best = max(others, key=lambda other: other[1][figure], default=None)
        if best is not None and best[1][figure] > value:
            better.setdefault(best[0], []).append(figure)
    for method, figures in better.items():
        what = escaped(f"{method} does better than the model in {', '.join(figures)}.")
        say(f"[yellow]{what}[/]")
    if better:
        say(escaped(do))


def say_next(lines: list[str]) -> None:
    """Print the commands that come next, one per line."""
    for line in lines:
        say(f"  {escaped(line)}")
