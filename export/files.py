"""A bundle answers a file: arrays, tables, pictures. Needs no TensorFlow."""

import csv
import dataclasses
from pathlib import Path

import numpy as np

from aezoo.data import pictures
from aezoo.errors import ZooError
from aezoo.export.pictures import PictureFiles
from aezoo.export.rows import TABLES, columns_of, read_table, require_rows_alone
from aezoo.export.runner import Bundle
from aezoo.export.verify import UNREADABLE
from aezoo.files import missing, whole_file
from aezoo.specs import EndpointSpec, with_channel

_SHOWN = 10
_CHUNK = 256  # pictures decoded at once


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The answers to a file; print it for a summary.

    Attributes:
        endpoint: Who answered.
        answers: Arrays by public name, a row per row of the input.
        names: What the rows are called: numbers from 0, picture files, or `file@x,y` for the
            tile of a picture with this upper left corner.
        notes: What was done to pictures.
        written: The file of answers, None if none was asked for.
    """

    endpoint: str
    answers: dict[str, np.ndarray]
    names: list[str]
    notes: tuple[str, ...] = ()
    written: Path | None = None

    def __str__(self) -> str:
        lines = [*self.notes, f"{self.endpoint}: {len(self.names)} rows"]
        for name, values in self.answers.items():
            span = f"{values.min():.4g} to {values.max():.4g}" if values.size else "empty"
            lines.append(f"  {name:<16}{values.dtype} {values.shape}  {span}")
        if "score" in self.answers:
            score = self.answers["score"][:, 0]
            flagged = self.answers.get("anomalous", np.zeros((len(score), 1), bool))[:, 0]
            lines.append("highest scores" + f", {flagged.sum()} anomalous" * bool(flagged.any()))
            for row in np.argsort(-score, kind="stable")[:_SHOWN]:
                mark = "  anomalous" if flagged[row] else ""
                lines.append(f"  {score[row]:.4g}  {self.names[row]}{mark}")
        if self.written:
            lines.append(f"written to {self.written}")
        return "\n".join(lines)


def predict_file(
    bundle_dir: str | Path,
    input_path: str | Path,
    endpoint: str | None = None,
    output: str | Path | None = None,
    variant: str | None = None,
) -> Prediction:
    """Answer the rows of a file with a bundle.

    Args:
        bundle_dir: What `export_bundle` wrote.
        input_path: `.npy` (the main input), `.npz` (arrays by public name, or one array), `.csv` or
            `.tsv` (a row per line, a header if it has one), a picture, or a folder of pictures.
            Pictures become rows as those of the training did: resized whole, cropped, or cut
            into tiles; where that saw arrays only, their centre is taken.
        endpoint: Its name; None takes the first.
        output: `.npz` for all outputs, `.npy` for the first.
        variant: `fp16` or `int8` where the bundle has it.

    Raises:
        ZooError: For a file that cannot be read or does not fit the endpoint.

    Example:
        print(aezoo.export.predict_file("artifacts/conv_ae", "photos", "score"))
    """
    bundle = Bundle(bundle_dir, variant)
    spec = bundle.spec(endpoint)
    output = Path(output) if output is not None else None
    if output is not None and output.suffix.lower() not in (".npz", ".npy"):
        raise ZooError("Answers are written as .npz or .npy.", received=str(output))
    path, notes = Path(input_path), ()
    if path.exists() and path.suffix.lower() != ".npz":
        names = ", ".join(tensor.name for tensor in spec.inputs)
        require_rows_alone(spec, path, f"Give an .npz file with the arrays {names}.")
    if path.is_dir() or pictures.is_picture(path):
        names, answers, note = _pictures(bundle, spec, path)
        notes = (note,)
    else:
        arrays = _arrays(spec, path, columns_of(bundle))
        answers = bundle.predict(spec.name, **arrays)
        names = [str(row) for row in range(len(next(iter(answers.values()))))]
    if output is not None:
        _write(output, spec, answers)
    return Prediction(spec.name, answers, names, notes, output)


def _write(output: Path, spec: EndpointSpec, answers: dict[str, np.ndarray]) -> None:
    with whole_file(output) as part, part.open("wb") as file:
        if output.suffix.lower() == ".npy":
            np.save(file, answers[spec.outputs[0].name])
        else:
            np.savez(file, **answers)


def _arrays(spec: EndpointSpec, path: Path, columns: tuple[str, ...]) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise missing(path)
    main = spec.inputs[0]
    try:
        if path.suffix.lower() in (".npy", ".npz"):
            with path.open("rb") as file:  # NumPy would leave a damaged one open
                content = np.load(file, allow_pickle=False)
                if isinstance(content, np.ndarray):
                    return {main.name: with_channel(main, content)}
                return _named(spec, dict(content.items()), path)
        if path.suffix.lower() in TABLES:
            return {main.name: read_table(main, path, columns)[0]}
    except (csv.Error, *UNREADABLE) as error:
        if isinstance(error, ZooError):
            raise
        raise ZooError(f"{path} cannot be read: {error}.") from None
    raise ZooError(
        "Files of this kind cannot be answered.",
        received=str(path),
        do="Give .npy, .npz, .csv, .tsv, a picture, or a folder of pictures.",
    )


def _named(spec: EndpointSpec, arrays: dict[str, np.ndarray], path: Path) -> dict:
    """Return the arrays that the endpoint takes; a single one is the main input."""
    names = [tensor.name for tensor in spec.inputs]
    known = {name: values for name, values in arrays.items() if name in names}
    if not known and len(arrays) == 1:
        return {names[0]: next(iter(arrays.values()))}
    if not known:
        raise ZooError(
            f"{path.name} holds no array that endpoint {spec.name!r} takes.",
            received=sorted(arrays),
            do=f"Name the arrays {', '.join(names)}.",
        )
    return known


def _pictures(bundle: Bundle, spec: EndpointSpec, path: Path):
    """Answer picture files: names, answers, and what was done to the pictures."""
    rows, name, parts = PictureFiles(bundle, spec, path), spec.inputs[0].name, []
    for start in range(0, len(rows), _CHUNK):
        some = rows.read(start, min(start + _CHUNK, len(rows)))
        parts.append(bundle.predict(spec.name, **{name: some}))
    answers = {key: np.concatenate([p[key] for p in parts]) for key in parts[0]}
    return rows.names(0, len(rows)), answers, rows.note()
