"""Whatever a public method takes or returns has a public name."""

from __future__ import annotations

import builtins
import collections.abc
import contextlib
import datetime as dt
import inspect
import pathlib
import re
import typing
from typing import TYPE_CHECKING

import pytest
import sqlalchemy
import sqlalchemy.ext.asyncio
import sqlalchemy.orm

import penstock
from penstock import aio, errors, stores

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = (penstock, stores, aio, errors)
OTHERS = (
    builtins,
    collections.abc,
    contextlib,
    dt,
    pathlib,
    typing,
    sqlalchemy,
    sqlalchemy.orm,
    sqlalchemy.ext.asyncio,
)
HELD = (
    stores.Connections,
    stores.Services,
    stores.Links,
    stores.StoreLogins,
    stores.KeptStores,
    stores.UnusedStores,
)
HANDLES = (penstock.App, penstock.Connection, penstock.Store, penstock.OneStore, penstock.Kind)
AWAITED = (aio.AsyncStores, aio.AsyncConnections, aio.AsyncStore, aio.AsyncKind, aio.AsyncConnection)
WORD = re.compile(r"""(?<![\w.])[A-Za-z_]\w*""")


def methods(owner: type) -> Iterator[tuple[str, dict[str, str]]]:
    """The public methods and properties of a class, each with the words of its annotations."""
    for parent in owner.__mro__:
        if not parent.__module__.startswith("penstock"):
            continue
        for name, value in vars(parent).items():
            found = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
            public = not name.startswith("_") or (name == "__init__" and owner in {stores.Stores, *HANDLES})
            if public and inspect.isfunction(found) and getattr(owner, name, None) is not None:
                yield name, found.__annotations__


@pytest.mark.parametrize("owner", [stores.Stores, *HELD, *HANDLES, *AWAITED])
def test_every_type_of_a_public_method_is_public(owner: type) -> None:
    public = {name for module in OURS for name in module.__all__}
    public |= {name for module in OTHERS for name in dir(module)}
    hidden = {
        f"{name}: {word}"
        for name, annotations in methods(owner)
        for annotation in annotations.values()
        for word in WORD.findall(re.sub(r"(['\"]).*?\1", "", annotation))
        if word not in public and not word.startswith("_")
    }
    if owner is stores.Stores:  # Its parent's `__init__` is not its own.
        hidden -= {"__init__: AddressBook", "__init__: EngineCache"}
    assert hidden == set()


def test_a_module_of_types_has_each_name_once() -> None:
    assert sorted(set(stores.__all__)) == sorted(stores.__all__)
    assert [name for name in stores.__all__ if not hasattr(stores, name)] == []
