"""SQLite's extended result codes say why a row is refused; nothing is quoted."""

from __future__ import annotations

from penstock.backends import refusals as known
from penstock.backends.refusals import numbered, spelled, unsent

_BY_NAME = {
    "SQLITE_CONSTRAINT_NOTNULL": known.NULL,
    "SQLITE_CONSTRAINT_UNIQUE": known.UNIQUE,
    "SQLITE_CONSTRAINT_PRIMARYKEY": known.UNIQUE,
    "SQLITE_CONSTRAINT_ROWID": known.UNIQUE,
    "SQLITE_CONSTRAINT_FOREIGNKEY": known.REFERENCE,
    "SQLITE_CONSTRAINT_CHECK": known.CHECK,
    "SQLITE_CONSTRAINT_TRIGGER": known.BY_TRIGGER,
    "SQLITE_CONSTRAINT_DATATYPE": known.NO_VALUE,
    "SQLITE_MISMATCH": known.NO_VALUE,
    "SQLITE_TOOBIG": known.TOO_LONG,
}


def why_refused(error: Exception) -> str:
    """Why a row is refused."""
    name = getattr(getattr(error, "orig", error), "sqlite_errorname", None)
    if not isinstance(name, str):
        return unsent(error)
    return numbered(_BY_NAME.get(name) or spelled(name.removeprefix("SQLITE_")), name)
