"""The ONNX graphs: names, bytes, operations, fused layers, shared weights, precision."""

import collections
import json

import keras
import numpy as np
import onnx
import onnxruntime
import pytest

import aezoo
from aezoo.autoencoder import Autoencoder
from aezoo.export import bundle as bundles
from aezoo.export import onnx_graph
from aezoo.export.canonical import all_nodes
from aezoo.export.fusing import fused_layers
from aezoo.models.conv import ConvAE
from aezoo.models.dense import DenseAE
from aezoo.specs import tolerance


class RecurrentAE(Autoencoder):
    """A series through one recurrent layer and back."""

    def __init__(self, layer: keras.layers.Layer):
        encoder = keras.Sequential([keras.Input((6, 2)), layer], name="encoder")
        width = encoder.output_shape[-1]
        decoder = keras.Sequential(
            [keras.Input((width,)), keras.layers.RepeatVector(6), keras.layers.Dense(2)],
            name="decoder",
        )
        super().__init__(encoder=encoder, decoder=decoder)


class NormalizedAE(Autoencoder):
    """Rows through one normalisation."""

    def __init__(self, shape: tuple[int, ...], layer: keras.layers.Layer):
        super().__init__(
            encoder=keras.Sequential([keras.Input(shape), layer], name="encoder"),
            decoder=keras.Sequential([keras.Input(shape), keras.layers.ReLU()], name="decoder"),
        )


def with_biases(model, rng):
    """Give every weight a value that matters; Keras' biases start at 0."""
    for weight in model.weights:
        values = rng.normal(size=weight.shape) * 0.5
        weight.assign(abs(values) if weight.name == "moving_variance" else values)
    return model


def converted(model, endpoint="encode"):
    return onnx_graph.convert(model.endpoint(endpoint), model)


def operations(graph: onnx.ModelProto) -> collections.Counter:
    return collections.Counter(node.op_type for node in all_nodes(graph.graph))


def assert_same_answers(model, graph: onnx.ModelProto, rng, endpoint="encode", mean=0.0):
    """Compare with Keras by the tolerance of a bundle."""
    spec = model.endpoint(endpoint).spec
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    for batch in (1, 3):
        rows = {t.name: rng.normal(mean, 1, (batch, *t.shape)).astype(t.dtype) for t in spec.inputs}
        expected = model.endpoint(endpoint)(**rows)
        for tensor, answer in zip(spec.outputs, session.run(None, rows), strict=True):
            b = expected[tensor.name]
            if tensor.dtype == "float32":
                assert np.ptp(b) > 0.05
                assert (abs(answer - b) <= tolerance(tensor, b)).all()
            else:  # classes, of which two may be as probable
                assert np.mean(answer != b) < 0.01


@pytest.mark.parametrize(
    ("layer", "operation"),
    [
        (lambda: keras.layers.GRU(4), "GRU"),
        (lambda: keras.layers.Bidirectional(keras.layers.GRU(3)), "GRU"),
        (lambda: keras.layers.LSTM(4), "LSTM"),
    ],
    ids=["gru", "bidirectional gru", "lstm"],
)
def test_a_recurrent_layer_becomes_one_node(layer, operation, rng):
    model = with_biases(RecurrentAE(layer()), rng)
    graph = converted(model)
    seen = operations(graph)
    assert (seen[operation], seen["Loop"]) == (1, 0)
    assert_same_answers(model, graph, rng)


def test_a_gru_of_another_kind_becomes_a_loop_with_the_same_answers(rng):
    model = with_biases(RecurrentAE(keras.layers.GRU(4, reset_after=False)), rng)
    graph = converted(model)
    seen = operations(graph)
    assert (seen["GRU"], seen["Loop"]) == (0, 1)
    assert_same_answers(model, graph, rng)
    assert not any("__" in n.name or "frozen" in n.name for n in all_nodes(graph.graph))
    again = converted(model)
    assert graph.SerializeToString(deterministic=True) == again.SerializeToString(
        deterministic=True
    )


@pytest.mark.parametrize(
    ("shape", "layer", "flat"),
    [
        ((5, 4, 8), lambda: keras.layers.GroupNormalization(4), True),
        ((5, 4, 8), lambda: keras.layers.GroupNormalization(1, epsilon=0.5), True),
        ((5, 4, 8), lambda: keras.layers.GroupNormalization(-1, axis=3), True),
        ((8, 5, 4), lambda: keras.layers.GroupNormalization(4, axis=1), False),
        ((5, 4, 8), lambda: keras.layers.GroupNormalization(4, scale=False), False),
        ((5, 4, 8), lambda: keras.layers.GroupNormalization(4, center=False), False),
        ((5, 8), lambda: keras.layers.GroupNormalization(4), False),
    ],
    ids=["groups", "one group", "channels", "channels first", "no scale", "no shift", "series"],
)
def test_group_normalisation_answers_as_keras_does_far_from_zero_too(shape, layer, flat, rng):
    model = with_biases(NormalizedAE(shape, layer()), rng)
    graph = converted(model)
    seen = operations(graph)
    assert (seen["Shape"] == 0) == flat  # Keras' own code asks for the shape
    for mean in (0, 30):  # at 30 the mean of squares less the square of the mean is too rough
        assert_same_answers(model, graph, rng, mean=mean)


def test_keras_computes_as_before_after_an_export():
    layers = keras.layers.GRU, keras.layers.GRUCell, keras.layers.GroupNormalization
    before = [layer.call for layer in layers]
    converted(RecurrentAE(keras.layers.GRU(2)))
    assert [layer.call for layer in layers] == before
    with pytest.raises(RuntimeError, match="in the middle"), fused_layers():
        assert all(layer.call is not own for layer, own in zip(layers, before, strict=True))
        raise RuntimeError("in the middle")
    assert [layer.call for layer in layers] == before


UNET = {"input_shape": (12, 8, 1), "filters": (4, 16)}
SERIES = {"input_shape": (6, 2), "units": 4}
GRAPHS = {  # a new keras or tf2onnx that makes more nodes of a model is noticed here
    "batch norm": (
        ("unet", UNET),
        "Cast Concat Conv:7 ConvTranspose MaxPool Relu:6 Reshape Softmax Squeeze TopK Transpose",
    ),
    "group norm": (
        ("unet", UNET | {"normalization": "group"}),
        "Add:12 Cast Concat Conv:7 ConvTranspose MaxPool Mul:18 Reciprocal:6 ReduceMean:12 Relu:6 "
        "Reshape:13 Softmax Sqrt:6 Squeeze Sub:6 TopK Transpose",
    ),
    "lstm": (
        ("seq2seq_ae", SERIES | {"cell": "lstm"}),
        "Add:2 Cast:12 Concat:9 Expand:2 Gather LSTM:2 MatMul:2 Reshape:4 Shape:5 Slice:10 "
        "Squeeze:6 Tile:2 Transpose:3 Unsqueeze:5",
    ),
    "gru": (
        ("seq2seq_ae", SERIES | {"cell": "gru"}),
        "Add:2 Cast:12 Concat:9 Expand:2 GRU:2 Gather MatMul:2 Reshape:4 Shape:5 Slice:10 "
        "Squeeze:6 Tile:2 Transpose:3 Unsqueeze:5",
    ),
    "conv_ae": (
        ("conv_ae", {"input_shape": (8, 8, 1), "filters": (3,)}),
        "Conv:3 MaxPool Relu:2 Reshape:2 Resize Sigmoid",
    ),
    "vae": (
        ("vae", {"input_shape": (6,), "hidden": (4,), "latent_dim": 2}),
        "Add:4 MatMul:4 Relu:2 Sigmoid",
    ),
}


@pytest.mark.parametrize("kind", GRAPHS)
def test_a_graph_consists_of_exactly_these_operations(kind, rng):
    (name, arguments), expected = GRAPHS[kind]
    model = with_biases(aezoo.build(name, **arguments), rng)
    endpoint = model.endpoints[0].name
    graph = converted(model, endpoint)
    assert written(operations(graph)) == expected
    assert_same_answers(model, graph, rng, endpoint)


def written(counts: collections.Counter) -> str:
    return " ".join(name if n == 1 else f"{name}:{n}" for name, n in sorted(counts.items()))


def test_equal_models_give_equal_bytes_under_names_that_can_be_read():
    arguments = {"input_shape": (6, 5, 1), "filters": (3,)}
    graphs = [
        converted(aezoo.build("conv_ae", seed=3, **arguments), "score")
        for _ in range(2)  # layers and operations are numbered on from the first
    ]
    first, second = (graph.SerializeToString(deterministic=True) for graph in graphs)
    assert first == second
    names = [node.name for node in graphs[0].graph.node]
    assert "encoder/conv2d/Conv" in names and "decoder/conv2d_1/Conv" in names
    assert "encoder/conv2d/Conv/W" in [t.name for t in graphs[0].graph.initializer]


def test_inputs_outputs_axes_and_metadata_are_public(rng):
    model = ConvAE(input_shape=(6, 5, 1), filters=(3,))
    graph = converted(model, "score")
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.graph.input, *graph.graph.output)
    }
    assert shapes == {
        "image": ["batch", 6, 5, 1],
        "score": ["batch", 1],
        "error_map": ["batch", 6, 5],
    }
    assert [(o.domain, o.version) for o in graph.opset_import] == [("", 18)]
    card = onnxruntime.InferenceSession(graph.SerializeToString()).get_modelmeta()
    assert json.loads(card.custom_metadata_map["aezoo.endpoint"])["name"] == "score"
    assert card.producer_name == "aezoo"


@pytest.fixture(scope="module")
def of_mixed_precision(tmp_path_factory):
    """A model of mixed precision and its bundle, with weights in one shared file."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = DenseAE(input_shape=(40,), hidden=(32,), latent_dim=16)
    finally:
        keras.config.set_dtype_policy(before)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_graph, "SHARE_ABOVE", 0)
        return model, aezoo.export_bundle(model, tmp_path_factory.mktemp("mixed") / "bundle")


def test_mixed_precision_is_exported_in_float32(of_mixed_precision, rng):
    model, bundle = of_mixed_precision
    assert bundle.manifest.precision == "float32, trained in mixed_float16"
    rows = rng.random((4, 40), "float32")
    with bundles.float32_copy(model) as exact:
        assert exact is not model
        expected = exact.endpoint("reconstruct")(features=rows)["reconstruction"]
    answer = bundle.predict("reconstruct", features=rows)["reconstruction"]
    np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-5)
    half = model.endpoint("reconstruct")(features=rows)["reconstruction"]
    assert 0 < np.abs(answer - half).max() < 1e-2
    for file in sorted((bundle.path / "onnx").glob("*.onnx")):
        kinds = {t.data_type for t in onnx.load(file).graph.initializer}
        assert onnx.TensorProto.FLOAT16 not in kinds


def test_large_weights_are_stored_once_for_all_endpoints(of_mixed_precision):
    model, bundle = of_mixed_precision
    large = [np.prod(w.shape) * 4 for w in model.weights if np.prod(w.shape) * 4 >= 1024]
    assert (bundle.path / "onnx" / "weights.bin").stat().st_size == sum(large)
    assert "onnx/weights.bin" in bundle.manifest.files
    (bundle.path / "onnx" / "weights.bin").chmod(0o644)
    assert aezoo.verify_bundle(bundle.path).files == len(bundle.manifest.files) + 1


def test_the_memory_limit_lowers_the_largest_batch(monkeypatch):
    graph = converted(DenseAE(input_shape=(6,), hidden=(4,), latent_dim=2), "encode")
    per_row = onnx_graph.activation_bytes(graph)
    assert per_row >= 4 * (6 + 4 + 2)
    assert bundles.affordable((1, 2, 5, 33), {"encode": graph}) == [1, 2, 5, 33]
    monkeypatch.setattr(bundles, "MEMORY_LIMIT", 9 * per_row)
    assert bundles.affordable((1, 2, 5, 33), {"encode": graph}) == [1, 2, 5, 9]
