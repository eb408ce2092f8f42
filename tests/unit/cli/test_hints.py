"""Hints name commands that there are, names filled in, never the one just run."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

from penstock.cli import hints, main

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(hints.__file__).parents[1]

_TOLD = re.compile(r"(?<!from )penstock ([a-z]+(?: [^,;()`]*)?)")
_NO_COMMANDS = ("configure", "ordinal", "order")
"""What the word stands for something else before."""


def texts(node: ast.AST) -> str | None:
    """A text of the source; what is put in is `{}`."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join("{}" if isinstance(v, ast.FormattedValue) else texts(v) or "" for v in node.values)
    return None


def told_in_source() -> Iterator[tuple[str, str]]:
    """Every command that a text tells to run, but for docstrings, and where it stands."""
    for path in sorted(ROOT.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        skipped |= {id(v) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for v in node.values}
        for node in ast.walk(tree):
            text = None if id(node) in skipped else texts(node)
            for told in _TOLD.findall(text or ""):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", told  # type: ignore[attr-defined]


TOLD = list(told_in_source())


def find(words: list[str]) -> click.Command | None:
    """The command that words begin with."""
    found: click.Command | None = main
    while isinstance(found, click.Group) and words:
        found = found.get_command(click.Context(found), words.pop(0))
    return found


def test_there_are_many_hints_in_the_source() -> None:
    assert len(TOLD) > 60


def test_a_hint_names_a_command_that_there_is_with_options_that_it_has() -> None:
    for where, told in TOLD:
        words = told.split()
        command = find(words)
        if command is None:
            assert told.split()[0] in _NO_COMMANDS, f"{where}: {told}"
            continue
        has = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
        options = {word for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word)}
        assert options <= has | {"--", "-c"}, f"{where}: {told}"


def test_the_names_in_a_hint_are_filled_in() -> None:
    for where, told in TOLD:
        placeholders = {word for word in told.split() if re.fullmatch(r"[A-Z][A-Z_:]+", word)}
        assert "<" not in told, f"{where}: {told}"
        assert placeholders <= {"MAIN_PW"}, f"{where}: {told}"


# --- what was run ---------------------------------------------------------------------------------


def fitted(hint: str, *words: str) -> str:
    """A hint, in a command that was typed so."""
    with click.Context(main) as ctx:
        hints.remember(ctx, list(words))
        ctx.invoked_subcommand = next(word for word in words if not word.startswith("-"))
        return hints.fitting(hint)


@pytest.mark.parametrize(
    ("hint", "words", "left"),
    [
        ("penstock services list", ["services", "list"], ""),
        ("penstock services list", ["services", "list", "--json"], ""),
        ("penstock services list", ["services", "test"], "penstock services list"),
        ("penstock services list", ["--debug", "services", "list"], ""),
        ("Check its user: penstock services test main", ["services", "test"], "Check its user"),
        ("penstock syncstores lab -d gages", ["syncstores", "lab"], ""),
        ("penstock syncstores lab -d gages", ["stores", "status"], "penstock syncstores lab -d gages"),
        ("penstock stores adopt lab:x --database y", ["stores", "adopt", "lab:x"], None),
        ("penstock init, then penstock link local lab:x", ["init"], "penstock link local lab:x"),
        ("penstock init", ["link", "a", "b:c"], "penstock init"),
        ("Did you mean main?", ["services", "test", "mian"], None),
    ],
)
def test_the_command_that_was_run_is_left_out(hint: str, words: list[str], left: str | None) -> None:
    assert fitted(hint, *words) == (hint if left is None else left)


def test_outside_of_a_command_a_hint_is_as_it_is() -> None:
    said: Any = "penstock services list"
    assert hints.fitting(said) == said
