"""A YAML file becomes plain values, and the line of each of its keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penstock.errors import ConfigError, ConfigNotFound, ConfigProblems, MissingExtra, Problem
from penstock.registry.document import decoded, label_of, problem_in
from penstock.registry.locate import KeyPath, without_addresses

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = 100_000
"""Bytes such a file may have."""

_DEEPEST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What is in a YAML file.

    Args:
        label: What messages call the file.
        values: Its keys and values.
        lines: The line of each key; an item of a list is a key `("pip", "0")`.
        repeated: The keys that are there twice, each as a sentence; the last of them counts.
    """

    label: str
    values: Mapping[Any, Any]
    lines: Mapping[KeyPath, int]
    repeated: tuple[str, ...] = ()


def read_document(path: Path, *, missing: str) -> Document:
    """Read a file whole.

    Args:
        path: The file.
        missing: What to do where there is none.

    Raises:
        ConfigNotFound: There is no such file.
        ConfigProblems: It is not UTF-8, not YAML, or not a table of keys.
        ConfigError: It is no plain file, too large, or this user may not read it.
        MissingExtra: PyYAML is not installed.
    """
    label = label_of(path)
    return _parsed(decoded(_read(path, label, missing), label), label)


def _read(path: Path, label: str, missing: str) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(f"{label} is not a plain file.", hint="Put a plain file there.")
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigNotFound(f"There is no file {label}.", hint=missing) from None
    except OSError as error:
        raise ConfigError(
            f"{label} can't be read.", why=error.strerror or "", hint=f"ls -l {label}"
        ) from error
    if len(data) > LARGEST:
        raise ConfigError(f"{label} has more than {LARGEST} bytes.", hint="Shorten it.")
    return data


def _parsed(text: str, label: str) -> Document:
    yaml = _yaml()
    try:
        _check_shape(yaml, text, label)
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        values = {} if root is None else loader.construct_document(root)
        lines, repeated = ({}, ()) if root is None else _lines_of(root, label)
    except yaml.YAMLError as error:
        problem = _not_yaml(error, label)
    except ValueError:
        problem = problem_in(label, 1, "A date or a number in it can't be read.", "Write it in quotes.")
    else:
        if not isinstance(values, dict):
            raise ConfigProblems([problem_in(label, 1, "There are no keys.", "Write lines as: key: value")])
        return Document(label=label, values=values, lines=lines, repeated=repeated)
    raise ConfigProblems([problem])


def _yaml() -> Any:
    try:
        import yaml
    except ImportError as error:
        raise MissingExtra(
            "YAML files need PyYAML, which is not installed.",
            why=str(error),
            hint='pip install "penstock[install]"',
        ) from error
    return yaml


def _check_shape(yaml: Any, text: str, label: str) -> None:
    """Refuse what makes a short file long to read: aliases that repeat others, and deep nesting."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise ConfigProblems([problem_in(label, line, "An alias is not allowed.", "Write it out.")])
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise ConfigProblems([problem_in(label, line, "This is nested too deep.", "Write it flat.")])


def _lines_of(root: Any, label: str) -> tuple[dict[KeyPath, int], tuple[str, ...]]:
    """The line of each key, and the duplicate keys, of which YAML takes the last."""
    lines: dict[KeyPath, int] = {}
    repeated: dict[KeyPath, str] = {}
    for key, line in _keys(root, ()):
        if key in lines and not any(key[:n] in repeated for n in range(1, len(key))):
            said = f"{without_addresses(key[-1])} is there twice, and line {lines[key]} is not read"
            repeated[key] = f"{label}:{line}: {said}"
        lines[key] = line
    return lines, tuple(repeated.values())


def _keys(node: Any, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    pairs = []
    if node.id == "mapping":
        pairs = [(str(key.value), key, value) for key, value in node.value]
    elif node.id == "sequence":
        pairs = [(str(n), item, item) for n, item in enumerate(node.value)]
    for name, key, value in pairs:
        here = (*path, name)
        yield here, key.start_mark.line + 1
        yield from _keys(value, here)


def _not_yaml(error: Any, label: str) -> Problem:
    """What PyYAML complains of, and the line."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    said = getattr(error, "problem", None) or getattr(error, "reason", None) or "it can't be read"
    line = 1 if mark is None else mark.line + 1
    hint = "Indent with spaces, items of one list alike: - name"
    return problem_in(label, line, f"This is not YAML: {without_addresses(said)}.", hint)
