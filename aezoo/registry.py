"""Names to models: find an entry, describe it, build it.

Listing and describing read YAML alone; TensorFlow is imported by `build` only.
"""

import dataclasses
import fnmatch
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aezoo.errors import ZooError, closest_match
from aezoo.quiet import without_collecting
from aezoo.yaml_text import parse_yaml

if TYPE_CHECKING:  # pydantic's classes take longer to make than the list takes to print
    from aezoo.config import Entry


@dataclasses.dataclass
class Listing:
    """What the list of the zoo shows of an entry; the rest is checked when it is asked for.

    Attributes:
        name: Of the entry.
        values: The keys of its YAML as they stand.
        where: The file, for errors.
    """

    name: str
    values: dict[str, Any]
    where: str

    @cached_property
    def entry(self) -> "Entry":
        """The checked entry."""
        from aezoo.config import Entry, validated

        return validated(Entry, self.values, self.where)

    @property
    def names(self) -> tuple[str, ...]:
        """The name and its aliases."""
        return (self.name, *self.values.get("aliases", ()))

    @property
    def parameters(self) -> int | None:
        """Trainable parameters, if the entry states them."""
        return (self.values.get("expect") or {}).get("trainable_parameters")


_registered: dict[str, Listing] = {}  # by the decorator, in this process


def _key(name: str) -> str:
    """Spelling without case and separators: `Vallina_AE`, `vallina-ae` and `vallina_ae` agree."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _packages() -> Iterator[str]:
    yield "aezoo.zoo_configs"
    for point in metadata.entry_points(group="aezoo.zoo"):
        yield point.value


@cache
def _shipped() -> dict[str, Listing]:
    """Return every YAML entry of this package and of installed `aezoo.zoo` packages, by name."""
    entries: dict[str, Listing] = {}
    for package in _packages():
        try:
            files = sorted(resources.files(package).iterdir(), key=lambda f: f.name)
        except ModuleNotFoundError:
            raise ZooError(
                f"The entry point group aezoo.zoo names a package that is not there: {package}.",
                do="Reinstall or uninstall the distribution that declares it.",
            ) from None
        for file in files:
            if file.name.endswith((".yaml", ".yml")):
                where = f"{package}/{file.name}"
                _add(entries, _listing(file.read_text(encoding="utf-8"), where))
    return entries


def _listing(text: str, where: str) -> Listing:
    values = parse_yaml(text, where)
    if not isinstance(values, dict) or not isinstance(values.get("name"), str):
        from aezoo.config import parse_entry

        parse_entry(text, where)  # says what is wrong
    return Listing(values["name"], values, where)


def _add(entries: dict[str, Listing], new: Listing) -> None:
    taken = {_key(word): e.name for e in entries.values() for word in e.names}
    for word in new.names:
        if _key(word) in taken:
            raise ZooError(
                f"{new.where} uses a name that the entry {taken[_key(word)]!r} has already.",
                received=word,
                do="Choose another name.",
            )
    entries[new.name] = new


def _entries() -> dict[str, Listing]:
    return _shipped() | _registered


def find(name: "str | Entry") -> "Entry":
    """Return the entry of this name.

    Args:
        name: A name or alias in any spelling (`conv_ae`, `Conv_AE`, `conv-ae`), or the path of a
            YAML file of your own.

    Raises:
        ZooError: If there is no such entry; the message names the closest one.

    Example:
        >>> find("Vanilla_AE").name
        'vallina_ae'
    """
    if not isinstance(name, str):
        from aezoo.config import Entry

        if isinstance(name, Entry):
            return name
        raise ZooError("A model is named by a string.", received=name, do="See `aezoo list`.")
    if name.endswith((".yaml", ".yml")):
        return _entry_of_file(Path(name))
    entries = _entries()
    by_key = {_key(word): e for e in entries.values() for word in e.names}
    if _key(name) in by_key:
        return by_key[_key(name)].entry
    raise ZooError(
        "There is no zoo entry of this name.",
        received=name,
        closest=closest_match(name, [word for e in entries.values() for word in e.names]),
        do="Run `aezoo list` to see all names, or give the path of a YAML file.",
    )


def _entry_of_file(path: Path) -> "Entry":
    from aezoo.config import read_entry

    entry = read_entry(path)
    module, _, class_name = entry.builder.partition(":")
    beside = path.resolve().parent / f"{module}.py"
    if beside.is_file():  # two files in any folder are a model: no packaging needed
        entry = entry.model_copy(update={"builder": f"{beside}:{class_name}"})
    return entry


def list_models(
    pattern: str = "*", *, task: str | None = None, pretrained: bool | None = None
) -> list[str]:
    """Return the names of the zoo, sorted.

    Args:
        pattern: A shell-style pattern such as `"*vae*"`, in any case.
        task: Only entries of this task (`reconstruction`, `denoising`, `generation`,
            `segmentation`).
        pretrained: Only entries with (True) or without (False) published weights.

    Raises:
        ZooError: For an unknown task.

    Example:
        >>> list_models("conv*")
        ['conv_ae', 'conv_vae']
    """
    return [listing.name for listing in listings(pattern, task=task, pretrained=pretrained)]


def listings(
    pattern: str = "*", *, task: str | None = None, pretrained: bool | None = None
) -> list[Listing]:
    """Return what `list_models` names, with what a list shows of each."""
    entries = _entries().values()
    tasks = sorted({e.values.get("task", "") for e in entries})
    if task is not None and task not in tasks:
        raise ZooError(
            "No entry has this task.",
            received=task,
            closest=closest_match(task, tasks),
            do=f"Tasks: {', '.join(tasks)}.",
        )
    chosen = [
        e
        for e in entries
        if any(fnmatch.fnmatch(word.lower(), pattern.lower()) for word in e.names)
        and (task is None or e.values.get("task") == task)
        and (pretrained is None or bool(e.values.get("weights")) == pretrained)
    ]
    return sorted(chosen, key=lambda e: e.name)


class Description:
    """An entry in words; print it, or read `.entry`."""

    def __init__(self, entry: "Entry"):
        self.entry = entry

    def __repr__(self) -> str:
        e = self.entry
        before = f"{e.train.pretrain_epochs} of pretraining, then " * bool(e.train.pretrain_epochs)
        lines = [f"{e.name}: {e.title}", e.summary, ""]
        facts = {
            "task": f"{e.task} of {e.modality}",
            "aliases": ", ".join(e.aliases),
            "builder": e.builder,
            "arguments": ", ".join(f"{k}={v!r}" for k, v in e.args.items()),
            "data": e.data.source,
            "recipe": f"{before}{e.train.epochs} epochs, batch {e.train.batch_size}, "
            f"{e.train.optimizer} at {e.train.learning_rate:g}",
            "source": e.source,
        }
        if e.expect:
            facts["parameters"] = f"{e.expect.trainable_parameters:,}"
            facts["code"] = str(e.expect.latent_shape or "")
            facts["output"] = f"{e.expect.output_shape}"
        lines += [f"  {name:<11}{value}" for name, value in facts.items() if value]
        if e.expect:
            lines += ["  loss terms"]
            lines += [f"    {term:<21}{unit}" for term, unit in e.expect.loss_terms.items()]
        return "\n".join(lines)


def describe(name: str) -> Description:
    """Return what an entry is, its size, its recipe, and the unit of each loss term.

    Example:
        >>> "5 of pretraining, then 30 epochs" in repr(describe("mixture_ae"))
        True
        >>> "kl_loss" in repr(describe("vae"))
        True
    """
    return Description(find(name))


def register(name: str, **fields: Any) -> Callable[[type], type]:
    """Register a model class of your own under a name, for this process.

    Args:
        name: The entry's name, lower case with underscores.
        **fields: Other keys of the entry (`task`, `modality`, `args`, `train`, ...); what is
            missing gets a default.

    Returns:
        The decorator. It returns the class unchanged.

    Raises:
        ZooError: If the name is taken or a field is wrong.
    """
    from aezoo.config import SCHEMA_VERSION

    def decorate(builder: type) -> type:
        first_line = (inspect.getdoc(builder) or name).splitlines()[0]
        values = {
            "schema_version": SCHEMA_VERSION,
            "name": name,
            "title": first_line,
            "summary": first_line,
            "task": "reconstruction",
            "modality": "image",
            "builder": f"{builder.__module__}:{builder.__qualname__}",
        }
        new = Listing(name, values | fields, f"register({name!r})")
        others = {n: e for n, e in _entries().items() if n != name or n in _shipped()}
        _add(others, new)
        _decorated[new.entry.builder] = builder
        _registered[name] = new  # a notebook cell that is run again replaces its own entry
        return builder

    return decorate


_decorated: dict[str, type] = {}


def builder_of(entry: "Entry") -> type:
    """Import and return the model class that an entry names."""
    return import_class(entry.builder, entry.name)


def import_class(builder: str, name: str) -> type:
    """Import and return a model class.

    Args:
        builder: `package.module:Class`, or `path/to/module.py:Class`.
        name: The entry that wants it, for errors.

    Raises:
        ZooError: If there is no such module or class.
    """
    if builder in _decorated:
        return _decorated[builder]
    module_name, _, class_name = builder.rpartition(":")
    if not module_name:
        raise ZooError(
            f"The builder of {name!r} names no class.",
            received=builder,
            do="Write it as `package.module:Class`.",
        )
    try:
        from_file = module_name.endswith(".py")
        with without_collecting():  # it imports TensorFlow
            module = (
                _module_of_file(Path(module_name))
                if from_file
                else importlib.import_module(module_name)
            )
    except (ModuleNotFoundError, FileNotFoundError) as error:
        missing = getattr(error, "name", None)
        if missing and not module_name.startswith(missing):
            raise  # a missing import inside the module is not a wrong builder
        raise ZooError(
            f"The builder of {name!r} is in a module that cannot be found.",
            received=builder,
            do="Write it as `package.module:Class`, or put Class in module.py beside the YAML.",
        ) from None
    if not hasattr(module, class_name):
        raise ZooError(
            f"The builder of {name!r} is not in its module.",
            received=class_name,
            closest=closest_match(class_name, [n for n in vars(module) if n[0].isupper()]),
            do=f"Change `builder` to a class that {module_name} defines.",
        )
    return getattr(module, class_name)


def _module_of_file(path: Path):
    name = path.stem
    if name in sys.modules and getattr(sys.modules[name], "__file__", None) == str(path):
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def checked_arguments(builder: type, values: dict[str, Any], where: str) -> dict[str, Any]:
    """Check arguments against a builder's signature, which is their schema.

    Args:
        builder: A model class with annotated `__init__` arguments.
        values: Arguments by name.
        where: What to call them in an error.

    Returns:
        The arguments, lists turned into tuples where the signature says so.

    Raises:
        ZooError: For an argument that the builder does not take or a value of the wrong type.
    """
    import pydantic

    from aezoo.config import validated

    fields = {}
    signature = inspect.signature(builder.__init__, eval_str=True)
    for parameter in list(signature.parameters.values())[1:]:
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            raise ZooError(
                f"{builder.__name__}.__init__ takes {parameter}; its signature is the schema.",
                do="Name every argument, with its type.",
            )
        annotation = parameter.annotation
        default = parameter.default
        fields[parameter.name] = (
            Any if annotation is inspect.Parameter.empty else annotation,
            ... if default is inspect.Parameter.empty else default,
        )
    schema = pydantic.create_model(
        builder.__name__, __config__=pydantic.ConfigDict(extra="forbid"), **fields
    )
    checked = validated(schema, values, where)
    return {name: getattr(checked, name) for name in values}


def build(
    name: str,
    *,
    weights: str | None = None,
    seed: int | None = None,
    **overrides: Any,
):
    """Build a compiled, trainable model by name.

    Args:
        name: A zoo entry in any spelling, or the path of a YAML file.
        weights: The name of published weights of this entry; None starts from random ones.
        seed: Makes the initial weights repeatable.
        **overrides: Arguments of the builder, such as `input_shape` and `latent_dim`; they win
            over the entry's.

    Returns:
        A compiled `keras.Model` subclass.

    Raises:
        ZooError: For an unknown name, argument or weight set, or a wrong value.

    Example:
        >>> model = build("conv_ae", input_shape=(32, 32, 3), latent_dim=16)
        >>> model.latent_shape
        (16,)
    """
    entry = find(name)
    if weights is not None and weights not in entry.weights:
        raise ZooError(
            f"{entry.name!r} has no published weights of this name.",
            received=weights,
            closest=closest_match(weights, entry.weights),
            do="Build without `weights`, or train: `aezoo train " + entry.name + "`.",
        )
    entry = entry.model_copy(update={"args": entry.args | overrides})
    return build_entry(entry, seed=seed)


def build_entry(entry: "Entry", *, seed: int | None = None):
    """Build and compile the model of a resolved entry; see `build`."""
    builder = builder_of(entry)
    return builder.from_entry(entry, checked_arguments(builder, entry.args, entry.name), seed)
