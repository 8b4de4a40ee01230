"""Recursive autoencoder: sentences as trees that the model grows itself, and what they say.

    loss = -log p(y | root, mean of all nodes)
           + reconstruction_weight * mean over merges E(c1, c2)
           + node_weight * mean over inner nodes -log p(y | node)

E is the error of the two children as their parent remembers them; a tree grows by merging the
neighbours of the lowest E (see `aezoo.layers.trees`). y is a class, or shares of the classes: then
-log p(y) is the cross-entropy. The paper fits the first term afterwards, by a logistic regression
on the same two vectors; here it is learned with the others.

`pretrain` starts the first values of each word's vector from counts: the log of how much more often
the word is said in one class than in another. Gradients alone find that late, when they have begun
to learn the rows by heart.

Source: Socher, Pennington, Huang, Ng & Manning, "Semi-supervised recursive autoencoders for
predicting sentiment distributions" (2011); the counts are those of Wang & Manning, "Baselines and
bigrams: simple, good sentiment and topic classification" (2012).
"""

from typing import Annotated

import keras
import numpy as np
from keras import ops
from keras.metrics import CategoricalAccuracy
from pydantic import Field

from aezoo.classifying import Classifier
from aezoo.endpoints import Endpoint, TensorSpec
from aezoo.errors import ZooError
from aezoo.layers.lengths import TokenLength
from aezoo.layers.preprocessing import Preprocessing
from aezoo.layers.trees import GreedyTree
from aezoo.zoo_model import Share, Weight, Width, ZooModel

_START = 0.5  # of a log-count ratio, in the vector of a word


@keras.saving.register_keras_serializable(package="aezoo")
class RecursiveAE(Classifier, ZooModel):
    """Merge the words of a sentence into one vector, and tell its class.

    Rows are ids of words, int32 `(T,)`, padded on the right with 0. Targets are classes `(B,)`,
    from 0 to `classes - 1`, or shares of the classes `(B, classes)`, which add up to 1. `call`
    answers probabilities `(B, classes)`.

    Args:
        input_shape: `(T,)`, the words of the longest row; at least 2.
        vocabulary: Number of ids, 0 (padding) included.
        width: Of the vector of a word, and of every node of the tree.
        classes: Number of classes.
        dropout: Share of a word's values, and of the code's, that training hides.
        reconstruction_weight: Of the children's error.
        node_weight: Of the class told by each inner node.

    Raises:
        ZooError: If rows are no tokens.

    Example:
        >>> model = RecursiveAE(input_shape=(6,), vocabulary=9, width=4)
        >>> model.endpoint("classify")(tokens=np.array([[3, 1, 4, 0, 0, 0]]))["label"].shape
        (1, 1)
    """

    modalities = ("tokens",)
    main_term = "classification_loss"

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (48,),
        vocabulary: Annotated[int, Field(ge=2)] = 8000,
        width: Width = 32,
        classes: Annotated[int, Field(ge=2)] = 2,
        dropout: Share = 0.3,
        reconstruction_weight: Weight = 0.1,
        node_weight: Weight = 0.1,
    ):
        if len(input_shape) != 1 or input_shape[0] < 2:
            raise ZooError(
                "A recursive autoencoder takes rows of two tokens or more, (T,).",
                received=tuple(input_shape),
                do="Give input_shape=(T,), the words of the longest sentence.",
            )
        super().__init__(
            encoder=tree_encoder(input_shape, vocabulary, width, dropout),
            decoder=class_decoder(2 * width, classes, dropout),
            output_range="unit",
            loss="categorical_crossentropy",
            terms=("reconstruction_loss", "node_loss"),
        )
        self.node_head = keras.layers.Dense(classes, "softmax", dtype="float32", name="node_head")
        self.node_head.build((None, width))
        self.vocabulary, self.classes = vocabulary, classes
        self.reconstruction_weight, self.node_weight = reconstruction_weight, node_weight
        self.preprocessing = Preprocessing(dtype="int32")

    # ---- rows and targets ----

    @property
    def input_name(self) -> str:
        """The public name of the input."""
        return "tokens"

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """The shape of one code: that of the root beside the mean of all nodes."""
        return tuple(self.decoder.input_shape[1:])

    def fit_preprocessing(self, rows, scaling: str = "auto", binarize: float | None = None):
        """Fit nothing: tokens are taken as they are."""

    def check_rows(self, rows, name: str) -> None:
        """Refuse rows of another shape and unknown ids."""
        super().check_rows(rows, name)
        if isinstance(rows, np.ndarray) and rows.size:
            whole = rows.dtype.kind in "iu"
            if not whole or rows.min() < 0 or rows.max() >= self.vocabulary:
                raise ZooError(
                    f"{name} takes whole numbers from 0 to {self.vocabulary - 1}.",
                    received=f"{rows.dtype} from {rows.min():g} to {rows.max():g}",
                    do="Build with a larger vocabulary, or number rare words 1.",
                )

    def check_targets(self, x, y, name: str) -> None:
        """Refuse what is neither classes nor shares that add up to 1; batches and tensors pass."""
        if not isinstance(y, np.ndarray) or y.ndim != 2 or not y.size:
            super().check_targets(x, y, name)
        elif y.shape[1] != self.classes or y.min() < 0 or np.abs(y.sum(axis=1) - 1).max() > 1e-4:
            raise ZooError(
                f"{name} holds no shares of {self.classes} classes.",
                received=f"{y.dtype} {y.shape} from {y.min():g} to {y.max():g}",
                do=f"Give {self.classes} numbers per row, 0 or more, which add up to 1.",
            )

    def shares_of(self, y):
        """Return targets as shares of the classes, (B,) or (B, classes) -> (B, classes)."""
        if len(y.shape) == 2:
            return ops.cast(y, "float32")
        return ops.one_hot(ops.cast(y, "int32"), self.classes)

    def metric(self, name: str):
        """Return the metric that a recipe means; `accuracy` takes the likeliest class as true."""
        return CategoricalAccuracy(name) if name == "accuracy" else super().metric(name)

    # ---- counts ----

    def pretrain(
        self, x, epochs: int, *, batch_size: int = 128, steps_per_epoch=None, callbacks=()
    ) -> list[dict]:
        """Set the first `classes - 1` values of each word's vector from its log-count ratios.

        Arguments are those of `ZooModel.pretrain`; `x` yields rows and targets, and is read once.

        Returns:
            One dict: `epoch` 1, and `spread`, the mean size of a ratio.

        Raises:
            ZooError: For rows without targets, and for more classes than a vector has room for.
        """
        if isinstance(x, np.ndarray):
            self.target_of(x)
        words = self.encoder.get_layer("words")
        if self.classes > words.output_dim + 1:
            raise ZooError(
                "The vector of a word has no room for the ratios of all classes.",
                received=f"width={words.output_dim}, classes={self.classes}",
                do="Give a larger width, or leave train.pretrain_epochs out.",
            )
        self.forget()
        counts = np.zeros((self.vocabulary, self.classes))
        for tokens, y in x.take(steps_per_epoch or -1):
            tokens, shares = np.asarray(tokens), np.asarray(self.shares_of(y))
            for k in range(self.classes):
                said = np.repeat(shares[:, k], tokens.shape[1])
                counts[:, k] += np.bincount(tokens.ravel(), said, self.vocabulary)
        (table,), ratios = words.get_weights(), log_ratios(counts)
        table[:, : self.classes - 1] = _START * ratios
        words.set_weights([table])
        return [{"epoch": 1, "spread": float(np.abs(ratios[1:]).mean())}]

    # ---- forward ----

    def pair(self, x, y, training: bool):
        """Return `({tokens, target}, target)`: inner nodes are told the class as well."""
        y = self.shares_of(self.target_of(x) if y is None else y)
        return {"tokens": x, "target": y}, y

    def call(self, x, training=False):
        """Return the probabilities of the classes (B, classes); adds the terms of the tree.

        Args:
            x: Tokens (B, T), or a dict of `tokens` and `target`.
            training: Whether dropout is active.
        """
        tokens = x["tokens"] if isinstance(x, dict) else x
        tree = self.encoder(tokens, training=training)
        error = ops.mean(tree["error"])
        self.add_term("reconstruction_loss", error, self.reconstruction_weight)
        if isinstance(x, dict):
            self.add_term("node_loss", self.node_loss(tree, x["target"]), self.node_weight)
        return self.decoder(tree["latent"], training=training)

    def node_loss(self, tree, target):
        """Return -log p(class | node) in nats, averaged over the inner nodes of the batch."""
        p = ops.maximum(self.node_head(tree["nodes"]), 1e-7)  # (B, T-1, classes)
        target = ops.cast(target, "float32")[:, None]  # (B, 1, classes)
        nats = -ops.sum(target * ops.log(p), axis=-1)  # (B, T-1)
        real = ops.cast(tree["merges"][..., 2] > 0, nats.dtype)
        return ops.sum(nats * real) / ops.maximum(ops.sum(real), 1.0)

    # ---- endpoints ----

    def input_spec_of(self, name: str | None = None) -> TensorSpec:
        """Return the spec of the rows."""
        return TensorSpec(
            name or "tokens",
            self.input_shape,
            "int32",
            ("time",),
            0.0,
            self.vocabulary - 1.0,
            description="One row of ids, padded with 0 on the right.",
        )

    def codes(self, x):
        """Return the outputs of `encode`: `latent`, root and mean side by side."""
        return {"latent": self.encoder(x, training=False)["latent"]}

    def make_endpoints(self) -> list[Endpoint]:
        """Return `classify` and `encode`."""
        return [self.classify_endpoint(), *super().make_endpoints()]


def log_ratios(counts: np.ndarray) -> np.ndarray:
    """Return log p(word | class k) / p(word | class 0), k = 1 and on: (V, K) -> (V, K-1).

    One is added to each count, and id 0, which is no word, has ratio 0.

    Example:
        >>> np.exp(log_ratios(np.array([[9.0, 9.0], [3.0, 1.0], [0.0, 2.0]]))).round(2).tolist()
        [[1.0], [0.5], [3.0]]
    """
    words = counts[1:] + 1.0
    share = words / words.sum(axis=0)  # (V-1, K)
    ratios = np.log(share[:, 1:] / share[:, :1])
    return np.concatenate([np.zeros_like(ratios[:1]), ratios])


def tree_encoder(input_shape, vocabulary, width, dropout):
    """Ids (B, T) -> `latent` (B, 2D), and `error`, `nodes` and `merges` of the tree."""
    tokens = keras.Input(input_shape, dtype="int32", name="tokens")
    # In half precision the gradients of a word that occurs often would add up to infinity.
    words = keras.layers.Embedding(vocabulary, width, dtype="float32", name="words")(tokens)
    words = keras.layers.Dropout(dropout, dtype="float32")(words)  # (B, T, D)
    tree = GreedyTree(name="tree")([words, TokenLength()(tokens)])
    latent = keras.layers.Concatenate(name="latent", dtype="float32")([tree["root"], tree["mean"]])
    rest = {name: tree[name] for name in ("error", "nodes", "merges")}
    return keras.Model(tokens, {"latent": latent, **rest}, name="encoder")


def class_decoder(width, classes, dropout):
    """(B, D) -> probabilities (B, classes)."""
    return keras.Sequential(
        [
            keras.Input((width,)),
            keras.layers.Dropout(dropout),
            keras.layers.Dense(classes, "softmax", dtype="float32"),
        ],
        name="decoder",
    )
