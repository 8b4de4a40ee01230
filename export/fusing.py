"""GRU layers become ONNX `GRU` nodes.

While a graph is traced, Keras computes them in a form that tf2onnx recognises.

tf2onnx looks for the bias added by `BiasAdd` from outside the loop; Keras splits the bias inside.
The arithmetic is the same. Where a layer is not the plain case (`reset_after`, a bias, no mask)
Keras' own code runs and the layer becomes a loop.
"""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf
from keras import ops


@contextlib.contextmanager
def fused_recurrence() -> Iterator[None]:
    """Trace GRU layers inside this block in the form that becomes one node."""
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

    keras.layers.GRUCell.call, keras.layers.GRU.call = traced_cell, traced_layer
    try:
        yield
    finally:
        keras.layers.GRUCell.call, keras.layers.GRU.call = cell_call, layer_call


@contextlib.contextmanager
def without_cudnn(model: keras.Model) -> Iterator[None]:
    """Trace recurrent layers as on a machine without a GPU, so that the files run anywhere."""
    layers = [layer for layer in model._flatten_layers() if hasattr(layer, "use_cudnn")]
    before = [layer.use_cudnn for layer in layers]
    for layer in layers:
        layer.use_cudnn = False
    try:
        yield
    finally:
        for layer, use in zip(layers, before, strict=True):
            layer.use_cudnn = use
