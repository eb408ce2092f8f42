"""What every error says: what, why and what to do next."""

from __future__ import annotations

from typing import ClassVar

__all__ = ["PenstockError"]


class PenstockError(Exception):
    """The base of every error Penstock raises.

    Args:
        what: What went wrong, in one sentence; no secret, no row's value. Apps may give none, or several.
        why: The cause, in the words of whoever reported it (the server, the file system).
        hint: What to do next: a command, or a change to make.

    Attributes:
        code: A stable identifier, safe to match on; also the anchor of its documentation.

    >>> raise StoreNotCreated("Store lab:main does not exist yet.", hint="penstock syncstores lab")
    Traceback (most recent call last):
    penstock.errors.StoreNotCreated: Store lab:main does not exist yet.
      try: penstock syncstores lab
    """

    code: ClassVar[str] = "penstock-error"

    def __init__(self, *what: object, why: str = "", hint: str = "") -> None:
        super().__init__(*what)
        self.what = ", ".join(map(str, what))
        self.why = why
        self.hint = hint

    @property
    def docs(self) -> str:
        """Where this error is explained, relative to the documentation's root."""
        return f"reference/errors.html#{self.code}"

    def __str__(self) -> str:
        lines = [self.what]
        if self.why:
            lines.append(f"  why: {self.why}")
        if self.hint:
            lines.append(f"  try: {self.hint}")
        return "\n".join(lines)
