"""The shell: each command is a thin call of the library."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from aezoo.commands import (
    cluster,
    compress,
    denoise,
    detect,
    fill,
    generate,
    maps,
    search,
    segment,
    transfer,
)
from aezoo.commands.shell import (
    Settings,
    Variant,
    bold,
    console,
    escaped,
    overrides_of,
    require_data,
    require_entry,
    say,
    start_tensorflow,
)
from aezoo.errors import ZooError
from aezoo.version import __version__

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="The autoencoder zoo: build by name, train on your data, export a proven bundle.",
)


def main() -> None:
    """Run the shell; a user's mistake ends in one message and exit code 1."""
    try:
        app()
    except ZooError as error:
        console(stderr=True).print(f"[bold red]error:[/] {escaped(str(error))}", soft_wrap=True)
        sys.exit(1)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command("list")
def list_command(
    pattern: Annotated[str, typer.Argument(help="Such as '*vae*'.")] = "*",
    task: Annotated[str | None, typer.Option(help="Only this task.")] = None,
) -> None:
    """List the zoo."""
    from aezoo.registry import listings

    found = listings(pattern, task=task)
    if not found:
        raise ZooError("No name matches this pattern.", received=pattern, do="Run `aezoo list`.")
    rows = [("name", "task", "data", "parameters", "what it is")]
    for listing in found:
        values = listing.values
        size = f"{listing.parameters:,}" if listing.parameters else ""
        task_and_data = (values.get("task", ""), values.get("modality", ""))
        rows.append((listing.name, *task_and_data, size, values.get("title", "")))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        cells[3] = row[3].rjust(widths[3])
        typer.echo("  ".join(cells).rstrip())


@app.command()
def show(name: Annotated[str, typer.Argument(help="A name, in any spelling.")]) -> None:
    """Show one entry: arguments, recipe, size, loss terms and their units."""
    from aezoo.registry import describe

    typer.echo(repr(describe(name)))


@app.command()
def train(
    entry: Annotated[str | None, typer.Argument(help="A name, or the path of a YAML.")] = None,
    data: Annotated[
        str | None, typer.Option(help="A data set's name, a folder of pictures, or a file.")
    ] = None,
    out_dir: Annotated[Path | None, typer.Option("--out", help="The run folder.")] = None,
    epochs: Annotated[int | None, typer.Option(help="How many.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Pixels, for folders of pictures.")] = None,
    window: Annotated[int | None, typer.Option(help="Rows per window, for series.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights and order.")] = None,
    settings: Settings = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with this run.")] = None,
    start: Annotated[
        Path | None, typer.Option("--from", help="Fine-tune this run, bundle or .keras file.")
    ] = None,
) -> None:
    """Train a model, go on with a run, or fine-tune."""
    overrides = overrides_of(settings)
    given = {
        "train.epochs": epochs,
        "train.seed": seed,
        "data.image_size": image_size,
        "data.window": window,
    }
    overrides |= {key: value for key, value in given.items() if value is not None}
    require_entry(entry)
    require_data(data)
    start_tensorflow()
    import aezoo

    model = aezoo.load(start) if start else None
    run = aezoo.train(entry, data, out=out_dir, resume=resume, model=model, **overrides)
    _print_metrics(run.metrics)
    say(f"{bold(run.directory)}  next: aezoo export {escaped(str(run.directory))} DIR")


def _print_metrics(metrics: dict[str, dict[str, float]]) -> None:
    if not metrics:
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("metric")
    for role in metrics:
        table.add_column(role, justify="right")
    for term in next(iter(metrics.values())):  # a row each: some models have ten
        table.add_row(term, *(f"{values[term]:.4g}" for values in metrics.values()))
    say(table)


@app.command()
def export(
    run: Annotated[
        Path, typer.Argument(help="A run folder or .keras file; with --layout, a bundle.")
    ],
    bundle: Annotated[Path, typer.Argument(help="The bundle to make.")],
    overwrite: Annotated[bool, typer.Option(help="Replace an existing bundle.")] = False,
    also: Annotated[
        list[str] | None, typer.Option(help="litert, openvino, fp16 or int8. Repeatable.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="What fp16 and int8 are measured on; default: the run's.")
    ] = None,
    web: Annotated[
        bool, typer.Option("--web", help="Add a page that runs it in browsers.")
    ] = False,
    web_runtime: Annotated[
        Path | None, typer.Option(help="Folder of onnxruntime-web for --web; else npm fetches it.")
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="RUN is a bundle: write it as tfserving, triton or kserve.")
    ] = None,
) -> None:
    """Export a verified bundle: SavedModel, ONNX, manifest; or nothing."""
    if layout is not None:
        if also or data or web or web_runtime or overwrite:
            raise ZooError(
                "--layout copies a bundle as it is, and replaces nothing.",
                do="Leave the other options out; give them when the bundle is exported.",
            )
        from aezoo.export import write_layout

        say(f"{bold(write_layout(run, layout, bundle))} for {layout}.")
        return
    start_tensorflow()
    import aezoo

    model = aezoo.load(run)
    with console(stderr=True).status("exporting and verifying"):
        made = aezoo.export_bundle(
            model, bundle, None, overwrite, also or (), data, web=web_runtime or web
        )
    for name, further in (made.manifest.formats | made.manifest.variants).items():
        for endpoint, why in further.refused.items():
            say(f"[yellow]no {name} of {endpoint}:[/] {escaped(why)}")
    say(f"{bold(bundle)} verified. Next: aezoo predict {escaped(str(bundle))} INPUT")


@app.command()
def verify(bundle: Annotated[Path, typer.Argument(help="A bundle.")]) -> None:
    """Check a bundle's files and replay its recorded answers; needs no TensorFlow."""
    from aezoo.export import verify_bundle

    say(escaped(str(verify_bundle(bundle))))


@app.command()
def predict(
    bundle: Annotated[Path, typer.Argument(help="A bundle.")],
    rows: Annotated[Path, typer.Argument(metavar="INPUT", help="Pictures, .npy, .npz or CSV.")],
    endpoint: Annotated[str | None, typer.Option(help="Default: the first.")] = None,
    output: Annotated[Path | None, typer.Option(help="The .npz or .npy to write.")] = None,
    variant: Variant = None,
) -> None:
    """Answer a file with a bundle, by ONNX Runtime alone; needs no TensorFlow."""
    from aezoo.export import predict_file

    say(escaped(str(predict_file(bundle, rows, endpoint, output, variant))))


@app.command()
def score(
    bundle: Annotated[Path, typer.Argument(help="A bundle.")],
    rows: Annotated[Path, typer.Option("--input", help=".npy, .parquet or a folder of pictures.")],
    output: Annotated[Path, typer.Option(help="The .parquet table to write.")],
    endpoint: Annotated[str | None, typer.Option(help="Default: detect, else score.")] = None,
    shard: Annotated[str, typer.Option(help="i/n: the i-th of n parts of the rows.")] = "1/1",
    batch_size: Annotated[int, typer.Option(min=1, help="Rows at once.")] = 256,
    variant: Variant = None,
    engine: Annotated[str, typer.Option(help="local, or spark: on a cluster.")] = "local",
) -> None:
    """Answer a large file row by row, resumable, by ONNX Runtime alone; needs no TensorFlow."""
    if engine not in ("local", "spark"):
        raise ZooError("There is no such engine.", received=engine, do="Choose local or spark.")
    if engine == "spark":
        if _shard(shard) != (1, 1):
            raise ZooError("Spark cuts the rows itself.", received=shard, do="Leave out --shard.")
        from aezoo.export import score_with_spark

        with console(stderr=True).status("Spark answers"):
            done = score_with_spark(bundle, rows, output, endpoint, batch_size, variant)
        say(escaped(str(done)))
        return
    from rich.progress import MofNCompleteColumn, Progress

    from aezoo.export import score_file

    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=console(stderr=True)) as bar:
        task = bar.add_task("rows", total=None)
        done = score_file(
            bundle,
            rows,
            output,
            endpoint,
            _shard(shard),
            batch_size,
            variant,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    say(escaped(str(done)))


def _shard(text: str) -> tuple[int, int]:
    i, _, n = text.partition("/")
    if not (i.isdecimal() and n.isdecimal()):
        raise ZooError("This is no shard.", received=text, do="Write i/n, such as --shard 2/8.")
    return int(i), int(n)


@app.command()
def serve(
    folder: Annotated[Path, typer.Argument(help="A bundle, or a folder of NAME/ or NAME/1.")],
    host: Annotated[str, typer.Option(help="0.0.0.0 lets other machines ask.")] = "127.0.0.1",
    http_port: Annotated[int, typer.Option(help="REST.")] = 8080,
    grpc_port: Annotated[int, typer.Option(help="gRPC.")] = 8081,
) -> None:
    """Serve bundles by KServe's v2 protocol, REST and gRPC; needs no TensorFlow."""
    from aezoo.export import serve as start

    start(folder, host, http_port, grpc_port)


@app.command()
def bench(
    bundle: Annotated[Path, typer.Argument(help="A bundle.")],
    endpoint: Annotated[str | None, typer.Option(help="Default: the first.")] = None,
    batch: Annotated[list[int] | None, typer.Option(help="Rows per call. Repeatable.")] = None,
    seconds: Annotated[float, typer.Option(min=0, help="Of calls, per round.")] = 1.0,
    output: Annotated[Path | None, typer.Option(help="Default: BUNDLE-bench.csv here.")] = None,
) -> None:
    """Time a bundle by every runtime that is installed, side by side."""
    from aezoo.export import bench as benches

    batches = batch or benches.BATCHES
    with console(stderr=True).status("starting") as status:
        rows = benches.bench_bundle(bundle, endpoint, batches, seconds, status.update)
    output = output or Path(f"{bundle.resolve().name}-bench.csv")
    benches.write_rows(rows, output)
    _print_bench(rows)
    say(f"[dim]ms: median of a call; times: as fast as the first row.[/] {bold(output)}")


def _print_bench(rows) -> None:
    from rich.table import Table

    by_runtime = {}
    for row in rows:
        by_runtime.setdefault(row.runtime, []).append(row)
    first = next(iter(by_runtime.values()))
    speed = Table(box=None, pad_edge=False, header_style="bold")
    start = Table(box=None, pad_edge=False, header_style="bold")
    for table in (speed, start):
        table.add_column("runtime", no_wrap=True)
    for row in first:
        for head in (f"batch {row.batch}, ms", "p99", "times"):
            speed.add_column(head, justify="right", no_wrap=True)
    for head in ("cold start, s", "load, ms", "memory, MB", "file, MB"):
        start.add_column(head, justify="right", no_wrap=True)
    for name, timed in by_runtime.items():
        cells = []
        for row, base in zip(timed, first, strict=True):
            cells += [_short(row.p50_ms), _short(row.p99_ms), _short(base.p50_ms / row.p50_ms)]
        speed.add_row(name, *cells)
        one = timed[0]
        facts = (one.cold_start_s, one.load_ms, one.memory_mb, one.file_mb)
        start.add_row(name, *map(_short, facts))
    say(speed)
    say("")
    say(start)


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


@app.command()
def reproduce(
    entries: Annotated[list[str] | None, typer.Argument(help="Names; all where none.")] = None,
    folder: Annotated[Path, typer.Option("--out", help="Where ENTRY.csv goes.")] = Path(
        "results/reproduced"
    ),
    seed: Annotated[list[int] | None, typer.Option(help="Instead of its own. Repeatable.")] = None,
    variant: Annotated[str | None, typer.Option(help="Another recipe: iwae has k50.")] = None,
    full: Annotated[bool, typer.Option("--full", help="The source's schedule: days.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Seconds, to see that it works.")] = False,
) -> None:
    """Train entries as the figures they are judged by ask, and put ours beside the published."""
    start_tensorflow()
    from aezoo.registry import find, list_models
    from aezoo.reproduce import reproduce as run

    for name in entries or [name for name in list_models() if find(name).reference]:
        run(name, folder, seeds=seed, variant=variant, full=full, quick=quick, say=typer.echo)


@app.command()
def quickstart(
    out_dir: Annotated[Path, typer.Option("--out", help="Where everything goes.")] = Path(
        "aezoo-quickstart"
    ),
) -> None:
    """Train, measure, export and verify a small model on real pictures, in about a minute."""
    start_tensorflow()
    from aezoo.quickstart import run_quickstart

    run_quickstart(out_dir, console())


for task in (detect, denoise, segment, transfer, search, compress, fill, generate, cluster, maps):
    task.add_to(app)


if __name__ == "__main__":
    main()
