"""A month of one machine, a line every ten seconds: fitted to one month, asked about the next.

    python benchmarks/detection_stream.py               # results/tasks/detection_stream.csv

Made signals of 260,000 lines: temperature with a daily cycle, pressure that follows a working
cycle, and current that follows both, with noise. In the second month, for three hours, the current
no longer follows the pressure; no value leaves its usual range. Everything goes through the shell's
own commands. The figures are the share of the abnormal period that is marked, false alarms per day,
and the memory of both steps beside that of a quarter of the lines.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import task_table

PER_DAY, LINES, WINDOW = 8640, 260_000, 64
ABNORMAL = slice(171_000, 171_000 + PER_DAY // 8)


def month(seed: int, lines: int, abnormal: slice | None = None) -> pd.DataFrame:
    """Return a table of lines, with a stretch where the current does not follow the pressure."""
    rng, t = np.random.default_rng(seed), np.arange(lines)
    daily = np.sin(2 * np.pi * t / PER_DAY)
    phase = (
        2 * np.pi * np.cumsum(1 + 0.1 * np.sin(2 * np.pi * t / 997)) / 48
    )  # of its working cycle
    pressure = np.sin(phase) + 0.3 * np.sin(2 * phase)
    follows = pressure.copy()
    if abnormal is not None:
        follows[abnormal] = np.sin(0.8 * phase[abnormal])
    noise = rng.normal(0, 0.05, (3, lines))
    stamps = pd.date_range(f"2026-0{seed + 1}-01", periods=lines, freq="10s")
    return pd.DataFrame(
        {
            "time": stamps.astype(str),
            "temperature": 40 + 5 * daily + noise[0],
            "pressure": 3 + pressure + noise[1],
            "current": 10 + 0.5 * daily + follows + noise[2],
        }
    )


def peak_memory(*command: str) -> float:
    """Run a command of the shell; return the megabytes that it held at most."""
    code = "import sys; from aezoo.cli import main; sys.argv[0] = 'aezoo'; main()"
    script = [sys.executable, "-c", code, *command]
    watch = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
        "print('peak', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", watch, *script], check=True, capture_output=True, text=True
    )
    return int(done.stdout.rsplit("peak ", 1)[1]) / 1024


def main() -> None:
    """Make the months, fit, ask, write the table."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    memory, folder = {}, Path(tempfile.mkdtemp(prefix="aezoo-stream-"))
    for lines in (LINES // 4, LINES):
        abnormal = ABNORMAL if lines == LINES else None
        month(0, lines).to_csv(folder / "one.csv", index=False)
        month(1, lines, abnormal).to_csv(folder / "two.csv", index=False)
        out = folder / f"detector_{lines}"
        fit = ("detect", "fit", str(folder / "one.csv"), "--out", str(out), "--alpha", "0.001")
        memory["fit", lines] = peak_memory(*fit, "--window", str(WINDOW))
        run = ("detect", "run", str(out), str(folder / "two.csv"), "--out", str(out / "new"))
        memory["run", lines] = peak_memory(*run)
    marked = np.zeros(LINES, bool)
    events = pd.read_csv(out / "new" / "events.csv")
    false = 0
    for first, last in zip(events["first_step"], events["last_step"], strict=True):
        marked[first : last + 1] = True
        false += last < ABNORMAL.start - WINDOW or first > ABNORMAL.stop + WINDOW
    days = LINES / PER_DAY
    data, ours = "a made month, 260,000 lines", "aezoo detect"
    figures = [
        ("events found of 1", float(marked[ABNORMAL].any()), ">= 1"),
        ("share of the abnormal period marked", float(marked[ABNORMAL].mean()), ""),
        ("false alarms per day", false / days, ""),
        *(
            (f"memory of {step}, times that of a quarter of the lines", ratio, "")
            for step in ("fit", "run")
            for ratio in [memory[step, LINES] / memory[step, LINES // 4]]
        ),
    ]
    task_table.write(
        "detection_stream",
        [task_table.Figure(data, what, ours, True, [v], goal) for what, v, goal in figures],
        "python benchmarks/detection_stream.py",
    )


if __name__ == "__main__":
    main()
