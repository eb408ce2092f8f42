"""The rules of the house that no linter knows: names, captions, sizes, words."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import json
import math
import pkgutil
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import penstock
from penstock.errors import PenstockError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType

PROJECT = Path(__file__).resolve().parent.parent
SOURCE = PROJECT / "src" / "penstock"
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)

MAX_FILE = 450
MAX_FUNCTION, MEDIAN_FUNCTION, P90_FUNCTION = 60, 10, 30
MAX_ARGUMENTS = 6
MAX_CAPTION = 80


# --- what there is ------------------------------------------------------------------------------


def relative(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (PROJECT / folder).rglob("*.py"))


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in python_files("src"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, FUNCTION):
                yield f"{relative(path)}:{node.lineno} {node.name}", node


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring, which may be as long as callers need."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def arguments(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    names = [arg.arg for arg in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def all_modules() -> list[ModuleType]:
    names = [info.name for info in pkgutil.walk_packages(penstock.__path__, "penstock.")]
    return [importlib.import_module(name) for name in names if not name.endswith(".__main__")]


def error_classes() -> list[type[PenstockError]]:
    """Every error class of Penstock, wherever it is defined, but for private kinds of them."""
    all_modules()
    found, todo = {PenstockError}, [PenstockError]
    while todo:
        children = [kind for kind in todo.pop().__subclasses__() if kind.__module__.startswith("penstock.")]
        todo += [kind for kind in children if kind not in found]
        found.update(children)
    public = (kind for kind in found if not kind.__name__.startswith("_"))
    return sorted(public, key=lambda kind: kind.__qualname__)


def project_files() -> list[Path]:
    """The files that are, or would be, committed; without git, all but what tools leave behind."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0 and listed.stdout:
        paths = [PROJECT / name for name in listed.stdout.split("\0") if name]
    else:
        left = re.compile(r"/(\.venv[^/]*|\.git|\.[a-z_]+_cache|__pycache__|build|_build|dist|\.hypothesis)/")
        paths = [path for path in PROJECT.rglob("*") if not left.search(f"/{relative(path)}/")]
    return sorted(path for path in paths if path.is_file())


def in_fresh_python(code: str) -> object:
    """What the code prints as JSON, in an interpreter that has imported nothing else."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


# --- public names -------------------------------------------------------------------------------


def test_public_names_are_exactly_those_of_all() -> None:
    code = """
import json, types, penstock
missing = [name for name in penstock.__all__ if not hasattr(penstock, name)]
kinds = {name: getattr(penstock, name) for name in dir(penstock) if not name.startswith("_")}
shown = [name for name, value in kinds.items() if not isinstance(value, types.ModuleType)]
print(json.dumps({"missing": missing, "shown": shown, "all": list(penstock.__all__)}))
"""
    names = in_fresh_python(code)
    assert names["missing"] == []
    assert len(names["all"]) == len(set(names["all"]))
    assert set(names["shown"]) - {"annotations", "TYPE_CHECKING"} <= set(names["all"])


def public_things() -> Iterator[tuple[str, object]]:
    """Every public name and, of classes, every public method and property of our own."""
    for name in getattr(penstock, "__all__", []):
        value = getattr(penstock, name)
        if inspect.isclass(value):
            yield name, value
            yield from members(name, value)
        elif callable(value):
            yield name, value


def members(name: str, owner: type) -> Iterator[tuple[str, object]]:
    for parent in owner.__mro__:
        if not parent.__module__.startswith("penstock"):
            continue
        for member, value in vars(parent).items():
            kinds = (classmethod, staticmethod, property)
            if not member.startswith("_") and (inspect.isfunction(value) or isinstance(value, kinds)):
                yield f"{name}.{member}", getattr(owner, member)


def test_every_public_class_method_and_function_has_a_docstring() -> None:
    assert [name for name, value in public_things() if not documented(value)] == []


def documented(value: object) -> bool:
    """Is there a docstring that a person wrote? A dataclass without one shows its signature instead."""
    text = inspect.getdoc(value) or ""
    generated = dataclasses.is_dataclass(value) and text.startswith(f"{getattr(value, '__name__', '')}(")
    return bool(text) and not generated


def test_importing_penstock_loads_no_framework() -> None:
    heavy = ["alembic", "cattrs", "click", "psycopg", "rich", "sqlalchemy"]
    code = f"import json, sys, penstock; print(json.dumps([name for name in {heavy} if name in sys.modules]))"
    assert in_fresh_python(code) == []


# --- captions and sizes -------------------------------------------------------------------------


def test_every_file_opens_with_its_caption() -> None:
    captions = {relative(path): caption(path) for path in python_files("src", "tests", "docs", "benchmarks")}
    bad = {name: text for name, text in captions.items() if not 0 < len(text) <= MAX_CAPTION}
    assert bad == {}


def caption(path: Path) -> str:
    """The first line of a file's docstring; empty if the docstring goes on without a blank line."""
    lines = (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").splitlines()
    return "" if not lines or any(lines[1:2]) else lines[0]


def test_no_file_is_too_long() -> None:
    files = python_files("src", "tests", "docs", "benchmarks", "examples")
    lengths = {relative(path): len(path.read_text("utf-8").splitlines()) for path in files}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FILE} == {}


def test_functions_are_short() -> None:
    lengths = {name: length(node) for name, node in functions()}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION} == {}
    assert statistics.median(lengths.values()) <= MEDIAN_FUNCTION
    assert statistics.quantiles(lengths.values(), n=10)[-1] <= P90_FUNCTION


def test_functions_take_at_most_six_arguments() -> None:
    counts = {name: arguments(node) for name, node in functions()}
    assert {name: count for name, count in counts.items() if count > MAX_ARGUMENTS} == {}


# --- words that are not written -----------------------------------------------------------------


def test_the_type_checker_is_overruled_at_most_once_in_a_thousand_lines() -> None:
    lines = [line for path in python_files("src") for line in path.read_text("utf-8").splitlines()]
    overruled = [line.strip() for line in lines if re.search(r"#\s*(type|pyright):\s*ignore", line)]
    assert len(overruled) <= math.ceil(len(lines) / 1000), overruled


def test_nothing_is_left_for_later() -> None:
    unfinished = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
    assert occurrences(unfinished, python_files("src")) == []


def test_no_test_mocks() -> None:
    imported = {relative(path): set(imports(path)) for path in python_files("tests")}
    mocking = {"mock", "pytest_mock", "unittest.mock"}
    assert {name: found & mocking for name, found in imported.items() if found & mocking} == {}


def imports(path: Path) -> Iterator[str]:
    """Every module a file imports; `from a import b` counts as a and as a.b."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_no_file_names_a_machine_or_a_package_host() -> None:
    folders = [rf"(?<![\w.~-])/{name}/" for name in ("work", "root")]
    hosts = [
        rf"\b{name}\.{end}\b" for name, end in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"))
    ]
    hosts += [
        rf"\b{name}\.{end}\b" for name, end in (("npmjs", "com"), ("anaconda", "org"), ("golang", "org"))
    ]
    assert occurrences(re.compile("|".join(folders + hosts)), project_files()) == []


def occurrences(pattern: re.Pattern[str], paths: Iterable[Path]) -> list[str]:
    """`file:line: text` of every match."""
    found = []
    for path in paths:
        lines = path.read_text("utf-8", errors="replace").splitlines()
        found += [
            f"{relative(path)}:{n}: {line.strip()}" for n, line in enumerate(lines, 1) if pattern.search(line)
        ]
    return found


# --- the reference is complete ------------------------------------------------------------------


def reference_page(name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The generated part of a reference page, as MyST text, once the page is known to ask for it."""
    assert f"<!-- generated: {name} -->" in (PROJECT / f"docs/reference/{name}.md").read_text("utf-8")
    monkeypatch.syspath_prepend(PROJECT / "docs" / "_ext")
    return importlib.import_module(f"{name}_page").text()


def test_every_error_has_a_code_of_its_own_and_a_docstring() -> None:
    kinds = error_classes()
    assert [
        kind.__name__ for kind in kinds if "code" not in vars(kind) or not vars(kind).get("__doc__")
    ] == []
    codes = [kind.code for kind in kinds]
    assert sorted(code for code in set(codes) if codes.count(code) > 1) == []
    assert [code for code in codes if not re.fullmatch(r"[a-z]+(-[a-z]+)*", code)] == []


def test_every_error_is_in_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    page = reference_page("errors", monkeypatch)
    assert [
        kind.__name__ for kind in error_classes() if f"({kind.code})=\n## {kind.__name__}\n" not in page
    ] == []


def test_every_public_name_is_in_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = reference_page("api", monkeypatch) + reference_page("errors", monkeypatch)
    assert [
        name for name in penstock.__all__ if not re.search(rf"^## `?{name}`?$", pages, re.MULTILINE)
    ] == []


def test_every_command_is_in_the_reference_and_has_a_help_text(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("penstock.cli", reason="the command line is not there yet")
    page = reference_page("commands", monkeypatch)
    commands = list(walk_commands([]))
    assert commands
    assert [words for words, _ in commands if f"(penstock-{'-'.join(words)})=\n" not in page] == []
    assert [words for words, help_text in commands if not help_text] == []


def walk_commands(words: list[str]) -> Iterator[tuple[list[str], str]]:
    """Every command with its help text, found by asking the command line itself."""
    import click

    from penstock import cli

    root = next(value for value in vars(cli).values() if isinstance(value, click.Group))
    todo: list[tuple[list[str], click.Command]] = [(words, root)]
    while todo:
        path, command = todo.pop()
        context = click.Context(command)
        if isinstance(command, click.Group):
            found = [(name, command.get_command(context, name)) for name in command.list_commands(context)]
            todo += [([*path, name], child) for name, child in found if child and not child.hidden]
        if path:
            yield path, command.help or ""
