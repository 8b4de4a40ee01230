"""A binary tree over each row of vectors, grown by merging the best pair of neighbours.

    p = tanh(W [c1; c2] + b) / |.|        [c1'; c2'] = U p + d
    E(c1, c2) = n1 / (n1 + n2) |c1 - c1'|^2  +  n2 / (n1 + n2) |c2 - c2'|^2

with n the words below a child. Each step merges, in every row at once, the neighbours of the lowest
E; T - 1 steps make any row of T words one vector. A step looks at two new pairs, not at all.

The choices have no gradient, so they are made first. Then the chosen tree is computed for all nodes
at once, as often as the deepest tree is deep: then every node has got its children's vectors.

Source: Socher, Pennington, Huang, Ng & Manning (2011), equations 1, 4, 5 and 7.
"""

import keras
import tensorflow as tf
from keras import ops

from aezoo.layers.lengths import valid_steps

_TIE = 1e-4  # per place: equal pairs, as of repeated words, merge from the left in every runtime


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
        merges, depth = self.plan(words, length)
        nodes, errors = self.grow(words, merges, depth)
        steps = words.shape[1]
        root = tf.where(length > 1, steps + length - 2, 0)[:, 0]
        count = ops.cast(length, words.dtype)
        valid = ops.cast(valid_steps(length, steps), words.dtype)[..., None]
        every = ops.concatenate([words, nodes], axis=1)  # (B, 2T-1, D)
        return {
            "root": _pick(tf.one_hot(root, 2 * steps - 1), every),
            "mean": (ops.sum(words * valid, axis=1) + ops.sum(nodes, axis=1)) / (2.0 * count - 1.0),
            "error": ops.sum(errors, axis=1, keepdims=True) / ops.maximum(count - 1.0, 1.0),
            "nodes": nodes,
            "merges": merges,
        }

    def plan(self, words, length):
        """Return the merges of each row, int32 (B, T-1, 4), and the depth of the deepest tree."""
        batch, steps = words.shape[0], words.shape[1]
        ones = ops.ones_like(words[..., 0])  # (B, T)
        parents, errors = self.merged(words[:, :-1], words[:, 1:], ones[:, :-1], ones[:, 1:])
        ids = ones * tf.range(steps, dtype=words.dtype)
        facts = ops.stack([ids, ones, 0.0 * ones], axis=-1)  # (B, T, 3): id, words below, height
        merges = tf.TensorArray(tf.int32, steps - 1, element_shape=(batch, 4))

        def merge(t, now, facts, parents, errors, merges):
            left = length - 1 - t  # (B, 1), pairs that are left
            place = tf.where(left > 0, _lowest(errors, left), steps)  # beyond: nothing changes
            at = tf.one_hot(place[:, 0], steps)  # (B, T)
            one, two = _pick(at, facts), _pick(_right_of(at), facts)  # (B, 3), the children
            chosen = [one[:, 0], two[:, 0], one[:, 1], two[:, 1]]
            merges = merges.write(t, tf.cast(tf.stack(chosen, axis=1), tf.int32))
            name = one[:, 0] * 0.0 + tf.cast(steps + t, words.dtype)
            made = [name, one[:, 1] + two[:, 1], 1.0 + tf.maximum(one[:, 2], two[:, 2])]
            made, parent = tf.stack(made, axis=1), _pick(at[:, :-1], parents)
            stays = tf.range(steps)[None] <= place  # (B, T), what is right of it moves up
            now, facts = (
                tf.where(at[..., None] > 0, new[:, None], _closed_up(rows, stays))
                for rows, new in ((now, parent), (facts, made))
            )
            parents, errors = (_closed_up(rows, stays[:, :-1]) for rows in (parents, errors))
            for shift in (-1, 0):  # the two pairs that the new vector is part of
                pair = tf.one_hot(place[:, 0] + shift, steps)
                ends = (pair, _right_of(pair))
                sizes = [tf.maximum(_pick(end, facts)[:, 1:2], 1.0) for end in ends]
                new, error = self.merged(*(_pick(end, now)[:, None] for end in ends), *sizes)
                here = pair[:, :-1] > 0
                parents = tf.where(here[..., None], new, parents)
                errors = tf.where(here, error, errors)
            return t + 1, now, facts, parents, errors, merges

        state = (0, words, facts, parents, errors, merges)
        state = tf.while_loop(lambda t, *_: t < steps - 1, merge, state)
        depth = tf.cast(tf.reduce_max(state[2][:, 0, 2]), tf.int32)
        return tf.transpose(state[-1].stack(), (1, 0, 2)), depth  # (T-1, B, 4) -> (B, T-1, 4)

    def grow(self, words, merges, depth):
        """Return the inner nodes of planned trees (B, T-1, D), and their E (B, T-1)."""
        steps = words.shape[1]
        left, right = (tf.one_hot(merges[..., i], 2 * steps - 1) for i in (0, 1))
        sizes = [tf.maximum(tf.cast(merges[..., i], words.dtype), 1.0) for i in (2, 3)]
        real = tf.cast(merges[..., 2] > 0, words.dtype)  # (B, T-1)

        def level(k, nodes, errors):
            every = tf.concat([words, nodes], axis=1)  # (B, 2T-1, D)
            children = (tf.matmul(left, every), tf.matmul(right, every))  # (B, T-1, D) each
            nodes, errors = self.merged(*children, *sizes)
            return k + 1, nodes * real[..., None], errors * real

        state = (0, tf.zeros_like(words[:, 1:]), tf.zeros_like(real))
        _, nodes, errors = tf.while_loop(lambda k, *_: k < depth, level, state)
        return nodes, errors

    def compute_output_spec(self, inputs):
        """Return the specs of root, mean, error, nodes and merges."""
        batch, steps, width = inputs[0].shape
        shapes = {"root": (width,), "mean": (width,), "error": (1,), "nodes": (steps - 1, width)}
        specs = {k: keras.KerasTensor((batch, *s), dtype="float32") for k, s in shapes.items()}
        return specs | {"merges": keras.KerasTensor((batch, steps - 1, 4), dtype="int32")}


def _lowest(errors, left):
    """Return the place of the lowest error among the first `left`: (B, T-1), (B, 1) -> (B, 1)."""
    place = tf.range(errors.shape[1])[None]
    tie = _TIE * tf.cast(place, errors.dtype)
    score = tf.where(place < left, -errors - tie, -1e30)
    return tf.cast(ops.top_k(score, 1)[1], tf.int32)  # an argmin of floats breaks in ONNX


def _pick(where, vectors):
    """Return the vector that a row of 0 and one 1 points at: (B, P), (B, P, D) -> (B, D)."""
    return tf.matmul(where[:, None], vectors)[:, 0]


def _right_of(at):
    """Return the row of one 1, or none, that points one place further: (B, T) -> (B, T)."""
    return tf.pad(at[:, :-1], ((0, 0), (1, 0)))


def _closed_up(rows, stays):
    """Return rows whose values move one place to the left but where they stay: (B, P, ...)."""
    moved = tf.concat([rows[:, 1:], rows[:, -1:]], axis=1)
    return tf.where(stays[..., None] if len(rows.shape) == 3 else stays, rows, moved)
