"""What a driver's error means."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from penstock.errors import StoreNotCreated

if TYPE_CHECKING:
    from penstock.errors import PenstockError


class Faults(ABC):
    """What the errors of one dialect's drivers mean."""

    @abstractmethod
    def translate(self, error: Exception, what: str) -> PenstockError:
        """A driver's error as one of ours: the code decides, the server's words are kept."""

    def is_disconnect(self, error: Exception) -> bool:
        """Whether an error says that the database, or the session in it, was taken away."""
        return isinstance(error, StoreNotCreated)
