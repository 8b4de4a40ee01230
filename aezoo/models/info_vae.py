"""VAEs that compare the codes of all rows with the prior, instead of the codes of each row.

    loss = -log p(x | z) + kl_weight * KL( q(z | x) || p(z) ) + mmd_weight * MMD^2( q(z), p(z) )

The KL term of a VAE asks the code of every single row to look like noise, and so to forget the row;
the squared maximum mean discrepancy (MMD) asks it of all rows together. It is estimated on a batch,
with draws z_i of the posterior and e_j of the prior and the inverse multiquadratic kernel
k(a, b) = C / (C + |a - b|^2), C = 2 D:

    MMD^2 = mean_{i != j} k(z_i, z_j) + mean_{i != j} k(e_i, e_j) - 2 mean_{i, j} k(z_i, e_j)

Sources: Zhao, Song & Ermon, "InfoVAE" (2019), equation 6, where kl_weight is 1 - alpha and
mmd_weight alpha + lambda - 1; Tolstikhin et al., "Wasserstein auto-encoders" (2018), algorithm 2,
where kl_weight is 0.
"""

import keras
from keras import ops

from aezoo.models.conv import conv_decoder
from aezoo.models.vae import VAE, Likelihood, Scale, conv_posterior, output_activation
from aezoo.zoo_model import EVALUATION_SEED, Weight, Width


@keras.saving.register_keras_serializable(package="aezoo")
class InfoVAE(VAE):
    """A convolutional VAE with an MMD term, for pictures (H, W, C) and series (T, C).

    Args:
        input_shape: `(H, W, C)` or `(T, C)`, any size.
        filters: Channels per level; each level halves the size.
        latent_dim: Width of the code.
        likelihood: `bernoulli` for values in [0, 1], `gaussian` for real ones.
        scale: Standard deviation of the Gaussian likelihood, in model units.
        kl_weight: Multiplies the KL term, in nats per example.
        mmd_weight: Multiplies the squared MMD, which has no unit and lies between 0 and 2.
        kernel_size: Of every convolution.
        activation: Of every convolution but the last.

    Example:
        >>> InfoVAE(input_shape=(8, 8, 1), filters=(4,), latent_dim=2).loss_terms
        ('loss', 'reconstruction_loss', 'kl_loss', 'mmd_loss')
    """

    modalities = ("image", "series")

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (28, 28, 1),
        filters: tuple[Width, ...] = (32, 64),
        latent_dim: Width = 16,
        likelihood: Likelihood = "bernoulli",
        scale: Scale = 1.0,
        kl_weight: Weight = 0.5,
        mmd_weight: Weight = 100.0,
        kernel_size: Width = 3,
        activation: str = "relu",
    ):
        output = output_activation(likelihood)
        super().__init__(
            encoder=conv_posterior(input_shape, filters, latent_dim, kernel_size, activation),
            decoder=conv_decoder(input_shape, filters, latent_dim, kernel_size, activation, output),
            likelihood=likelihood,
            scale=scale,
            kl_weight=kl_weight,
            terms=("mmd_loss",),
        )
        self.mmd_weight = mmd_weight
        self.prior_seed = keras.random.SeedGenerator()

    def add_divergences(self, z, mean, log_variance, training):
        """Add the KL term, and the MMD term where there are draws to compare."""
        super().add_divergences(z, mean, log_variance, training)
        if training or self._evaluating:
            seed = EVALUATION_SEED + 1 if self._evaluating else self.prior_seed
            noise = keras.random.normal(ops.shape(z), seed=seed)
            self.add_term("mmd_loss", squared_mmd(z, noise), self.mmd_weight)


def squared_mmd(a, b):
    """Return the unbiased estimate of the squared MMD of two sets of rows, both (B, D).

    Zero for one row. The kernel is C / (C + distance^2) with C = 2 D, the expected squared distance
    of two draws from N(0, I).

    Example:
        >>> import numpy as np
        >>> same = np.zeros((2, 1), "float32")
        >>> round(float(squared_mmd(same, same + 2.0)), 4)  # 1 + 1 - 2 * 2 / (2 + 4)
        1.3333
    """
    width = 2.0 * a.shape[-1]

    def kernel(left, right):  # (B, B)
        distances = ops.sum(ops.square(left[:, None, :] - right[None, :, :]), axis=-1)
        return width / (width + distances)

    count = ops.cast(ops.shape(a)[0], "float32")
    pairs = ops.maximum(count * (count - 1.0), 1.0)
    within = ops.sum(kernel(a, a)) + ops.sum(kernel(b, b)) - 2.0 * count  # a row equals itself
    return within / pairs - 2.0 * ops.mean(kernel(a, b)) * ops.cast(count > 1.0, "float32")
