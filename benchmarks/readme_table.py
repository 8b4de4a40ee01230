"""Write the tables of the README from the registry and from results/.

python benchmarks/readme_table.py           # rewrite
python benchmarks/readme_table.py --check   # exit 1 if the README is out of date
"""

import csv
import sys
from pathlib import Path

import task_table

from aezoo.config import Entry
from aezoo.registry import find, list_models

BELOW = ("vallina_ae", "conv_ae", "denoise_ae", "unet", "seq2seq_ae")  # in the table of figures

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def models() -> str:
    """Return the table of models, one row per entry of the registry."""
    lines = [
        "| name | task | parameters | what it is | source | reference / ours |",
        "| --- | --- | ---: | --- | --- | --- |",
    ]
    for name in list_models():
        e = find(name)
        size = f"{e.expect.trainable_parameters:,}" if e.expect else ""
        lines.append(
            f"| `{name}` | {e.task}, {e.modality} | {size} | {e.summary} | {e.source} "
            f"| {reference_and_ours(e)} |"
        )
    return "\n".join(lines)


def reference_and_ours(e: Entry) -> str:
    """Return the figure that an entry is judged by, and what `aezoo reproduce` measured."""
    r = e.reference
    if r is None:
        return "below" if e.name in BELOW else ""
    aim = f"{r.figure}: {'≤' if r.better == 'lower' else '≥'} {r.goal:g}"
    table = read(f"reproduced/{e.name}.csv")
    rows = {row["what"]: float(row["value"]) for row in table}
    seeds = [value for what, value in rows.items() if what.startswith("seed ")]
    if not seeds:
        return f"{aim} / not measured yet"
    best = min(seeds) if r.better == "lower" else max(seeds)
    ours = best if r.of_seeds == "best" else rows["mean"]
    how = "1 seed" if len(seeds) == 1 else f"{r.of_seeds} of {len(seeds)} seeds"
    how += ", not reached" if _missed(table) else ""
    beside = "".join(_variant(e, name) for name in r.variants)
    control = f"{rows['untrained']:.4g}" if "untrained" in rows else "not measured yet"
    return f"{aim} / **{ours:.4g}** ({how}); untrained {control}{beside}"


def _missed(table: list[dict]) -> bool:
    return any(row["what"] == "mean" and row["beside"] == "not reached" for row in table)


def _variant(e: Entry, name: str) -> str:
    """Return what a second recipe of an entry reached; nothing where it was not measured."""
    table, v = read(f"reproduced/{e.name}_{name}.csv"), e.reference.variants[name]
    sign = "≤" if e.reference.better == "lower" else "≥"
    aim = "" if v.goal is None else f", aim {sign} {v.goal:g}{', not reached' * _missed(table)}"
    means = [float(row["value"]) for row in table if row["what"] == "mean"]
    return "".join(f"; `--variant {name}`: {v.figure}{aim}: **{mean:.4g}**" for mean in means)


def tasks() -> str:
    """Return the table of what the tasks reach, one row per figure that something was asked of."""
    lines = ["| task | what | ours | beside it | command |", "| --- | --- | --- | --- | --- |"]
    for task, rows in task_table.read(ROOT / "results" / "tasks").items():
        for data, figure in dict.fromkeys((row["data"], row["figure"]) for row in rows):
            of_figure = [r for r in rows if (r["data"], r["figure"]) == (data, figure)]
            if not any(r["goal"] for r in of_figure):
                continue
            ours = "; ".join(_task_cell(r) for r in of_figure if r["ours"])
            beside = ", ".join(_task_cell(r) for r in of_figure if not r["ours"])
            name, command = task.replace("_", " "), f"`{rows[0]['command']}`"
            lines.append(f"| {name} | {data}, {figure} | {ours} | {beside} | {command} |")
    return "\n".join(lines)


def _task_cell(row: dict[str, str]) -> str:
    bold = "**" if row["ours"] else ""
    least = f" (of {row['n']}, least {float(row['least']):.3g})" if int(row["n"]) > 1 else ""
    goal = row["goal"].replace(">=", "≥").replace("<=", "≤")
    asked = f" (asked {goal})" if goal else ""
    return f"{row['method']} {bold}{float(row['mean']):.4g}{bold}{least}{asked}"


def read(name: str) -> list[dict]:
    """Return the rows of a CSV in results/, comment lines left out; none if it is not there."""
    path = ROOT / "results" / name
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def figures() -> str:
    """Return the table of measured figures."""
    lines = ["| what | ours | beside it | command |", "| --- | --- | --- | --- |"]
    published = read("published_recipes.csv")
    for entry, recipe in dict.fromkeys((row["entry"], row["recipe"]) for row in published):
        rows = [r for r in published if (r["entry"], r["recipe"]) == (entry, recipe)]
        values = sorted(float(row["val_bce"]) for row in rows)
        lines.append(
            f"| `{entry}`, {rows[0]['data']} binarised, validation cross-entropy, "
            f"{rows[0]['epochs']} epochs, {recipe} | best of {len(values)} seeds {values[0]:.4f} "
            f"(worst {values[-1]:.4f}) | the source's own log: {float(rows[0]['reference']):.4f} "
            "| `python benchmarks/published_recipes.py` |"
        )
    lines += [*_quickstart(), *_unet(), *_seq2seq(), *_anomalies(), *_parity()]
    lines += [*_runtimes(), *_scoring(), *_serving(), *_startup()]
    return "\n".join(lines)


def _quickstart() -> list[str]:
    rows = {row["method"]: row for row in read("quickstart.csv")}
    if not rows:
        return []
    ours, *others = rows.values()
    beside = ", ".join(f"{row['method']} {float(row['MSE']):.4f}" for row in others)
    return [
        f"| `conv_ae`, code of 8 numbers, embedded sample, test MSE | {float(ours['MSE']):.4f} "
        f"| {beside} | `python benchmarks/quickstart.py` |"
    ]


def _unet() -> list[str]:
    rows = read("unet_brain_mri.csv")
    if not rows:
        return []

    def dice(method: str, tissue: str) -> list[float]:
        chosen = (r for r in rows if r["method"] == method and r["class"] == tissue)
        return [float(row["dice"]) for row in chosen]

    tissues = ("grey matter", "white matter", "CSF")
    rule = next(row["method"] for row in rows if row["method"] != "unet")
    ours = ", ".join(f"{t} {sum(v) / len(v):.4f}" for t in tissues if (v := dice("unet", t)))
    theirs = ", ".join(f"{dice(rule, t)[0]:.4f}" for t in tissues)
    seeds = len(dice("unet", "CSF"))
    return [
        f"| `unet`, brain slices, test Dice, mean of {seeds} seeds | {ours} "
        f"| {rule}: {theirs} | `python benchmarks/unet_brain_mri.py` |"
    ]


def _seq2seq() -> list[str]:
    rows = {row["method"]: row for row in read("seq2seq_ecg5000.csv")}
    if not rows:
        return []
    ours, pca, nearest = (rows[m] for m in ("seq2seq_ae, mean", "pca", "nearest row"))
    return [
        f"| `seq2seq_ae`, ECG5000, anomaly AUROC, mean of 3 seeds | {float(ours['auroc']):.4f} "
        f"| PCA-4 {float(pca['auroc']):.4f}, nearest row {float(nearest['auroc']):.4f} "
        "| `python benchmarks/seq2seq_ecg5000.py` |",
        f"| the same, MSE on normal test rows, code of 4 | {float(ours['mse_test_normal']):.4f} "
        f"| PCA-4 {float(pca['mse_test_normal']):.4f} | |",
    ]


def _parity() -> list[str]:
    rows = read("export_parity.csv")
    if not rows:
        return []
    entries = len({row["entry"] for row in rows})
    units = [row for row in rows if row["tolerance"].startswith("1e-05 * (1 ")]
    worst = max(float(row["onnx"]) for row in units)
    saved = max(float(row["saved_model"]) for row in rows)
    return [
        f"| exported answers, {entries} trained models, {len(rows)} outputs, batch 1 to 33: "
        f"largest difference in model units | ONNX {worst:.1g}, SavedModel {saved:.1g} "
        "| allowed 1e-05 | `python benchmarks/export_parity.py` |"
    ]


def _runtimes() -> list[str]:
    return [line for entry in ("conv_ae", "unet") for line in _runtimes_of(entry)]


def _runtimes_of(entry: str) -> list[str]:
    rows = {(row["runtime"], int(row["batch"])): row for row in read(f"runtimes_{entry}.csv")}
    if not rows:
        return []

    def times(what: str, slow: str, batch: int = 1) -> str:
        graph = rows["ONNX Runtime", batch]
        return f"{float(rows[slow, batch][what]) / float(graph[what]):.3g}"

    largest = max(batch for _, batch in rows)
    return [
        f"| `{entry}` in ONNX Runtime: how many times as fast | {times('p50_ms', 'SavedModel')} "
        f"(one row), {times('p50_ms', 'SavedModel', largest)} ({largest} rows) | the SavedModel; "
        f"Keras `predict`, one row: {times('p50_ms', 'Keras predict')} "
        "| `python benchmarks/runtimes.py` |",
        f"| the same, cold start to the first answer | {times('cold_start_s', 'SavedModel')} "
        "| TensorFlow with the SavedModel | |",
    ]


def _scoring() -> list[str]:
    rows = {row["what"]: row for row in read("scoring.csv")}
    if not rows:
        return []
    share = float(rows["aezoo score"]["of_bare_loop"])
    return [
        f"| `aezoo score`, `.npy` file, batch 256: throughput | {share:.0%} "
        "| a bare ONNX Runtime loop over an array in memory | `python benchmarks/scoring.py` |"
    ]


def _serving() -> list[str]:
    ratios = [row["ratio"] for row in read("serving.csv") if row["ratio"]]
    if not ratios:
        return []
    return [
        f"| `aezoo serve`, gRPC, one row: median time | {' and '.join(ratios)} times "
        "| an echo model on the same server plus the graph's own time; in turn, and 25 in a row "
        "| `python benchmarks/serving.py` |"
    ]


def _anomalies() -> list[str]:
    rows = read("semi_supervised_anomalies.csv")
    if not rows:
        return []

    def mean(case: str, what: str, figure: str) -> float:
        wanted = {"case": case, "what": what, "figure": figure}
        found = [float(row["value"]) for row in rows if wanted.items() <= row.items()]
        return sum(found) / len(found)

    few, names = "100 labels", ("semi_supervised_vae", "stacked_semi_supervised_vae")
    ours = ", ".join(f"`{name}` {mean(few, name, 'accuracy'):.1f} %" for name in names)
    told = mean(few, "label spreading on codes", "accuracy")
    shares = [f"{share}% abnormal, no labels" for share in (1, 2, 5, 10)]
    clusters, errors = (
        ", ".join(f"{mean(case, what, 'AUROC'):.3f}" for case in shares)
        for what in ("clustered codes", "reconstruction error")
    )
    return [
        "| coats among dresses, 10,000 rows, 100 of them labelled, test accuracy, mean of 2 draws "
        f"| {ours} | label spreading on the codes of a VAE: {told:.1f} % "
        "| `python benchmarks/semi_supervised_anomalies.py` |",
        "| the same without labels, 1, 2, 5, 10 % coats, AUROC of clustering a VAE's codes "
        f"| {clusters} | reconstruction error: {errors} | |",
    ]


def _startup() -> list[str]:
    rows = {row["command"]: float(row["median_seconds"]) for row in read("startup.csv")}
    if not rows:
        return []
    ours, theirs = rows.values()
    return [
        f"| `aezoo list` | {ours:.2f} s | importing pydantic, typer, rich and yaml {theirs:.2f} s "
        "| `python benchmarks/startup.py` |"
    ]


def main() -> None:
    """Rewrite the README between its markers, or compare."""
    text = README.read_text(encoding="utf-8")
    for name, table in (("models", models()), ("tasks", tasks()), ("figures", figures())):
        begin = f"<!-- {name}: begin (python benchmarks/readme_table.py) -->\n"
        end = f"<!-- {name}: end -->"
        before, rest = text.split(begin)
        text = before + begin + table + "\n" + rest[rest.index(end) :]
    if "--check" in sys.argv:
        sys.exit(text != README.read_text(encoding="utf-8"))
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
