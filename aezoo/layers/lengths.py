"""Layers for rows of unequal length, padded on the right, without a Keras mask.

A Keras mask turns a recurrent layer into a loop in ONNX. These layers get the lengths `(B, 1)` as
a tensor instead: the recurrent layer runs over all T steps, and what it knew at the last valid step
is gathered. Since time runs to the right, that state has not seen the padding.
"""

import keras
from keras import ops


def valid_steps(length, steps: int):
    """Return which steps are no padding: lengths (B, 1) -> booleans (B, T).

    Example:
        >>> import numpy as np
        >>> valid_steps(np.array([[1], [3]]), 3).numpy().astype(int).tolist()
        [[1, 0, 0], [1, 1, 1]]
    """
    return ops.arange(steps, dtype="int32")[None] < ops.cast(length, "int32")


def token_length(tokens):
    """Return the place of the last token that is not 0, from 1: (B, T) -> (B, 1).

    Example:
        >>> import numpy as np
        >>> token_length(np.array([[7, 0, 5, 0], [0, 0, 0, 0]])).numpy().tolist()
        [[3], [0]]
    """
    place = ops.arange(1, tokens.shape[1] + 1, dtype="int32")[None]  # (1, T)
    return ops.max(ops.where(tokens != 0, place, 0), axis=1, keepdims=True)


def zero_padding(rows, length):
    """Return rows (B, T) or (B, T, C) with zeros in place of the padding, whatever stood there."""
    valid = valid_steps(length, rows.shape[1])
    if len(rows.shape) == 3:
        valid = valid[..., None]
    return ops.where(valid, rows, ops.zeros((), rows.dtype))


@keras.saving.register_keras_serializable(package="aezoo")
class TokenLength(keras.layers.Layer):
    """`token_length` as a layer: (B, T) ids -> (B, 1) int32."""

    def call(self, tokens):
        """Return the lengths."""
        return token_length(tokens)

    def compute_output_spec(self, tokens):
        """Return the spec of the lengths."""
        return keras.KerasTensor((tokens.shape[0], 1), dtype="int32")


@keras.saving.register_keras_serializable(package="aezoo")
class ZeroPadding(keras.layers.Layer):
    """`zero_padding` as a layer: [rows (B, T, ...), lengths (B, 1)] -> rows."""

    def call(self, inputs):
        """Return the rows without the content of their padding."""
        rows, length = inputs
        return zero_padding(rows, length)

    def compute_output_spec(self, inputs):
        """Return the spec of the rows."""
        return keras.KerasTensor(inputs[0].shape, dtype=inputs[0].dtype)


@keras.saving.register_keras_serializable(package="aezoo")
class LastStep(keras.layers.Layer):
    """Gather what stands at the last valid step: [(B, T, U), lengths (B, 1)] -> (B, U).

    Example:
        >>> import numpy as np
        >>> states = np.arange(6.0).reshape(1, 3, 2)
        >>> LastStep()([states, np.array([[2]])]).numpy().tolist()
        [[2.0, 3.0]]
    """

    def call(self, inputs):
        """Return the state at step length - 1; an empty row gives its first state."""
        states, length = inputs
        last = ops.clip(ops.cast(length, "int32") - 1, 0, states.shape[1] - 1)  # (B, 1)
        return ops.take_along_axis(states, last[..., None], axis=1)[:, 0]  # (B, U)

    def compute_output_spec(self, inputs):
        """Return the spec of the gathered states."""
        states = inputs[0]
        return keras.KerasTensor((states.shape[0], states.shape[2]), dtype=states.dtype)


@keras.saving.register_keras_serializable(package="aezoo")
class ReverseValid(keras.layers.Layer):
    """Turn the valid steps round and leave the padding: [(B, T, C), lengths (B, 1)] -> (B, T, C).

    Example:
        >>> import numpy as np
        >>> rows = np.array([[[1.0], [2.0], [0.0]]])
        >>> ReverseValid()([rows, np.array([[2]])]).numpy().ravel().tolist()
        [2.0, 1.0, 0.0]
    """

    def call(self, inputs):
        """Return the reversed rows."""
        rows, length = inputs
        step = ops.arange(rows.shape[1], dtype="int32")[None]  # (1, T)
        length = ops.cast(length, "int32")
        source = ops.where(step < length, length - 1 - step, step)  # (B, T)
        source = ops.clip(source, 0, rows.shape[1] - 1)
        return ops.take_along_axis(rows, source[..., None], axis=1)

    def compute_output_spec(self, inputs):
        """Return the spec of the rows."""
        return keras.KerasTensor(inputs[0].shape, dtype=inputs[0].dtype)


@keras.saving.register_keras_serializable(package="aezoo")
class RepeatCode(keras.layers.Layer):
    """Give a recurrent decoder the code and the time at every step: (B, D) -> (B, T, D + 2 W).

    The time is a row of constants, sin and cos of pi k t / (T - 1) for k = 1, 2, 4 ... 2^(W-1);
    without it the decoder must learn to count before it can learn anything else.

    Args:
        steps: T.
        waves: W; 0 repeats the code alone.
    """

    def __init__(self, steps: int, waves: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.steps, self.waves = steps, waves

    def call(self, code):
        """Return the decoder's inputs."""
        repeated = ops.repeat(code[:, None], self.steps, axis=1)  # (B, T, D)
        if not self.waves:
            return repeated
        turn = 2.0 ** ops.arange(self.waves, dtype="float32")[None]  # (1, W)
        time = ops.linspace(0.0, 3.141592653589793, self.steps)[:, None] * turn  # (T, W)
        time = ops.cast(ops.concatenate([ops.sin(time), ops.cos(time)], axis=-1), code.dtype)
        time = ops.repeat(time[None], ops.shape(code)[0], axis=0)  # (B, T, 2W)
        return ops.concatenate([repeated, time], axis=-1)

    def compute_output_spec(self, code):
        """Return the spec of the decoder's inputs."""
        shape = (code.shape[0], self.steps, code.shape[1] + 2 * self.waves)
        return keras.KerasTensor(shape, dtype=code.dtype)

    def get_config(self):
        """Return the arguments."""
        return {**super().get_config(), "steps": self.steps, "waves": self.waves}
