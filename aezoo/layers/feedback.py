"""A recurrent decoder that reads its own last answer.

    h_t = cell([y_{t-1}, code], h_{t-1})        y_t = g(W h_t + b)        y_0 = the start

In training y_{t-1} is the true value (teacher forcing: all steps at once); otherwise it is the
decoder's own answer, step after step: one loop, in TensorFlow and in ONNX.
"""

import keras
import tensorflow as tf
from keras import ops


def recurrent(cell: str, units: int, **options) -> keras.layers.RNN:
    """Return an `lstm` or `gru` layer that converts to ONNX on every machine (no cuDNN kernel)."""
    kind = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[cell]
    return kind(units, use_cudnn=False, **options)


@keras.saving.register_keras_serializable(package="aezoo")
class FeedbackDecoder(keras.layers.Layer):
    """From a code to a series (B, T, C), or to the probabilities of tokens (B, T, V).

    Args:
        steps: T.
        width: C, or V for tokens.
        units: Width of the recurrent cell.
        cell: `lstm` or `gru`.
        activation: Of the answer; `softmax` makes this a decoder of tokens.
        embedding_dim: Width of a token's embedding; None for series.
    """

    def __init__(
        self,
        steps: int,
        width: int,
        units: int,
        cell: str = "lstm",
        activation: str = "linear",
        embedding_dim: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.settings = {
            "steps": steps,
            "width": width,
            "units": units,
            "cell": cell,
            "activation": activation,
            "embedding_dim": embedding_dim,
        }
        self.steps, self.width, self.embedding_dim = steps, width, embedding_dim
        self.rnn = recurrent(cell, units, return_sequences=True, dtype=self.dtype_policy)
        self.head = keras.layers.Dense(width, activation, dtype="float32")
        self.embedding = embedding_dim and keras.layers.Embedding(
            width, embedding_dim, dtype=self.dtype_policy
        )

    def build(self, code_shape):
        """Make the weights: cell, answer, and the start (a vector, or the embedding of id 0)."""
        fed = self.embedding_dim or self.width
        self.rnn.build((None, self.steps, fed + code_shape[-1]))
        self.head.build((None, self.steps, self.rnn.units))
        if self.embedding:
            self.embedding.build((None, self.steps))
        else:
            self.start = self.add_weight((self.width,), "zeros", name="start")

    def call(self, code, target=None):
        """Decode freely; with a target (B, T, C) or (B, T), one step ahead of it."""
        return self.run_free(code) if target is None else self.run_taught(code, target)

    def compute_output_spec(self, code, target=None):
        """Return the spec of the answers."""
        return keras.KerasTensor((code.shape[0], self.steps, self.width), dtype="float32")

    def run_taught(self, code, target):
        """Return the answers when every step is told the true value before it."""
        first = self._start(ops.shape(code)[0])[:, None]  # (B, 1, C)
        if self.embedding:
            told = self.embedding(target[:, :-1])  # (B, T-1, E)
        else:
            told = ops.cast(target[:, :-1], self.compute_dtype)
        told = ops.concatenate([first, told], axis=1)  # (B, T, C)
        repeated = ops.repeat(code[:, None], self.steps, axis=1)  # (B, T, D)
        return self.head(self.rnn(ops.concatenate([told, repeated], axis=-1)))

    def run_free(self, code):
        """Return the answers when every step is told the answer before it."""
        cell, batch = self.rnn.cell, tf.shape(code)[0]
        code = tf.cast(code, self.compute_dtype)

        def step(t, told, states, answers):
            h, states = cell(tf.concat([told, code], axis=-1), states)
            answer = self.head(h)  # (B, C)
            return t + 1, self._fed_back(answer), _as_list(states), answers.write(t, answer)

        answers = tf.TensorArray(tf.float32, self.steps, element_shape=(None, self.width))
        states = _as_list(cell.get_initial_state(batch_size=batch))
        _, _, _, answers = tf.while_loop(
            lambda t, *_: t < self.steps, step, (0, self._start(batch), states, answers)
        )
        return tf.transpose(answers.stack(), (1, 0, 2))  # (T, B, C) -> (B, T, C)

    def _start(self, batch):
        if self.embedding:
            return self.embedding(tf.zeros((batch,), tf.int32))  # (B, E)
        return tf.tile(tf.cast(self.start[None], self.compute_dtype), (batch, 1))  # (B, C)

    def _fed_back(self, answer):
        if self.embedding:
            return self.embedding(ops.top_k(answer, 1)[1][:, 0])  # argmax does not convert to ONNX
        return tf.cast(answer, self.compute_dtype)

    def get_config(self):
        """Return the arguments."""
        return super().get_config() | self.settings


def _as_list(states):
    return list(states) if isinstance(states, (list, tuple)) else [states]
