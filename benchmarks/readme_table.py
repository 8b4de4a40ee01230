"""Write the tables of the README from the registry and from results/.

python benchmarks/readme_table.py           # rewrite
python benchmarks/readme_table.py --check   # exit 1 if the README is out of date
"""

import csv
import sys
from pathlib import Path

from aezoo.registry import find, list_models

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def models() -> str:
    """Return the table of models, one row per entry of the registry."""
    lines = [
        "| name | task | parameters | what it is | source |",
        "| --- | --- | ---: | --- | --- |",
    ]
    for name in list_models():
        e = find(name)
        size = f"{e.expect.trainable_parameters:,}" if e.expect else ""
        lines.append(f"| `{name}` | {e.task}, {e.modality} | {size} | {e.summary} | {e.source} |")
    return "\n".join(lines)


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
    for entry in dict.fromkeys(row["entry"] for row in published):
        rows = [row for row in published if row["entry"] == entry]
        values = sorted(float(row["val_bce"]) for row in rows)
        lines.append(
            f"| `{entry}`, {rows[0]['data']} binarised, validation cross-entropy, "
            f"{rows[0]['epochs']} epochs | best of {len(values)} seeds {values[0]:.4f} "
            f"(worst {values[-1]:.4f}) | the source's own log: {float(rows[0]['reference']):.4f} "
            "| `python benchmarks/published_recipes.py` |"
        )
    lines += [line for part in PARTS for line in part()]
    return "\n".join(lines)


PARTS: list = []


def main() -> None:
    """Rewrite the README between its markers, or compare."""
    text = README.read_text(encoding="utf-8")
    for name, table in (("models", models()), ("figures", figures())):
        begin = f"<!-- {name}: begin (python benchmarks/readme_table.py) -->\n"
        end = f"<!-- {name}: end -->"
        before, rest = text.split(begin)
        text = before + begin + table + "\n" + rest[rest.index(end) :]
    if "--check" in sys.argv:
        sys.exit(text != README.read_text(encoding="utf-8"))
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
