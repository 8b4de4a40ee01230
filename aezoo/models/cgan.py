"""Conditional generative adversarial network: rows of the class that it is asked for, from noise.

    generator:     -log D(G(z, y), y)                               z ~ N(0, I)
    discriminator: -log D(x, y) - log(1 - D(G(z, y), y)) + gradient_weight/2 * |ds/dx (x, y)|^2
    s(x, y) = (w + v_y) . h(x) + b                          the logit of D, h its last hidden layer

x, y is a real row and its label. The last term of the second line holds the discriminator flat
around real rows; without it the game circles, and the generator ends with one row per label.

Both networks are told the label y, so a picture of the wrong class is a fake, however real it
looks. Logged beside the losses: `diversity`, the mean distance between generated rows of one label
over that between the batch's real rows of one label; near 0 the generator has collapsed to one
row per label, near 1 it varies as real rows do.

Sources: Mirza & Osindero, "Conditional generative adversarial nets" (2014), equation 2, with the
non-saturating loss of the generator; Miyato & Koyama, "cGANs with projection discriminator" (2018),
equation 3, for how D is told the label; Mescheder, Geiger & Nowozin, "Which training methods for
GANs do actually converge?" (2018), equation 9, for the penalty.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from aezoo.adversarial import Adversarial, fake_loss, real_loss
from aezoo.conditional import Conditional, conditional_decoder, label_input
from aezoo.endpoints import Endpoint
from aezoo.errors import ZooError
from aezoo.metrics import spread_within
from aezoo.models.dense import dense_decoder
from aezoo.zoo_model import EVALUATION_SEED, Weight, Width, ZooModel


@keras.saving.register_keras_serializable(package="aezoo")
class ConditionalGAN(Conditional, Adversarial, ZooModel):
    """A fully connected generator and discriminator that are told the label, any input shape.

    `fit` and `evaluate` take `{"image": x, "label": y}`, x in [0, 1], and no target. `call` and
    `predict` take `{"noise": z, "label": y}` too; without noise they draw it, with a fixed seed
    outside training. The only endpoint is `generate`.

    Args:
        input_shape: Shape of one row.
        classes: Number of labels.
        hidden: Widths of the generator's layers, from the row back to the noise.
        latent_dim: Width of the noise.
        label_dim: Width of the label's embedding in the generator.
        discriminator_hidden: Widths of the discriminator's layers.
        gradient_weight: Of the penalty on the discriminator's slope at real rows.

    Example:
        >>> model = ConditionalGAN(input_shape=(6, 6, 1), classes=3, hidden=(8,), latent_dim=2)
        >>> noise, label = np.zeros((2, 2), "float32"), np.array([[0], [2]])
        >>> model.endpoint("generate")(noise=noise, label=label)["image"].shape
        (2, 6, 6, 1)
    """

    main_term = "generator_loss"
    takes_targets = False

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (28, 28, 1),
        classes: Width = 10,
        hidden: tuple[Width, ...] = (512, 256),
        latent_dim: Width = 32,
        label_dim: Width = 16,
        discriminator_hidden: tuple[Width, ...] = (512, 256),
        gradient_weight: Weight = 0.3,
    ):
        trunk = dense_decoder(input_shape, hidden, latent_dim + label_dim, "relu", "sigmoid")
        super().__init__(
            encoder=None,
            decoder=conditional_decoder(trunk, latent_dim, classes, label_dim),
            output_range="unit",
            loss=None,
            terms=("discriminator_loss", "gradient_penalty", "diversity"),
        )
        self.classes = classes
        self.discriminator = conditional_discriminator(input_shape, classes, discriminator_hidden)
        self.gradient_weight = gradient_weight
        self.prior = keras.random.SeedGenerator()

    def call(self, x, training=False):
        """Return rows for `{"label": y}`, (B, *input_shape) in model units.

        Args:
            x: May have `noise`, (B, D); an `image` in it has no influence.
            training: Whether noise that is not given is drawn afresh.
        """
        label, noise = self.labels_of(x), x.get("noise")
        if noise is None:
            shape = (ops.shape(label)[0], *self.latent_shape)
            noise = keras.random.normal(shape, seed=self.prior if training else EVALUATION_SEED)
        rows = self.decoder({"latent": noise, "label": label}, training=training)
        return ops.cast(rows, "float32")

    @property
    def players(self) -> dict[str, list]:
        """The loss of each network, and its weights."""
        return {
            "generator_loss": self.decoder.trainable_weights,
            "discriminator_loss": self.discriminator.trainable_weights,
        }

    def play(self, x, y, answer, training: bool) -> dict:
        """Return the losses and the diversity; `answer` are the generated rows, `y` real ones."""
        label = self.labels_of(x)
        y = ops.convert_to_tensor(y, "float32")
        with tf.GradientTape() as tape:
            tape.watch(y)
            on_real = self.discriminator({"row": y, "label": label}, training=training)  # (B, 1)
        slope = ops.reshape(tape.gradient(on_real, y), (ops.shape(y)[0], -1))  # (B, H*W*C)
        penalty = ops.mean(ops.sum(ops.square(slope), axis=1))
        on_fake = self.discriminator({"row": answer, "label": label}, training=training)
        game = real_loss(on_real) + fake_loss(on_fake)
        spread, real_spread = spread_within(answer, label), spread_within(y, label)
        return {
            "generator_loss": real_loss(on_fake),
            "discriminator_loss": game + 0.5 * self.gradient_weight * penalty,
            "gradient_penalty": penalty,
            "diversity": spread / ops.maximum(real_spread, 1e-6),
        }

    def check_rows(self, rows, name: str) -> None:
        """Refuse what `Conditional.check_rows` refuses; for `predict`, noise may stand for rows."""
        if not (isinstance(rows, dict) and "noise" in rows):
            super().check_rows(rows, name)
            return
        if np.shape(rows["noise"])[1:] != self.latent_shape or set(rows) != {"noise", "label"}:
            raise ZooError(
                f"{name} is not what {self.name} generates from.",
                received={part: np.shape(values) for part, values in rows.items()},
                do=f'Give {{"noise": z, "label": y}}, z of shape (rows, {self.latent_shape[0]}).',
            )
        self.check_labels(rows["label"], f"{name}['label']")

    def check_targets(self, x, y, name: str) -> None:
        """Refuse every target: there is no right answer to noise.

        Raises:
            ZooError: If there is one.
        """
        if y is not None:
            raise ZooError(
                f"{self.name} takes no target: it learns the rows that it is given.",
                do=f'Call fit({{"{self.input_name}": x, "label": y}}).',
            )

    def make_endpoints(self) -> list[Endpoint]:
        """Return `generate`."""
        return [self._generate_endpoint()]


def conditional_discriminator(input_shape, classes, hidden):
    """{"row": (B, *input_shape), "label": (B, 1)} -> the logit of being real, (B, 1)."""
    x, label = keras.Input(input_shape, name="row"), label_input()
    h = keras.layers.Flatten()(x) if len(input_shape) > 1 else x  # (B, H*W*C)
    for width in hidden:
        h = keras.layers.LeakyReLU(0.2)(keras.layers.Dense(width)(h))  # (B, F)
    of_any = keras.layers.Dense(1, dtype="float32", name="of_any")(h)  # (B, 1)
    of_label = keras.layers.Embedding(classes, h.shape[-1], dtype="float32", name="of_label")
    direction = keras.layers.Flatten()(of_label(label))  # (B, F)
    of_this = ops.sum(ops.cast(h, "float32") * direction, axis=-1, keepdims=True)  # (B, 1)
    return keras.Model({"row": x, "label": label}, of_any + of_this, name="discriminator")
