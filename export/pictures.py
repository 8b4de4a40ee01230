"""Picture files as rows for an endpoint, made as those of the training were."""

from pathlib import Path

import numpy as np

from aezoo.data import pictures
from aezoo.data.folders import list_files
from aezoo.data.image_files import ImageFiles
from aezoo.errors import ZooError
from aezoo.export.runner import Bundle
from aezoo.specs import EndpointSpec, PictureRule


class PictureFiles:
    """A picture or a folder of pictures, made rows as those of the training were.

    Args:
        bundle: Whose preprocessing says how files became rows.
        spec: The endpoint that will be asked.
        path: A picture file or a folder.

    Raises:
        ZooError: If the endpoint takes no pictures, or they do not fit or cannot be read.
    """

    columns = None

    def __init__(self, bundle: Bundle, spec: EndpointSpec, path: Path):
        tensor = spec.inputs[0]
        preprocessing = bundle.manifest.preprocessing
        white = preprocessing.get("white", 255.0 if tensor.dtype == "uint8" else None)
        if tensor.name != "image" or tensor.shape[-1] not in (1, 3) or white is None:
            raise ZooError(
                f"Endpoint {spec.name!r} takes no pictures.",
                received=str(path),
                do=f"Give {tensor.name!r} as an array.",
            )
        files = list_files(path)[0] if path.is_dir() else [path]
        if not files:
            raise ZooError(
                "The folder holds no picture.", received=str(path), do=pictures.FORMAT_NAMES
            )
        rule = PictureRule(**preprocessing.get("pictures") or {})
        self.images = ImageFiles(
            files,
            size=tensor.shape[:2],
            fit=rule.fit,
            channels=tensor.shape[-1],
            deep_white=rule.deep_white,
        )
        folder = path if path.is_dir() else path.parent
        self.called = self.images.names(folder)
        self.files = [file.relative_to(folder).as_posix() for file in files]
        self.scale = None if tensor.dtype == "uint8" else np.float32(white / 255)

    def __len__(self) -> int:
        return len(self.images)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return the rows from `start` up to `stop`, `(H, W, C)`, in the endpoint's unit."""
        return self.in_unit(self.images.read(np.arange(start, stop)))

    def in_unit(self, pixels: np.ndarray) -> np.ndarray:
        """Return 8-bit pixels in the endpoint's unit."""
        return pixels if self.scale is None else pixels * self.scale

    def names(self, start: int, stop: int) -> list[str]:
        """Return the names of the files, with the corners of tiles."""
        return self.called[start:stop]

    def fingerprint(self) -> str:
        """Return a digest of names, sizes and times of the files."""
        return self.images.fingerprint()

    def note(self) -> str:
        """Say what was done to the pictures."""
        return self.images.note()
