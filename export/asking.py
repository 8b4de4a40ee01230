"""Ask the written files in processes of their own, while Keras answers here."""

import contextlib
import errno
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from aezoo.errors import ZooError

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

Cases = dict[tuple[str, int], dict[str, np.ndarray]]  # (endpoint, batch) -> arrays by name


def is_installed(kind: str) -> bool:
    """Whether a runtime is there; it is not imported."""
    return importlib.util.find_spec(_MODULES[kind]) is not None


class Interrupted(ZooError):
    """The machine ended a process or has no room: nothing is said about what it ran."""


class Process:
    """A process that has loaded its runtime and waits for questions."""

    answers = Path()

    def __init__(self, kind: str):
        self.name = NAMES[kind]
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
        # -P keeps this folder's modules off its path.
        command = [sys.executable, "-P", str(Path(__file__).with_name("replay.py")), kind]
        # It lives as long as the process: `processes` closes it.
        self.errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,  # a pipe that nobody reads would fill up
            env=environment,
            text=True,
        )

    def start(self, folder: Path, endpoints: list[str], questions: Path, answers: Path) -> None:
        """Let it answer what endpoints are asked; returns at once."""
        self.answers = answers
        with contextlib.suppress(BrokenPipeError):  # it ended already: `wait` says why
            self._tell(do="load", folder=str(folder))
            files = {"questions": str(questions), "answers": str(answers)}
            self._tell(do="answer", endpoints=endpoints, **files)
            self.process.stdin.flush()

    def _tell(self, **command) -> None:
        self.process.stdin.write(json.dumps(command) + "\n")

    def ask(self, **command) -> dict:
        """Give one command and return the reply to it; see `replay.py`.

        Raises:
            ZooError: If it failed, with the last line that it wrote, or was ended by a signal.
        """
        with contextlib.suppress(BrokenPipeError):
            self._tell(**command)
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            self._require_success()
            raise Interrupted(f"{self.name} ended before it answered.")
        return json.loads(line)

    def wait(self) -> Cases:
        """Return its answers.

        Raises:
            ZooError: As `ask`.
        """
        self._require_success()
        return read_cases(self.answers)

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


@contextlib.contextmanager
def processes(*kinds: str) -> Iterator[tuple[dict[str, Process], Path]]:
    """Start runtimes; yield them by kind, and a folder for questions and answers."""
    started = {}
    with tempfile.TemporaryDirectory(prefix="aezoo-") as folder:
        try:
            for kind in kinds:
                started[kind] = Process(kind)
            yield started, Path(folder)
        finally:
            for one in started.values():
                one.process.kill()
                one.process.communicate()
                one.errors.close()


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
