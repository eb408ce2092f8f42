"""What CONTRIBUTING.md says of the source is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
SOURCE = PROJECT / "src" / "penstock"
PAGE = (PROJECT / "CONTRIBUTING.md").read_text("utf-8")

QUESTIONS = (
    "do I add a dialect",
    "do I add a secret source",
    "do I add a step",
    "do I add a verb",
    "do I add a framework",
    "is a password read",
    "is a connection opened",
    "is decided what sync does",
    "may click be imported",
    "is a name made",
)


def table(heading: str) -> dict[str, str]:
    """The rows of the table below a heading: what is asked, and the answer."""
    section = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", section, re.MULTILINE)
    return dict(rows[1:])  # The first is the heading of the columns.


ANSWERS, ROOMS = table("Where things are"), table("Where a line of code belongs")


def folders_and_files(text: str) -> list[str]:
    """What is named by a path; one with `<name>` in it stands for many."""
    return re.findall(r"`([\w/]+(?:/|\.py|\.md|\.toml))`", text)


def is_there(name: str) -> bool:
    return any((folder / name).exists() for folder in (SOURCE, PROJECT))


def test_every_question_has_an_answer() -> None:
    assert tuple(ANSWERS) == QUESTIONS


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_an_answer_names_is_there(question: str) -> None:
    answer = ANSWERS[question]
    assert [name for name in folders_and_files(answer) if not is_there(name)] == []
    for thing, file in re.findall(r"`(\w+)`(?: of|:) `([\w/]+\.py)`", answer):
        assert re.search(rf"\b(?:def |class )?{thing}\b", (SOURCE / file).read_text("utf-8")), (thing, file)
    assert re.search(r"`[\w/]+(?:/|\.py)`", answer), "an answer names a place"


def floors() -> dict[str, int]:
    """The rooms as the rules of imports have them, and how high each is."""
    rules = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    layers = next(rule["layers"] for rule in rules["contracts"] if rule["type"] == "layers")
    return {room.strip(): -n for n, floor in enumerate(layers) for room in floor.split("|")}


def test_the_rooms_are_those_of_the_floors_from_top_to_bottom() -> None:
    named = [name for answer in ROOMS.values() for name in folders_and_files(answer)]
    assert [name for name in named if not is_there(name)] == []
    rooms = [name.split("/")[0].removesuffix(".py") for name in named]
    assert set(rooms) == set(floors())
    heights = [floors()[room] for room in rooms]
    assert heights == sorted(heights, reverse=True)
