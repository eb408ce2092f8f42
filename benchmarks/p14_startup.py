"""P14: how long `penstock --help` and `import penstock` take to start."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 21
MAX_RATIO = 1.5
MAX_EXTRA_MS = 60.0

HELP, BARE_HELP = "penstock --help", "bare click --help"
IMPORT, PASS = "import penstock", "python -c pass"


def main() -> None:
    """Run all four programs in turn, `ROUNDS` times or as often as the first argument says."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        count = write_bare_program(Path(folder), root())
        programs = {
            HELP: [str(Path(sys.executable).with_name("penstock")), "--help"],
            BARE_HELP: [sys.executable, str(Path(folder, "bare.py")), "--help"],
            IMPORT: [sys.executable, "-c", "import penstock"],
            PASS: [sys.executable, "-c", "pass"],
        }
        report(measure(programs, rounds), count)


def measure(programs: dict[str, list[str]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of every run, interleaved; a first round fills the caches and is not counted."""
    times: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(rounds + 1):
        for name, command in programs.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
            if turn:
                times[name].append((time.perf_counter() - start) * 1000)
    return times


def report(times: dict[str, list[float]], commands: int) -> None:
    """Print the table, the two figures and the verdict."""
    median = {name: statistics.median(values) for name, values in times.items()}
    print(f"{'program':<20}{'median ms':>10}{'min ms':>10}{'runs':>6}   ({commands} commands)")
    for name, values in times.items():
        print(f"{name:<20}{median[name]:>10.1f}{min(values):>10.1f}{len(values):>6}")
    ratio = median[HELP] / median[BARE_HELP]
    extra = median[IMPORT] - median[PASS]
    print(f"{HELP} / {BARE_HELP}: {ratio:.2f}x, target <= {MAX_RATIO}x: {verdict(ratio <= MAX_RATIO)}")
    met = verdict(extra <= MAX_EXTRA_MS)
    print(f"{IMPORT} - {PASS}: {extra:+.1f} ms, target <= +{MAX_EXTRA_MS:.0f} ms: {met}")


def verdict(met: bool) -> str:
    """The word for it."""
    return "met" if met else "MISSED"


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
