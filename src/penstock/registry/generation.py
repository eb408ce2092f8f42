"""A number that tells whether anything changed, asked for when needed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Generation:
    """The last generation that was read, for as long as it is good enough.

    There is no lock, which a fork could leave held: two threads may ask at once, and both are right.

    Args:
        ask: Asks the registry.

    >>> Generation(lambda: 7).get(5.0)
    7
    """

    def __init__(self, ask: Callable[[], int]) -> None:
        self._ask = ask
        self._epoch = object()  # Another one after every write of our own.
        self._known: tuple[int, float, object] | None = None

    def get(self, max_age: float) -> int:
        """The generation, not older than `max_age` seconds unless another thread is just asking."""
        known, epoch, now = self._known, self._epoch, time.monotonic()
        if max_age <= 0 or known is None or known[2] is not epoch:
            return self._asked()
        if now - known[1] < max_age:
            return known[0]
        self._known = (known[0], now, epoch)  # The others take the old answer meanwhile, also if this fails.
        return self._asked()

    def forget(self) -> None:
        """What was read is out of date, and so is what is just being read: this process has written."""
        self._epoch = object()

    def _asked(self) -> int:
        epoch, began = self._epoch, time.monotonic()
        generation = self._ask()
        self._known = (generation, began, epoch)
        return generation
