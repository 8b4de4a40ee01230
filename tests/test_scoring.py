"""`score_file`: many rows through a bundle, each of them once."""

import subprocess
import sys
import textwrap

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

import aezoo
from aezoo.cli import app
from aezoo.errors import ZooError
from aezoo.export import scoring
from aezoo.export.runner import Bundle
from aezoo.export.scoring import score_file

COUNT = 1037  # no multiple of anything here


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    model = aezoo.build("vallina_ae", input_shape=(6,), hidden=(4,), latent_dim=2, seed=0)
    model.adapt(np.random.default_rng(0).normal(size=(50, 6)).astype("float32"))
    model.calibration = {"threshold": 0.05, "alpha": 0.1}
    return aezoo.export_bundle(model, tmp_path_factory.mktemp("scoring") / "bundle")


@pytest.fixture
def rows(rng, tmp_path):
    values = rng.normal(size=(COUNT, 6)).astype("float32")
    np.save(tmp_path / "rows.npy", values)
    return values


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of 100 rows; a batch is at most a block, so give `batch_size` 100 or less."""
    monkeypatch.setattr(scoring, "BLOCK", 100)


def assert_same(table, other):
    """Equal but for the last bits, which depend on where a batch lies in memory."""
    assert table.schema.equals(other.schema)
    for name in table.column_names:
        ours, theirs = table[name].to_numpy(), other[name].to_numpy()
        if ours.dtype.kind == "f":
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
        else:
            np.testing.assert_array_equal(ours, theirs)


def test_every_row_is_answered_once_and_in_order(bundle, rows, tmp_path):
    seen = []
    done = score_file(
        bundle,
        tmp_path / "rows.npy",
        tmp_path / "out.parquet",
        batch_size=7,
        progress=lambda *counts: seen.append(counts),
    )
    table = pq.read_table(done.output)
    expected = bundle.predict("detect", features=rows)
    maps = [f"error_map_{i}" for i in range(6)]
    assert table.column_names == ["row", "score", *maps, "anomalous"]
    assert table["row"].to_pylist() == list(range(COUNT))
    np.testing.assert_allclose(table["score"].to_numpy(), expected["score"][:, 0], rtol=1e-5)
    np.testing.assert_array_equal(table["anomalous"].to_numpy(), expected["anomalous"][:, 0])
    assert 0 < expected["anomalous"].sum() < COUNT
    assert [done for done, _ in seen] == [*range(0, COUNT, 98), COUNT]  # 14 batches a block
    assert not (tmp_path / "out.parquet.parts").exists() and done.found == 0


@pytest.mark.parametrize("stop_after", [1, 4, 11])
def test_a_stopped_run_goes_on_behind_its_last_block(bundle, rows, tmp_path, stop_after):
    paths = tmp_path / "rows.npy", tmp_path / "out.parquet"
    score_file(bundle, paths[0], tmp_path / "whole.parquet", "encode", batch_size=50)

    def stop(done, total):
        if done >= min(100 * stop_after, COUNT):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_file(bundle, *paths, "encode", batch_size=50, progress=stop)
    assert not paths[1].exists()
    (tmp_path / "out.parquet.parts" / ".part-x.parquet").write_bytes(b"half a block")
    done = score_file(bundle, *paths, "encode", batch_size=50)
    assert (done.rows, done.found) == (COUNT, min(100 * stop_after, COUNT))
    assert_same(pq.read_table(paths[1]), pq.read_table(tmp_path / "whole.parquet"))
    assert pq.read_table(paths[1]).column_names == ["row", "latent_0", "latent_1"]


def test_a_killed_process_loses_no_block_and_repeats_none(bundle, rows, tmp_path):
    code = f"""
        import os, signal
        from aezoo.export import scoring
        scoring.BLOCK = 100
        def kill(done, total):
            if done >= 300:
                os.kill(os.getpid(), signal.SIGKILL)
        bundle = {str(bundle.path)!r}
        scoring.score_file(bundle, "rows.npy", "out.parquet", batch_size=50, progress=kill)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    assert subprocess.run(command, check=False, cwd=tmp_path).returncode == -9
    done = score_file(bundle, tmp_path / "rows.npy", tmp_path / "out.parquet", batch_size=50)
    assert (done.rows, done.found) == (COUNT, 300)
    assert pq.read_table(done.output)["row"].to_pylist() == list(range(COUNT))


def test_a_run_stopped_at_its_very_end_is_a_finished_one(bundle, rows, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(scoring.shutil, "rmtree", stop)
        score_file(bundle, tmp_path / "rows.npy", tmp_path / "out.parquet")
    monkeypatch.setattr(Bundle, "predict", stop)  # nothing is left to answer
    done = score_file(bundle, tmp_path / "rows.npy", tmp_path / "out.parquet")
    assert done.found == COUNT and not (tmp_path / "out.parquet.parts").exists()


@pytest.mark.parametrize("shards", [1, 3, COUNT + 1])
def test_shards_together_are_the_whole(bundle, rows, tmp_path, shards):
    source, options = tmp_path / "rows.npy", {"batch_size": 10}
    whole = score_file(bundle, source, tmp_path / "whole.parquet", **options).output
    wanted = range(1, shards + 1) if shards < 9 else (1, 2, shards)  # most of them are empty
    made = [
        score_file(bundle, source, tmp_path / "out.parquet", shard=(i, shards), **options)
        for i in wanted
    ]
    tables = [pq.read_table(one.output) for one in made]
    if shards < 9:
        assert_same(pa.concat_tables(tables), pq.read_table(whole))
        names = {one.output.name for one in made}
        assert names == {"out.parquet"} if shards == 1 else "out-3-of-3.parquet" in names
    else:
        assert [len(table) for table in tables] == [0, 0, 7]
        assert tables[0].schema.equals(pq.read_schema(whole))


def test_tables_of_another_job_are_kept(bundle, rows, tmp_path):
    out = tmp_path / "out.parquet"
    score_file(bundle, tmp_path / "rows.npy", out)
    before = out.read_bytes()
    np.save(tmp_path / "others.npy", rows)
    for source, endpoint in (("others.npy", "detect"), ("rows.npy", "score")):
        with pytest.raises(ZooError, match="from another input, bundle or endpoint"):
            score_file(bundle, tmp_path / source, out, endpoint)
    assert out.read_bytes() == before


def test_a_parquet_table_is_read_by_row_group_and_its_labels_are_left_out(bundle, rows, tmp_path):
    columns = {f"c{i}": rows[:, i] for i in range(6)} | {"label": np.zeros(COUNT)}
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet", row_group_size=64)
    done = score_file(bundle, tmp_path / "rows.parquet", tmp_path / "out.parquet", "score")
    expected = bundle.predict("score", features=rows)["score"][:, 0]
    np.testing.assert_allclose(pq.read_table(done.output)["score"].to_numpy(), expected, rtol=1e-5)


def test_pictures_are_answered_by_name(rng, tmp_path):
    model = aezoo.build("conv_ae", input_shape=(8, 8, 1), filters=(2, 2), seed=0)
    model.adapt(rng.integers(0, 256, (9, 8, 8, 1), dtype="uint8"))
    bundle = aezoo.export_bundle(model, tmp_path / "bundle")
    (tmp_path / "photos").mkdir()
    pixels = rng.integers(0, 256, (5, 8, 8), dtype="uint8")
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(tmp_path / "photos" / f"{number}.png")
    done = score_file(bundle, tmp_path / "photos", tmp_path / "out.parquet", batch_size=2)
    table = pq.read_table(done.output)
    assert table["name"].to_pylist() == [f"{n}.png" for n in range(5)]
    expected = bundle.predict("score", image=pixels[..., None])["score"][:, 0]
    np.testing.assert_allclose(table["score"].to_numpy(), expected, rtol=1e-5)
    assert done.left_out == ("error_map",) and "not in the table: error_map" in str(done)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"output_name": "out.csv"}, "written as .parquet"),
        ({"shard": (0, 3)}, "no such shard"),
        ({"input_name": "row.npy"}, "Did you mean 'rows.npy'"),
        ({"input_name": "cut.npy"}, "cut.npy cannot be read"),
        ({"input_name": "flat.npy"}, "no row axis"),
        ({"input_name": "none.npy"}, "no rows to score"),
        ({"input_name": "narrow.parquet"}, "does not have the columns that 'features' takes"),
        ({"input_name": "words.doc"}, "Files of this kind"),
        ({"endpoint": "reconstruct"}, None),
    ],
)
def test_what_cannot_be_scored_is_said(bundle, rows, tmp_path, change, message):
    (tmp_path / "cut.npy").write_bytes((tmp_path / "rows.npy").read_bytes()[:200])
    np.save(tmp_path / "flat.npy", rows[0])
    np.save(tmp_path / "none.npy", rows[:0])
    (tmp_path / "words.doc").write_text("words")
    pq.write_table(pa.table({"a": [1.0]}), tmp_path / "narrow.parquet")
    source = tmp_path / change.get("input_name", "rows.npy")
    out = tmp_path / change.get("output_name", "out.parquet")
    arguments = {k: v for k, v in change.items() if k in ("shard", "endpoint")}
    if message is None:  # a row of six numbers is six columns
        names = pq.read_table(score_file(bundle, source, out, **arguments).output).column_names
        assert names == ["row", *(f"reconstruction_{i}" for i in range(6))]
        return
    with pytest.raises(ZooError) as error:
        score_file(bundle, source, out, **arguments)
    assert message in str(error.value)
    assert "cannot be read" in message or "cannot be read" not in str(error.value)
    assert not out.exists()


def test_a_row_that_cannot_be_answered_is_found(bundle, rows, tmp_path):
    rows[555, 2] = np.nan
    np.save(tmp_path / "rows.npy", rows)
    with pytest.raises(ZooError, match=r"^Rows 550 to 559: Input 'features'.* NaN"):
        score_file(bundle, tmp_path / "rows.npy", tmp_path / "out.parquet", batch_size=10)


def test_the_command_scores_a_shard(bundle, rows, tmp_path):
    arguments = ["score", str(bundle.path), "--input", str(tmp_path / "rows.npy")]
    arguments += ["--output", str(tmp_path / "out.parquet"), "--shard", "2/3"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    table = pq.read_table(tmp_path / "out-2-of-3.parquet")
    assert table["row"].to_pylist() == list(range(256, 512))  # whole batches
