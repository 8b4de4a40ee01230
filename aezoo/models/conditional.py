"""Conditional variational autoencoder: what a row of a given class looks like.

    q(z | x, y) = N(mean(x, y), diag exp(log_variance(x, y))),   p(z | y) = N(0, I)
    loss = -log p(x | z, y) + kl_weight * KL( q(z | x, y) || N(0, I) ),   z ~ q(z | x, y)

Encoder and decoder are told the label y, so the code keeps only what the label does not say, such
as slant and width of a digit. Both terms are in nats per example; with `kl_weight=1` the loss is
the negative evidence lower bound of log p(x | y).

Sources: Kingma et al., "Semi-supervised learning with deep generative models" (2014), model M2 with
every label known; Sohn, Lee & Yan, "Learning structured output representation using deep
conditional generative models" (2015), equation 4 with the prior of z independent of y.
"""

import keras

from aezoo.conditional import Conditional, conditional_decoder, label_input, with_label
from aezoo.models.dense import dense_decoder
from aezoo.models.vae import VAE, Likelihood, Scale, output_activation, posterior_heads
from aezoo.zoo_model import INPUT_BY_RANK, Weight, Width


@keras.saving.register_keras_serializable(package="aezoo")
class ConditionalVAE(Conditional, VAE):
    """A fully connected variational autoencoder that is told the label, any input shape.

    Rows are `{"image": x, "label": y}` (`series`, `features` for other shapes), labels whole
    numbers from 0 to `classes - 1`, (B,) or (B, 1). `generate` takes noise and a label.

    Args:
        input_shape: Shape of one row; pictures and series are flattened inside.
        classes: Number of labels.
        hidden: Widths of the encoder's layers; the decoder mirrors them.
        latent_dim: Width of the code.
        label_dim: Width of the label's embedding, one in each network.
        likelihood: `bernoulli` for values in [0, 1], `gaussian` for real ones.
        scale: Standard deviation of the Gaussian likelihood, in model units.
        kl_weight: Multiplies the KL term; 1 is the ELBO.
        activation: Of the hidden layers.

    Example:
        >>> import numpy as np
        >>> model = ConditionalVAE(input_shape=(6, 6, 1), classes=3, hidden=(8,), latent_dim=2)
        >>> noise, label = np.zeros((2, 2), "float32"), np.array([[0], [2]])
        >>> model.endpoint("generate")(noise=noise, label=label)["image"].shape
        (2, 6, 6, 1)
    """

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (28, 28, 1),
        classes: Width = 10,
        hidden: tuple[Width, ...] = (512, 256),
        latent_dim: Width = 4,
        label_dim: Width = 16,
        likelihood: Likelihood = "bernoulli",
        scale: Scale = 1.0,
        kl_weight: Weight = 1.0,
        activation: str = "relu",
    ):
        output, width = output_activation(likelihood), latent_dim + label_dim
        trunk = dense_decoder(input_shape, hidden, width, activation, output)
        super().__init__(
            encoder=conditional_posterior(
                input_shape, classes, hidden, latent_dim, label_dim, activation
            ),
            decoder=conditional_decoder(trunk, latent_dim, classes, label_dim),
            likelihood=likelihood,
            scale=scale,
            kl_weight=kl_weight,
        )
        self.classes = classes


def conditional_posterior(input_shape, classes, hidden, latent_dim, label_dim, activation):
    """{rows (B, *input_shape), "label": (B, 1)} -> mean and log-variance, (B, D) each."""
    name = INPUT_BY_RANK[len(input_shape)]
    x, label = keras.Input(input_shape, name=name), label_input()
    h = keras.layers.Flatten()(x) if len(input_shape) > 1 else x  # (B, H*W*C)
    h = with_label(h, label, classes, label_dim)  # (B, H*W*C + label_dim)
    for width in hidden:
        h = keras.layers.Dense(width, activation)(h)
    return keras.Model({name: x, "label": label}, posterior_heads(h, latent_dim), name="encoder")
