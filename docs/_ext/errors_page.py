"""The reference of errors, as MyST text: one heading per class of penstock.errors."""

from __future__ import annotations

import inspect

from penstock import errors
from penstock.errors import base, configuration, declarations, registry, rows, servers, stores

FILES = (base, declarations, configuration, registry, stores, rows, servers)
"""In the order in which they are read."""


def error_classes() -> list[type[errors.PenstockError]]:
    """Every error class, in the order of the files."""
    found = dict.fromkeys(value for file in FILES for value in vars(file).values() if inspect.isclass(value))
    return [value for value in found if issubclass(value, errors.PenstockError)]


def text() -> str:
    """All errors, each with its code as the anchor."""
    return "\n".join(entry(error) for error in error_classes())


def entry(error: type[errors.PenstockError]) -> str:
    """One error: anchor, name, code, parents, what it means."""
    parents = ", ".join(f"`{base.__name__}`" for base in error.__bases__)
    head = f"({error.code})=\n## {error.__name__}"
    return f"{head}\n\nCode `{error.code}`, a kind of {parents}.\n\n{meaning(error)}\n"


def meaning(error: type[errors.PenstockError]) -> str:
    """The docstring's prose: what stands before its first section or example."""
    prose = []
    for line in inspect.cleandoc(error.__doc__ or "").splitlines():
        if line.startswith((">>>", "Args:", "Attributes:", "Example")):
            break
        prose.append(line)
    return "\n".join(prose).rstrip()
