"""Deep embedded clustering: encoder and centres learn together, from the clusters they agree on.

    q_ik ~ 1 / (1 + |z_i - c_k|^2 / s)       which cluster row i belongs to, by its code z_i
    p_ik ~ q_ik^2 / sum_i q_ik               the same, sharpened, and clusters kept of a size
    loss = mean_i KL(p_i || q_i) + reconstruction * the model's own loss

p is computed anew each epoch, of rows as they are; q of rows as the model's training shows them:
a model that learns to undo a corruption thereby learns that it changes no cluster.

Sources: Xie, Girshick & Farhadi, "Unsupervised deep embedding for clustering analysis" (2016), with
reconstruction 0; Guo et al., "Improved deep embedded clustering with local structure preservation"
(2017), which keeps the decoder; Guo et al., "Deep embedded clustering with data augmentation"
(2018), for p and q of different views.
"""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from aezoo.assigner import Assigner
from aezoo.batches import evaluation_batches, plan_epoch, training_batches
from aezoo.errors import ZooError

_ASKED = 1024  # rows at once, where nothing is learned
_LED = 2  # epochs that given groups lead, and fewer than which there are not


def refine(
    model,
    rows,
    assigner: Assigner,
    *,
    epochs: int = 30,
    batch_size: int = 256,
    learning_rate: float = 3e-4,
    reconstruction: float = 1.0,
    tolerance: float = 1e-3,
    groups: np.ndarray | None = None,
    seed: int = 0,
    report: Callable[[dict], None] = lambda line: None,
) -> tuple[Assigner, list[dict]]:
    """Train a model's encoder, and its decoder where asked, so that its clusters part.

    Args:
        model: A fitted autoencoder; it is changed, and what was fitted to it is forgotten.
        rows: `aezoo.data.Rows` in user units.
        assigner: Of the kind `student`, fitted to the model's codes: where to begin.
        epochs: At most.
        batch_size: Rows of a step, at most; few rows make 16 steps an epoch.
        learning_rate: Of Adam.
        reconstruction: Weight of the model's own loss; 0 leaves the decoder behind.
        tolerance: Share of rows below which a change of cluster from epoch to epoch ends it.
        groups: How likely each row is of each cluster by another way, (N, K): the targets of the
            first epochs; None sharpens from the first epoch on.
        seed: Of the order.
        report: Called with each line of the history.

    Returns:
        The assigner with its new centres, and one dict per epoch: `epoch`, `loss`, `changed`.

    Raises:
        ZooError: If the model takes more than rows, or the loss is not finite.
    """
    if model.condition_specs():
        raise ZooError(
            f"{model.name} takes more than rows, so its clusters cannot be refined.",
            received=", ".join(spec.name for spec in model.condition_specs()),
            do="Choose method='kmeans', or another entry.",
        )
    model.forget()
    scale = assigner.constants["scale"]
    centres = keras.Variable(assigner.centres)
    soft = Assigner("student", {"centres": centres, "scale": scale})
    learned = model.trainable_weights if reconstruction else model.encoder.trainable_weights
    step = _step_of(model, soft, [*learned, centres], learning_rate, reconstruction)

    def prepare(indices, _):
        return indices, model.preprocessing.apply(rows.gather(indices))

    plan = plan_epoch(len(rows), min(batch_size, max(8, len(rows) // 16)), 1)
    batches = iter(training_batches(rows, plan, seed=seed, first_epoch=0, prepare=prepare))

    @tf.function(reduce_retracing=True, autograph=False)
    def ask(x):
        return soft(model.codes(x)["latent"])

    def sharpened():
        return _sharpened([ask(x).numpy() for _, x in evaluation_batches(rows, _ASKED, prepare)])

    target, clusters = sharpened()
    if groups is not None:
        target = tf.constant(groups, tf.float32)
    history = []
    for epoch in range(1, epochs + 1):
        losses = []
        for _ in range(plan.steps):
            indices, x = next(batches)
            losses.append(step(x, tf.gather(target, indices)))
        loss = float(np.mean([float(value) for value in losses]))
        if not np.isfinite(loss):
            raise ZooError(
                "The loss of the clusters is not finite.",
                received=f"epoch {epoch}",
                do="Lower the learning rate.",
            )
        before = clusters
        targets, clusters = sharpened()
        if groups is None or epoch >= _LED:
            target = targets
        changed = float(np.mean(clusters != before))
        history.append({"epoch": epoch, "loss": loss, "changed": changed})
        report(history[-1])
        if changed < tolerance and epoch > _LED:
            break
    return Assigner("student", {"centres": np.array(centres), "scale": scale}), history


def _step_of(model, soft: Assigner, learned: list, learning_rate: float, reconstruction: float):
    """Return a function of a batch and its targets p (B, K) that makes one step of Adam."""
    optimizer = keras.optimizers.Adam(learning_rate)
    optimizer.build(learned)
    handles = [variable.value for variable in learned]

    @tf.function(reduce_retracing=True, autograph=False)
    def step(x, p):
        seen, target = model.pair(x, None, training=True)
        with tf.GradientTape() as tape:
            q = ops.log_softmax(soft.logits(model.codes(seen)["latent"]), axis=-1)  # (B, K)
            loss = ops.mean(ops.sum(p * (ops.log(p + 1e-12) - q), axis=-1))
            if reconstruction:
                answer = model(seen, training=True)
                loss += reconstruction * model.compute_loss(seen, target, answer, training=True)
        gradients = tape.gradient(loss, handles, unconnected_gradients="zero")
        optimizer.apply(gradients, learned)
        return loss

    return step


def _sharpened(answered: list[np.ndarray]) -> tuple[tf.Tensor, np.ndarray]:
    """Return the targets p (N, K) of all rows, and the cluster of each, (N,), from batches of q."""
    q = np.concatenate(answered).astype("float64")  # (N, K)
    p = np.square(q) / q.sum(axis=0)
    p /= p.sum(axis=1, keepdims=True)
    return tf.constant(p, tf.float32), q.argmax(axis=1)
