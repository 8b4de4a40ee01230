"""What models of several players share: one step, in which each minimises a loss of its own.

    w_p <- w_p - rate * d L_p / d w_p          for every player p, from one forward pass

All players move at once, as in Larsen et al. (2016), algorithm 1. One optimizer keeps the moments
of every weight, and moments of different weights do not mix: it is the optimizers of all players
in one, and is saved and resumed as one.
"""

import keras
import tensorflow as tf
from keras import ops

from aezoo.errors import ZooError


class Adversarial:
    """Stands before a base class of models, and trains the networks that it names against others.

    A subclass gives `players` (see `ZooModel`) and `play`, and names in `terms` what `play`
    returns. The logged `loss` is the sum of what the players minimise. It says little by itself:
    it may rise while all of them improve, so recipes keep the last weights (`train.keep: last`).
    """

    def play(self, x, y, answer, training: bool) -> dict:
        """Return every logged loss by name, those of the players among them.

        Args:
            x: What `call` was given.
            y: The target.
            answer: What `call` answered.
            training: Whether random draws are fresh, and networks in training mode.
        """
        raise NotImplementedError

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the sum of what the players minimise, and log each loss under its name.

        Raises:
            ZooError: For sample weights: a game has no loss per row.
        """
        return self._sum(self._played(x, y, y_pred, sample_weight, training))

    def train_step(self, data):
        """Let every player take a step on a batch, from one forward pass."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        x, y = self.pair(x, y, training=True)
        with tf.GradientTape(persistent=True) as tape:
            answer = self(x, training=True)
            losses = self._played(x, y, answer, weight, training=True)
            scaled = {name: self.optimizer.scale_loss(losses[name]) for name in self.players}
        gradients = {}
        for name, weights in self.players.items():
            found = tape.gradient(scaled[name], weights)
            gradients |= {id(weight): g for weight, g in zip(weights, found, strict=True)}
        rows = ops.shape(keras.tree.flatten(x)[0])[0]
        self._loss_tracker.update_state(self._sum(losses), sample_weight=rows)
        self.optimizer.apply_gradients(
            [(gradients[id(weight)], weight) for weight in self.trainable_weights]
        )
        return self.compute_metrics(x, y, answer)

    def _played(self, x, y, answer, weight, training: bool) -> dict:
        if weight is not None:
            raise ZooError(
                f"{self.name} takes no sample weights: a game has no loss per row.",
                do="Leave sample_weight out, or repeat the rows that should count more.",
            )
        losses = self.play(x, self.target_of(x) if y is None else y, answer, training)
        rows = ops.shape(keras.tree.flatten(x)[0])[0]
        for name, value in (self._terms | losses).items():
            self._trackers[name].update_state(value, sample_weight=rows)
        self._terms = {}
        return losses

    def _sum(self, losses: dict):
        # One reduction: of three additions TensorFlow chooses the order anew in every run.
        return ops.sum([losses[name] for name in self.players])


def real_loss(logits):
    """-log D(x) where D should say real, in nats, (B, 1) -> ().

        mean log(1 + exp(-s)),   s the logit

    Source: Goodfellow et al., "Generative adversarial nets" (2014), equation 1; for a generator
    this is the non-saturating loss of its section 3.

    Example:
        >>> import numpy as np
        >>> round(float(real_loss(np.zeros((2, 1), "float32"))), 6)
        0.693147
    """
    return ops.mean(ops.softplus(-ops.cast(logits, "float32")))


def fake_loss(logits):
    """-log(1 - D(x)) where D should say made up, in nats, (B, 1) -> ().

        mean log(1 + exp(s)),   s the logit

    Example:
        >>> import numpy as np
        >>> round(float(fake_loss(np.zeros((2, 1), "float32"))), 6)
        0.693147
    """
    return ops.mean(ops.softplus(ops.cast(logits, "float32")))
