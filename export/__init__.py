"""A fitted model becomes a bundle that is proven to answer as the model did.

Importing this package, verifying a bundle and asking it need NumPy, pydantic and ONNX Runtime:
no TensorFlow, no Keras. Only `export_bundle` imports them.
"""

import importlib

_HOMES = {
    "export_bundle": "aezoo.export.bundle",
    "verify_bundle": "aezoo.export.verify",
    "Bundle": "aezoo.export.runner",
    "Manifest": "aezoo.export.manifest",
    "predict_file": "aezoo.export.files",
    "score_file": "aezoo.export.scoring",
    "score_with_spark": "aezoo.export.spark",
    "bench_bundle": "aezoo.export.bench",
    "detect": "aezoo.export.detecting",
    "denoise": "aezoo.export.denoising",
    "segment": "aezoo.export.segmenting",
    "make_index": "aezoo.export.searching",
    "open_index": "aezoo.export.searching",
    "add_to_index": "aezoo.export.searching",
    "remove_from_index": "aezoo.export.searching",
    "find_in_index": "aezoo.export.searching",
    "compare_steps": "aezoo.export.compressing",
    "compress_files": "aezoo.export.compressing",
    "decompress_file": "aezoo.export.compressing",
    "fill": "aezoo.export.filling",
    "serve": "aezoo.export.serving",
    "write_layout": "aezoo.export.layouts",
}

__all__ = [*_HOMES]


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'aezoo.export' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
