"""Every example in a docstring runs and prints what it says."""

import doctest
import importlib
import pkgutil

import pytest

import aezoo
import aezoo.export
import aezoo.zoo_configs

# It declares the same messages as tritonclient; one process cannot import both.
SERVER = "aezoo.export.mlserver_model"
MODULES = sorted(
    {m.name for m in pkgutil.walk_packages(aezoo.__path__, "aezoo.")}
    | {m.name for m in pkgutil.iter_modules(aezoo.export.__path__, "aezoo.export.")} - {SERVER}
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_hold(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


def test_every_public_name_is_documented_and_has_an_example():
    for name in aezoo.__all__:
        value = getattr(aezoo, name)
        if callable(value):
            assert value.__doc__, name
