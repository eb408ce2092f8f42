"""Refuses wrong arguments, and says what to give instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Engine, Executable, FromClause
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from penstock.errors import WrongObject
from penstock.sqlalchemy_compat import is_mapped


def asked(on: object) -> Session | Connection | Engine:
    """On what rows are asked for or written: what is given, or the session that it stands for.

    Raises:
        WrongObject: It is none of that.
    """
    if isinstance(on, Session | Connection | Engine):
        return on
    if isinstance(on, scoped_session):
        session: Session = on()
        return session
    raise WrongObject(f"{called(on)} can't be asked for rows.", hint=_asked_instead(on))


def _asked_instead(on: object) -> str:
    """What to give instead of something that leads to a session, or to an engine."""
    kind = type(on)
    if hasattr(kind, "run_sync"):
        name = "connection" if hasattr(kind, "exec_driver_sql") else "session"
        return f"Let it run the function: await {name}.run_sync(function, …)."
    if hasattr(kind, "sync_engine"):
        return (
            "Let a connection of it run the function: async with engine.begin() as connection:"
            " await connection.run_sync(function, …)."
        )
    if issubclass(kind, sessionmaker) or kind.__name__ == "async_sessionmaker":
        return "Give a session that it makes: with maker.begin() as session."
    if hasattr(kind, "sessionmaker"):
        return "Give a session of it: with store.session() as session; or its engine: store.engine."
    return "Give a session, a connection or an engine."


def check_rows(rows: object) -> None:
    """Raise WrongObject if these are no rows, but one row, or what rows could be read from."""
    one = isinstance(rows, Mapping) or is_mapped(type(rows))
    if one and not isinstance(rows, type):
        raise WrongObject(f"{called(rows)} is given where rows are.", hint="Give a list of rows: [row].")
    if isinstance(rows, Executable | FromClause) and not isinstance(rows, Iterable):
        raise WrongObject(
            f"{called(rows)} is given where rows are.",
            hint="Give rows: session.execute(select(…)).mappings(); or let the server copy them:"
            " session.execute(insert(…).from_select(…)).",
        )
    if isinstance(rows, str | bytes) or not isinstance(rows, Iterable):
        raise WrongObject(
            f"{called(rows)} is given where rows are.",
            hint="Give mappings, objects, sequences with columns=(…), or a data frame.",
        )


def check_names(**given: Any) -> None:
    """Raise WrongObject for a text, or a column, where names of columns are; None is fine."""
    for argument, names in given.items():
        if names is None:
            continue
        wrong = isinstance(names, str | bytes) or not isinstance(names, Iterable)
        if wrong or not all(isinstance(name, str) for name in names):
            raise WrongObject(
                f"{argument} is no list of names.", hint=f'Give names in a tuple: {argument}=("name", …).'
            )


def check_values(values: object, argument: str) -> None:
    """Raise WrongObject if these are no values by attribute."""
    if not isinstance(values, Mapping):
        raise WrongObject(
            f"{called(values)} is given as {argument}.", hint='Give values: {"name": value, …}.'
        )


def check_where(where: object) -> None:
    """Raise WrongObject for a single value where values by attribute, or expressions, are."""
    if type(where) in (str, bytes, int, float):
        check_values(where, "where")


def called(given: object) -> str:
    """What a message calls it; never by its repr, which may hold values."""
    if given is None:
        return "None"
    if isinstance(given, type):
        return f"The class {given.__name__}"
    name = type(given).__name__
    return f"{'An' if name[:1] in 'AEIOUaeiou' else 'A'} {name}"
