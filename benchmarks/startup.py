"""How long does `aezoo list` take beside importing what it is made of?

    python benchmarks/startup.py

Runs the two in turn, so that a machine whose speed drifts slows both, and writes the medians to
results/startup.csv.
"""

import csv
import statistics
import subprocess
import sys
import time
from pathlib import Path

RESULTS = Path(__file__).parent.parent / "results" / "startup.csv"
ROUNDS = 25
COMMANDS = {
    "aezoo list": [str(Path(sys.executable).parent / "aezoo"), "list"],
    "import pydantic, typer, rich, yaml": [
        sys.executable,
        "-c",
        "import pydantic, typer, rich, yaml",
    ],
}


def seconds(command: list[str]) -> float:
    """Return the wall time of one run."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure in turn and write the CSV."""
    for command in COMMANDS.values():
        seconds(command)  # once, so that files are in the cache
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, command in COMMANDS.items():
            times[name].append(seconds(command))
    with RESULTS.open("w", newline="") as file:
        file.write("# python benchmarks/startup.py\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("command", "rounds", "median_seconds", "fastest_seconds"))
        for name, values in times.items():
            row = (name, ROUNDS, f"{statistics.median(values):.3f}", f"{min(values):.3f}")
            writer.writerow(row)
            print(*row)
    ours, theirs = (statistics.median(values) for values in times.values())
    print(f"difference {ours - theirs:.3f} s")


if __name__ == "__main__":
    main()
