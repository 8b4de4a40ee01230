"""YAML read safely: a key given twice is an error, and broken text is told by file and line."""

from typing import Any

import yaml

from aezoo.errors import ZooError


class _UniqueKeyLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML's safe loader, except that a key given twice is an error."""


def _mapping_with_unique_keys(loader, node, deep=False):
    seen = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise ZooError(
                f"Line {key_node.start_mark.line + 1} gives a key a second time.",
                received=key,
                do="Keep one of the two.",
            )
        seen.add(key)
    return yaml.SafeLoader.construct_mapping(loader, node, deep)


_UniqueKeyLoader.add_constructor("tag:yaml.org,2002:map", _mapping_with_unique_keys)


def parse_yaml(text: str, where: str) -> Any:
    """Parse YAML text; `where` names the file in the error of a broken one."""
    try:
        return yaml.load(text, Loader=_UniqueKeyLoader)  # a safe loader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise ZooError(
            f"{where}{line} is not valid YAML: {getattr(error, 'problem', error)}.",
            do="Check the indentation and quotes there.",
        ) from None
    except ZooError as error:
        raise ZooError(f"{where}: {error.what}", received=error.received, do=error.do) from None
