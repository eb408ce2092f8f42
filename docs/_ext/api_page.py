"""The reference of public names, as MyST text: one autodoc directive per name."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from sqlalchemy.types import TypeEngine

import penstock
from penstock import aio, models, query, stores, testing
from penstock.compat import db_plugins, tethys
from penstock.compat.tent import dbm, user

if TYPE_CHECKING:
    from types import ModuleType


MODULES = (penstock, stores, aio, models, query, testing, tethys, db_plugins, dbm, user)
"""Those that have public names, beside the errors."""

PARENTS = "Exception, App, Query, TestCase, DeclarativeBase"
OF_SQLALCHEMY = "metadata, registry"
CLASS = f"   :members:\n   :inherited-members: {PARENTS}\n   :exclude-members: {OF_SQLALCHEMY}\n"
"""What is shown of a class: what is ours, also of its parents."""


def text() -> str:
    """All public names but the errors, which have a page of their own."""
    return "\n".join(entry(module, name) for module in MODULES for name in names(module))


def names(module: ModuleType) -> list[str]:
    """The public names of a module that are no errors, nor the same as those of `penstock`."""
    shared = () if module in (penstock, aio) else penstock.__all__
    shown = [n for n in module.__all__ if not n.startswith("_") and n not in shared]
    return [n for n in shown if not is_error(getattr(module, n))]


def is_error(value: object) -> bool:
    """Is this an error class?"""
    return inspect.isclass(value) and issubclass(value, Exception)


def entry(module: ModuleType, name: str) -> str:
    """One name, by the directive that suits it; those of a submodule with its name before theirs."""
    value = getattr(module, name)
    if inspect.isclass(value):
        directive, option = "autoclass", "" if issubclass(value, TypeEngine) else CLASS
    elif inspect.isroutine(value):
        directive, option = "autofunction", ""
    else:
        directive, option = "autodata", ""
    path = f"{module.__name__}.{name}"
    shown = path.removeprefix("penstock.")
    return f"## `{shown}`\n\n```{{eval-rst}}\n.. {directive}:: {path}\n{option}```\n"
