"""The models, one family per file. Importing this package makes every class loadable by Keras."""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
