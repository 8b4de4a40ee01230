"""The one exception that users see, and how it is worded."""

import difflib
from collections.abc import Iterable


class ZooError(ValueError):
    """What went wrong, what was received, the closest match, what to do.

    Args:
        what: One sentence that names the problem.
        received: The offending value, as the user wrote it.
        closest: The name the user probably meant.
        do: The next step, as an imperative.

    Example:
        >>> print(ZooError("No entry of this name.", received="conv_ea", closest="conv_ae",
        ...                do="Run `aezoo list` to see all names."))
        No entry of this name.
        Received: 'conv_ea'. Did you mean 'conv_ae'?
        Run `aezoo list` to see all names.
    """

    def __init__(
        self,
        what: str,
        *,
        received: object = None,
        closest: str | None = None,
        do: str | None = None,
    ):
        self.what, self.received, self.closest, self.do = what, received, closest, do
        details = []
        if received is not None:
            details.append(f"Received: {received!r}.")
        if closest:
            details.append(f"Did you mean {closest!r}?")
        lines = [what, " ".join(details), do or ""]
        super().__init__("\n".join(line for line in lines if line))


class ZooWarning(UserWarning):
    """Something that works but is probably not what was meant."""


def require_known(what: str, value: object, known: Iterable[str]) -> None:
    """Refuse a name that is none of the known ones.

    Args:
        what: What it names, such as `score`.
        value: As the user wrote it.
        known: All that may be written.

    Raises:
        ZooError: With the closest name and all others.
    """
    known = list(known)
    if value not in known:
        raise ZooError(
            f"There is no {what} of this name.",
            received=value,
            closest=closest_match(str(value), known),
            do=f"Choose from {', '.join(known)}.",
        )


def closest_match(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate nearest in spelling, or None if none is near.

    Example:
        >>> closest_match("latnt_dim", ["latent_dim", "filters"])
        'latent_dim'
    """
    by_lower = {str(c).lower(): str(c) for c in candidates}
    near = difflib.get_close_matches(str(word).lower(), by_lower, n=1)
    return by_lower[near[0]] if near else None
