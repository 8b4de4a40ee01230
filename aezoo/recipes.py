"""The recipe of a run: an entry, and what overrides, data, a model or an earlier run say to it."""

import inspect
from pathlib import Path
from typing import Any

from aezoo.config import SMALLEST_SIZE, DataSection, Entry, TrainSection, override, read_entry
from aezoo.data.pictures import is_picture
from aezoo.errors import ZooError, closest_match
from aezoo.registry import builder_of, find


def resolve(entry: str | Entry, overrides: dict[str, Any]) -> Entry:
    """Merge overrides given by short or dotted names into an entry.

    Args:
        entry: A name, a path, or an entry.
        overrides: `epochs=5` (of the recipe), `image_size=64` (of the data), `latent_dim=8` (of
            the builder), or dotted such as `{"train.epochs": 5}`.

    Raises:
        ZooError: For a name that no section has.

    Example:
        >>> resolve("conv_ae", {"epochs": 5, "latent_dim": 8}).train.epochs
        5
    """
    found = find(entry)
    arguments = list(inspect.signature(builder_of(found).__init__).parameters)[1:]
    sections = {
        "train": list(TrainSection.model_fields),
        "data": list(DataSection.model_fields),
        "args": arguments,
    }
    dotted = {}
    for name, value in overrides.items():
        homes = [section for section, names in sections.items() if name in names]
        if "." in name:
            dotted[name] = value
        elif homes:
            dotted[f"{homes[0]}.{name}"] = value
        else:
            known = [word for names in sections.values() for word in names]
            raise ZooError(
                "Nothing of this name can be overridden.",
                received=name,
                closest=closest_match(name, known),
                do=f"Try one of: {', '.join(known)}.",
            )
    return override(found, dotted)


def for_data(entry: str | Entry, data: Any) -> dict[str, Any]:
    """Return overrides that take back what an entry says about its own data only."""
    if data is None or (isinstance(data, str) and data == find(entry).data.source):
        return {}
    return {"data.train_classes": None, "data.window": None, "data.stride": None}


def for_rows(entry: Entry, shape: tuple[int, ...]) -> Entry:
    """Return the entry with the `input_shape` of the rows."""
    if tuple(entry.args.get("input_shape", ())) == tuple(shape):
        return entry
    return entry.model_copy(update={"args": entry.args | {"input_shape": tuple(shape)}})


def for_model(model, entry: str | Entry | None, overrides: dict, data: Any = None) -> Entry:
    """Return the entry to fine-tune a model by; its architecture is what it is.

    Args:
        model: A model of the zoo.
        entry: Whose recipe to take; None takes the model's own.
        overrides: As for `resolve`, but of the builder.
        data: What it will be trained on; picture files are brought to the model's shape.

    Raises:
        ZooError: If there is no recipe, it is another builder's, or an override would change the
            architecture.
    """
    own = model.entry
    base = find(entry) if entry is not None else own
    if base is None:
        raise ZooError(
            "The model does not say which entry it was built from.",
            do="Name one for its recipe: aezoo.train('conv_ae', model=model, ...).",
        )
    resolved = resolve(base, overrides)
    if own is not None and builder_of(base) is not type(model):
        raise ZooError(
            f"The model is a {own.name}, not a {base.name}.",
            do=f"Leave the name out, or write {own.name}.",
        )
    if resolved.args != base.args:
        raise ZooError(
            "The architecture of a trained model cannot be overridden.",
            received={k: v for k, v in resolved.args.items() if base.args.get(k) != v},
            do="Leave it out, or train a new model.",
        )
    resolved = resolved.model_copy(update={"args": dict(model.arguments)})
    changes: dict[str, Any] = dict(_size_of_pictures(model, data, resolved.data))
    if not {"pretrain_epochs", "train.pretrain_epochs"} & set(overrides):
        changes["train.pretrain_epochs"] = 0  # it would undo what the model has learned
    return override(resolved, changes)


def _size_of_pictures(model, data: Any, section: DataSection) -> dict[str, int]:
    """Return the settings, where they are free, that bring picture files to a model's shape."""
    source = section.source if data is None else data
    files = isinstance(source, str | Path) and (Path(source).is_dir() or is_picture(Path(source)))
    height, width, channels = (*model.input_shape, 0, 0)[:3]
    if not files or len(model.input_shape) != 3:
        return {}
    wanted = {}
    if height == width and height >= SMALLEST_SIZE and section.image_size is None:
        wanted["data.image_size"] = height
    if channels in (1, 3) and section.channels is None:
        wanted["data.channels"] = channels
    return wanted


def for_resume(run: Path, overrides: dict[str, Any], **given) -> tuple[Entry, Entry]:
    """Return the entry that a run was started with, and the one to go on with.

    Args:
        run: The run folder.
        overrides: `epochs` and `patience`, as for `resolve`.
        **given: What a resumed run has already, each None.

    Raises:
        ZooError: For anything else, or a folder that is no run.
    """
    _refuse_with_resume(overrides, **given)
    before = _config_of(run)
    return before, resolve(before, overrides)


def _refuse_with_resume(overrides: dict, **given) -> None:
    for name, value in given.items():
        if value is not None:
            raise ZooError(
                f"A resumed run has its {name} already.",
                received=getattr(value, "name", str(value)),
                do="Leave it out, or start a new run.",
            )
    for name in overrides:
        if name.rpartition(".")[2] not in ("epochs", "patience"):
            raise ZooError(
                "A resumed run keeps its recipe; only epochs and patience can change.",
                received=name,
                do="To change more, start a new run from its weights: aezoo train --from RUN.",
            )


def _config_of(run: Path) -> Entry:
    config = run / "config.yaml"
    if not config.is_file():
        raise ZooError(
            "This is no run folder: it has no config.yaml.",
            received=str(run),
            do="Give the folder that `aezoo train` wrote.",
        )
    return read_entry(config)


def check_monitor(recipe: TrainSection, model) -> None:
    """Refuse to watch what the model does not log.

    Raises:
        ZooError: With what it logs.
    """
    watched = (*model.loss_terms, *recipe.metrics)
    known = [f"val_{name}" for name in watched] + list(watched)
    if recipe.monitor not in known:
        raise ZooError(
            "train.monitor names nothing that this model logs.",
            received=recipe.monitor,
            closest=closest_match(recipe.monitor, known),
            do=f"Use one of {', '.join(known)}; further metrics by train.metrics.",
        )
