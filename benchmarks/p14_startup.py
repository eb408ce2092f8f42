"""P14: how long `penstock --help` and `import penstock` take to start."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from measure import VERDICT, Target, Way, arguments, interleaved, report, table, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 21
MAX_EXTRA_MS = 60.0

HELP, BARE_HELP = "penstock --help", "bare click --help"
IMPORT, PASS = "import penstock", "python -c pass"


def main() -> None:
    """Run all four programs in turn."""
    (rounds,) = arguments(__doc__, rounds=ROUNDS)
    with tempfile.TemporaryDirectory() as folder:
        count = write_bare_program(Path(folder), root())
        programs = {
            HELP: [str(Path(sys.executable).with_name("penstock")), "--help"],
            BARE_HELP: [sys.executable, str(Path(folder, "bare.py")), "--help"],
            IMPORT: [sys.executable, "-c", "import penstock"],
            PASS: [sys.executable, "-c", "pass"],
        }
        times = interleaved(
            {name: Way(work=partial(run, it)) for name, it in programs.items()}, rounds, unit="ms"
        )
    targets = [Target("P14", HELP, BARE_HELP, 1.5)]
    report(
        f"Programs from start to end; the bare one has the same {count} commands", times, targets, unit="ms"
    )
    extra = statistics.median(times[IMPORT]) - statistics.median(times[PASS])
    wanted = f"<= +{MAX_EXTRA_MS:.0f} ms"
    figure = f"{IMPORT} - {PASS}"
    table("", VERDICT, [verdict("P14", figure, f"{extra:+.1f} ms", wanted, so=extra <= MAX_EXTRA_MS)])


def run(command: list[str]) -> None:
    """Run a program to its end."""
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)


# --- the peer: a program of the same shape that does nothing else -----------------------------------


def root() -> click.Group:
    """The command `penstock` itself."""
    from penstock import cli

    return next(value for value in vars(cli).values() if isinstance(value, click.Group))


def write_bare_program(folder: Path, group: click.Group) -> int:
    """Write `bare.py` and the module of its commands, compiled at the first run; return their number."""
    lines = list(source(group, "main"))
    folder.joinpath("commands.py").write_text("\n".join(["import click", *lines, ""]), "utf-8")
    folder.joinpath("bare.py").write_text("from commands import main\nmain()\n", "utf-8")
    return sum(line.startswith("@") and ".command(" in line for line in lines)


def source(group: click.Group, variable: str, parent: str = "click") -> Iterator[str]:
    """Python source of a group and its commands, with the same names and help texts."""
    yield from function(f"{parent}.group({group.name!r})", variable, group.help)
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        inner = f"{variable}_{name.replace('-', '_')}"
        if isinstance(command, click.Group):
            yield from source(command, inner, variable)
        elif command is not None:
            yield from function(f"{variable}.command({name!r})", inner, command.help)


def function(decorator: str, name: str, help_text: str | None) -> Iterator[str]:
    """Python source of one decorated function."""
    yield from (f"@{decorator}", f"def {name}():", f"    {help_text or ''!r}", "    pass")


if __name__ == "__main__":
    main()
