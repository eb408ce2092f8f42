"""How commands fail: frames of the app, JSON, summaries of many stores, spinners."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from acceptance.terminal import LAB, PENSTOCK, Terminal

if TYPE_CHECKING:
    from pathlib import Path

FAILING = """
import json
from penstock import App, Database

def parse(text):
    return json.loads(text)

def seed(session, first_time):
    secret = "hunter2"
    parse("{" + secret)

class Two(App):
    package = "two"
    bad = Database("Its initializer fails.", initializer=seed)
"""

MANY = """
from penstock import App, Database

def well(session, first_time):
    pass

def dry(session, first_time):
    raise ValueError("dry")

class Many(App):
    package = "many"
    def persistent_store_settings(self):
        return [Database(name=f"s{n:02}", initializer=dry if n in (3, 17) else well) for n in range(COUNT)]
"""


@pytest.fixture
def failing(site: Terminal) -> Terminal:
    """A site with an app whose initializer fails."""
    site.app("two", FAILING)
    site.ok("link", "local", "two:bad")
    return site


def many(site: Terminal, count: int) -> Terminal:
    """A site with an app with many stores, of which two fail."""
    links = "".join(f'"many:s{n:02}" = "local"\n' for n in range(count))
    site.app(
        "many", MANY.replace("COUNT", str(count)).replace("Database(name=", "PersistentStoreDatabaseSetting(")
    )
    path = site.folder / "many" / "app.py"
    path.write_text(
        path.read_text().replace("import App, Database", "import App, PersistentStoreDatabaseSetting")
    )
    with (site.folder / "penstock.toml").open("a") as file:
        file.write(f"[links]\n{links}")
    return site


# --- the app's own frames -------------------------------------------------------------------------


def test_an_initializer_that_raises_shows_the_lines_of_the_app_and_no_others(failing: Terminal) -> None:
    done = failing("syncstores", "two")
    assert done.code == 1
    shown = done.out[done.out.index("    at: ") :].splitlines()[:5]
    assert [line.strip() for line in shown] == [
        "at: two/app.py:10, in seed",
        'parse("{" + secret)',
        "two/app.py:6, in parse",
        "return json.loads(text)",
        "try: Correct it, then run the sync again; the store is resumed where it stands.",
    ]
    assert "Traceback" not in done.all
    for foreign in ("site-packages", "json/decoder.py", "src/penstock", "hunter2"):
        assert foreign not in done.all


def test_debug_shows_all_of_them(failing: Terminal) -> None:
    done = failing("--debug", "syncstores", "two")
    assert done.code == 1
    assert "Traceback (most recent call last)" in done.err
    assert "json/decoder.py" in done.err


def test_an_app_that_can_not_be_imported_shows_its_own_lines_as_well(site: Terminal) -> None:
    site.app("bad", "import penstock\nimport json\n\njson.loads('{')\n")
    done = site("syncstores", "bad")
    assert done.code == 2
    assert "  at: bad/app.py:4\n          json.loads('{')\n  try: " in done.err
    assert "importlib" not in done.err
    site.app("bad", "import penstock\nclass Bad(:\n")
    assert "  at: bad/app.py:2\n          class Bad(:\n" in site("syncstores", "bad").err


def test_the_lines_of_an_app_that_is_installed_are_told_from_those_of_libraries(
    site: Terminal, tmp_path: Path
) -> None:
    packages = tmp_path / "site-packages"
    for name, text in {
        "library": "def work():\n    raise RuntimeError('no')\n",
        "three": "from penstock import App\nfrom library import work\nwork()\n",
    }.items():
        (packages / name).mkdir(parents=True)
        (packages / name / "__init__.py").write_text("" if name == "three" else text)
        (packages / name / "app.py").write_text(text)
    done = site("--app", "three.app:Three", "syncstores", "three", env={"PYTHONPATH": str(packages)})
    assert "three/app.py:3" in done.err
    assert "in work" not in done.err


def test_the_lines_of_a_driver_are_not_those_of_an_app(site: Terminal) -> None:
    site.ok("services", "add", "gone", "mariadb://me@127.0.0.1:1")
    done = site("services", "test", "gone")
    assert (done.code, "  at: " in done.err) == (1, False), done.err


# --- JSON for programs ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "name"),
    [
        ("syncstores nothing", 2, "app-unknown"),
        ("syncstores lab -d nothing", 2, "store-unknown"),
        ("syncstores lab -r", 2, "confirmation-needed"),
        ("services test nothing", 2, "service-unknown"),
        ("stores list nothing", 2, "app-unknown"),
        ("services list --no-such-option", 2, "usage"),
        ("services lst", 2, "usage"),
        ("link local lab:gages", 2, "usage"),
        ("apps show nothing", 2, "app-unknown"),
    ],
)
def test_with_json_an_error_is_a_document_on_stdout(site: Terminal, words: str, code: int, name: str) -> None:
    if name == "confirmation-needed":
        site.ok("link", "local", "lab:gages")
        site.ok("syncstores", "lab")
    done = site(*words.split(), "--json")
    assert done.code == code
    assert done.err == "" or name == "confirmation-needed"
    error = json.loads(done.out)["error"]
    assert error.keys() == {"code", "what", "why", "hint", "docs"}
    assert error["code"] == name
    assert error["what"]
    assert error["docs"].startswith("reference/")


def test_with_json_a_file_that_is_wrong_and_a_bug_are_documents_as_well(site: Terminal) -> None:
    (site.folder / "penstock.toml").write_text("nothing = 1\n")
    done = site("services", "list", "--json")
    assert (done.code, json.loads(done.out)["error"]["code"]) == (1, "config-problems")
    (site.folder / "penstock.toml").unlink()
    site.app(
        "lab", LAB + "\n    @classmethod\n    def declaration(cls):\n        raise SystemError('s3cret')\n"
    )
    done = site("settings", "list", "lab", "--json")
    assert json.loads(done.out)["error"]["code"] in ("app-unknown", "bug")
    assert "s3cret" not in json.dumps(json.loads(done.out)["error"]["what"])


def test_what_is_run_may_have_an_option_of_that_name(site: Terminal) -> None:
    done = site("run", "--", "no-such-program", "--json")
    assert (done.code, done.out) == (127, "")


def test_an_option_before_the_command_that_there_is_not_is_told_as_any_other(site: Terminal) -> None:
    done = site("--debgu", "services", "list")
    assert (done.code, "error[usage]: No such option" in done.err) == (2, True)
    assert json.loads(site("--debgu", "services", "list", "--json").out)["error"]["code"] == "usage"


# --- many stores ----------------------------------------------------------------------------------


def test_a_table_of_41_stores_ends_with_a_summary_and_the_failures_once_more(site: Terminal) -> None:
    many(site, 41)
    done = site("syncstores", "many", "--jobs", "4")
    assert done.code == 1
    assert len([line for line in done.out.splitlines() if " local " in line]) == 41
    summary, *failures = done.err.splitlines()
    assert summary == "41 stores: 39 ok, 2 failed"
    assert [line for line in failures if line.endswith(" failed")] == ["many:s03 failed", "many:s17 failed"]
    assert sum("ValueError: dry" in line for line in failures) == 2
    done = site("stores", "status", "many")
    summary, *failures = done.err.splitlines()
    assert summary == "41 stores: 39 ready, 2 half-made"
    assert [line for line in failures if " is " in line] == ["many:s03 is half-made", "many:s17 is half-made"]
    assert site("stores", "list", "many").err.splitlines() == ["41 stores: 39 ready, 2 failed"]
    assert "stores:" not in site("stores", "status", "--json").err


def test_a_table_that_is_seen_at_a_glance_has_no_summary(site: Terminal) -> None:
    many(site, 5)
    done = site("syncstores", "many")
    assert (done.code, done.err) == (1, "")
    assert "stores:" not in site("stores", "list").all


# --- spinners -------------------------------------------------------------------------------------

_HIDE = "\x1b[?25l"
"""What a spinner begins with: it hides the cursor."""


@pytest.mark.parametrize("words", ["stores status", "services test", "syncstores lab", "doctor"])
def test_a_command_that_waits_for_a_server_shows_it_on_stderr_of_a_terminal(
    site: Terminal, words: str
) -> None:
    site.ok("link", "local", "lab:gages")
    assert _HIDE in site.typed(*words.split()).out
    assert _HIDE not in site(*words.split()).all
    shell = f"{PENSTOCK} {words} > out.txt"
    done = site.typed("run", "--", "sh", "-c", shell)
    assert _HIDE in done.out
    assert _HIDE not in (site.folder / "out.txt").read_text()
    quiet = site.typed(*words.split(), env={"NO_COLOR": "1"})
    assert "\x1b[36m" not in quiet.out


def test_nothing_moves_where_stderr_is_no_terminal(site: Terminal) -> None:
    site.ok("link", "local", "lab:gages")
    done = site.typed("run", "--", "sh", "-c", f"{PENSTOCK} syncstores lab 2> err.txt")
    assert _HIDE not in done.out + (site.folder / "err.txt").read_text()
