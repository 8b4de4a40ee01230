"""What fitted samplers are worth: how like real pictures their decoded draws are.

    ratio = FID of the model's pictures / FID of `conv_vae`'s from N(0, I)

`conv_vae` is trained on the same rows with the same filters, batch size, epochs and seed. FID is
that of `aezoo.measures.generation`; real pictures are test rows.
"""

import numpy as np

from aezoo import samplers
from aezoo.measures.beside import trained_beside
from aezoo.measures.generation import GENERATED, SEED, fid, generated_pictures

_CODES = 20_000  # of training rows, that samplers are fitted to


def generated(model, data) -> dict[str, float]:
    """Return the ratio for what a model generates from N(0, I), and its FID."""
    return _ratio(model, data, {"from_noise": generated_pictures(model, GENERATED)})


def fitted(model, data) -> dict[str, float]:
    """Return the ratio for a mixture fitted to the codes, and the FID of every sampler."""
    codes = _codes(model, data, "latent")
    kinds = ("mixture", "gaussian", "neighbours", "flow")
    return _ratio(model, data, {kind: _decoded(model, "latent", codes, kind) for kind in kinds})


def fitted_to_ids(model, data) -> dict[str, float]:
    """Return the ratio for an autoregressive prior over the ids of a codebook, and its FID."""
    codes = _codes(model, data, "codes")
    return _ratio(
        model, data, {"autoregressive": _decoded(model, "codes", codes, "autoregressive")}
    )


def _codes(model, data, name: str) -> np.ndarray:
    rows = data.train.take(np.arange(min(_CODES, len(data.train)))).array()
    return model.endpoint("encode")(**{model.input_name: rows})[name]


def _decoded(model, name: str, codes: np.ndarray, kind: str) -> np.ndarray:
    drawn = samplers.fit(codes, kind, seed=SEED).sample(GENERATED, seed=SEED)
    rows = model.endpoint("decode")(**{name: drawn})["reconstruction"]
    return np.asarray(model.preprocessing.apply(rows))


def _ratio(model, data, pictures: dict[str, np.ndarray]) -> dict[str, float]:
    """Return the ratio of the first, the FID of each, and that of the VAE."""
    real = np.asarray(model.preprocessing.apply(data.test.array()))
    distances = {name: fid(made, real) for name, made in pictures.items()}
    recipe = model.entry.train
    settings = {name: getattr(recipe, name) for name in ("epochs", "batch_size", "seed")}
    settings["filters"] = tuple(model.arguments["filters"])
    other = trained_beside("conv_vae", data, settings)
    beside = fid(generated_pictures(other, GENERATED), real)
    first = next(iter(distances.values()))
    return {"ratio": first / beside, **distances, "conv_vae": beside}
