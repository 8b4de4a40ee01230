"""Layers whose own code makes a poor ONNX graph are traced in another form of equal arithmetic.

GRU becomes one `GRU` node: tf2onnx looks for the bias added by `BiasAdd` from outside the loop;
Keras splits the bias inside. Group normalisation becomes 12 small nodes without a `Transpose`,
nearest upsampling one `Resize`, which ONNX Runtime computes in the layout of its convolutions.
Where a layer is not the plain case Keras' own code runs: the graph is larger and as right.
"""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf
from keras import ops

from aezoo.layers.group_normalization import flat, is_plain
from aezoo.zoo_model import ZooModel

_FUSED = (keras.layers.GRU, keras.layers.GroupNormalization, keras.layers.UpSampling2D)


def fusible(model: keras.Model) -> bool:
    """Whether a model has layers that `fused_layers` traces in another form."""
    return any(isinstance(layer, _FUSED) for layer in model._flatten_layers())


@contextlib.contextmanager
def fused_layers() -> Iterator[None]:
    """Trace the layers below inside this block in the forms that suit ONNX."""
    with fused_recurrence(), flat_group_normalization(), resized_upsampling():
        yield


@contextlib.contextmanager
def fused_recurrence() -> Iterator[None]:
    """Trace GRU layers inside this block in the form that becomes one node.

    Plain are those with `reset_after`, a bias and no mask; others become a loop.
    """
    cell_call, layer_call = keras.layers.GRUCell.call, keras.layers.GRU.call
    biases: dict[int, list[tf.Tensor]] = {}  # of the layers being traced, by cell

    def traced_layer(self, sequences, initial_state=None, mask=None, training=False):
        plain = getattr(self.cell, "reset_after", False) and getattr(self.cell, "use_bias", False)
        fusible = plain and mask is None and not training
        if fusible:
            biases[id(self.cell)] = tf.unstack(ops.convert_to_tensor(self.cell.bias))
        try:
            return layer_call(self, sequences, initial_state, mask, training)
        finally:
            biases.pop(id(self.cell), None)

    def traced_cell(self, inputs, states, training=False):
        if id(self) not in biases:
            return cell_call(self, inputs, states, training)
        h = states[0] if isinstance(states, (list, tuple)) else states  # (B, units)
        of_input, of_state = biases[id(self)]  # (3 units,) each
        x = tf.nn.bias_add(ops.matmul(inputs, self.kernel), of_input)  # (B, 3 units)
        s = tf.nn.bias_add(ops.matmul(h, self.recurrent_kernel), of_state)
        x_z, x_r, x_n = tf.split(x, 3, axis=-1)
        s_z, s_r, s_n = tf.split(s, 3, axis=-1)
        z = self.recurrent_activation(x_z + s_z)
        r = self.recurrent_activation(x_r + s_r)
        n = self.activation(x_n + r * s_n)
        new = z * h + (1 - z) * n
        return new, [new] if isinstance(states, (list, tuple)) else new

    with _called(keras.layers.GRUCell, traced_cell), _called(keras.layers.GRU, traced_layer):
        yield


@contextlib.contextmanager
def flat_group_normalization() -> Iterator[None]:
    """Trace Keras' group normalisation inside this block as the zoo's own: without transposes.

    It is computed channels first, as ONNX convolutions are; the transposes around it cancel theirs.
    """
    own = keras.layers.GroupNormalization.call

    def traced(self, x):
        return flat(self, x) if is_plain(self, x) else own(self, x)

    with _called(keras.layers.GroupNormalization, traced):
        yield


@contextlib.contextmanager
def resized_upsampling() -> Iterator[None]:
    """Trace nearest upsampling of pictures of a known size inside this block as one resize.

    Keras repeats rows, then columns: 17 nodes, transposes among them.
    """
    own = keras.layers.UpSampling2D.call

    def traced(self, x):
        nearest = self.interpolation == "nearest" and self.data_format == "channels_last"
        if not nearest or None in x.shape[1:3] or max(self.size) > 32:  # where floats round alike
            return own(self, x)
        size = [side * factor for side, factor in zip(x.shape[1:3], self.size, strict=True)]
        return tf.raw_ops.ResizeNearestNeighbor(
            images=x, size=size, align_corners=False, half_pixel_centers=False
        )

    with _called(keras.layers.UpSampling2D, traced):
        yield


@contextlib.contextmanager
def _called(layer: type, call) -> Iterator[None]:
    """Let a class of layers compute by `call` inside this block."""
    own = layer.call
    layer.call = call
    try:
        yield
    finally:
        layer.call = own


@contextlib.contextmanager
def without_cudnn(model: ZooModel) -> Iterator[None]:
    """Trace recurrent layers as on a machine without a GPU, so that the files run anywhere.

    Endpoints are made anew, so that the model is traced as it is now.
    """
    layers = [layer for layer in model._flatten_layers() if hasattr(layer, "use_cudnn")]
    before = [layer.use_cudnn for layer in layers]
    model.renew_endpoints()
    for layer in layers:
        layer.use_cudnn = False
    try:
        yield
    finally:
        for layer, use in zip(layers, before, strict=True):
            layer.use_cudnn = use
        if layers:
            model.renew_endpoints()
