"""Why a row is refused, without the server's words, which may hold its values."""

from __future__ import annotations

import re

from sqlalchemy.exc import StatementError

NULL = "A value is missing where NULL is not allowed."
UNIQUE = "Another row has the same values, which have to be unique."
REFERENCE = "A row that is referred to is not there, or others refer to this one."
CHECK = "A condition of the table is not met."
EXCLUDED = "Another row is in conflict with it."
TOO_LONG = "A value is too long."
TOO_LARGE = "A value is out of range."
NO_VALUE = "A value can't be read as one of its column's type."
NO_TEXT = "A text has characters that the server does not take."
GENERATED = "A value is given for what the server makes itself."
BY_TRIGGER = "A trigger, a rule or a function refuses it; what that says is in the driver's error."

_WORDS = re.compile("[A-Z][a-z]+|[A-Z]+|[0-9]+")


def numbered(sentence: str, number: str) -> str:
    """A sentence with what the server's own documentation calls the error."""
    return f"{sentence[:-1]} ({number})."


def spelled(name: str) -> str:
    """What an error is called in code, as a sentence: DATA_TOO_LONG, or NumericValueOutOfRange."""
    words = name.replace("_", " ") if "_" in name or name.isupper() else " ".join(_WORDS.findall(name))
    return f"The server says: {words.lower()}."


def unsent(error: Exception) -> str:
    """Why the driver could not send a row; what it says of it may hold a value."""
    cause = getattr(error, "orig", None) if isinstance(error, StatementError) else error
    if isinstance(cause, UnicodeError):
        return NO_TEXT
    if isinstance(cause, OverflowError):
        return TOO_LARGE
    return f"The driver can't send a value of it ({type(cause or error).__name__})."
