"""Entries: what is accepted, and what each mistake is answered with."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aezoo.config import Entry, override, parse_assignment, parse_entry
from aezoo.errors import ZooError
from aezoo.registry import find, list_models

MINIMAL = """
schema_version: 1
name: mine
title: Mine
summary: A model of mine.
task: reconstruction
modality: image
builder: mine:Mine
"""


def error_of(text: str) -> str:
    with pytest.raises(ZooError) as caught:
        parse_entry(text, "mine.yaml")
    message = str(caught.value)
    assert len(message.splitlines()) <= 3
    return message


def test_a_minimal_entry_gets_defaults():
    entry = parse_entry(MINIMAL, "mine.yaml")
    assert entry.train.epochs == 20
    assert entry.data.source == "sample"


def test_every_entry_of_the_zoo_survives_a_round_trip_through_yaml():
    for name in list_models():
        entry = find(name)
        again = parse_entry(entry.to_yaml(), "again.yaml")
        assert again.digest() == entry.digest()


def test_an_unknown_key_names_file_key_and_closest_match():
    message = error_of(MINIMAL + "train: {epoch: 5}\n")
    assert message.startswith("mine.yaml has an unknown key 'train.epoch'.")
    assert "Did you mean 'epochs'?" in message


def test_an_unknown_key_of_an_optional_section_is_answered_with_the_known_ones():
    message = error_of(MINIMAL + "expect: {latent: [2]}\n")
    assert "'expect.latent'" in message and "Did you mean 'latent_shape'?" in message


def test_a_wrong_type_names_file_key_and_value():
    message = error_of(MINIMAL + "train: {epochs: many}\n")
    assert "mine.yaml: train.epochs has a wrong value" in message
    assert "Received: 'many'" in message


def test_a_value_out_of_range_is_refused():
    assert "data.validation" in error_of(MINIMAL + "data: {validation: 1.5}\n")
    assert "train.learning_rate" in error_of(MINIMAL + "train: {learning_rate: -1}\n")


def test_a_misspelt_choice_names_the_closest_one():
    message = error_of(MINIMAL.replace("task: reconstruction", "task: reconstruct"))
    assert "Did you mean 'reconstruction'?" in message


def test_a_missing_key_is_named():
    assert "lacks the key 'title'" in error_of(MINIMAL.replace("title: Mine\n", ""))


def test_a_key_given_twice_is_an_error_with_its_line():
    message = error_of(MINIMAL + "title: Again\n")
    assert "Line 9 gives a key a second time" in message
    assert "'title'" in message


def test_broken_yaml_names_file_and_line():
    assert "mine.yaml, line" in error_of("name: [unclosed\n")


def test_an_entry_of_a_later_schema_is_refused():
    message = error_of(MINIMAL.replace("schema_version: 1", "schema_version: 2"))
    assert "this aezoo reads schema 1" in message


def test_overrides_change_a_copy():
    entry = find("conv_ae")
    changed = override(entry, {"train.epochs": 3, "args.latent_dim": 4})
    assert (changed.train.epochs, changed.args["latent_dim"]) == (3, 4)
    assert entry.train.epochs != 3
    assert changed.digest() != entry.digest()


def test_an_override_of_an_unknown_key_names_the_closest_one():
    with pytest.raises(ZooError, match="Did you mean 'epochs'"):
        override(find("conv_ae"), {"train.epoch": 3})


@given(st.dictionaries(st.sampled_from(["epochs", "batch_size"]), st.integers(1, 10**6)))
def test_overrides_are_what_the_entry_then_says(values):
    entry = override(find("conv_ae"), {f"train.{k}": v for k, v in values.items()})
    assert all(getattr(entry.train, key) == value for key, value in values.items())


@given(st.integers() | st.booleans() | st.lists(st.integers(), max_size=4))
def test_assignments_are_read_as_yaml(value):
    text = str(value).lower() if isinstance(value, bool) else str(value)
    assert parse_assignment(f"train.x={text}") == ("train.x", value)


@given(st.text(max_size=200))
def test_any_text_is_an_entry_or_a_zoo_error(text):
    with contextlib.suppress(ZooError):
        assert isinstance(parse_entry(text, "any.yaml"), Entry)


def test_an_assignment_without_an_equals_sign_is_explained():
    with pytest.raises(ZooError, match="key=value"):
        parse_assignment("train.epochs 5")
