"""How probable rows are under a variational autoencoder, by importance sampling.

    log p(x) ~ log 1/K sum_k p(x | z_k) p(z_k) / q(z_k | x),   z_k ~ q(z | x)

Source: Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders" (2016), equation 8.
"""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from aezoo.losses import gaussian_log_density

_CHUNK_BYTES = 16 * 2**20  # of what is decoded at once
_ROWS = 512  # that are encoded at once


def importance_nll(model, x, samples: int, seed: int) -> np.ndarray:
    """Return -log p(x) of each row in nats, (N,); see `VAE.nll`."""
    model.check_rows(x, "x")
    chunk = min(samples, max(1, _CHUNK_BYTES // (4 * math.prod(model.input_shape))))
    chunks = -(-samples // chunk)
    likelihood = model.default_loss

    @tf.function(autograph=False)
    def log_weights(row, mean, log_variance, key):  # (1, ...), (D,), (D,), (2,) -> (chunk,)
        noise = tf.random.stateless_normal((chunk, mean.shape[0]), key)
        z = mean + tf.exp(0.5 * log_variance) * noise  # (chunk, D)
        many = keras.tree.map_structure(lambda v: ops.repeat(v, chunk, axis=0), row)
        answer = model.decoder(model.decoder_input(z, many), training=False)
        nll = likelihood.call(model.target_of(row), answer)  # (chunk,)
        return model.log_prior(z) - gaussian_log_density(z, mean, log_variance) - nll

    values = []
    for start in range(0, len(keras.tree.flatten(x)[0]), _ROWS):
        rows = _part(x, start, start + _ROWS)
        means, log_variances = model.encoder(model.encoder_input(rows), training=False)
        for i in range(len(means)):
            row = _part(rows, i, i + 1)
            # Tensors, because every other pair of Python numbers would be traced anew.
            keys = [tf.constant([seed, (start + i) * chunks + c]) for c in range(chunks)]
            parts = [log_weights(row, means[i], log_variances[i], key) for key in keys]
            weights = np.concatenate(parts)[:samples].astype("float64")
            values.append(math.log(samples) - np.logaddexp.reduce(weights))
    return np.array(values)


def _part(x, start: int, end: int):
    """Return some rows of an array, or of every array of a dict."""
    return keras.tree.map_structure(lambda v: ops.convert_to_tensor(v[start:end]), x)
