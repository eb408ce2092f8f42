"""Fits hints to the command that was run: none tells to run the same again."""

from __future__ import annotations

import re
import shlex

import click

_WORDS = "penstock.words"
_TOLD = re.compile(r"(?:: |, then |; then |; |, or | or |, )?penstock (?P<words>[^,;()]+)")
_NARROWER = ("-d",)
_LEFT = re.compile(r"^(?:[:;,] )?(?:then |or )?")


def remember(ctx: click.Context, words: list[str]) -> None:
    """Keep what was typed.

    Args:
        ctx: The context of the whole command.
        words: What was typed, the global options included.
    """
    ctx.meta[_WORDS] = list(words)


def typed() -> list[str]:
    """What was typed after the global options; nothing outside of a command."""
    ctx = click.get_current_context(silent=True)
    if ctx is None:
        return []
    words: list[str] = ctx.meta.get(_WORDS, [])
    command = ctx.find_root().invoked_subcommand
    return words[words.index(command) :] if command in words else words


def json_wanted() -> bool:
    """Whether a document is wanted rather than words; what follows `run` is for another program."""
    words = typed()
    return words[:1] != ["run"] and "--json" in words


def debug_wanted() -> bool:
    """Whether whole tracebacks are wanted."""
    ctx = click.get_current_context(silent=True)
    return ctx is not None and bool(ctx.find_root().params.get("debug"))


def fitting(hint: str) -> str:
    """The hint without the command that was just run.

    >>> fitting("Look at it: penstock services list")
    'Look at it: penstock services list'
    """
    words = typed()
    left = _TOLD.sub(lambda told: "" if _is_same(told["words"], words) else told[0], hint) if words else hint
    return hint if left == hint else _LEFT.sub("", left)


def _is_same(told: str, words: list[str]) -> bool:
    """Whether a command is the one that was typed: the same verb, and no option but what was given."""
    try:
        there = shlex.split(told)
    except ValueError:
        there = told.split()
    verb = _verb(there, words)
    options = [word for word in there[verb:] if word.startswith("-")]
    return bool(verb) and all(option in (*words, *_NARROWER) for option in options)


def _verb(there: list[str], words: list[str]) -> int:
    """How many words the command's name has; 0 if it is another command's."""
    from penstock.cli import main

    if there[:1] != words[:1]:
        return 0
    noun = main.get_command(click.Context(main), words[0])
    if not isinstance(noun, click.Group):
        return 1
    return 2 if there[1:2] == words[1:2] else 0
