"""The demo, run as anybody runs it: what it shows, how it fails, what it leaves."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fix_servers import unavailable
from penstock.embedded import find_binaries
from penstock.embedded.layout import SHARED
from penstock.errors import BinariesNotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXAMPLES = Path(__file__).parents[2] / "examples"
BUILT_IN = EXAMPLES / "stream_gages" / "built_in.rdb"
SECONDS = 240  # It takes 10 to 20 on a machine that does nothing else; here all tests run at once.


# --- running it -----------------------------------------------------------------------------------


def _hear_hangups() -> None:
    """Under nohup, a program inherits that it is not told of a hangup."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Demo:
    """A running demo, with traps in its environment.

    Args:
        tmp: Where it makes its folder.
        gages: The site file it is given; none for the built-in one.
    """

    def __init__(self, tmp: Path, gages: Path | None) -> None:
        traps = {"DATABASE_URL": "sqlite:///trap", "PENSTOCK_CONFIG": "trap.toml", "PGHOST": "trap.invalid"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "stream_gages.demo"],
            cwd=EXAMPLES,
            env={**os.environ, **traps, "TMPDIR": str(tmp), "GAGES": str(gages or "")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_hear_hangups,  # noqa: PLW1509  (no other thread forks here)
        )
        self.output = ""

    def until(self, text: str) -> None:
        """Wait until it has printed a line with `text` in it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if text in line:
                return
        pytest.fail(f"the demo ended before it printed {text!r}")

    def end(self) -> tuple[int, str]:
        """Wait for its end; its exit code and what it wrote to stderr."""
        output, errors = self.process.communicate(timeout=SECONDS)
        self.output += output
        return self.process.returncode, errors

    @property
    def server(self) -> str:
        """What ends the name of its server's folder below /var/lib/penstock, if it has one there."""
        found = re.search(r"^  folder   (.*), removed at the end$", self.output, re.MULTILINE)
        assert found is not None
        home = Path(found[1], ".penstock", "postgres")
        return hashlib.sha256(os.fsencode(home)).hexdigest()[:12]


@pytest.fixture
def tmp() -> Iterator[Path]:
    """Where the demo makes its folder; nothing may run there, or lie there, afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="penstock-test-demo-"))
    yield folder
    left = sorted(folder.iterdir())
    shutil.rmtree(folder)
    assert left == []
    assert processes_naming(str(folder)) == []


@pytest.fixture
def start(tmp: Path) -> Iterator[Callable[..., Demo]]:
    """Starts demos; once they have ended nothing of their servers may be left."""
    try:
        find_binaries()
    except BinariesNotFound as error:
        unavailable(str(error))
    started: list[Demo] = []

    def run(gages: Path | None = None) -> Demo:
        started.append(Demo(tmp, gages))
        return started[-1]

    yield run
    for demo in started:
        if demo.process.poll() is None:
            demo.process.terminate()
            demo.end()
        if demo.output:
            assert list(SHARED.glob(f"*-{demo.server}")) == []
            assert processes_naming(demo.server) == []


def processes_naming(text: str) -> list[str]:
    """What runs with a text in its command line, as every server has its folder there."""
    done = subprocess.run(["ps", "-A", "-o", "pid=,args="], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if text in line]


# --- when all is well -----------------------------------------------------------------------------


def check_tour(demo: Demo, gages: int, high: int, basins: int, highest: str) -> None:
    """The demo ends well, and has shown these numbers twice: on PostgreSQL and on SQLite."""
    assert demo.end() == (0, ""), demo.output
    expected = [
        f"ok  {gages} gages are in the store, each as in the file",
        f"ok  {high} gages are above 1000 ft",
        f"ok  the highest gage is {highest}",
        f"ok  {basins} stores are made, each with the gages of its basin",
        f"ok  together they have {gages} gages",
        "ok  all of them are dropped",
        "ok  the gages were not put in a second time",
        "ok  the store is gone",
    ]
    assert [text for text in expected if demo.output.count(f"  {text}\n") != 2] == []
    assert demo.output.endswith("Everything was as expected. No process and no file is left.\n")
    check_commands(demo.output)


def check_commands(output: str) -> None:
    shown = re.findall(r"^\$ penstock (.*)$", output, re.MULTILINE)
    begin = ["init", "db configure", "services list"]
    assert shown == [*begin, *commands("postgres"), "db remove --yes --force", *commands("local")]


def commands(service: str) -> list[str]:
    return [
        f"link {service} stream_gages:gages",
        f"link {service} stream_gages:basins",
        "syncstores stream_gages",
        "stores status stream_gages",
        "syncstores stream_gages",
        "stores drop stream_gages:gages --now --yes",
    ]


def test_the_demo_with_the_gages_that_are_built_in(start):
    check_tour(start(), 8, 6, 3, "SOUTH FORK NEW RIVER NR CRUMPLER, NC, 2550.00 ft")


@pytest.mark.soak
def test_the_demo_with_a_real_site_file(shared_data, start):
    gages = shared_data / "usgs-nwis_sites.txt"
    check_tour(start(gages), 206, 79, 25, "BRUMLEY CREEK NEAR HANSONVILLE, VA, 3371.95 ft")


# --- when something is not as expected ------------------------------------------------------------


def test_a_file_that_can_not_be_understood_is_named_with_its_line_before_anything_is_made(start, tmp_path):
    broken = tmp_path / "broken.rdb"
    broken.write_text(BUILT_IN.read_text("utf-8").replace("\t-81.0442497", ""), "utf-8")
    demo = start(broken)
    said = f"\nThe demo failed: the gages: {broken}, line 15: 12 columns expected, 11 found\n"
    assert demo.end() == (1, said)
    assert demo.output == ""


def test_a_missing_file_is_named(start, tmp_path):
    code, errors = start(tmp_path / "none.rdb").end()
    assert code == 1
    assert "The demo failed: the gages: " in errors
    assert "none.rdb" in errors


@pytest.mark.long
def test_a_file_that_breaks_during_the_demo_fails_the_sync_and_leaves_nothing(start, tmp_path):
    gages = tmp_path / "gages.rdb"
    shutil.copy(BUILT_IN, gages)
    demo = start(gages)
    demo.until("$ penstock init")
    gages.write_text("nothing of the kind\n", "utf-8")
    said = "\nThe demo failed: penstock syncstores stream_gages: ended with exit code 1\n"
    assert demo.end() == (1, said)
    assert f"{gages}, line 1: there is no column site_no" in demo.output


@pytest.mark.long
def test_a_gage_that_differs_fails_the_comparison_and_leaves_nothing(start, tmp_path):
    gages = tmp_path / "gages.rdb"
    shutil.copy(BUILT_IN, gages)
    demo = start(gages)
    demo.until("$ penstock init")
    gages.write_text(BUILT_IN.read_text("utf-8").replace(" 2550.00", " 2551.00"), "utf-8")
    code, errors = demo.end()
    assert code == 1
    assert "The demo failed: 8 gages are in the store, each as in the file: " in errors


@pytest.mark.parametrize(
    ("when", "number"),
    [
        ("$ penstock init", signal.SIGTERM),
        ("$ penstock db configure", signal.SIGINT),
        ("$ penstock syncstores", signal.SIGTERM),
        ("basins.create", signal.SIGHUP),
    ],
)
@pytest.mark.once("db configure")
def test_a_demo_that_is_stopped_leaves_nothing(start, when, number):
    demo = start()
    demo.until(when)
    demo.process.send_signal(number)
    assert demo.end() == (1, f"\nThe demo failed: stopped by {number.name}\n")


def test_a_demo_that_nobody_reads_leaves_nothing(start):
    demo = start()
    demo.until("$ penstock services list")
    demo.process.stdout.close()
    errors = demo.process.stderr.read()
    assert demo.process.wait(timeout=SECONDS) == 1
    assert errors == "\nThe demo failed: nobody reads what it prints\n"
    demo.process.stderr.close()
