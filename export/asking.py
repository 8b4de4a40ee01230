"""Ask the written files in processes of their own, while Keras answers here.

A process that has answered rests for a while: the next export finds its runtime loaded.
"""

import atexit
import contextlib
import errno
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from aezoo.errors import ZooError
from aezoo.export.compare import Cases

NAMES = {
    "onnx": "ONNX Runtime",
    "saved_model": "The SavedModel",
    "litert": "LiteRT",
    "openvino": "OpenVINO",
    "keras": "Keras predict",
    "function": "tf.function",
}

_MODULES = {
    "onnx": "onnxruntime",
    "saved_model": "tensorflow",
    "litert": "ai_edge_litert",
    "openvino": "openvino",
    "keras": "tensorflow",
    "function": "tensorflow",
}

RESTS = 120  # seconds; replay.py ends itself then


def is_installed(kind: str) -> bool:
    """Whether a runtime is there; it is not imported."""
    return importlib.util.find_spec(_MODULES[kind]) is not None


class Interrupted(ZooError):
    """The machine ended a process or has no room: nothing is said about what it ran."""


class Process:
    """A process that has loaded its runtime and waits for questions."""

    def __init__(self, kind: str):
        self.name = NAMES[kind]
        self.answers = Path()
        self.rested_at = 0.0
        self.owed = self.given = 0  # replies
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
        # -P keeps this folder's modules off its path.
        command = [sys.executable, "-P", str(Path(__file__).with_name("replay.py")), kind]
        # It lives as long as the process: `end` closes it.
        self.errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,  # a pipe that nobody reads would fill up
            env=environment,
            cwd=tempfile.gettempdir(),  # the caller's folder may go while it rests
            text=True,
        )

    def start(self, folder: Path, endpoints: list[str], questions: Path, answers: Path) -> None:
        """Let it answer what endpoints are asked; returns at once."""
        self.answers = answers
        self._tell(do="load", folder=folder)
        self._tell(do="answer", endpoints=endpoints, questions=questions, answers=answers)

    def wait(self) -> Cases:
        """Return its answers.

        Raises:
            ZooError: As `ask`.
        """
        for _ in ("load", "answer"):
            self._reply()
        return read_cases(self.answers)

    def ask(self, **command) -> dict:
        """Give one command and return the reply to it; see `replay.py`.

        Raises:
            ZooError: If it failed, with the last line that it wrote, or was ended by a signal.
        """
        self._tell(**command)
        return self._reply()

    def rest(self) -> None:
        """Let it drop what it has loaded and wait for the next use."""
        self.ask(do="forget", seconds=RESTS)
        self.rested_at = time.monotonic()

    def is_rested(self) -> bool:
        """Whether it will be there for another use."""
        # A machine that stalls may take long to tell it.
        return self.process.poll() is None and time.monotonic() - self.rested_at < RESTS / 4

    def is_idle(self) -> bool:
        """Whether it runs, has loaded its runtime and has answered all that it was asked."""
        return self.process.poll() is None and self.given > 0 and not self.owed

    def end(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.communicate()
        self.errors.close()

    def _tell(self, **command) -> None:
        told = {
            key: str(value.absolute()) if isinstance(value, Path) else value
            for key, value in command.items()
        }
        self.owed += 1
        with contextlib.suppress(BrokenPipeError):  # it ended already: `_reply` says why
            self.process.stdin.write(json.dumps(told) + "\n")
            self.process.stdin.flush()

    def _reply(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            self._require_success()
            raise Interrupted(f"{self.name} ended before it answered.")
        self.owed, self.given = self.owed - 1, self.given + 1
        return json.loads(line)

    def _require_success(self) -> None:
        """Let it end; raise if it failed."""
        self.process.communicate()
        self.errors.seek(0)
        errors = self.errors.read()
        code = self.process.returncode
        last = errors.strip().splitlines()[-1:] or [f"exit code {code}"]
        if code == -signal.SIGSEGV:
            raise ZooError(f"{self.name} crashes on what was exported.", received=last[0][:300])
        if code < 0:
            raise Interrupted(
                f"{self.name} was ended from outside while it ran what was exported.",
                received=signal.strsignal(-code) or f"signal {-code}",
                do="If memory ran out, make room for it and export again.",
            )
        if code and f"[Errno {errno.ENOSPC}]" in last[0]:
            raise _full(self.answers)
        if code:
            raise ZooError(
                f"{self.name} cannot run what was exported.",
                received=last[0][:300],
                do="Report this model and its layers.",
            )


_resting: dict[str, Process] = {}


@contextlib.contextmanager
def processes(*kinds: str) -> Iterator[tuple[dict[str, Process], Path]]:
    """Start runtimes, or wake resting ones; yield them by kind, and a folder for their files."""
    started: dict[str, Process] = {}
    with tempfile.TemporaryDirectory(prefix="aezoo-") as folder:
        try:
            for kind in kinds:
                started[kind] = _awake(kind)
            yield started, Path(folder)
            _keep(started)
        except BaseException as error:
            told = isinstance(error, ZooError)  # else its cause may lie in them
            for one in started.values():
                if not (told and one.is_idle()):
                    one.end()
            _keep(started)
            raise


def _keep(started: dict[str, Process]) -> None:
    """Let those that still run rest for the next use; end the others."""
    for kind, one in started.items():
        if one.process.returncode is not None:
            one.end()
            continue
        one.rest()
        if _resting.get(kind) is not one:
            end_resting(kind)  # of two that ran at once, one stays
            _resting[kind] = one


def _awake(kind: str) -> Process:
    resting = _resting.pop(kind, None)
    if resting is not None and resting.is_rested():
        return resting
    if resting is not None:
        resting.end()
    return Process(kind)


@atexit.register
def end_resting(*kinds: str) -> None:
    """End the processes of these kinds, or all, that rest."""
    for kind in kinds or [*_resting]:
        if one := _resting.pop(kind, None):
            one.end()


def write_cases(path: Path, cases: Cases) -> None:
    """Write arrays under `<endpoint>|<batch>|<tensor>`.

    Raises:
        ZooError: If the disk is full.
    """
    arrays = {
        f"{endpoint}|{batch}|{name}": value
        for (endpoint, batch), values in cases.items()
        for name, value in values.items()
    }
    try:
        np.savez(path, **arrays)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise _full(path) from None


def _full(path: Path) -> Interrupted:
    return Interrupted(
        "The disk of temporary files is full; the export compares answers there.",
        received=str(path.parent.parent),
        do="Make room there, or name another folder in TMPDIR.",
    )


def read_cases(path: Path) -> Cases:
    """Read what `write_cases` wrote."""
    cases: Cases = {}
    with np.load(path, allow_pickle=False) as arrays:
        for key in arrays.files:
            endpoint, batch, name = key.split("|")
            cases.setdefault((endpoint, int(batch)), {})[name] = arrays[key]
    return cases
