"""An initializer is found, checked, and called in the form it asks for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from penstock.backends import backend_for
from penstock.errors import InitializerInvalid, InitializerNotFound
from penstock.importing import find_module
from penstock.provision.facts import InitializerForm

if TYPE_CHECKING:
    from types import ModuleType

    from sqlalchemy import Connection
    from sqlalchemy.orm.session import JoinTransactionMode

_OLD_ROOT = "tethysapp."


@dataclass(frozen=True, slots=True)
class FoundInitializer:
    """An initializer that was found and can be called.

    Args:
        function: The function itself.
        name: Its dotted path.
        form: What it asks for.
    """

    function: Callable[..., object]
    name: str
    form: InitializerForm

    def call_in(self, connection: Connection, *, first_time: bool) -> None:
        """Call it within a transaction; commits of a session stay inside of that."""
        if self.form is InitializerForm.CONNECTION:
            self.function(connection, first_time)
            return
        savepoints = backend_for(connection.engine.url).capabilities.savepoints
        # Without any, what the session rolls back undoes the transaction.
        mode: JoinTransactionMode = "create_savepoint" if savepoints else "rollback_only"
        with Session(connection, join_transaction_mode=mode) as session:
            self.function(session, first_time)
            session.commit()


def find_initializer(given: str | Callable[..., Any]) -> FoundInitializer | None:
    """The initializer a setting names, or None for an empty path.

    Args:
        given: A function, or a dotted path, looked up as given and then below `tethysapp.`.

    Raises:
        InitializerNotFound: The module or the function is missing, or fails while it is imported.
        InitializerInvalid: It does not take (engine, connection or session; first_time).

    >>> find_initializer("") is None
    True
    """
    if given == "":
        return None
    function = _load(given) if isinstance(given, str) else given
    name = given if isinstance(given, str) else _name_of(given)
    return FoundInitializer(function, name, _form_of(function, name))


def _name_of(function: Callable[..., Any]) -> str:
    owner = getattr(function, "__module__", "")
    return f"{owner}.{getattr(function, '__qualname__', repr(function))}"


def _load(path: str) -> Callable[..., object]:
    module_name, _, attribute = path.replace(":", ".").rpartition(".")
    if not module_name:
        raise InitializerNotFound(
            f"The initializer path {path!r} names no module.", hint="Write module.function."
        )
    module = _import(module_name) or _import(_OLD_ROOT + module_name)
    if module is None:
        raise InitializerNotFound(
            f"The initializer {path!r} can't be found: there is no module {module_name!r}.",
            hint="Check the path, and that the app is installed in this environment.",
        )
    function = getattr(module, attribute, None)
    if not callable(function):
        kind = "no function" if function is None else "no function but something else named"
        raise InitializerNotFound(
            f"The initializer {path!r} can't be found: module {module.__name__!r} has {kind} {attribute!r}.",
            hint=f"Define {attribute}(engine, first_time) there, or correct the path.",
        )
    return function  # type: ignore[no-any-return]


def _import(name: str) -> ModuleType | None:
    """The module, or None if it does not exist; any error inside it is chained."""
    try:
        return find_module(name)
    except Exception as error:
        raise _broken(name, error) from error


def _broken(name: str, error: Exception) -> InitializerNotFound:
    return InitializerNotFound(
        f"The module {name!r} of an initializer can't be imported.",
        why=f"{type(error).__name__}: {error}",
        hint=f"python -c 'import {name}'",
    )


def _form_of(function: Callable[..., object], name: str) -> InitializerForm:
    try:
        signature = inspect.signature(function)
        signature.bind(None, True)
    except (TypeError, ValueError) as error:
        raise InitializerInvalid(
            f"The initializer {name} can't be called with two arguments.",
            why=str(error),
            hint="Define it as (engine, first_time), (connection, first_time) or (session, first_time).",
        ) from error
    first = next(iter(signature.parameters), "")
    return InitializerForm(first) if first in ("connection", "session") else InitializerForm.ENGINE
