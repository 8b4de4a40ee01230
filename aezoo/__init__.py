"""The autoencoder zoo for Keras and TensorFlow.

What you built is what you trained, what you trained is what you measured, and what you measured
is what you serve.
"""

import importlib

from aezoo.quiet import without_collecting
from aezoo.version import __version__

# Where each public name lives; nothing is imported before it is used.
_HOMES = {
    "ZooError": "aezoo.errors",
    "ZooWarning": "aezoo.errors",
    "build": "aezoo.registry",
    "describe": "aezoo.registry",
    "list_models": "aezoo.registry",
    "register": "aezoo.registry",
    "Autoencoder": "aezoo.autoencoder",
    "Segmenter": "aezoo.segmenter",
    "load": "aezoo.storage",
    "save": "aezoo.storage",
    "train": "aezoo.training",
    "classifier": "aezoo.transfer",
    "regressor": "aezoo.transfer",
    "reproduce": "aezoo.reproduce",
    "calibrate": "aezoo.calibration",
    "export_bundle": "aezoo.export",
    "verify_bundle": "aezoo.export",
}
_SUBMODULES = ("checks", "data", "export", "layers", "losses", "metrics", "models", "samplers")

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str):
    with without_collecting():
        if name in _HOMES:
            return getattr(importlib.import_module(_HOMES[name]), name)
        if name in _SUBMODULES:
            return importlib.import_module(f"aezoo.{name}")
    raise AttributeError(f"module 'aezoo' has no attribute {name!r}")


def __dir__():
    return sorted([*__all__, *_SUBMODULES])
