"""Further formats of a bundle's graphs, proven as SavedModel and ONNX are.

An endpoint that a format cannot hold, or answers differently, has no file in it; the manifest
says why.
"""

from pathlib import Path

import keras

from aezoo.endpoints import Endpoint
from aezoo.errors import ZooError
from aezoo.export import litert, openvino_ir
from aezoo.export.asking import NAMES, Interrupted, is_installed, processes
from aezoo.export.compare import Cases, largest_differences
from aezoo.export.manifest import Format

FORMATS = {"litert": litert, "openvino": openvino_ir}


def installed() -> list[str]:
    """Return the formats whose libraries are installed."""
    return [name for name in FORMATS if is_installed(name)]


def add(
    name: str,
    model: keras.Model,
    endpoints: list[Endpoint],
    folder: Path,
    questions: Path,
    asked: Cases,
    expected: Cases,
) -> Format:
    """Write the endpoints in one format and compare every answer with that of Keras.

    Args:
        name: Of `FORMATS`.
        model: The float32 model that the endpoints belong to.
        endpoints: In order.
        folder: Of the bundle; the files go into its folder `name`.
        questions: The file that holds `asked`.
        asked: Inputs by (endpoint, batch).
        expected: What Keras answered.

    Raises:
        ZooError: If the format can hold no endpoint.
    """
    place, writer = folder / name, FORMATS[name]
    refused = writer.write(model, endpoints, place)
    written = [endpoint for endpoint in endpoints if endpoint.name not in refused]
    try:
        together = _asked(name, [e.name for e in written], place, questions) if written else {}
    except Interrupted:
        raise
    except ZooError:  # a file crashes its runtime: alone, it takes no other along
        together = None
    differences: dict[str, dict[str, float]] = {}
    undecided = 0
    for endpoint in written:
        try:
            answers = together
            if answers is None:
                answers = _asked(name, [endpoint.name], place, questions)
            seen = largest_differences(endpoint.spec, asked, expected, answers, NAMES[name])
        except Interrupted:
            raise
        except ZooError as error:
            refused[endpoint.name] = f"{error.what} {error.received}"
            for file in place.glob(f"{endpoint.name}.*"):
                file.unlink()
        else:
            differences[endpoint.name] = seen[0]
            undecided += len(seen[1])
    if not differences:
        raise ZooError(
            f"No endpoint can be exported as {name}.",
            received=next(iter(refused.values())),
            do=f"Export without {name}.",
        )
    return Format(note=writer.NOTE, differences=differences, undecided=undecided, refused=refused)


def _asked(kind: str, names: list[str], place: Path, questions: Path) -> Cases:
    """Return what a format's runtime answers, in a process of its own."""
    with processes(kind) as (runtimes, scratch):
        runtimes[kind].start(place, names, questions, scratch / "answers.npz")
        return runtimes[kind].wait()
