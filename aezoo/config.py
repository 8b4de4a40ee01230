"""What one zoo entry may say, and how overrides are merged into it.

An entry is one YAML file. This module reads it, checks it and merges overrides; it imports no
TensorFlow, so that listing the zoo is instant.
"""

import hashlib
import json
import typing
from pathlib import Path
from typing import Any, Literal

import pydantic
import yaml

from aezoo.errors import ZooError, closest_match
from aezoo.yaml_text import parse_yaml

SCHEMA_VERSION = 1
SMALLEST_SIZE = 4  # pixels of a picture's side

Task = Literal[
    "reconstruction",
    "denoising",
    "generation",
    "segmentation",
    "classification",
    "regression",
    "captioning",
]
Fit = Literal["fit", "crop", "tile"]  # what is done to a picture file to make it a row
Change = Literal[
    "flip_horizontal",
    "flip_vertical",
    "transpose",
    "shift",
    "brightness",
    "contrast",
    "colours",
    "draw",
]
Role = Literal["train", "validation", "calibration", "test"]
Modality = Literal["image", "features", "series", "tokens", "video"]


class Section(pydantic.BaseModel):
    """A part of an entry: unknown keys are errors, values do not change."""

    # Building the validators takes longer than listing the zoo, which needs none.
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, defer_build=True)


class DataSection(Section):
    """Where rows come from and how they are split and scaled."""

    source: str = "sample"
    image_size: int | None = pydantic.Field(default=None, ge=SMALLEST_SIZE)
    image_fit: Fit | None = None
    channels: Literal[1, 3] | None = None
    binarize: float | None = pydantic.Field(default=None, gt=0, lt=1)
    draw: tuple[Role, ...] = ()
    labelled: int | None = pydantic.Field(default=None, ge=1)  # training rows that keep a label
    scaling: Literal["auto", "identity", "unit", "standardize", "minmax"] = "auto"
    train_classes: tuple[int | str, ...] | None = None
    validation: float | Literal["test"] = 0.1
    calibration: float = pydantic.Field(default=0.0, ge=0, lt=1)
    test: float = pydantic.Field(default=0.1, ge=0, lt=1)  # where the source has no test part
    split_seed: int = 0
    window: int | None = pydantic.Field(default=None, ge=2)
    stride: int | None = pydantic.Field(default=None, ge=1)  # between windows, or tiles of pictures

    @pydantic.field_validator("validation")
    @classmethod
    def _fraction(cls, value):
        if value != "test" and not 0 <= value < 1:
            raise ValueError("must be a fraction from 0 to below 1, or 'test'")
        return value


class TrainSection(Section):
    """The training recipe."""

    epochs: int = pydantic.Field(default=20, ge=1)
    pretrain_epochs: int = pydantic.Field(default=0, ge=0)  # before them, by `model.pretrain`
    batch_size: int = pydantic.Field(default=128, ge=1)
    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"] = "adam"
    learning_rate: float = pydantic.Field(default=1e-3, gt=0)
    momentum: float = pydantic.Field(default=0.9, ge=0, lt=1)  # of sgd
    epsilon: float | None = pydantic.Field(default=None, gt=0)  # of adam and adamw
    layer_decay: float | None = pydantic.Field(default=None, gt=0, le=1)  # of the rate, per layer
    schedule: Literal["constant", "cosine", "plateau", "tripling"] = "constant"
    warm_up: int = pydantic.Field(default=0, ge=0)  # epochs in which the KL term gains its weight
    weight_decay: float | None = pydantic.Field(default=None, ge=0)
    clip_norm: float | None = pydantic.Field(default=None, gt=0)
    loss: str | None = None
    metrics: tuple[str, ...] = ()
    patience: int | None = pydantic.Field(default=None, ge=1)
    monitor: str = "val_loss"
    keep: Literal["best", "last"] = "best"  # which epoch's weights, by `monitor`
    steps_per_execution: int | None = pydantic.Field(default=None, ge=1)
    jit: bool = False
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    augment: tuple[Change, ...] = ()
    seed: int = 0


class ExportSection(Section):
    """What goes into a bundle; None means every endpoint the model declares."""

    endpoints: tuple[str, ...] | None = None


class ExpectSection(Section):
    """What a freshly built entry must have; held by the checks."""

    trainable_parameters: int
    latent_shape: tuple[int, ...] | None = None
    output_shape: tuple[int, ...]
    loss_terms: dict[str, str]


class VariantSection(Section):
    """A second recipe of an entry, measured as its reference is; a goal only where one was set."""

    figure: str
    goal: float | None = None
    published: str = ""
    overrides: dict[str, Any]


class ReferenceSection(Section):
    """The figure that an entry is judged by, and how `aezoo reproduce` measures it."""

    figure: str
    goal: float
    better: Literal["lower", "higher"] = "lower"
    published: str = ""
    measure: str
    controls: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2)
    of_seeds: Literal["mean", "best"] = "mean"
    overrides: dict[str, Any] = {}
    quick: dict[str, Any] = {}
    full: dict[str, Any] = {}
    variants: dict[str, VariantSection] = {}


class ChecksSection(Section):
    """Tiny arguments that keep the checks fast, and failures known beforehand."""

    args: dict[str, Any] = {}
    rows: int = pydantic.Field(default=8, ge=4)
    odd_shapes: tuple[tuple[int, ...], ...] | None = None
    expected_failures: dict[str, str] = {}


class Entry(Section):
    """One zoo entry: a builder, its arguments, data, recipe, export and expectations."""

    schema_version: int
    name: str = pydantic.Field(pattern=r"^[a-z][a-z0-9_]*$")
    aliases: tuple[str, ...] = ()
    title: str
    summary: str
    task: Task
    modality: Modality
    source: str = ""
    builder: str
    args: dict[str, Any] = {}
    data: DataSection = DataSection()
    train: TrainSection = TrainSection()
    export: ExportSection = ExportSection()
    expect: ExpectSection | None = None
    reference: ReferenceSection | None = None
    checks: ChecksSection = ChecksSection()
    weights: dict[str, str] = {}

    @pydantic.field_validator("schema_version")
    @classmethod
    def _known_schema(cls, value):
        if value != SCHEMA_VERSION:
            raise ValueError(f"this aezoo reads schema {SCHEMA_VERSION}")
        return value

    def digest(self) -> str:
        """Return the sha256 of the canonical JSON: equal digests mean equal recipes."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def to_yaml(self) -> str:
        """Return the whole entry, defaults included, as YAML that `parse_entry` reads back."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def parse_entry(text: str, where: str) -> Entry:
    """Read one entry.

    Args:
        text: The YAML.
        where: What to call it in an error, usually its file name.

    Raises:
        ZooError: For broken YAML, an unknown or repeated key, a wrong type, a value out of range.
    """
    values = parse_yaml(text, where)
    if not isinstance(values, dict):
        raise ZooError(f"{where} holds no mapping of keys to values.", received=values)
    return validated(Entry, values, where)


def validated(model: type[pydantic.BaseModel], values: dict, where: str) -> Any:
    """Return `model(**values)`, its first validation error worded as one `ZooError`."""
    try:
        return model.model_validate(values)
    except pydantic.ValidationError as error:
        raise _first_error(model, error, where) from None


def _first_error(model, error: pydantic.ValidationError, where: str) -> ZooError:
    # An unknown key comes first: it is usually the cause of a missing one.
    problems = sorted(error.errors(), key=lambda p: p["type"] != "extra_forbidden")
    problem = problems[0]
    path = [str(part) for part in problem["loc"]]
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        known = list(_fields_at(model, path[:-1]))
        return ZooError(
            f"{where} has an unknown key {key!r}.",
            received=path[-1],
            closest=closest_match(path[-1], known),
            do=f"Known keys here: {', '.join(known)}.",
        )
    if problem["type"] == "missing":
        return ZooError(f"{where} lacks the key {key!r}.", do=f"Add {key!r}.")
    allowed = problem.get("ctx", {}).get("expected")
    closest = None
    if allowed and isinstance(problem["input"], str):
        closest = closest_match(problem["input"], [a.strip(" '") for a in _split(allowed)])
    return ZooError(
        f"{where}: {key} has a wrong value: {problem['msg'].removeprefix('Value error, ')}.",
        received=problem["input"],
        closest=closest,
        do=f"Change {key}.",
    )


def _split(allowed: str) -> list[str]:
    return allowed.replace(" or ", ", ").split(",")


def _fields_at(model, path: list[str]) -> dict:
    for part in path:
        field = model.model_fields.get(part)
        kinds = () if field is None else (field.annotation, *typing.get_args(field.annotation))
        sections = [kind for kind in kinds if hasattr(kind, "model_fields")]
        if not sections:
            return {}
        model = sections[0]
    return model.model_fields


def override(entry: Entry, changes: dict[str, Any], where: str = "override") -> Entry:
    """Return the entry with dotted keys replaced.

    Args:
        entry: The entry to start from; it is not changed.
        changes: Dotted keys and their new values, such as `{"train.epochs": 5}`.
        where: What to call the changes in an error.

    Raises:
        ZooError: For a key that does not exist or a value that it does not take.

    Example:
        >>> from aezoo.registry import find
        >>> override(find("conv_ae"), {"train.epochs": 5}).train.epochs
        5
    """
    values = entry.model_dump()
    for dotted, value in changes.items():
        *parents, last = dotted.split(".")
        place = values
        for depth, part in enumerate(parents):
            if not isinstance(place, dict) or part not in place:
                raise _unknown_override(where, ".".join(parents[: depth + 1]), part, place)
            place = place[part]
        free = parents in (["args"], ["checks", "args"])
        if not isinstance(place, dict) or (last not in place and not free):
            raise _unknown_override(where, dotted, last, place)
        place[last] = value
    return validated(Entry, values, where)


def _unknown_override(where: str, dotted: str, word: str, place: Any) -> ZooError:
    known = list(place) if isinstance(place, dict) else []
    return ZooError(
        f"{where}: there is no key {dotted!r}.",
        received=word,
        closest=closest_match(word, known),
        do=f"Known keys here: {', '.join(known)}." if known else None,
    )


def data_overrides(settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part overrides into those of the data, by their short names, and all others.

    Example:
        >>> data_overrides({"data.window": 16, "epochs": 2})
        ({'window': 16}, {'epochs': 2})
    """
    short = {name: name.removeprefix("data.") for name in settings}
    known = DataSection.model_fields
    ours = {short[name]: value for name, value in settings.items() if short[name] in known}
    return ours, {name: value for name, value in settings.items() if short[name] not in known}


def parse_assignment(text: str) -> tuple[str, Any]:
    """Split `train.epochs=5` into its key and its value, read as YAML.

    Example:
        >>> parse_assignment("args.filters=[8, 4]")
        ('args.filters', [8, 4])
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ZooError(
            "An override has the form key=value.", received=text, do="Write train.epochs=5."
        )
    return key.strip(), parse_yaml(value, f"The value of {key.strip()}")


def read_entry(path: Path) -> Entry:
    """Read the entry in a YAML file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ZooError(f"Cannot read {path}: {error}.") from None
    return parse_entry(text, path.name)
