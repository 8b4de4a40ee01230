"""How probable test rows are under a variational autoencoder."""

import numpy as np

SAMPLES = 500  # more make the figure smaller, so that one of 5000 samples is undercut all the more
MANY = 5000  # as Burda, Grosse & Salakhutdinov (2016) take; a tenth of a second per row
ACTIVE = 0.01  # of variance over rows, from which a unit of the code counts as used


def nll(model, data) -> dict[str, float]:
    """Return the negative log-likelihood of test rows in nats, by 500 importance samples.

    Beside it: the negative ELBO, and how many units of the code say something about the row
    (Burda, Grosse & Salakhutdinov 2016, section 5.2).
    """
    return _measured(model, data, SAMPLES)


def nll_by_5000(model, data) -> dict[str, float]:
    """Return the same by 5,000 importance samples, whose bound is closer."""
    return _measured(model, data, MANY)


def _measured(model, data, samples: int) -> dict[str, float]:
    x = np.asarray(model.preprocessing.apply(data.test.array()))
    terms = model.evaluate(x, batch_size=500, verbose=0, return_dict=True)
    codes = model.endpoint("encode")(**{model.input_name: data.test.array()})["latent"]
    return {
        "nll": float(model.nll(x, samples).mean()),
        "negative_elbo": terms["reconstruction_loss"] + terms["kl_loss"],
        "active_units": active_units(codes),
    }


def active_units(codes: np.ndarray) -> int:
    """Return how many numbers of a code, (N, D), vary from row to row."""
    return int((codes.var(axis=0) > ACTIVE).sum())
