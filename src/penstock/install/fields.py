"""Reads the keys of a YAML file, and gathers all that is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penstock.errors import ConfigProblems, Problem
from penstock.registry.locate import KeyPath, locate
from penstock.registry.problems import Wrong, problem_at
from penstock.registry.values import kind_of, of_kind
from penstock.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.install.document import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item of a list, and where it stands: `install.yml:14`."""

    text: str
    where: str


class Fields:
    """The keys of one document; what is asked for and is wrong is told by `check`, all at once.

    Args:
        document: The document.
    """

    def __init__(self, document: Document) -> None:
        self._document = document
        self._problems: list[Problem] = []

    @property
    def label(self) -> str:
        """What messages call the file."""
        return self._document.label

    @property
    def repeated(self) -> tuple[str, ...]:
        """The keys that are there twice, each as a sentence."""
        return self._document.repeated

    def find(self, *key: str) -> Any:
        """The value of a key; None if it is missing or empty."""
        value: Any = self._document.values
        for part in key:
            value = value.get(part) if isinstance(value, dict) else None
        return value

    def table(self, *key: str) -> dict[Any, Any]:
        """The keys below a key; none if it is missing or empty."""
        return self._read(key, dict, "Write keys below it, indented.") or {}

    def only(self, known: Sequence[str], *key: str) -> None:
        """Let no other keys be below a key."""
        for each in self.table(*key):
            if each not in known:
                hint = did_you_mean(str(each), known) or f"Use one of: {', '.join(known)}."
                self.wrong((*key, str(each)), "is not a known key.", hint)

    def text(self, *key: str) -> str:
        """Text; empty if it is missing."""
        return self._read(key, str, "Write it in quotes.") or ""

    def flag(self, *key: str) -> bool:
        """Whether it is true; it is not, if it is missing."""
        return self._read(key, bool, "Write true or false, without quotes.") or False

    def number(self, *key: str) -> None:
        """A version, as text or as a number, whichever it is."""
        if isinstance(self.find(*key), bool) or not isinstance(self.find(*key), str | int | float | None):
            self.wrong(key, f"is {kind_of(self.find(*key))}, not a version.", "Write it in quotes.")

    def items(self, *key: str) -> tuple[Item, ...]:
        """The texts of a list; none if it is missing."""
        found = []
        for n, value in enumerate(self._read(key, list, 'Write one item a line: "- name"') or []):
            line = locate(self._document.lines, (*key, str(n)))
            if not isinstance(value, str):
                self.wrong(key, f"An item is {kind_of(value)}, not text.", 'Write it as "- name".', line)
            elif not value.strip() or not value.isprintable():
                self.wrong(key, "An item is empty, or can't be shown.", 'Write it as "- name".', line)
            else:
                found.append(Item(text=value.strip(), where=f"{self.label}:{line}"))
        return tuple(found)

    def where(self, *key: str) -> str:
        """The file and line of a key."""
        return f"{self.label}:{locate(self._document.lines, key)}"

    def wrong(self, key: KeyPath, message: str, hint: str, line: int = 0) -> None:
        """Remember that something is wrong with a key."""
        problem = problem_at(self.label, self._document.lines, Wrong(message, hint, key), line)
        if problem not in self._problems:
            self._problems.append(problem)

    def check(self) -> None:
        """Raise ConfigProblems if anything was wrong."""
        if self._problems:
            raise ConfigProblems(self._problems)

    def _read(self, key: KeyPath, kind: type, hint: str) -> Any:
        value = self.find(*key)
        try:
            return None if value is None else of_kind(value, kind, hint)
        except Wrong as error:
            self.wrong(key, error.message, error.hint)
            return None
