"""How the sessions of a store are made: frozen, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """How the sessions of a store are made, said once in its declaration or by who asks for one.

    Args:
        expire_on_commit: Whether attributes are read anew after a commit. By default they are in a `Session`,
            as SQLAlchemy has it, and are not in an `AsyncSession`, where an attribute can't be awaited
            (https://docs.sqlalchemy.org/en/20/orm/extensions/asyncio.html, "Preventing Implicit IO").
        autoflush: Whether a query writes what is pending first; default True.
        class_: A subclass of `sqlalchemy.orm.Session`; of an `AsyncSession` it is the class of the session
            behind it.
        info: What `session.info` has from the beginning.
        execution_options: Execution options of everything that the sessions do.

    >>> SessionOptions(expire_on_commit=False).autoflush
    True
    """

    expire_on_commit: bool | None = None
    autoflush: bool = True
    class_: type[Any] | None = None
    info: Mapping[Any, Any] = field(default_factory=dict)
    execution_options: Mapping[str, Any] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.expire_on_commit, self.autoflush, self.class_))
