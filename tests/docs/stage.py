"""Where a document is played: a directory, a home and an environment of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from docs.blocks import PLAYED, SHOWN, Block
from docs.expect import as_said

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PLAYER = Path(__file__).with_name("player.py")
# Run after a command: what it changed of the shell's state holds for the next one.
_KEEP = 'code=$?; { pwd -P; env -0; } > "$PENSTOCK_DOCS_STATE"; exit $code'


class NotAsWritten(AssertionError):
    """A document says one thing, and another one happened."""


class Stage:
    """Plays the blocks of one document, in order.

    Args:
        name: What messages call the document.
        stands_for: Addresses in the document, and the real ones they stand for.
        begins_with: A directory whose content is there from the beginning.
        programs: A folder whose programs come before all others.
    """

    def __init__(
        self,
        name: str,
        stands_for: Mapping[str, str],
        begins_with: Path | None = None,
        programs: Path | None = None,
    ) -> None:
        self._name = name
        self._stands_for = stands_for
        self._folder = Path(tempfile.mkdtemp(prefix="penstock-docs-")).resolve()
        self._folder.chmod(0o711)  # A server started by root runs as another user, who has to get through.
        self._directory = self._folder / "project"
        self._environment = _environment(self._folder / "home")
        if programs is not None:
            self._environment["PATH"] = f"{programs}:{self._environment['PATH']}"
        self._player: subprocess.Popen[str] | None = None
        (self._folder / "home" / "tmp").mkdir(parents=True)
        if begins_with is None:
            self._directory.mkdir()
        else:
            shutil.copytree(begins_with, self._directory)

    @property
    def directory(self) -> Path:
        """Where the reader is now."""
        return self._directory

    def play(self, block: Block) -> None:
        """Do what a block says; raises NotAsWritten if that is not how it goes."""
        if block.language not in (*PLAYED, *SHOWN):
            raise NotAsWritten(self._at(block.line, f"Nobody knows the language {block.language!r}."))
        if block.reason:
            return
        if block.file:
            path = self._directory / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._real(block.text), "utf-8")
        elif block.language == "console":
            self._console(block)
        elif block.language in PLAYED:
            self._python(block)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._player is not None:
            self._player.communicate()
        for home in self._folder.rglob(".penstock/postgres"):
            remove = ("penstock", "db", "remove", "--yes", "--force")
            self._start(remove, cwd=home.parents[1], capture_output=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    # --- console ----------------------------------------------------------------------------------

    def _console(self, block: Block) -> None:
        for offset, command, expected in commands(block.text):
            code, printed = self.run(command)
            if not as_said(expected, printed):
                said = f"$ {command}\n--- as written:\n{expected}--- as printed:\n{printed}"
                raise NotAsWritten(self._at(block.line + offset, said))
            if code and "error[" not in expected:
                said = f"$ {command}\nends with {code}:\n{printed}"
                raise NotAsWritten(self._at(block.line + offset, said))

    def run(self, command: str) -> tuple[int, str]:
        """Run a command in the reader's shell, after all those before; its exit code and output."""
        state = self._folder / "state"
        done = self._start(
            ("bash", "--norc", "-c", f"{self._real(command)}\n{_KEEP}"),
            cwd=self._directory,
            env={**self._environment, "PENSTOCK_DOCS_STATE": str(state)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        directory, _, variables = state.read_text("utf-8").partition("\n")
        self._directory = Path(directory)
        pairs = (pair.partition("=") for pair in variables.split("\0") if pair)
        own = ("PENSTOCK_DOCS_STATE", "_", "PWD", "OLDPWD", "SHLVL")
        self._environment = {key: value for key, _, value in pairs if key not in own}
        return done.returncode, self._as_written(done.stdout)

    def _real(self, text: str) -> str:
        """Text of the document, with the addresses that are really there."""
        for written, real in self._stands_for.items():
            text = text.replace(written, real)
        return text

    def _as_written(self, text: str) -> str:
        """The other way round."""
        for written, real in self._stands_for.items():
            text = text.replace(real, written)
        return text

    # --- python -----------------------------------------------------------------------------------

    def _python(self, block: Block) -> None:
        if self._player is None:
            self._player = subprocess.Popen(
                (sys.executable, "-W", "error", str(_PLAYER)),
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        request = {
            "code": self._real(block.text),
            "line": block.line - 1,
            "name": self._name,
            "session": block.language == "pycon",
            "environment": self._environment,
            "directory": str(self._directory),
        }
        stdin, stdout = self._player.stdin, self._player.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        answer = stdout.readline()
        problem = json.loads(answer) if answer else "Python has ended."
        if problem:
            raise NotAsWritten(self._at(block.line, self._as_written(problem)))

    # --- both -------------------------------------------------------------------------------------

    def _at(self, line: int, what: str) -> str:
        return f"{self._name}:{line}\n{what}"

    def _start(self, command: tuple[str, ...], **options: Any) -> subprocess.CompletedProcess[str]:
        given = {"env": self._environment, "text": True, "timeout": 120, **options}
        return subprocess.run(command, check=False, stdin=subprocess.DEVNULL, **given)


def _environment(home: Path) -> dict[str, str]:
    """What a reader's environment holds: nothing of this process's, but what measures coverage."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    own = {"HOME": str(home), "LANG": "C.UTF-8", "PATH": path, "TERM": "dumb", "TZ": "UTC", "USER": "you"}
    return {**kept, **own, "TMPDIR": str(home / "tmp")}  # pytest's is named after USER, who is made up


def commands(text: str) -> Iterator[tuple[int, str, str]]:
    """Every command of a console block: its line, itself, and the output below it."""
    lines = text.splitlines()
    starts = [n for n, line in enumerate(lines) if line.startswith("$ ")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        command = [lines[start][2:]]
        for line in lines[start + 1 : end]:
            if not line.startswith("> "):
                break
            command.append(line[2:])
        output = lines[start + len(command) : end]
        yield start, "\n".join(command), "".join(f"{line}\n" for line in output)
