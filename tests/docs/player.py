"""Executes the Python of one document in one namespace; told what by JSON lines."""

from __future__ import annotations

import contextlib
import doctest
import io
import json
import linecache
import os
import sys
import traceback
from typing import Any

FLAGS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL


def run_plain(code: str, name: str, namespace: dict[str, Any]) -> str:
    """Execute statements; what went wrong, or nothing."""
    lines = code.splitlines(keepends=True)
    linecache.cache[name] = (len(code), None, lines, name)
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(code, name, "exec", dont_inherit=True), namespace)  # noqa: S102 - a document's code
    except BaseException:  # SystemExit, too: a document must not end the player.
        return traceback.format_exc()
    shown = printed.getvalue()
    return f"It prints, so it belongs into a pycon block:\n{shown}" if shown else ""


def run_session(code: str, name: str, namespace: dict[str, Any]) -> str:
    """Execute a session with its prompts; what was not as shown, or nothing."""
    test = doctest.DocTestParser().get_doctest(code.replace("…", "..."), namespace, name, name, 0)
    test.globs = namespace
    report = io.StringIO()
    doctest.DocTestRunner(optionflags=FLAGS).run(test, out=report.write, clear_globs=False)
    return report.getvalue()


def main() -> None:
    """Answer requests until there are none."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    sys.path.insert(0, "")
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        for line in sys.stdin:
            answers.write(json.dumps(answer(json.loads(line), namespace)) + "\n")
            answers.flush()


def answer(request: dict[str, Any], namespace: dict[str, Any]) -> str:
    """Execute one block where the document now is; what went wrong, or nothing."""
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["directory"])
    run = run_session if request["session"] else run_plain
    return run("\n" * request["line"] + request["code"], request["name"], namespace)


if __name__ == "__main__":
    main()
