"""All that is printed: tables on a terminal, plain lines in a pipe, JSON."""

from __future__ import annotations

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import click

from penstock.cli.hints import debug_wanted, fitting
from penstock.errors import ConfirmationNeeded, PenstockError

if TYPE_CHECKING:
    from rich.console import Console

Row: TypeAlias = Mapping[str, Any]

GOOD, BAD, WARNING, QUIET = "green", "red", "yellow", "bright_black"

UNKNOWN = "?"
"""Stands where nobody could look; what is known to be absent is `-`."""

COLOURS = {
    "ready": GOOD, "ok": GOOD, "running": GOOD, "done": GOOD,
    "failed": BAD, "fail": BAD, "not ours": BAD, "unreachable": BAD, "broken": BAD, "refused": BAD,
    "warn": WARNING, "half-made": WARNING, "not created": WARNING, "unlinked": WARNING,
    "orphan": WARNING, UNKNOWN: WARNING, "unknown": WARNING, "stopped": WARNING,
    "dropped": QUIET, "skipped": QUIET,
}  # fmt: skip
"""The colour of a word that says how something is."""

MANY = 12
"""From how many rows on a listing ends with a summary."""

_PASSWORD = re.compile(r"(://[^\s:/@]*):[^\n]*@")
# All but tab, line end, and the escape sequences of colours; and what turns the writing direction.
_CONTROL = re.compile(r"\x1b(?!\[[0-9;]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_REGISTRY = re.compile(r"^registry .*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table for people; JSON has every key of a row anyway.

    Args:
        title: Its heading.
        value: Makes the text from a row.
        right: Whether it is set to the right.
        fold: Whether it may be broken into lines where the terminal is narrow.
    """

    title: str
    value: Callable[[Row], Any]
    right: bool = False
    fold: bool = False


def column(title: str, key: str = "", **options: Any) -> Column:
    """A column that shows one key of each row."""
    return Column(title=title, value=lambda row: row[key or title], **options)


def store_column() -> Column:
    """The column of stores, as `APP:STORE`."""
    return Column(title="store", value=lambda row: f"{row['app']}:{row['store']}".rstrip(":"))


def source_column() -> Column:
    """The column of sources; there is one registry, so its place is left out."""
    return Column(title="source", value=lambda row: _REGISTRY.sub("registry", row["source"]), fold=True)


def set_up() -> None:
    """Let no character be unprintable, whatever the terminal's encoding."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


# --- words ----------------------------------------------------------------------------------------


def say(text: str, *, err: bool = False) -> None:
    """Print a line, on stdout or stderr."""
    click.echo(clean(text), err=err, color=_colour())


def raw(text: str) -> None:
    """Print a line that is the command's answer, exactly as it is."""
    click.echo(text)


def done(text: str, *, err: bool = False) -> None:
    """Print a line that says what was done."""
    mark = f"{click.style('✓', fg=GOOD)} " if is_terminal(err=err) else ""
    say(f"{mark}{text}", err=err)


def note(text: str) -> None:
    """Print a remark on stderr."""
    say(click.style(f"note: {text}", fg=WARNING), err=True)


def error(problem: PenstockError, *, indent: str = "", err: bool = True) -> None:
    """Print an error: its code, what, why, where in the app it came from, and what to do.

    With `--debug`, its whole traceback is printed before, on stderr.
    """
    from penstock.cli.frames import app_frames

    if debug_wanted():
        traceback(problem)
    row = {"code": problem.code, "what": problem.what, "why": problem.why, "hint": problem.hint}
    failure(row, app_frames(problem), indent=indent, err=err)


def failure(
    row: Mapping[str, str], frames: Sequence[str] = (), *, indent: str = "", err: bool = True
) -> None:
    """Print what went wrong: its code, what, why and hint are in `row`; see `error`."""
    head = click.style(f"error[{row['code']}]", fg=BAD, bold=True)
    lines = [f"{head}: {row['what']}"]
    lines += [f"  {click.style('why', dim=True)}: {row['why']}"] if row["why"] else []
    lines += [f"  {click.style('at', dim=True)}: {shorten(frames[0])}"] if frames else []
    lines += [f"      {shorten(line)}" for line in frames[1:]]
    lines += _try(row["hint"])
    say("\n".join(indent + line for text in lines for line in text.splitlines()), err=err)


def title(text: str, remark: str = "", *, err: bool = False) -> None:
    """Print what the following lines are about."""
    rest = f"  {click.style(shorten(remark), dim=True)}" if remark else ""
    say(f"{click.style(text, bold=True)}{rest}", err=err)


def branch(place: str, said: str, *, indent: str, chosen: bool) -> None:
    """Print one of several places that were asked, and whether it is the one that was heard."""
    mark = click.style("→", fg=GOOD, bold=True) if chosen else " "
    text = shorten(f"{place}: {said}")
    say(f"{indent}{mark} {text if chosen else click.style(text, dim=True)}")


def fact(key: str, value: str) -> None:
    """Print a key and its value below a title."""
    say(f"    {click.style(key.ljust(8), dim=True)}  {shorten(value)}")


def problem(what: str, why: str, to_do: str) -> None:
    """Print on stderr what is not as it should be, why, and what to do."""
    lines = [click.style(what, fg=WARNING)]
    lines += [f"  {click.style('why', dim=True)}: {why}"] if why else []
    say("\n".join([*lines, *_try(to_do)]), err=True)


def pairs(row: Row) -> None:
    """Print keys and values, one below the other."""
    width = max(map(len, row))
    for key, value in row.items():
        text = _text(value)
        say(f"{click.style(key.ljust(width), dim=True)}  {click.style(text, fg=COLOURS.get(text))}")


def checked(verdict: str, check: str, subject: str, message: str) -> None:
    """Print how a check came out."""
    mark = click.style(f"{verdict:4}", fg=COLOURS[verdict], bold=True)
    say(f"{mark}  {check:13}  {shorten(subject)}  {click.style(shorten(message), dim=True)}".rstrip())


def hint(text: str) -> None:
    """Print what to do about the line above."""
    for line in _try(text):
        say(f"    {line}")


def _try(hint: str) -> list[str]:
    """The line that says what to do, if there is anything but what was just done."""
    text = fitting(hint)
    return [f"  {click.style('try', fg='cyan')}: {text}"] if text else []


def traceback(problem: BaseException) -> None:
    """Print the whole traceback of an error, on stderr."""
    import traceback as tracebacks

    say("".join(tracebacks.format_exception(problem)).rstrip(), err=True)


def interrupted() -> None:
    """Print that the user broke the command off."""
    say("\nStopped.", err=True)


def clean(text: str) -> str:
    """Text without passwords in addresses, and without control characters but those of colours."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", _PASSWORD.sub(r"\1:***@", text))


def shorten(text: str) -> str:
    """Text in which paths below the working directory are relative."""
    try:
        return text.replace(f"{os.getcwd()}{os.sep}", "")
    except OSError:
        return text


def address(url: str) -> str:
    """An address for people: without the driver's name, paths relative where that is shorter.

    >>> address("postgresql+psycopg://me@host")
    'postgresql://me@host'
    """
    return re.sub(r"^(\w+)\+\w+://", r"\1://", url)


# --- questions ------------------------------------------------------------------------------------


def confirm(losses: Sequence[str], question: str, *, yes: bool) -> None:
    """Say what will be lost, and go on only if that is wanted.

    Args:
        losses: What will be lost, a line each.
        question: What is asked.
        yes: Whether `--yes` answers it.

    Raises:
        ConfirmationNeeded: There is no terminal to ask on.
        click.exceptions.Exit: The answer is no.
    """
    for line in losses:
        say(line, err=True)
    if yes:
        return
    if not (sys.stdin.isatty() and is_terminal(err=True)):
        raise ConfirmationNeeded(
            "This needs a yes.", why="There is no terminal to ask on.", hint="Add --yes, if you mean it."
        )
    if not click.confirm(question, err=True):
        say("Nothing was changed.", err=True)
        raise click.exceptions.Exit(1)


def ask_password(question: str) -> str:
    """Ask for a password, without showing it; empty for none."""
    answer: str = click.prompt(question, hide_input=True, default="", show_default=False, err=True)
    return answer


# --- listings -------------------------------------------------------------------------------------


def document(value: Mapping[str, Any]) -> None:
    """Print one JSON document on stdout."""
    raw(json.dumps(value, indent=2, default=_json))


def listing(
    name: str,
    rows: Sequence[Row],
    columns: Sequence[Column],
    *,
    as_json: bool,
    empty: str = "",
    beside: Row | None = None,
) -> None:
    """Print rows: as JSON under their name, as a table on a terminal, as aligned lines in a pipe.

    Args:
        name: The key in the JSON document.
        rows: What is listed; its keys are a promise.
        columns: What people see of it.
        as_json: Whether JSON is wanted.
        empty: What people see when there is nothing.
        beside: What else the JSON document has.
    """
    if as_json:
        document({name: rows, **(beside or {})})
    elif not rows:
        say(empty or f"There are no {name}.", err=True)
    else:
        cells = [[clean(_text(each.value(row))) for each in columns] for row in rows]
        if is_terminal():
            _print_table(cells, columns)
        else:
            _print_lines(cells, columns)


def tried(row: Row, attempt: Callable[[], object]) -> dict[str, Any]:
    """A row of `results`: what was tried, and with which error it failed, if it did."""
    problem: PenstockError | None = None
    try:
        attempt()
    except PenstockError as error:
        problem = error
    return {**row, "ok": problem is None, "error": problem_row(problem), "problem": problem}


def results(name: str, rows: Sequence[Row], columns: Sequence[Column], *, as_json: bool, empty: str) -> bool:
    """Print rows of `tried`, and below them what went wrong; whether nothing did. See `listing`."""
    shown = [{key: value for key, value in row.items() if key != "problem"} for row in rows]
    listing(name, shown, columns, as_json=as_json, empty=empty)
    for row in rows:
        if row["problem"] is not None and not as_json:
            error(row["problem"])
    return all(row["ok"] for row in rows)


def summary(name: str, words: Sequence[str]) -> None:
    """Print on stderr how many of a long listing are how; one that is seen at a glance needs none.

    Args:
        name: What is listed.
        words: How each is, in one word.
    """
    if len(words) < MANY:
        return
    counts = sorted(Counter(words).items(), key=lambda each: (COLOURS.get(each[0]) != GOOD, -each[1]))
    parts = [f"{count} {click.style(word, fg=COLOURS.get(word))}" for word, count in counts]
    say(f"{len(words)} {name}: {', '.join(parts)}", err=True)


def size(count: int | None) -> str:
    """A number of bytes, for people.

    >>> size(8_200_000), size(None)
    ('8.2 MB', '')
    """
    if count is None:
        return ""
    if count < 1000:
        return f"{count} B"
    power = min(len(str(count)) - 1, 12) // 3
    return f"{count / 1000**power:.1f} {('kB', 'MB', 'GB', 'TB')[power - 1]}"


def problem_row(found: PenstockError | None) -> dict[str, str] | None:
    """An error for a JSON document."""
    if found is None:
        return None
    words = {"what": found.what, "why": found.why, "hint": fitting(found.hint), "docs": found.docs}
    return {"code": found.code, **{key: clean(text) for key, text in words.items()}}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M")
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"
    return "-" if value in (None, "") else shorten(str(value))


def _json(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _print_lines(cells: Sequence[Sequence[str]], columns: Sequence[Column]) -> None:
    titles = [each.title.upper() for each in columns]
    widths = [max(map(len, each)) for each in zip(titles, *cells, strict=True)]
    for line in (titles, *cells):
        padded = (
            text.rjust(width) if each.right else text.ljust(width)
            for text, width, each in zip(line, widths, columns, strict=True)
        )
        raw("  ".join(padded).rstrip())


def _print_table(cells: Iterable[Sequence[str]], columns: Sequence[Column]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False, show_edge=False)
    for each in columns:
        justify: Literal["right", "left"] = "right" if each.right else "left"
        table.add_column(each.title, justify=justify, overflow="fold", no_wrap=not each.fold)
    for line in cells:
        table.add_row(*(Text(text, style=COLOURS.get(text, QUIET if text == "-" else "")) for text in line))
    console().print(table)


# --- where it goes --------------------------------------------------------------------------------


def is_terminal(*, err: bool = False) -> bool:
    """Whether somebody looks at it."""
    return (sys.stderr if err else sys.stdout).isatty()


def console(*, err: bool = False) -> Console:
    """A terminal with tables; rich is imported only when there is one."""
    from rich.console import Console

    return Console(stderr=err, highlight=False)


def _colour() -> bool | None:
    """None lets click decide by looking for a terminal."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return False if plain else None
