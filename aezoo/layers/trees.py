"""A binary tree over each row of vectors, grown by merging the best pair of neighbours.

    p = tanh(W [c1; c2] + b) / |.|        [c1'; c2'] = U p + d
    E(c1, c2) = n1 / (n1 + n2) |c1 - c1'|^2  +  n2 / (n1 + n2) |c2 - c2'|^2

with n the words below a child. Each step merges, in every row at once, the neighbours of the lowest
E; T - 1 steps make any row of T words one vector. A step looks at two new pairs, not at all.

A node stands where its first word stood. So nothing moves while a tree grows: the neighbour on the
right is as many places away as the node has words, and what is left at place 0 is the root. The
choices have no gradient; the vectors that are merged have one.

Source: Socher, Pennington, Huang, Ng & Manning (2011), equations 1, 4, 5 and 7.
"""

import keras
import tensorflow as tf
from keras import ops

from aezoo.layers.lengths import valid_steps

_TIE = 1e-4  # per place: equal pairs, as of repeated words, merge from the left in every runtime
_NEVER = 1e30  # an error that no pair has


@keras.saving.register_keras_serializable(package="aezoo")
class GreedyTree(keras.layers.Layer):
    """Merge the words of each row into one vector: [words (B, T, D), lengths (B, 1)] -> a dict.

    The answers are `root` (B, D), the vector of the whole row; `mean` (B, D), of its words and
    inner nodes; `error` (B, 1), the mean of E over its merges; `nodes` (B, T-1, D), the inner nodes
    in the order of merging; and `merges` (B, T-1, 4), int32: the ids of left and right child and
    how many words are below each. Words have the ids 0 to T - 1, inner nodes T and on. Nodes and
    merges are 0 where there was nothing left to merge.

    Example:
        >>> import numpy as np
        >>> tree = GreedyTree()([np.ones((2, 3, 4), "float32"), np.array([[3], [1]])])
        >>> tree["merges"].numpy().tolist()
        [[[0, 1, 1, 1], [3, 2, 2, 1]], [[0, 0, 0, 0], [0, 0, 0, 0]]]
    """

    def __init__(self, dtype: str = "float32", name: str | None = None):
        super().__init__(dtype=dtype, name=name)

    def build(self, input_shape):
        """Make the weights W, b, U, d."""
        width = input_shape[0][-1]
        self.kernel = self.add_weight((2 * width, width), "glorot_uniform", name="kernel")
        self.bias = self.add_weight((width,), "zeros", name="bias")
        self.back = self.add_weight((width, 2 * width), "glorot_uniform", name="back")
        self.back_bias = self.add_weight((2 * width,), "zeros", name="back_bias")

    def merged(self, left, right, left_size, right_size):
        """Return the parents of pairs and their E: (B, P, D) twice, (B, P) twice -> the same."""
        both = ops.concatenate([left, right], axis=-1)  # (B, P, 2D)
        parent = ops.tanh(ops.matmul(both, self.kernel) + self.bias)
        squares = ops.sum(ops.square(parent), axis=-1, keepdims=True)
        parent = parent * ops.rsqrt(squares + 1e-12)
        lost = ops.square(both - ops.matmul(parent, self.back) - self.back_bias)
        of_left, of_right = ops.split(lost, 2, axis=-1)
        left_error, right_error = ops.sum(of_left, axis=-1), ops.sum(of_right, axis=-1)
        total = left_size * left_error + right_size * right_error
        return parent, total / (left_size + right_size)

    def call(self, inputs):
        """Return root, mean, error, nodes and merges."""
        words, length = inputs
        length = ops.maximum(ops.cast(length, "int32"), 1)  # (B, 1)
        root, left, right, merges = self.grow(words, length)
        real = ops.cast(merges[..., 2] > 0, words.dtype)  # (B, T-1)
        sizes = [ops.maximum(ops.cast(merges[..., i], words.dtype), 1.0) for i in (2, 3)]
        nodes, errors = self.merged(left, right, *sizes)
        nodes, errors = nodes * real[..., None], errors * real
        count = ops.cast(length, words.dtype)
        valid = ops.cast(valid_steps(length, words.shape[1]), words.dtype)[..., None]
        return {
            "root": root,
            "mean": (ops.sum(words * valid, axis=1) + ops.sum(nodes, axis=1)) / (2.0 * count - 1.0),
            "error": ops.sum(errors, axis=1, keepdims=True) / ops.maximum(count - 1.0, 1.0),
            "nodes": nodes,
            "merges": merges,
        }

    def grow(self, words, length):
        """Return root (B, D), left and right children (B, T-1, D) twice, and merges (B, T-1, 4)."""
        batch, steps, width = words.shape
        places = tf.range(steps)[None]  # (1, T)
        ones = tf.ones_like(words[:, 1:, 0])
        _, errors = self.merged(words[:, :-1], words[:, 1:], ones, ones)
        errors = tf.pad(tf.stop_gradient(errors), ((0, 0), (0, 1)))  # (B, T), with the right one
        errors = tf.where(places < length - 1, errors, _NEVER)
        ids = tf.zeros_like(errors, tf.int32) + places  # (B, T)
        sizes = tf.cast(places < length, tf.int32)  # (B, T), 0 where no node stands
        kept = [
            tf.TensorArray(kind, steps - 1, element_shape=(batch, size))
            for kind, size in ((words.dtype, width), (words.dtype, width), (tf.int32, 4))
        ]

        def merge(t, now, errors, ids, sizes, lefts, rights, merges):
            place = tf.where(t < length - 1, _lowest(errors), steps)  # (B, 1); beyond: none
            at = places == place  # (B, T)
            words_left = _number(at, sizes)  # (B, 1)
            after = places == place + words_left
            words_right = _number(after, sizes)
            left, right = _pick(at, now), _pick(after, now)  # (B, 1, D)
            facts = [_number(at, ids), _number(after, ids), words_left, words_right]
            parent, _ = self.merged(left, right, *(_at_least_1(n) for n in facts[2:]))
            now = tf.where(at[..., None], parent, now)
            ids = tf.where(at, steps + t, ids)
            sizes = tf.where(at, words_left + words_right, tf.where(after, 0, sizes))
            before = tf.where((sizes > 0) & (places < place), places, -1)
            before = places == tf.reduce_max(before, axis=1, keepdims=True)  # the node on the left
            behind = place + words_left + words_right  # (B, 1), where the one on the right stands
            three = [before, at, places == behind]  # two pairs
            ends = tf.stop_gradient(tf.concat([_pick(where, now) for where in three], axis=1))
            counts = _at_least_1(tf.concat([_number(where, sizes) for where in three], axis=1))
            _, new = self.merged(ends[:, :-1], ends[:, 1:], counts[:, :-1], counts[:, 1:])
            errors = tf.where(after, _NEVER, errors)
            errors = tf.where(before & (place < steps), new[:, :1], errors)
            errors = tf.where(at, tf.where(behind < length, new[:, 1:], _NEVER), errors)
            errors = tf.stop_gradient(errors)
            lefts, rights = lefts.write(t, left[:, 0]), rights.write(t, right[:, 0])
            merges = merges.write(t, tf.concat(facts, axis=1))
            return t + 1, now, errors, ids, sizes, lefts, rights, merges

        state = (0, words, errors, ids, sizes, *kept)
        state = tf.while_loop(lambda t, *_: t < steps - 1, merge, state)
        kept = [tf.transpose(array.stack(), (1, 0, 2)) for array in state[-3:]]  # (B, T-1, ...)
        return state[1][:, 0], *kept

    def compute_output_spec(self, inputs):
        """Return the specs of root, mean, error, nodes and merges."""
        batch, steps, width = inputs[0].shape
        shapes = {"root": (width,), "mean": (width,), "error": (1,), "nodes": (steps - 1, width)}
        specs = {k: keras.KerasTensor((batch, *s), dtype="float32") for k, s in shapes.items()}
        return specs | {"merges": keras.KerasTensor((batch, steps - 1, 4), dtype="int32")}


def _lowest(errors):
    """Return the place of the lowest error: (B, T) -> (B, 1)."""
    tie = _TIE * tf.range(errors.shape[1], dtype=errors.dtype)[None]
    return tf.cast(ops.top_k(-errors - tie, 1)[1], tf.int32)  # an argmin of floats breaks in ONNX


def _pick(where, vectors):
    """Return the vector at the one place, 0 if there is none: (B, T), (B, T, D) -> (B, 1, D)."""
    return tf.matmul(tf.cast(where, vectors.dtype)[:, None], vectors)


def _number(where, numbers):
    """Return the number at the one place, 0 if there is none: (B, T), (B, T) -> (B, 1)."""
    return tf.reduce_sum(tf.where(where, numbers, 0), axis=1, keepdims=True)


def _at_least_1(counts):
    return tf.cast(tf.maximum(counts, 1), tf.float32)
