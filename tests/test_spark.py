"""`score_with_spark`: the table of `score_file`, made by several worker processes."""

import os
import shutil
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import aezoo
from aezoo.errors import ZooError
from aezoo.export import scoring, spark, spark_session
from aezoo.export.scoring import score_file
from aezoo.export.spark import score_with_spark

pyspark = pytest.importorskip("pyspark", reason="needs pyspark: pip install 'aezoo[dist]'")
try:
    spark_session._require_java()
except ZooError as error:
    pytest.skip(str(error), allow_module_level=True)

COUNT = 1037  # no multiple of anything here
FAST_START = "-XX:TieredStopAtLevel=1"  # Java's second compiler costs more here than it saves

# Read by every Python process at its start: the product holds no hooks for tests.
SITE = """
import importlib.abc, os, signal, sys
from pathlib import Path

class NoTensorFlow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in ("tensorflow", "keras"):
            raise ImportError(f"{name} has no business here")

sys.meta_path.insert(0, NoTensorFlow())
folder = Path(__file__).parent

def predict(bundle, name, /, **arrays):
    with open(folder / "workers", "a") as log:
        log.write(f"{os.getppid()} {os.getpid()}\\n")
    try:
        (folder / "kill").unlink()  # one process can
    except FileNotFoundError:
        return answer(bundle, name, **arrays)
    os.kill(os.getpid(), signal.SIGKILL)

from aezoo.export.runner import Bundle
answer, Bundle.predict = Bundle.predict, predict
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text(SITE)
    return folder


@pytest.fixture(scope="module")
def cluster(site):
    """Two executors, each in a process of its own, with Python workers that run SITE."""
    from pyspark.sql import SparkSession

    changed = {
        "SPARK_HOME": str(Path(pyspark.__file__).parent),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_SUBMIT_OPTS": FAST_START,
    }
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # pyspark's, of pandas 3
        builder = SparkSession.builder.master("local-cluster[2,1,1024]").appName("test")
        builder = builder.config("spark.executorEnv.PYTHONPATH", str(site))
        builder = builder.config("spark.executor.extraJavaOptions", FAST_START)
        builder = builder.config("spark.scheduler.minRegisteredResourcesRatio", "1")
        builder = builder.config("spark.ui.enabled", "false").config("spark.log.level", "OFF")
        session = builder.getOrCreate()
    try:
        yield session
    finally:
        work = Path(changed["SPARK_HOME"], "work", session.sparkContext.applicationId)
        session.stop()
        shutil.rmtree(work, ignore_errors=True)  # what the executors wrote into pyspark's folder
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 1), dtype="uint8")
    model = aezoo.build("vallina_ae", input_shape=(8, 8, 1), hidden=(4,), latent_dim=2, seed=0)
    model.adapt(pixels)
    scores = model.endpoint("score")(image=pixels)["score"]
    model.calibration = {"threshold": float(np.median(scores)), "alpha": 0.1}
    return aezoo.export_bundle(model, tmp_path_factory.mktemp("spark") / "bundle")


@pytest.fixture
def rows(rng, tmp_path):
    values = rng.integers(0, 256, (COUNT, 8, 8, 1)).astype("float32")
    np.save(tmp_path / "rows.npy", values)
    return values


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(scoring, "BLOCK", 100)


def assert_equal(made, expected):
    """Equal to the last bit, row by row, with the note of the job."""
    table, other = pq.read_table(made), pq.read_table(expected)
    assert table.schema.equals(other.schema, check_metadata=True)
    assert table.equals(other)


def assert_clean(folder):
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


# Those without a session come first: a session of another test would be used.


@pytest.mark.parametrize("home", [True, False])
def test_a_missing_java_is_one_message(bundle, rows, tmp_path, monkeypatch, home):
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path)) if home else monkeypatch.delenv(
        "JAVA_HOME", raising=False
    )
    with pytest.raises(ZooError, match="Spark needs Java 17 or newer") as error:
        score_with_spark(bundle, tmp_path / "rows.npy", tmp_path / "out.parquet")
    assert "set JAVA_HOME" in error.value.do and "\n  " not in str(error.value)
    assert not (tmp_path / "out.parquet").exists()


def test_an_old_java_is_refused(tmp_path, monkeypatch):
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_402\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ZooError, match=r"1\.8\.0_402"):
        spark_session._require_java()


def test_a_missing_pyspark_is_one_message(bundle, rows, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyspark"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(ZooError, match="pyspark, which is not installed") as error:
        score_with_spark(bundle, tmp_path / "rows.npy", tmp_path / "out.parquet")
    assert error.value.do == "pip install 'aezoo[dist]'"


def test_parts_that_lack_or_repeat_rows_make_no_table(tmp_path):
    schema = pa.schema([("row", pa.int64())])
    for name, rows, message in (
        ("gap", [[0, 1], [3]], "row 3 behind row 1"),
        ("twice", [[0, 1], [1, 2]], "row 1 behind row 1"),
        ("short", [[0, 1]], "2 rows of 3"),
    ):
        (tmp_path / name).mkdir()
        for number, values in enumerate(rows):
            part = tmp_path / name / f"part-{9 - number:05}.parquet"
            pq.write_table(pa.table({"row": values}, schema), part)
        with pytest.raises(ZooError, match=message):
            spark._join(tmp_path / name, schema, 3, tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


def test_a_session_of_its_own_is_quiet_is_stopped_and_loads_no_tensorflow(
    site, bundle, rows, tmp_path
):
    score_file(bundle, tmp_path / "rows.npy", tmp_path / "alone.parquet")
    code = f"""
        from pyspark.sql import SparkSession
        from aezoo.export.spark import score_with_spark
        bundle = {str(bundle.path)!r}
        done = score_with_spark(bundle, "rows.npy", "out.parquet", master="local[1]")
        assert SparkSession.getActiveSession() is None
        print(done)
    """
    outside = {"PYTHONPATH": str(site), "PYTHONWARNINGS": "error::FutureWarning"}
    environment = os.environ | outside | {"SPARK_SUBMIT_OPTS": FAST_START}
    environment.pop("SPARK_HOME", None)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1,037 rows in out.parquet\n")
    assert [line for line in done.stderr.splitlines() if "incubator" not in line] == []
    tables = [pq.read_table(tmp_path / name) for name in ("out.parquet", "alone.parquet")]
    assert tables[0].equals(tables[1])


@pytest.mark.parametrize("kind", ["npy", "parquet", "pictures"])
def test_the_table_is_that_of_a_run_without_spark(cluster, bundle, rows, tmp_path, kind):
    source, options = tmp_path / f"rows.{kind}", {"batch_size": 7}
    if kind == "parquet":
        columns = {f"c{i}": rows.reshape(COUNT, -1)[:, i] for i in range(64)}
        pq.write_table(pa.table(columns), source, row_group_size=64)
    if kind == "pictures":
        source.mkdir()
        for number, picture in enumerate(rows[:30, ..., 0].astype("uint8")):
            Image.fromarray(picture).save(source / f"{number}.png")
    alone = score_file(bundle, source, tmp_path / "alone.parquet", **options)
    tasks = 9 if kind == "pictures" else None  # of which four have no batch
    done = score_with_spark(bundle, source, tmp_path / "out.parquet", **options, partitions=tasks)
    assert_equal(done.output, alone.output)
    assert (done.rows, done.found, done.left_out) == (alone.rows, 0, ("error_map",))
    table = pq.read_table(done.output)
    names = ["name"] if kind == "pictures" else []
    assert table.column_names == ["row", *names, "score", "anomalous"]
    expected = bundle.predict("detect", image=rows[: len(table)])
    if kind != "pictures":  # those stand in the order of their names
        np.testing.assert_allclose(table["score"].to_numpy(), expected["score"][:, 0], rtol=1e-5)
        np.testing.assert_array_equal(table["anomalous"].to_numpy(), expected["anomalous"][:, 0])
    assert len(set(table["anomalous"].to_pylist())) == 2
    assert_clean(tmp_path)
    again = score_with_spark(bundle, source, tmp_path / "out.parquet", **options)
    assert again.found == done.rows  # nothing is answered twice
    assert cluster.range(3).count() == 3  # a session that was there goes on


def test_a_killed_worker_costs_no_row_and_repeats_none(cluster, site, bundle, rows, tmp_path):
    source = tmp_path / "rows.npy"
    alone = score_file(bundle, source, tmp_path / "alone.parquet", batch_size=50)
    (site / "workers").unlink(missing_ok=True)
    (site / "kill").touch()
    done = score_with_spark(bundle, source, tmp_path / "out.parquet", batch_size=50, partitions=4)
    assert not (site / "kill").exists()  # somebody was killed
    assert_equal(done.output, alone.output)
    assert_clean(tmp_path)
    asked = (site / "workers").read_text().split("\n")[:-1]
    assert len(asked) > -(-COUNT // 50)  # what was lost was asked for again
    assert len({line.split()[0] for line in asked}) >= 2  # both executors had a part in it


def test_what_a_worker_cannot_answer_is_said_as_without_spark(cluster, bundle, rows, tmp_path):
    rows[555, 2, 2] = np.nan
    np.save(tmp_path / "rows.npy", rows)
    with pytest.raises(ZooError, match=r"^Rows 550 to 559: Input 'image'.* NaN") as error:
        score_with_spark(
            bundle, tmp_path / "rows.npy", tmp_path / "out.parquet", None, 10, partitions=1
        )
    assert "PythonException" not in str(error.value)
    assert not (tmp_path / "out.parquet").exists()
    assert_clean(tmp_path)


def test_an_input_that_changes_meanwhile_is_refused(cluster, bundle, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(spark, "_seen", lambda bundle, rows: [bundle.digest, "another file"])
    with pytest.raises(ZooError, match="another bundle or input than the driver"):
        score_with_spark(bundle, tmp_path / "rows.npy", tmp_path / "out.parquet", partitions=1)
