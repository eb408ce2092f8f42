"""A child of fork makes its own connections and leaves its parent's alone."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forked(Protocol):
    """What a fork copies, though it belongs to the parent: locks, connections, counts of them."""

    def after_fork(self) -> None:
        """In the child: begin anew, and touch nothing of the parent's."""


_forked: WeakSet[Forked] = WeakSet()
_parents: list[object] = []


def remember(thing: Forked) -> None:
    """Let a child of this process begin anew with it."""
    _forked.add(thing)


def keep_for_ever(*things: object) -> None:
    """Keep what belongs to the parent from being collected, which could end a session of the parent's."""
    _parents.extend(things)


def _begin_anew() -> None:
    for thing in list(_forked):
        thing.after_fork()


os.register_at_fork(after_in_child=_begin_anew)
