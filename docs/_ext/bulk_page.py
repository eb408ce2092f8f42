"""What bulk writing does and does not do, as MyST tables."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter

from promises import PROMISES, VERBS, Promise


def text() -> str:
    """All features, by their groups."""
    return "\n".join(table(group, list(some)) for group, some in groupby(PROMISES, attrgetter("group")))


def table(group: str, some: list[Promise]) -> str:
    """The features of a group, with what each verb does."""
    head = ["", *(f"`{verb}`" for verb in VERBS), ""]
    lines = [row(head), row(["---"] * len(head)), *(row([p.feature, *p.answers, p.note]) for p in some)]
    return f"## {group}\n\n{chr(10).join(lines)}\n"


def row(cells: list[str]) -> str:
    """One line of a table."""
    return f"| {' | '.join(cells)} |"
