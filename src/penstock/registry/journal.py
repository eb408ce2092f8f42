"""Writes down who did what to which object, when, and how it ended."""

from __future__ import annotations

import getpass
import logging
import os
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from penstock.errors import PenstockError
from penstock.registry.service import JournalEntry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from penstock.registry.contract import Registry

_logger = logging.getLogger(__name__)


def actor() -> str:
    """Who runs this process: `PENSTOCK_ACTOR`, or the login name."""
    named = os.environ.get("PENSTOCK_ACTOR")
    if named:
        return named
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


@contextmanager
def journalled(
    registry: Registry, action: str, subject: str, detail: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Journal what happens inside, whether it ends well or raises."""
    began = time.perf_counter()
    result = "done"
    try:
        yield
    except PenstockError as error:
        result = f"{error.code}: {error.what}"
        raise
    except BaseException as error:
        result = type(error).__name__
        raise
    finally:
        entry = JournalEntry(
            who=actor(),
            action=action,
            subject=subject,
            result=result,
            seconds=round(time.perf_counter() - began, 6),
            at=datetime.now(UTC),
            detail=detail or {},
        )
        _write(registry, entry)


def _write(registry: Registry, entry: JournalEntry) -> None:
    said = {"action": entry.action, "subject": entry.subject, "result": entry.result}
    _logger.info("%(action)s %(subject)s: %(result)s", said, extra=said)
    try:
        registry.write_journal(entry)
    except PenstockError:
        _logger.warning("The journal can't be written: %(action)s %(subject)s", said)
