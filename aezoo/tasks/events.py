"""Anomalous windows of one long series become events: from when to when, and how odd."""

import csv
import dataclasses
from collections.abc import Callable
from pathlib import Path

from aezoo.files import whole_file
from aezoo.tasks.screening import Finding

FIELDS = ("start", "end", "first_step", "last_step", "peak", "windows")


@dataclasses.dataclass
class Event:
    """A stretch of time that is odd.

    Attributes:
        start: Its first time step.
        stop: The time step behind its last.
        peak: The highest score of its windows.
        windows: How many anomalous windows it has.
    """

    start: int
    stop: int
    peak: float
    windows: int


class Events:
    """Collects the findings of overlapping windows, in the order of time.

    A time step that a normal window holds, too, is normal: an event is what anomalous windows alone
    hold, and where they are too few for that, the odd places of the one with the highest score.

    Args:
        start: From the number of a window to its first time step.
        window: Time steps of a window.
        gap: Time steps between two stretches that still are one event.

    Example:
        >>> events = Events(lambda row: 4 * row, window=8, gap=4)
        >>> for row, odd in enumerate([False, True, True, True, False, False]):
        ...     events.add(Finding(row, str(row), 2.0 + row, odd))
        >>> [(event.start, event.stop, event.peak) for event in events.found()]
        [(8, 16, 5.0)]
    """

    def __init__(self, start: Callable[[int], int], window: int, gap: int):
        self.start, self.window, self.gap = start, window, gap
        self._events: list[Event] = []
        self._normal = 0  # the time step behind the last normal window
        self._run: list[Finding] = []  # anomalous windows since then: first, last, oddest
        self._windows = 0

    def add(self, finding: Finding) -> None:
        """Take the next window into account."""
        if finding.anomalous:
            first, _, oddest = self._run or (finding,) * 3
            self._run = [first, finding, max(oddest, finding, key=lambda one: one.score)]
            self._windows += 1
            return
        start = self.start(finding.row)
        self._close(start)
        self._normal = start + self.window

    def found(self) -> list[Event]:
        """Return the events, once all windows are added."""
        self._close(None)
        return self._events

    def _close(self, normal: int | None) -> None:
        """End the run of anomalous windows before a normal one that starts at a time step."""
        if not self._run:
            return
        first, last, oddest = self._run
        start, stop = self.start(first.row), self.start(last.row) + self.window
        start, stop = max(start, self._normal), stop if normal is None else min(stop, normal)
        if start >= stop:
            places, base = oddest.places, self.start(oddest.row)
            start = base + min((place.start[0] for place in places), default=0)
            stop = base + max((place.stop[0] for place in places), default=self.window)
        before = self._events[-1] if self._events else None
        if before and start <= before.stop + self.gap:
            before.start, before.stop = min(before.start, start), max(before.stop, stop)
            before.peak = max(before.peak, oddest.score)
            before.windows += self._windows
        else:
            self._events.append(Event(start, stop, oddest.score, self._windows))
        self._run, self._windows = [], 0


def write(events: list[Event], stamp: Callable[[int], str], path: Path) -> Path:
    """Write a CSV with a line per event, in the order of time.

    Args:
        events: What was found.
        stamp: From a time step to what it is called.
        path: The CSV: start, end (what the first and the last time step are called), their
            numbers, the peak of the score, the number of anomalous windows.
    """
    with whole_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIELDS)
        for event in events:
            first, last = event.start, event.stop - 1
            named = (stamp(first), stamp(last), first, last)
            writer.writerow((*named, f"{event.peak:.6g}", event.windows))
    return path
