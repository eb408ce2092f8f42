"""Services go from one registry to another as TOML; sealed passwords stay."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from acceptance.terminal import Terminal
from penstock import Service, Stores
from penstock.connect import ServiceAccount, read_password
from penstock.registry import RoleMode
from penstock.secrets import SecretRef

if TYPE_CHECKING:
    from pathlib import Path

MAIN = "postgresql+psycopg://me@db.example.org:5432"
EDIT = "penstock services edit main"
ODD = 'a "quoted" näme # = [x]'


@pytest.fixture
def there(tmp_path: Path) -> Terminal:
    """A terminal in another site, without any service."""
    folder = tmp_path / "there"
    folder.mkdir()
    terminal = Terminal(folder)
    terminal.ok("init")
    config = folder / "penstock.toml"
    config.write_text(
        config.read_text().replace("[services.local]\n", "").replace('\nurl = "sqlite', '\n# "')
    )
    return terminal


@pytest.fixture
def here(site: Terminal) -> Terminal:
    """A site with services of every kind."""
    words: list[object] = ["services", "add", "main", MAIN, "--password-stdin", "--roles", "store"]
    words += ["--admin-url", "postgresql://root@db.example.org:5432?sslmode=require"]
    site.ok(*words, "--admin-password-env", "ADMIN_PW", stdin=b"s3cret")
    site.ok("services", "add", "by_file", "postgresql://me@db2/postgres", "--password-file", "pw", "--pooled")
    site.ok("services", "add", ODD, "sqlite:///odd", "--max-connections", "7")
    return site


def services(site: Terminal) -> dict[str, Service]:
    with Stores.from_config(site.folder / "penstock.toml") as stores:
        return {service.name: service for service in stores.registry.services()}


def opened(site: Terminal, name: str = "main") -> str | None:
    with Stores.from_config(site.folder / "penstock.toml") as stores:
        return read_password(stores.services.get(name), ServiceAccount.SERVICE, stores.keyring)


# --- out and in -----------------------------------------------------------------------------------


def test_what_is_exported_and_imported_is_equal_but_for_sealed_passwords(
    here: Terminal, there: Terminal
) -> None:
    exported = here.ok("services", "export")
    there.ok("services", "import", "-", stdin=exported.encode())
    before, after = services(here), services(there)
    assert before["main"].password is not None
    before["main"] = replace(before["main"], password=None)
    before["local"] = replace(before["local"], url=before["local"].url.replace("sqlite:", "sqlite+pysqlite:"))
    assert before == after
    assert "s3cret" not in "".join(here.printed + there.printed)


def test_what_is_exported_is_what_penstock_toml_accepts(here: Terminal, there: Terminal) -> None:
    (there.folder / "penstock.toml").write_text(here.ok("services", "export"))
    before, after = services(here), services(there)
    assert list(before) == list(after)
    assert (after["main"].roles, after[ODD].max_connections, after["by_file"].pooled) == (
        RoleMode.STORE,
        7,
        True,
    )
    assert after["main"].admin_password == SecretRef("env", "ADMIN_PW")
    assert after["by_file"].password == SecretRef("file", f"{here.folder}/pw")


def test_only_what_is_not_the_default_is_written_and_addresses_without_the_driver(here: Terminal) -> None:
    assert tomllib.loads(here.ok("services", "export", "main", ODD)) == {
        "services": {
            "main": {
                "url": "postgresql://me@db.example.org:5432",
                "admin_url": "postgresql://root@db.example.org:5432?sslmode=require",
                "admin_password": "env:ADMIN_PW",
                "roles": "store",
            },
            ODD: {"url": f"sqlite:///{here.folder}/odd", "max_connections": 7},
        }
    }


def test_a_sealed_password_stays_and_a_comment_above_says_how_to_give_it_again(here: Terminal) -> None:
    assert here.ok("services", "export", "main").splitlines()[:3] == [
        "# The service's password is sealed where this comes from, and stays there.",
        "# After the import: penstock services edit main --prompt-password",
        "[services.main]",
    ]
    here.ok("services", "edit", "main", "--admin-password-stdin", stdin=b"s3cret")
    assert "--prompt-admin-password" in here.ok("services", "export", "main")
    assert "sealed:" not in here.ok("services", "export")
    assert "#" not in here.ok("services", "export", "by_file")


def test_what_a_platform_hands_out_is_not_exported(site: Terminal, tmp_path: Path) -> None:
    entries = {"type": "postgresql", "host": "db", "username": "me", "password": "s3cret"}
    bound = tmp_path / "bindings" / "bound"
    bound.mkdir(parents=True)
    for entry, text in entries.items():
        (bound / entry).write_text(text)
    env = {"SERVICE_BINDING_ROOT": str(bound.parent)}
    assert "bound" in site.ok("services", "list", env=env)
    assert "bound" not in site.ok("services", "export", env=env)
    done = site("services", "export", "bound", env=env)
    assert (done.code, "error[defined-elsewhere]" in done.err) == (1, True)
    done = site("services", "export", "local", "nothing")
    assert (done.code, done.out) == (2, "")


# --- in -------------------------------------------------------------------------------------------


def test_each_says_whether_it_needs_its_password(here: Terminal, there: Terminal) -> None:
    exported = here.ok("services", "export", "main", "by_file")
    (there.folder / "services.toml").write_text(exported)
    (here.folder / "pw").write_text("x")
    shown = there.ok("services", "import", "services.toml")
    assert shown.splitlines() == [
        "service main is postgresql://me@db.example.org:5432",
        f"  needs the service's password, if its server wants one: {EDIT} --prompt-password",
        "  needs the administrator's password at env:ADMIN_PW: The environment variable ADMIN_PW is not set.",
        "service by_file is postgresql://me@db2/postgres",
        f"  has the service's password at file:{here.folder}/pw",
    ]
    with Stores.from_config(there.folder / "penstock.toml") as stores:
        assert [(e.action, e.subject) for e in stores.registry.journal(2)] == [
            ("add service", "by_file"),
            ("add service", "main"),
        ]


def test_paths_are_relative_to_the_file_and_on_stdin_to_the_working_directory(there: Terminal) -> None:
    text = '[services.a]\nurl = "sqlite:///stores"\n'
    text += '[services.b]\nurl = "postgresql://me@h"\npassword = "file:pw"\n'
    (there.folder / "below").mkdir()
    (there.folder / "below" / "services.toml").write_text(text)
    there.ok("services", "import", "below/services.toml")
    assert services(there)["a"].url.endswith(f"{there.folder}/below/stores")
    there.ok("services", "import", "-", "--replace", stdin=text.encode())
    assert services(there)["a"].url.endswith(f"{there.folder}/stores")
    assert services(there)["b"].password == SecretRef("file", f"{there.folder}/pw")


def test_a_whole_configuration_gives_its_services(here: Terminal, there: Terminal) -> None:
    with (here.folder / "penstock.toml").open("a") as file:
        file.write('[links]\n"lab:gages" = "local"\n[engine]\nmax_connections = 5\n')
    there.ok("services", "import", here.folder / "penstock.toml")
    assert list(services(there)) == ["local"]
    assert there.json("settings", "list")["settings"] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '[services.a]\nurl = "sqlite:///a"\n[services.b]\nurl = 5\n',
            "<stdin>:4: services.b.url: is a whole",
        ),
        (
            '[services.a]\nurl = "sqlite:///a"\npasword = "x"\n',
            "<stdin>:3: services.a.pasword: is not a known",
        ),
        ('[services.a]\nurl = "postgresql://me:s3cret@h"\n', "<stdin>:2: services.a.url: holds a password"),
        (
            '[services.a]\nurl = "sqlite:///a"\n[services.b]\nurl = "oracle://h"\n',
            "<stdin>:4: services.b.url: There is",
        ),
        ("[services.a\n", "<stdin>:1: This is not TOML"),
        ("[engine]\nmax_connections = 5\n", "<stdin>:1: services: is missing"),
        ("", "<stdin>:1: services: is missing"),
    ],
)
def test_nothing_is_imported_where_something_is_wrong(there: Terminal, text: str, expected: str) -> None:
    done = there("services", "import", "-", stdin=text.encode())
    assert (done.code, done.out) == (1, "")
    assert f"error[config-problems]: {expected}" in done.err
    assert "s3cret" not in done.err
    assert services(there) == {}


def test_nothing_is_imported_where_one_is_there_already(here: Terminal, there: Terminal) -> None:
    there.ok("services", "add", "main", "sqlite:///mine")
    exported = here.ok("services", "export").encode()
    done = there("services", "import", "-", stdin=exported)
    assert (done.code, "error[service-exists]" in done.err, "main" in done.err) == (1, True, True)
    assert list(services(there)) == ["main"]
    done = here("services", "import", "-", "--replace", stdin=exported)
    assert (done.code, "error[defined-elsewhere]" in done.err) == (1, True)
    assert here("services", "import", "nowhere.toml").code == 2


# --- again ----------------------------------------------------------------------------------------


def test_a_sealed_password_is_kept_only_while_the_address_stays(here: Terminal) -> None:
    exported = here.ok("services", "export", "main")
    more = exported.replace('roles = "store"', "max_connections = 9")
    shown = here.ok("services", "import", "-", "--replace", stdin=more.encode())
    assert "service main is postgresql://me@db.example.org:5432 now" in shown
    assert "  keeps the service's password, sealed (key " in shown
    assert (services(here)["main"].max_connections, opened(here)) == (9, "s3cret")
    assert "service main is like that already" in here.ok(
        "services", "import", "-", "--replace", stdin=more.encode()
    )
    elsewhere = more.replace("me@db.", "me@db2.")
    shown = here.ok("services", "import", "-", "--replace", stdin=elsewhere.encode())
    assert "  needs the service's password" in shown
    assert (services(here)["main"].password, opened(here)) == (None, None)


def test_a_reference_takes_the_place_of_a_sealed_password(here: Terminal) -> None:
    exported = here.ok("services", "export", "main").replace(
        "admin_url", 'password = "env:MAIN_PW"\nadmin_url'
    )
    here.ok("services", "import", "-", "--replace", stdin=exported.encode(), env={"MAIN_PW": "x"})
    assert services(here)["main"].password == SecretRef("env", "MAIN_PW")
