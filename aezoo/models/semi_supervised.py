"""Semi-supervised variational autoencoders: a class and a style, with few classes told.

    p(y) = 1/C,  p(z) = N(0, I),  p(x | y, z) the decoder;   q(y | x),  q(z | x, y) the encoder
    L(x, y) = -log p(x | y, z) + log C + kl_weight * KL( q(z | x, y) || p(z) ),  z ~ q(z | x, y)
    loss = L(x, y) - classification_weight * log q(y | x)         for rows whose class is told,
         = sum_y q(y | x) [ L(x, y) + log q(y | x) ]              for all others,
         + agreement_weight * c(x) * -log q(y* | x')              for every row,
    y*   = argmax_y q(y | x),  c(x) = 1 - H[q(y | x)] / log C,  both taken as given,

in nats, averaged over the rows of a batch, the classification term over those whose class is told.
x' is the row as encoders see it in training, distorted; x is the row itself.
M2 is this on the rows themselves; M1+M2 is this on draws from the codes of a variational
autoencoder, M1, that is trained on all rows before and stays as it is.

Four things are not the paper's, and are off by default. With `distortion` encoders see pictures
turned, slanted and moved in training, and decoders answer for the picture as it was: whatever q
sees, the bound is one. With `agreement_weight` a distorted picture is to have the class of the
picture itself, the more so the surer that class is. `feature_kl_weight` below 1 lets M1's codes
tell more than its bound would. With `spread` labels go over a graph of M1's codes first, and every
row that they reach counts as told: the classes are then the graph's, and the sum over y above has
no part in them.

Sources: Kingma, Rezende, Mohamed & Welling, "Semi-supervised learning with deep generative models"
(2014), equations 6 to 9; its alpha is `classification_weight` times the share of labelled rows.
Im, Ahn, Memisevic & Bengio, "Denoising criterion for variational auto-encoding framework" (2017).
Sohn et al., "FixMatch" (2020), for agreement; certainty weighs its rows here, where a threshold
chooses them there.
"""

import math
from typing import Annotated

import keras
import numpy as np
from keras import ops
from pydantic import Field

from aezoo.autoencoder import Autoencoder
from aezoo.classifying import Classifier
from aezoo.endpoints import Endpoint, TensorSpec
from aezoo.errors import ZooError
from aezoo.label_spread import spread_labels
from aezoo.layers.corruption import Corruption
from aezoo.layers.sampling import GaussianSampling
from aezoo.losses import BernoulliNLL, GaussianNLL, gaussian_kl, gaussian_log_density, nll_of_rows
from aezoo.models.dense import dense_decoder
from aezoo.models.vae import (
    DenseVAE,
    Likelihood,
    Scale,
    output_activation,
    posterior_heads,
    warmth,
)
from aezoo.specs import UNLABELLED, label_spec
from aezoo.zoo_model import EVALUATION_SEED, Share, Weight, Width

Classes = Annotated[int, Field(ge=2)]
Level = Annotated[float, Field(ge=0)]
_AT_ONCE = 1000  # rows that are encoded
_VIEWS = 8  # of a picture, that its place in the graph is found by


@keras.saving.register_keras_serializable(package="aezoo")
class KnownAccuracy(keras.metrics.SparseCategoricalAccuracy):
    """The share of rows whose class is told and is the most probable one, from 0 to 1.

    Example:
        >>> accuracy = KnownAccuracy()
        >>> float(accuracy([0, 1, -1], [[0.9, 0.1], [0.8, 0.2], [0.5, 0.5]]))
        0.5
    """

    def __init__(self, name: str = "accuracy", dtype=None):
        super().__init__(name, dtype)

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Count a batch, classes (B,) with -1 where none is told, probabilities (B, C)."""
        y_true = ops.convert_to_tensor(y_true)
        told = ops.cast(y_true >= 0, "float32")
        super().update_state(ops.maximum(y_true, 0), y_pred, told)


@keras.saving.register_keras_serializable(package="aezoo")
class SemiSupervisedVAE(Classifier, Autoencoder):
    """M2: learns classes from few labels and many rows, any input shape.

    Targets are classes (B,), -1 where none is told. The code is what is known of the class, C
    probabilities, and the style, D numbers, beside each other. `call` answers the reconstruction,
    `classify` the class; the metric `accuracy` counts rows whose class is told.

    Args:
        input_shape: Shape of one row; pictures and series are flattened inside.
        classes: C, the number of classes.
        hidden: Widths of each network's layers; the decoder mirrors them.
        latent_dim: D, the width of the style.
        likelihood: `bernoulli` for values in [0, 1], `gaussian` for real ones.
        scale: Standard deviation of the Gaussian likelihood, in model units.
        kl_weight: Of the style's KL term; 1 is the bound.
        classification_weight: Of the mean cross-entropy of rows whose class is told.
        agreement_weight: Of the mean cross-entropy of distorted rows against the class that the
            model gives to the rows as they are.
        dropout: Share of the classifier's hidden values that training hides.
        distortion: How strongly pictures are distorted before encoders see them in training; the
            level of `aezoo.layers.corruption`.
        activation: Of the hidden layers.

    Example:
        >>> import numpy as np
        >>> model = SemiSupervisedVAE(input_shape=(6,), classes=3, hidden=(8,), latent_dim=2)
        >>> model.endpoint("classify")(features=np.zeros((4, 6), "float32"))["label"].shape
        (4, 1)
        >>> model.latent_shape
        (5,)
    """

    lowest_class = UNLABELLED

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (28, 28, 1),
        classes: Classes = 10,
        hidden: Annotated[tuple[Width, ...], Field(min_length=1)] = (500,),
        latent_dim: Width = 50,
        likelihood: Likelihood = "bernoulli",
        scale: Scale = 1.0,
        kl_weight: Weight = 1.0,
        classification_weight: Weight = 10.0,
        agreement_weight: Weight = 0.0,
        dropout: Share = 0.0,
        distortion: Level = 0.0,
        activation: str = "softplus",
    ):
        output = output_activation(likelihood)
        self._set_up(
            classifier=class_network(input_shape, classes, hidden, dropout, activation),
            trunk=style_trunk(input_shape, hidden[0]),
            posterior=style_posterior(classes, hidden, latent_dim, activation),
            decoder=dense_decoder(input_shape, hidden, classes + latent_dim, activation, output),
            loss=BernoulliNLL() if likelihood == "bernoulli" else GaussianNLL(scale),
            distortion=distortion,
        )
        self.classes, self.latent_dim = classes, latent_dim
        self.kl_weight, self.classification_weight = kl_weight, classification_weight
        self.agreement_weight = agreement_weight

    def _set_up(self, classifier, trunk, posterior, decoder, loss, distortion, before=None):
        """Make encoder and decoder of the parts.

        Args:
            classifier: What is seen, (B, *seen) -> logits (B, C).
            trunk: (B, *seen) -> (B, H), the part of the posterior that knows no class.
            posterior: (B, H) and (B, C) -> mean and log-variance of the style, (B, D) each.
            decoder: (B, C + D) -> rows.
            loss: Of rows.
            distortion: Of pictures before they are seen in training, its level.
            before: Rows -> mean and log-variance of what is seen; None where it is the rows.
        """
        x = keras.Input((before or classifier).input_shape[1:])
        seen = before(x)[0] if before else x
        p = keras.layers.Softmax(dtype="float32")(classifier(seen))  # (B, C)
        style = posterior([trunk(seen), p])[0]  # (B, D)
        code = keras.layers.Concatenate(name="latent", dtype="float32")([p, style])
        Autoencoder.__init__(
            self,
            encoder=keras.Model(x, code, name="encoder"),
            decoder=decoder,
            output_range="unit" if isinstance(loss, BernoulliNLL) else "real",
            loss=loss,
            terms=("kl_loss", "class_kl_loss", "classification_loss", "agreement_loss"),
        )
        self.classifier, self.trunk, self.posterior = classifier, trunk, posterior
        self.sampling, self.warmth = GaussianSampling(), warmth()
        self.distortion = Corruption("distortion", distortion) if distortion else None

    def shown(self, x, training: bool):
        """Return what encoders are shown of rows, of the same shape: in training, distorted."""
        return self.distortion(x, training=True) if training and self.distortion else x

    def draw(self, mean, log_variance, training: bool, seed: int):
        """Return fresh draws in training, the same each time with a seed otherwise; all (B, D)."""
        if training:
            return self.sampling(mean, log_variance, training=True)
        return self.sampling.draw(mean, log_variance, seed)

    # ---- what M1+M2 has otherwise ----

    def views(self, x, training: bool):
        """Return what class and style are inferred from, and what they are to explain, (B, ...)."""
        return self.shown(x, training), x

    def row_nll(self, explained, code):
        """Return -log p(explained | code) in nats, (B,)."""
        return nll_of_rows(self.loss, explained, self.decoder(code, training=False), "The bound")

    # ---- training ----

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the loss of the module's first lines, and log its parts.

        Raises:
            ZooError: For sample weights, or a loss that is no likelihood.
        """
        if sample_weight is not None:
            raise ZooError(
                f"{self.name} takes no sample weights.",
                do="Leave them out; rows without a class are labelled -1.",
            )
        c, rows = self.classes, ops.shape(y)[0]
        seen, explained = self.views(x, training)
        logits = ops.cast(self.classifier(seen, training=training), "float32")
        log_p = ops.log_softmax(logits, axis=-1)  # (B, C)
        told = ops.cast(y >= 0, "float32")[:, None]  # (B, 1)
        truth = ops.one_hot(ops.maximum(ops.cast(y, "int32"), 0), c)  # (B, C)
        weights = told * truth + (1.0 - told) * ops.exp(log_p)  # (B, C)

        every = ops.tile(ops.eye(c), (rows, 1))  # (B*C, C): each row with each class
        h = ops.repeat(self.trunk(seen, training=training), c, axis=0)  # (B*C, H)
        mean, log_variance = self.posterior([h, every], training=training)  # (B*C, D)
        z = self.draw(mean, log_variance, training, EVALUATION_SEED)
        code = ops.concatenate([every, z], axis=-1)  # (B*C, C + D)
        nll = self.row_nll(ops.repeat(explained, c, axis=0), code)  # (B*C,)
        kl = gaussian_kl(mean, log_variance)  # (B*C,)

        expected = [ops.sum(weights * ops.reshape(v, (-1, c)), axis=-1) for v in (nll, kl)]
        entropy = -ops.sum((1.0 - told) * weights * log_p, axis=-1)  # (B,), 0 where it is told
        missed = -ops.sum(told * truth * log_p, axis=-1)  # (B,)
        parts = {
            "reconstruction_loss": ops.mean(expected[0]),
            "kl_loss": ops.mean(expected[1]),
            "class_kl_loss": math.log(c) - ops.mean(entropy),
            "classification_loss": ops.sum(missed) / ops.maximum(ops.sum(told), 1.0),
            "agreement_loss": self.agreement(x, log_p) if self.agreement_weight else 0.0,
        }
        counts = dict.fromkeys(parts, rows) | {"classification_loss": ops.sum(told)}
        for name, value in parts.items():
            self._trackers[name].update_state(value, sample_weight=counts[name])
        style_weight = self.kl_weight * (self.warmth if training else 1.0)
        factors = (1.0, style_weight, 1.0, self.classification_weight, self.agreement_weight)
        # One reduction: of several additions TensorFlow chooses the order anew in every run.
        return ops.sum([f * value for f, value in zip(factors, parts.values(), strict=True)])

    def agreement(self, x, log_p):
        """Return how far classes of rows as seen are from those of the rows themselves, in nats.

        Args:
            x: The rows, (B, *input_shape).
            log_p: Log-probabilities of the classes, of the rows as seen, (B, C).
        """
        p = ops.stop_gradient(self.probabilities_of(x))  # (B, C)
        entropy = -ops.sum(p * ops.log(p + keras.config.epsilon()), axis=-1)  # (B,)
        certainty = 1.0 - entropy / math.log(self.classes)
        guess = ops.one_hot(ops.argmax(p, axis=-1), self.classes)  # (B, C)
        return ops.mean(certainty * -ops.sum(guess * log_p, axis=-1))

    def metric(self, name: str):
        """Return the metric that a recipe means by this name; rows without a class count not."""
        return KnownAccuracy() if name == "accuracy" else super().metric(name)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Update the compiled metrics with the probabilities of the classes."""
        return super().compute_metrics(x, y, self.probabilities_of(x))

    # ---- endpoints ----

    def scored(self, x):
        """Return the rows: the target is a class, but the score is of the reconstruction."""
        return x

    def probabilities_of(self, x):
        """Return q(y | x), (B, C)."""
        return self.encoder(x, training=False)[:, : self.classes]

    def make_endpoints(self) -> list[Endpoint]:
        """Return those of an autoencoder, `classify` and `generate`."""
        return [*super().make_endpoints(), self.classify_endpoint(), self._generate_endpoint()]

    def noise_specs(self) -> tuple[TensorSpec, ...]:
        """Return the specs of style and class that a new row is made of."""
        style = TensorSpec("noise", (self.latent_dim,), "float32", ("latent",), -3.0, 3.0)
        return style, label_spec(self.classes, "The class of the new row.")

    def code_of_noise(self, inputs: dict):
        """Return the codes of a class and a style, (B, C + D)."""
        label = ops.reshape(ops.cast(inputs["label"], "int32"), (-1,))
        return ops.concatenate([ops.one_hot(label, self.classes), inputs["noise"]], axis=-1)


@keras.saving.register_keras_serializable(package="aezoo")
class StackedSemiSupervisedVAE(SemiSupervisedVAE):
    """M1+M2: the semi-supervised model on the codes of a variational autoencoder of all rows.

    `pretrain` trains that autoencoder, M1, without labels; `fit` trains the rest on draws from its
    posterior, of which p(feature | y, z) is a Gaussian of learned widths. `reconstruction_loss` is
    then that of the features, in nats.

    Args:
        input_shape: Shape of one row; pictures and series are flattened inside.
        classes: C, the number of classes.
        feature_hidden: Widths of M1's layers.
        features: Width of M1's code.
        hidden: Widths of each other network's layers.
        latent_dim: D, the width of the style.
        likelihood: Of M1: `bernoulli` for values in [0, 1], `gaussian` for real ones.
        scale: Standard deviation of the Gaussian likelihood, in model units.
        feature_kl_weight: Of M1's KL term; 1 is its bound.
        kl_weight: Of the style's KL term; 1 is the bound.
        classification_weight: Of the mean cross-entropy of rows whose class is told.
        agreement_weight: Of the mean cross-entropy of distorted rows against the class that the
            model gives to the rows as they are.
        dropout: Share of the classifier's hidden values that training hides.
        distortion: How strongly pictures are distorted before encoders see them in training; the
            level of `aezoo.layers.corruption`.
        spread: Whether `aezoo.train` spreads the labels over M1's codes to all rows first, by
            `aezoo.label_spread`; each row that they reach then counts as told, so that the classes
            are those of the graph, and the bound of rows not told has no part in them.
        activation: Of the hidden layers.

    Example:
        >>> model = StackedSemiSupervisedVAE(
        ...     input_shape=(6,), classes=3, feature_hidden=(8,), features=4, latent_dim=2
        ... )
        >>> model.latent_shape
        (5,)
    """

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (28, 28, 1),
        classes: Classes = 10,
        feature_hidden: tuple[Width, ...] = (600, 600),
        features: Width = 50,
        hidden: Annotated[tuple[Width, ...], Field(min_length=1)] = (500,),
        latent_dim: Width = 50,
        likelihood: Likelihood = "bernoulli",
        scale: Scale = 1.0,
        feature_kl_weight: Weight = 1.0,
        kl_weight: Weight = 1.0,
        classification_weight: Weight = 10.0,
        agreement_weight: Weight = 0.0,
        dropout: Share = 0.0,
        distortion: Level = 0.0,
        spread: bool = False,
        activation: str = "softplus",
    ):
        m1 = UprightVAE(
            input_shape,
            feature_hidden,
            features,
            likelihood,
            scale,
            feature_kl_weight,
            activation,
            distortion,
        )
        feature_decoder = feature_decoder_of(classes + latent_dim, hidden, features, activation)
        code = keras.Input((classes + latent_dim,))
        self._set_up(
            classifier=class_network((features,), classes, hidden, dropout, activation),
            trunk=style_trunk((features,), hidden[0]),
            posterior=style_posterior(classes, hidden, latent_dim, activation),
            decoder=keras.Model(code, m1.decoder(feature_decoder(code)[0]), name="decoder"),
            loss=m1.default_loss,
            distortion=distortion,
            before=m1.encoder,
        )
        self.m1, self.feature_decoder = m1, feature_decoder
        self.m1.trainable = False  # but in `pretrain`
        self.spread = spread
        self.classes, self.latent_dim = classes, latent_dim
        self.kl_weight, self.classification_weight = kl_weight, classification_weight
        self.agreement_weight = agreement_weight

    def pretrain(
        self, x, epochs: int, *, batch_size: int = 128, steps_per_epoch=None, callbacks=()
    ) -> list[dict]:
        """Train M1 on rows alone; arguments as for `ZooModel.pretrain`.

        Returns:
            One dict per epoch: `epoch`, from 1, `loss` and M1's terms.
        """
        self.forget()
        self.m1.trainable = True
        self.compile_part(self.m1)
        options = {"batch_size": batch_size}
        if not isinstance(x, np.ndarray):  # batches, shuffled, with classes beside the rows
            x, options = x.map(lambda *batch: (batch[0],)), {"shuffle": False}
        try:
            logs = self.m1.fit(
                x,
                epochs=epochs,
                steps_per_epoch=steps_per_epoch,
                callbacks=list(callbacks),
                verbose=0,
                **options,
            ).history
        finally:
            self.m1.trainable = False
        epochs_seen = range(len(logs["loss"]))
        return [{"epoch": n + 1} | {k: v[n] for k, v in logs.items()} for n in epochs_seen]

    def targets_of(self, rows):
        """Return the classes that `fit` takes for training rows, as told or by `spread`."""
        if not self.spread or not (rows.targets != UNLABELLED).any():
            return rows.targets
        # The repeats of a row that is told would be each other's neighbours, and no other's.
        _, first, again = np.unique(rows.index, return_index=True, return_inverse=True)
        once = rows.take(first)
        codes = [
            self.typical_code(self.preprocessing.apply(some.array()))
            for start in range(0, len(once), _AT_ONCE)
            for some in [once.take(np.arange(start, min(start + _AT_ONCE, len(once))))]
        ]
        return spread_labels(np.concatenate(codes), once.targets)[again]

    def typical_code(self, x) -> np.ndarray:
        """Return M1's codes of rows, each the mean over some distortions of it, (B, features)."""
        seen = [self.distortion.corrupt(x, n) for n in range(_VIEWS)] if self.distortion else [x]
        return np.mean([self.m1.encoder(view, training=False)[0] for view in seen], axis=0)

    def views(self, x, training: bool):
        """Return a draw from M1's posterior, (B, features), twice; a fixed one in evaluation."""
        mean, log_variance = self.m1.encoder(self.shown(x, training), training=False)
        drawn = self.draw(mean, log_variance, training, EVALUATION_SEED + 1)
        return drawn, drawn

    def row_nll(self, explained, code):
        """Return -log p(explained | code) in nats, (B,), by the widths that are learned."""
        mean, log_variance = self.feature_decoder(code, training=False)
        return -gaussian_log_density(explained, mean, log_variance)


@keras.saving.register_keras_serializable(package="aezoo")
class UprightVAE(DenseVAE):
    """A fully connected VAE that is shown distorted pictures in training and rebuilds them upright.

    Args:
        input_shape: Shape of one row.
        hidden: Widths of the encoder's layers; the decoder mirrors them.
        latent_dim: Width of the code.
        likelihood: `bernoulli` for values in [0, 1], `gaussian` for real ones.
        scale: Standard deviation of the Gaussian likelihood, in model units.
        kl_weight: Multiplies the KL term; 1 is the bound.
        activation: Of the hidden layers.
        distortion: The level of `aezoo.layers.corruption`; 0 makes it a `DenseVAE`.

    Example:
        >>> UprightVAE(input_shape=(6, 6, 1), hidden=(8,), latent_dim=2).latent_shape
        (2,)
    """

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (28, 28, 1),
        hidden: tuple[Width, ...] = (600, 600),
        latent_dim: Width = 50,
        likelihood: Likelihood = "bernoulli",
        scale: Scale = 1.0,
        kl_weight: Weight = 1.0,
        activation: str = "relu",
        distortion: Level = 1.0,
    ):
        super().__init__(input_shape, hidden, latent_dim, likelihood, scale, kl_weight, activation)
        self.distortion = Corruption("distortion", distortion) if distortion else None

    def pair(self, x, y, training: bool):
        """Return `(distorted x, x)` in training, `(x, x)` otherwise."""
        return (self.distortion(x, training=True) if training and self.distortion else x), x


def class_network(seen, classes, hidden, dropout, activation):
    """(B, *seen) -> logits (B, C)."""
    layers = [keras.Input(seen)]
    if len(seen) > 1:
        layers.append(keras.layers.Flatten())
    for width in hidden:
        layers += [keras.layers.Dense(width, activation), keras.layers.Dropout(dropout)]
    layers.append(keras.layers.Dense(classes, dtype="float32"))
    return keras.Sequential(layers, name="classifier")


def style_trunk(seen, width):
    """(B, *seen) -> (B, width), linear."""
    layers = [keras.Input(seen)]
    if len(seen) > 1:
        layers.append(keras.layers.Flatten())
    return keras.Sequential([*layers, keras.layers.Dense(width)], name="trunk")


def style_posterior(classes, hidden, latent_dim, activation):
    """(B, H) of the trunk and (B, C) -> mean and log-variance of the style, (B, D) each."""
    seen, label = keras.Input((hidden[0],)), keras.Input((classes,))
    h = keras.layers.Add()([seen, keras.layers.Dense(hidden[0], use_bias=False)(label)])
    h = keras.layers.Activation(activation)(h)
    for width in hidden[1:]:
        h = keras.layers.Dense(width, activation)(h)
    return keras.Model([seen, label], posterior_heads(h, latent_dim), name="posterior")


def feature_decoder_of(width, hidden, features, activation):
    """Codes (B, width) -> mean and log-variance of the features, (B, F) each."""
    code = keras.Input((width,))
    h = code
    for units in reversed(hidden):
        h = keras.layers.Dense(units, activation)(h)
    return keras.Model(code, posterior_heads(h, features), name="feature_decoder")
