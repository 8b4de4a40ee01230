"""A Spark session, the active one or one of our own, whose errors are told in our words."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from aezoo.errors import ZooError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MASTER = "local[*, 4]"  # every core of this machine; plain local[*] would not try a task again
OLDEST_JAVA = 17
TOLD = "aezoo: "  # what follows in a worker's exception is a ZooError
# The exception says what went wrong. Spark takes a profile of its own where there is no appender,
# and a level of its own where the class that serves Python has none.
_QUIET = """
rootLogger.level = off
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
logger.gateway.name = org.apache.spark.api.python.PythonGatewayServer
logger.gateway.level = off
"""


@contextlib.contextmanager
def session(master: str | None) -> Iterator["SparkSession"]:
    """Yield the active session, or one that is stopped afterwards; its errors become ours.

    Args:
        master: Where Spark runs if no session is active; None takes the cores of this machine.

    Raises:
        ZooError: If pyspark or Java is missing, or for what Spark or a worker says.
    """
    try:
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException, PySparkRuntimeError
        from pyspark.sql import SparkSession
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("pyspark", "py4j"):
            raise
        raise ZooError(
            "Spark needs pyspark, which is not installed.", do="pip install 'aezoo[dist]'"
        ) from None
    made = None
    try:
        try:
            spark = SparkSession.active()
        except PySparkRuntimeError:  # there is none
            _require_java()
            spark = made = _start(SparkSession.builder, master or MASTER)
        yield spark
    except (PySparkException, Py4JError) as error:
        raise _said(str(error)) from error
    finally:
        if made is not None:
            made.stop()


def _said(text: str) -> ZooError:
    """Return what a worker said, or else the line of Spark's message that gives the reason."""
    if told := re.search(f"{TOLD}({{.*}})", text):
        return ZooError(**json.loads(told[1]))
    lines = text.strip().splitlines() or ["for no reason that it names"]
    reason = next((line for line in lines if "Exception: " in line), lines[0])
    return ZooError(
        f"Spark gave up: {reason.lstrip(': ')}", do="Nothing was written. Spark's logs say more."
    )


def _start(builder: "SparkSession.Builder", master: str) -> "SparkSession":
    options = {
        "spark.app.name": "aezoo score",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    if master.startswith("local"):  # nobody else has to reach the driver
        options |= {"spark.driver.host": "localhost", "spark.driver.bindAddress": "127.0.0.1"}
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # workers; Spark would take python3
    with tempfile.TemporaryDirectory() as folder, known_warnings():
        log = Path(folder, "log4j2.properties")  # read once, at the start
        log.write_text(_QUIET, encoding="utf-8")
        options["spark.driver.extraJavaOptions"] = f"-Dlog4j2.configurationFile={log}"
        return builder.master(master).config(map=options).getOrCreate()


@contextlib.contextmanager
def known_warnings() -> Iterator[None]:
    """Leave out that pyspark has not been tried with all of pandas 3; what we use, tests try."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PySpark does not yet fully support", FutureWarning)
        yield


def _require_java() -> None:
    """Refuse to start without the Java that Spark would take, or with one that is too old."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(str(Path(home, "bin", "java")) if home else "java")
    version = None
    if java is not None:
        told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
        version = re.search(r'version "(?:1\.)?(\d+)[^"]*"', told.stderr)
    if version is None or int(version[1]) < OLDEST_JAVA:
        raise ZooError(
            f"Spark needs Java {OLDEST_JAVA} or newer.",
            received=version[0] if version else f"JAVA_HOME={home}" if home else "no java in PATH",
            do="Install a JRE or set JAVA_HOME, or leave out --engine.",
        )
