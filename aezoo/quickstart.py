"""The main job on the embedded sample: train, measure beside baselines, export, verify, report."""

import shutil
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import aezoo
from aezoo import figures, metrics, report
from aezoo.errors import ZooError

LATENT_DIM = 8
RECIPE = {"epochs": 40, "batch_size": 64, "learning_rate": 2e-3, "seed": 0}
_PARTS = ("run", "bundle", "figures", "report.html")
_MARK = ".aezoo-quickstart"  # says that the folder is a quickstart's, to be replaced by the next


def run_quickstart(folder: Path, console: Console) -> dict[str, dict[str, float]]:
    """Run the main job and write everything into `folder`.

    Args:
        folder: Made if need be; what an earlier quickstart left there is replaced.
        console: Where to print.

    Returns:
        Mean squared error, PSNR and SSIM on the test rows for the model and both baselines.

    Raises:
        ZooError: If the folder holds other things.
    """
    started = time.perf_counter()
    _clear(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARK).touch()
    console.print(
        f"Training [bold]conv_ae[/] with a code of {LATENT_DIM} numbers on 2,000 real pictures "
        "(Fashion-MNIST)."
    )
    run = aezoo.train("conv_ae", "sample", out=folder / "run", latent_dim=LATENT_DIM, **RECIPE)
    measured, answers = _measure(run)
    _print(measured, console)

    with console.status("exporting, then asking every exported graph the same questions"):
        aezoo.export_bundle(run.model, folder / "bundle")
    console.print(
        f"[bold]{folder / 'bundle'}[/] exported; SavedModel and ONNX answer as Keras did."
    )

    page = _report(run, measured, answers, folder)
    console.print(f"[bold]{page}[/] has the pictures. {time.perf_counter() - started:.0f} s.\n")
    console.print("Next, on data of your own:")
    for line in next_commands():
        console.print(f"  {line}", style="bold", soft_wrap=True)
    return measured


def next_commands() -> list[str]:
    """Return the three commands to run next."""
    return [
        "aezoo train conv_ae --data ./photos --image-size 64 --set latent_dim=32 --out runs/mine",
        "aezoo export runs/mine artifacts/mine",
        "aezoo predict artifacts/mine ./photos",
    ]


def _clear(folder: Path) -> None:
    if not folder.exists():
        return
    if not (folder / _MARK).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise ZooError(
            "The quickstart's folder holds other things.",
            received=str(folder),
            do="Choose another: aezoo quickstart --out FOLDER.",
        )
    for part in _PARTS:
        path = folder / part
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _measure(run) -> tuple[dict[str, dict[str, float]], dict[str, np.ndarray]]:
    """Score the model, PCA of the same code size and the untrained network on the test rows."""
    from sklearn.decomposition import PCA

    def unit(rows):
        return np.asarray(run.model.preprocessing.apply(rows.array()))

    test = unit(run.data.test)
    train = np.concatenate([unit(run.data.train), unit(run.data.validation)])
    pca = PCA(LATENT_DIM, random_state=0).fit(train.reshape(len(train), -1))
    codes = pca.transform(test.reshape(len(test), -1))
    untrained = aezoo.build("conv_ae", latent_dim=LATENT_DIM, seed=RECIPE["seed"])
    answers = {
        "conv_ae": run.model.predict(test, batch_size=500, verbose=0),
        f"PCA, {LATENT_DIM} components": np.clip(  # pixels lie in [0, 1]; clipping helps PCA
            pca.inverse_transform(codes), 0.0, 1.0
        ).reshape(test.shape),
        "the same network untrained": untrained.predict(test, batch_size=500, verbose=0),
    }
    measured = {
        name: {
            "MSE": float(metrics.mse(test, answer).mean()),
            "PSNR": float(metrics.psnr(test, answer).mean()),
            "SSIM": float(metrics.ssim(test, answer).mean()),
        }
        for name, answer in answers.items()
    }
    return measured, {"input": test} | answers


def _cells(values: dict[str, float]) -> list[str]:
    return [f"{values['MSE']:.4f}", f"{values['PSNR']:.2f} dB", f"{values['SSIM']:.3f}"]


def _print(measured: dict, console: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("500 test pictures")
    for column in ("MSE", "PSNR", "SSIM"):
        table.add_column(column, justify="right")
    for number, (name, values) in enumerate(measured.items()):
        table.add_row(name, *_cells(values), style="green" if number == 0 else None)
    console.print(table)


def _report(run, measured: dict, answers: dict, folder: Path) -> Path:
    drawn = folder / "figures"
    x = answers["input"][:: len(answers["input"]) // figures.SHOWN]
    picked = {name: rows[:: len(rows) // figures.SHOWN] for name, rows in answers.items()}
    model, pca = picked["conv_ae"], picked[f"PCA, {LATENT_DIM} components"]
    figures.picture_rows(
        {
            "input": x,
            "conv_ae": model,
            "error": ((x - model) ** 2)[..., 0],
            "PCA": pca,
            "error of PCA": ((x - pca) ** 2)[..., 0],
        },
        drawn / "reconstructions.png",
        heat=("error", "error of PCA"),
    )
    figures.loss_curves(run.history, drawn / "loss.png")
    test = run.data.test
    figures.latent_map(
        run.model.endpoint("encode")(image=test.array())["latent"],
        drawn / "latent_map.png",
        test.labels,
        run.data.class_names,
        test.array(),
    )
    rows = [[name, *_cells(values)] for name, values in measured.items()]
    return report.write(
        folder / "report.html",
        "conv_ae on Fashion-MNIST",
        [
            (
                "",
                [
                    report.paragraph(
                        f"Each picture of 784 pixels goes through a code of {LATENT_DIM} numbers "
                        "and back. The first row below is what went in, the second what came out.",
                        lead=True,
                    ),
                    report.picture(
                        drawn / "reconstructions.png",
                        "Test pictures, their reconstructions, and where the two differ.",
                    ),
                ],
            ),
            (
                "Test pictures that training never saw",
                [
                    report.table(["500 test pictures", "MSE", "PSNR", "SSIM"], rows, ours=0),
                    report.paragraph(
                        "MSE is per pixel, pixels from 0 to 1. PCA is the best linear code of the "
                        "same size; the untrained network shows what the architecture does alone."
                    ),
                ],
            ),
            (
                "Training",
                [
                    report.picture(
                        drawn / "loss.png",
                        "Cross-entropy per pixel by epoch; the dot marks the weights that were "
                        "kept.",
                    )
                ],
            ),
            (
                "The codes",
                [
                    report.picture(
                        drawn / "latent_map.png",
                        "Test pictures by their codes. No label was used in training.",
                    )
                ],
            ),
            (
                "The bundle",
                [
                    report.paragraph(
                        "bundle/ holds a SavedModel and one ONNX graph per endpoint. Both were "
                        "asked the questions in probe.npz at several batch sizes, in processes of "
                        "their own, and answered as Keras did; the differences are in "
                        "manifest.json."
                    )
                ],
            ),
            ("Next, on data of your own", [report.commands(next_commands())]),
        ],
    )
