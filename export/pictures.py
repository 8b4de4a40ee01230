"""Picture files as rows for an endpoint, made as those of the training were."""

from pathlib import Path

import numpy as np

from aezoo.data import pictures
from aezoo.data.folders import list_files
from aezoo.data.image_files import ImageFiles
from aezoo.errors import ZooError
from aezoo.export.runner import Bundle
from aezoo.specs import EndpointSpec, PictureRule


def picture_rows(
    bundle: Bundle, spec: EndpointSpec, path: Path
) -> tuple[ImageFiles, np.float32 | None]:
    """Open a picture or a folder of pictures.

    Args:
        bundle: Whose preprocessing says how files became rows.
        spec: The endpoint that will be asked.
        path: A picture file or a folder.

    Returns:
        The rows `(H, W, C)` uint8, still undecoded, and what to multiply them by, None where the
        endpoint takes 8 bits.

    Raises:
        ZooError: If the endpoint takes no pictures, or they do not fit or cannot be read.
    """
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
        raise ZooError("The folder holds no picture.", received=str(path), do=pictures.FORMAT_NAMES)
    rule = PictureRule(**preprocessing.get("pictures") or {})
    images = ImageFiles(
        files,
        size=tensor.shape[:2],
        fit=rule.fit,
        channels=tensor.shape[-1],
        deep_white=rule.deep_white,
    )
    return images, None if tensor.dtype == "uint8" else np.float32(white / 255)
