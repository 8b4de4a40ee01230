"""The places that an anomaly map marks: boxes in pictures, spans of series, columns of tables."""

import dataclasses

import numpy as np

SHOWN = 5  # places per row, the oddest first


@dataclasses.dataclass(frozen=True)
class Place:
    """One connected place of a row.

    Attributes:
        start: Its first index along each axis of the map.
        stop: The index behind its last.
        peak: The highest value of the map in it.
    """

    start: tuple[int, ...]
    stop: tuple[int, ...]
    peak: float

    def text(self, columns: list[str] | None = None, modality: str = "image") -> str:
        """Return the place in words.

        Args:
            columns: What the columns of a table are called.
            modality: Of the row.

        Example:
            >>> Place((4, 8), (10, 20), 2.0).text()
            'x 8-19, y 4-9'
            >>> Place((1,), (2,), 2.0).text(["pressure", "flow"], "features")
            'flow'
        """
        if modality == "features":
            first = self.start[0]
            return columns[first] if columns else f"column {first}"
        spans = [_span(a, b) for a, b in zip(self.start, self.stop, strict=True)]
        if len(spans) == 1:
            return f"steps {spans[0]}"
        axes = ("x", "y", "frame")[: len(spans)]
        return ", ".join(f"{a} {span}" for a, span in zip(axes, reversed(spans), strict=True))


def find_places(anomaly_map: np.ndarray, modality: str = "image", most: int = SHOWN) -> list[Place]:
    """Return the connected places above 1, the oddest first.

    Where none is, the row being odd as a whole, the one around the highest value, down to half of
    it.

    Args:
        anomaly_map: Of one row, as `localize` gives it.
        modality: Of the row; columns of `features` have no neighbours.
        most: How many to return, at most.

    Example:
        >>> row = np.array([0.1, 1.5, 2.5, 0.1, 0.1, 1.2, 0.3])
        >>> [(place.start, place.stop, place.peak) for place in find_places(row, "series")]
        [((1,), (3,), 2.5), ((5,), (6,), 1.2)]
    """
    from scipy import ndimage

    level = 1.0 if anomaly_map.max() > 1 else 0.5 * float(anomaly_map.max())
    above = anomaly_map > level
    if modality == "features":
        regions = [(slice(i, i + 1),) for i in np.flatnonzero(above)]
    else:
        regions = ndimage.find_objects(ndimage.label(above)[0])
    found = [
        Place(
            tuple(s.start for s in region),
            tuple(s.stop for s in region),
            float(anomaly_map[region].max()),
        )
        for region in regions
    ]
    found.sort(key=lambda place: -place.peak)
    return found[: 1 if level < 1 else most]


def _span(start: int, stop: int) -> str:
    return str(start) if stop == start + 1 else f"{start}-{stop - 1}"
