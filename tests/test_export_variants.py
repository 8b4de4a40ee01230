"""Smaller graphs: what they answer, what is measured of them, what keeps them out."""

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

import aezoo
from aezoo.cli import app
from aezoo.data import load
from aezoo.errors import ZooError
from aezoo.export import gates, variants
from aezoo.specs import TensorSpec


@pytest.fixture(scope="module")
def data():
    return load("sample")


@pytest.fixture(scope="module")
def dense(data, tmp_path_factory):
    """A trained dense model and its bundle with both variants."""
    out = tmp_path_factory.mktemp("dense") / "run"
    run = aezoo.train("vallina_ae", data, out=out, epochs=2, figures=False)
    aezoo.calibrate(run.model, data.validation.array(), alpha=0.1)
    folder = tmp_path_factory.mktemp("dense") / "bundle"
    return run.model, aezoo.export_bundle(run.model, folder, also=("fp16", "int8"))


def error(bundle, rows, variant):
    answer = aezoo.export.Bundle(bundle.path, variant).predict("reconstruct", image=rows)
    return np.mean(np.square(answer["reconstruction"].astype("float64") - rows))


@pytest.mark.parametrize(("variant", "size"), [("fp16", 0.51), ("int8", 0.27)])
def test_a_variant_is_smaller_and_reconstructs_nearly_as_well(dense, data, variant, size):
    _, bundle = dense
    cost = bundle.manifest.variants[variant].costs["reconstruct"]
    measured = cost.quality["reconstruction increase of the reconstruction error"]
    rows = data.test.array()
    increase = error(bundle, rows, variant) / error(bundle, rows, None) - 1
    assert 0 <= measured <= 0.02
    assert max(0, increase) == pytest.approx(measured, abs=1e-6)
    assert increase != 0  # the graphs are not the same
    assert cost.bytes < size * cost.bytes_before
    file = bundle.path / f"onnx_{variant}" / "reconstruct.onnx"
    assert file.stat().st_size == cost.bytes
    assert set(cost.milliseconds) == {1, 32} and min(cost.milliseconds.values()) > 0


def test_dense_products_are_quantised_as_they_run_and_convolutions_beforehand(dense, data, rng):
    _, bundle = dense
    nodes = {n.op_type for n in onnx.load(bundle.path / "onnx_int8" / "encode.onnx").graph.node}
    assert {"DynamicQuantizeLinear", "MatMulInteger"} <= nodes and "MatMul" not in nodes

    model = aezoo.build("unet", input_shape=(16, 16, 1), filters=(16, 32), classes=2, seed=0)
    images = rng.integers(0, 256, (60, 16, 16, 1), dtype="uint8")
    masks = (images[..., 0] > 127).astype("int32")
    data = load((images, masks))
    out = bundle.path.parent / "unet"
    run = aezoo.train(model=model, data=data, epochs=3, out=out, figures=False)
    made = aezoo.export_bundle(
        run.model, bundle.path.parent / "unet_bundle", also=("int8",), data=data
    )
    nodes = {n.op_type for n in onnx.load(made.path / "onnx_int8" / "encode.onnx").graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= nodes and "ConvInteger" not in nodes
    loss = made.manifest.variants["int8"].costs["segment"].quality["mask loss of Dice"]
    assert 0 <= loss <= 0.005


def test_card_and_shell_know_the_variants(dense, data, tmp_path):
    _, bundle = dense
    card = (bundle.path / "README.md").read_text()
    assert "`onnx_int8/`" in card and "500 test rows of sample" in card
    np.save(tmp_path / "rows.npy", data.test.array()[:3])
    command = ["predict", str(bundle.path), str(tmp_path / "rows.npy"), "--endpoint", "score"]
    asked = [*command, "--variant", "int8", "--output", str(tmp_path / "answer.npz")]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    expected = aezoo.export.Bundle(bundle.path, "int8").predict(
        "score", image=data.test.array()[:3]
    )
    with np.load(tmp_path / "answer.npz") as answer:
        np.testing.assert_array_equal(answer["score"], expected["score"])
    with pytest.raises(ZooError, match=r"no variant of this name.*\n.*int4.*\n.*fp16, int8"):
        aezoo.export.Bundle(bundle.path, "int4")


def test_an_endpoint_behind_its_gate_is_left_out_with_the_reason(
    dense, data, monkeypatch, tmp_path
):
    model, _ = dense
    name = "relative difference"
    monkeypatch.setitem(gates.LIMITS, name, 1e-6)
    made = aezoo.export_bundle(model, tmp_path / "bundle", also=("int8",), data=data)
    assert set(made.manifest.variants["int8"].refused) == {"encode"}
    assert not (made.path / "onnx_int8" / "encode.onnx").exists()
    with pytest.raises(ZooError, match=r"(?s)no endpoint of this name.*relative difference of"):
        aezoo.export.Bundle(made.path, "int8").predict("encode", image=data.test.array()[:1])


def test_recurrent_models_and_missing_data_are_refused(tmp_path, rng):
    bare = aezoo.build("vallina_ae")
    with pytest.raises(ZooError, match="int8: measured on test rows, and no data were given"):
        aezoo.export_bundle(bare, tmp_path / "bundle", also=("int8",))
    lstm = aezoo.build("seq2seq_ae", input_shape=(12, 2), units=8)
    series = rng.normal(size=(40, 12, 2)).astype("float32")
    with pytest.raises(ZooError, match=r"No endpoint has an int8 variant.*\n.*Recurrent layers"):
        aezoo.export_bundle(lstm, tmp_path / "bundle", also=("int8",), data=series)
    assert list(tmp_path.iterdir()) == []


def test_half_storage_keeps_what_float16_cannot_hold():
    large = np.full((16, 32), 1e6, "float32")
    fine = np.linspace(-1, 1, 512, dtype="float32").reshape(16, 32)
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Add", ["x", "large"], ["a"]),
            onnx.helper.make_node("Mul", ["a", "fine"], ["y"]),
        ],
        "both",
        [onnx.helper.make_tensor_value_info("x", 1, [16, 32])],
        [onnx.helper.make_tensor_value_info("y", 1, [16, 32])],
        [onnx.numpy_helper.from_array(large, "large"), onnx.numpy_helper.from_array(fine, "fine")],
    )
    made = variants.half_storage(onnx.helper.make_model(graph, ir_version=8))
    stored = {t.name: onnx.numpy_helper.to_array(t).dtype.name for t in made.graph.initializer}
    assert stored == {"large": "float32", "fine/half": "float16"}
    onnx.checker.check_model(made, full_check=True)


def test_the_measures_are_what_they_say():
    class Rows:
        original = np.zeros((2, 2), "float32")
        targets = np.array([[1, 1], [0, 0]])
        anomalous = np.array([True, False])

    def measured(name, before, after):
        spec = TensorSpec(name, np.shape(before)[1:])
        return dict(gates._measures(spec, Rows, np.asarray(before), np.asarray(after)))

    worse = measured("reconstruction", [[1.0, 1.0], [1.0, 1.0]], [[2.0, 1.0], [1.0, 1.0]])
    assert worse == {"increase of the reconstruction error": pytest.approx(0.75)}
    assert measured("mask", [[1, 1], [0, 0]], [[1, 0], [0, 0]]) == {
        "loss of Dice": pytest.approx(1 / 3)
    }
    scores = measured("score", [[0.3], [0.1]], [[0.1], [0.3]])
    assert scores == {"mean change of the score": pytest.approx(1.0), "loss of AUROC": 1.0}
    assert measured("anomalous", [[True], [False]], [[True], [True]]) == {"changed decisions": 0.5}
    latent = measured("latent", [[1.0], [-1.0]], [[1.0], [-0.8]])
    assert latent == {"relative difference": pytest.approx(np.sqrt(0.02))}
    assert measured("latent", [[1.0], [-1.0]], [[1.0], [np.nan]]) == {"relative difference": np.inf}
