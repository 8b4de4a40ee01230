"""The checks that every entry of the zoo must pass; run them on an entry of your own.

    for result in aezoo.checks.run("my_model.yaml"):
        print(result)

Each check is a function of an entry, marked `@check`, whose name is a sentence. It raises
`ZooError` if the sentence does not hold, and returns a reason if it does not apply. The model is
built with the entry's `checks.args`, which keep it tiny; only `expect` is compared with the entry
as it stands.

Inspired by scikit-learn's `parametrize_with_checks`.
"""

import importlib

from aezoo.checks.running import Result, all_checks, run, run_check

__all__ = ["Result", "all_checks", "run", "run_check"]

for _area in ("building", "saving", "training", "answers", "refusals", "exporting"):
    importlib.import_module(f"{__name__}.{_area}")  # in the order in which the checks run
