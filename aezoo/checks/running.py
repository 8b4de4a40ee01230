"""Running checks on an entry, and what became of each."""

import dataclasses
from collections.abc import Callable
from typing import Literal

from aezoo.config import Entry
from aezoo.errors import ZooError, closest_match
from aezoo.registry import find

Check = Callable[[Entry], str | None]
Outcome = Literal["passed", "failed", "failed as expected", "passed unexpectedly", "does not apply"]

_CHECKS: dict[str, Check] = {}  # by name, in the order in which they run


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of one check of one entry."""

    entry: str
    check: str
    outcome: Outcome
    message: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing needs mending."""
        return self.outcome not in ("failed", "passed unexpectedly")

    def __str__(self) -> str:
        sentence = self.check.replace("_", " ")
        return f"{self.entry}: {sentence}: {self.outcome}" + (
            f"\n{self.message}" if self.message else ""
        )


def check(function: Check) -> Check:
    """Enter a function among the checks, by its name: a sentence that holds of every entry."""
    _CHECKS[function.__name__] = function
    return function


def all_checks() -> list[tuple[str, Check]]:
    """Return every check with its name, in the order in which they run.

    Example:
        >>> "predict_and_evaluate_repeat" in dict(all_checks())
        True
    """
    return list(_CHECKS.items())


def run(name: str | Entry, *, raising: bool = True) -> list[Result]:
    """Run every check on an entry.

    Args:
        name: An entry, its name, or the path of its YAML file.
        raising: Raise if a check fails; False returns the results instead.

    Raises:
        ZooError: If a check fails, or passes though it is an expected failure; after all have run.

    Example:
        results = aezoo.checks.run("my_model.yaml", raising=False)
    """
    entry = find(name)
    results = [run_check(entry, check) for check, _ in all_checks()]
    bad = [result for result in results if not result.ok]
    if bad and raising:
        raise ZooError(
            f"{entry.name} fails {len(bad)} of {len(results)} checks: "
            + ", ".join(result.check for result in bad)
            + ".",
            received=bad[0].message,
            do="See aezoo.checks.run(..., raising=False) for all messages.",
        )
    return results


def run_check(name: str | Entry, check: str) -> Result:
    """Run one check on an entry, by the check's name.

    Raises:
        ZooError: If there is no such check, or the entry expects one to fail that does not exist.

    Example:
        >>> run_check("vallina_ae", "config_round_trip_is_exact").outcome
        'passed'
    """
    entry, known = find(name), dict(all_checks())
    for word in (check, *entry.checks.expected_failures):
        if word not in known:
            raise ZooError(
                "There is no check of this name.",
                received=word,
                closest=closest_match(word, known),
                do="See aezoo.checks.all_checks().",
            )
    expected = entry.checks.expected_failures.get(check)
    try:
        reason = known[check](entry)
    except Exception as error:  # a check may fail in any way: that is what it is for
        message = str(error) if isinstance(error, ZooError) else f"{type(error).__name__}: {error}"
        return Result(entry.name, check, "failed as expected" if expected else "failed", message)
    if expected:
        message = f"Expected to fail: {expected}. Remove it from checks.expected_failures."
        return Result(entry.name, check, "passed unexpectedly", message)
    return Result(entry.name, check, "does not apply" if reason else "passed", reason or "")
