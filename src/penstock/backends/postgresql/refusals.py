"""Reads from SQLSTATE why a row is refused; the server's text is not quoted."""

from __future__ import annotations

import re
from copy import copy
from typing import TYPE_CHECKING

from psycopg import Error
from psycopg.errors import lookup

from penstock.backends import refusals as known
from penstock.backends.postgresql.faults import diagnostics_of, sqlstate_of
from penstock.backends.refusals import numbered, spelled, unsent

if TYPE_CHECKING:
    from penstock.backends.rows import Writing

_BY_STATE = {
    "23502": known.NULL,
    "23503": known.REFERENCE,
    "23505": known.UNIQUE,
    "23514": known.CHECK,
    "23P01": known.EXCLUDED,
    "44000": known.CHECK,
    "22001": known.TOO_LONG,
    "22003": known.TOO_LARGE,
    "22008": known.TOO_LARGE,
    "22007": known.NO_VALUE,
    "22P02": known.NO_VALUE,
    "22P03": known.NO_VALUE,
    "42804": known.NO_VALUE,
    "22021": known.NO_TEXT,
    "22P05": known.NO_TEXT,
    "428C9": known.GENERATED,
    "P0001": known.BY_TRIGGER,
}

_COPIED = re.compile(r"^COPY .+?, line \d+, column (.+?)(?:: |$)", re.MULTILINE)


def holds_values(state: str) -> bool:
    """Whether what the server says under a SQLSTATE may hold values of rows."""
    return state in _BY_STATE or state.startswith(("22", "23", "P0"))


def why_refused(error: Exception) -> str:
    """Why a row is refused."""
    state = sqlstate_of(error)
    return unsent(error) if state is None else said_of(state)


def said_of(state: str) -> str:
    """What a SQLSTATE means."""
    if state in _BY_STATE:
        return numbered(_BY_STATE[state], f"SQLSTATE {state}")
    try:
        name = lookup(state).__name__
    except KeyError:
        name = Error.__name__
    return numbered(spelled(name), f"SQLSTATE {state}")


def without_values(error: Error) -> Error:
    """An error of psycopg's with our words for the server's, where those may hold values of rows."""
    state = sqlstate_of(error)
    if state is None or not holds_values(state):
        return error
    made = copy(error)
    made.args = (said_of(state),)
    return made


def column_of(error: Exception, writing: Writing) -> str:
    """The column that an error means, or the constraint; empty if the server does not say."""
    said = diagnostics_of(error)
    named = getattr(said, "column_name", None) or getattr(said, "constraint_name", None)
    if named:
        return str(named)
    copied = _COPIED.search(str(getattr(said, "context", None) or ""))
    names = [column.name for column in writing.columns]
    return copied[1] if copied is not None and copied[1] in names else ""
