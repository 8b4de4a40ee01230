"""Checks of a new model: its size, its seed, its configuration."""

import json
import random

import numpy as np

from aezoo.checks.bench import (
    bench_of,
    inputs_for,
    model_units,
    one_step,
    require,
    require_equal,
    tiny,
)
from aezoo.checks.running import check
from aezoo.config import Entry, parse_entry
from aezoo.registry import build_entry


@check
def it_builds_as_expected(entry: Entry) -> str | None:
    """The entry as it stands has the size, shapes and loss terms of its `expect` block."""
    if entry.expect is None:
        build_entry(entry, seed=0)
        return "the entry has no `expect` block"
    model, expect = build_entry(entry, seed=0), entry.expect
    counted = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    require(
        counted == expect.trainable_parameters,
        f"expect.trainable_parameters is {expect.trainable_parameters}.",
        counted,
    )
    if expect.latent_shape is not None:
        require(
            model.latent_shape == expect.latent_shape,
            f"expect.latent_shape is {expect.latent_shape}.",
            model.latent_shape,
        )
    answer = tuple(model(model_units(model, inputs_for(model, 1, seed=0))).shape[1:])
    require(answer == expect.output_shape, f"expect.output_shape is {expect.output_shape}.", answer)
    bench = bench_of(entry)
    logged = set(one_step(bench.restored(), bench.x, bench.y)) - set(entry.train.metrics)
    require(
        logged == set(expect.loss_terms),
        f"expect.loss_terms names {sorted(expect.loss_terms)}.",
        sorted(logged),
    )
    return None


@check
def the_same_seed_gives_the_same_weights(entry: Entry) -> None:
    """And another seed gives others."""
    first = bench_of(entry).restored().get_weights()
    again, other = (tiny(entry, seed=seed).get_weights() for seed in (0, 1))
    for one, two in zip(first, again, strict=True):
        require_equal(one, two, "Two models of one seed differ.")
    differs = any((one != two).any() for one, two in zip(first, other, strict=True))
    require(differs, "Two seeds give the same weights.")


@check
def building_leaves_random_state_alone(entry: Entry) -> None:
    """A seeded build draws nothing from Python's and NumPy's global generators."""
    before = random.getstate(), np.random.get_state()
    tiny(entry)
    after = random.getstate(), np.random.get_state()
    require(before[0] == after[0], "Building moves Python's global random state.")
    same = all(np.array_equal(a, b) for a, b in zip(before[1], after[1], strict=True))
    require(same, "Building moves NumPy's global random state.")


@check
def config_round_trip_is_exact(entry: Entry) -> None:
    """The entry survives YAML, the model's configuration survives JSON."""
    require(parse_entry(entry.to_yaml(), "checks") == entry, "The entry changes as YAML.")
    model = bench_of(entry).restored()
    text = json.dumps(model.get_config(), sort_keys=True)
    again = type(model).from_config(json.loads(text))
    require(
        json.dumps(again.get_config(), sort_keys=True) == text,
        "from_config(get_config()) has another configuration.",
        again.get_config(),
    )
    shapes = [[w.shape for w in m.weights] for m in (model, again)]
    require(shapes[0] == shapes[1], "from_config(get_config()) has other weights.", shapes)
