"""Further formats of a bundle's graphs, proven as SavedModel and ONNX are.

An endpoint that a format cannot hold, or answers differently, has no file in it; the manifest
says why.
"""

from pathlib import Path

import keras

from aezoo.endpoints import Endpoint
from aezoo.errors import ZooError
from aezoo.export import litert, openvino_ir
from aezoo.export.asking import Cases, Interrupted, processes
from aezoo.export.compare import compare
from aezoo.export.manifest import Format

FORMATS = {"litert": litert, "openvino": openvino_ir}


def installed() -> list[str]:
    """Return the formats whose libraries are installed."""
    return [name for name, module in FORMATS.items() if module.is_installed()]


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
    differences: dict[str, dict[str, float]] = {}
    undecided = 0
    for endpoint in endpoints:
        if endpoint.name in refused:
            continue
        try:
            differences[endpoint.name], open_ones = _proven(
                name, endpoint, place, questions, asked, expected
            )
            undecided += open_ones
        except Interrupted:
            raise
        except ZooError as error:
            refused[endpoint.name] = f"{error.what} {error.received}"
            for file in place.glob(f"{endpoint.name}.*"):
                file.unlink()
    if not differences:
        raise ZooError(
            f"No endpoint can be exported as {name}.",
            received=next(iter(refused.values())),
            do=f"Export without {name}.",
        )
    return Format(note=writer.NOTE, differences=differences, undecided=undecided, refused=refused)


def _proven(
    kind: str,
    endpoint: Endpoint,
    place: Path,
    questions: Path,
    asked: Cases,
    expected: Cases,
) -> tuple[dict[str, float], int]:
    """Return the largest difference of each output, and how many decisions lie on their border.

    Each endpoint has a process of its own: a file that crashes its runtime takes no other along.
    """
    with processes(kind) as (runtimes, scratch):
        runtimes[kind].start(place, [endpoint.name], questions, scratch / "answers.npz")
        answers = runtimes[kind].wait()
    largest: dict[str, float] = {}
    undecided = 0
    for case, inputs in asked.items():
        if case[0] == endpoint.name:
            answered = answers.get(case, {})
            for one in compare(
                endpoint.spec, inputs, expected[case], answered, runtimes[kind].name
            ):
                largest[one.output] = max(largest.get(one.output, 0.0), one.largest)
                undecided += len(one.undecided)
    return largest, undecided
