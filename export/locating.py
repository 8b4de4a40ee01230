"""Pictures larger than a bundle's input: where each is odd, as masks and as drawings."""

import csv
import tempfile
from pathlib import Path

import numpy as np

from aezoo.export.pictures import PictureFiles
from aezoo.export.runner import Bundle
from aezoo.files import whole_file
from aezoo.tasks.localisation import Located, draw, locate, write_mask

FIELDS = ("picture", "width", "height", "odd_share", "places", "where")


def locate_pictures(bundle: Bundle, rows: PictureFiles, out: Path) -> list[str]:
    """Find where pictures are odd, at their full resolution, one picture in memory at a time.

    Args:
        bundle: With an endpoint `localize`, trained on tiles.
        rows: The pictures.
        out: The folder for pictures.csv (a line per picture) and, of each picture with an odd
            place, masks/NAME.png and marked/NAME.png, of the picture's own size; drawings of
            pictures above 2,048 pixels a side are smaller.

    Returns:
        The names of the pictures with an odd place.
    """
    size = rows.images.shape[:2]
    odd = []
    with whole_file(out / "pictures.csv") as part, part.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIELDS)
        for number, name in enumerate(rows.files):
            picture = rows.images.whole(number)  # (H, W, C)
            with tempfile.TemporaryFile() as kept:  # of the size of the picture, so not in memory
                found = locate(
                    picture,
                    lambda tiles: bundle.predict("localize", image=rows.in_unit(tiles)),
                    size,
                    np.memmap(kept, "float32", "w+", shape=picture.shape[:2]),
                )
                writer.writerow(_line(name, found))
                if found.places:
                    odd.append(name)
                    write_mask(found, out / "masks" / f"{name}.png")
                    draw(picture, found, out / "marked" / f"{name}.png")
    return odd


def _line(name: str, found: Located) -> tuple:
    height, width = found.anomaly_map.shape
    where = "; ".join(place.text() for place in found.places)
    return name, width, height, f"{found.mask.mean():.6f}", len(found.places), where
