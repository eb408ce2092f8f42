"""Sealed passwords at the command line: kept, bound, their keys lost and rotated."""

from __future__ import annotations

import socket
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from acceptance.test_cli_services import opened
from faults.canary import PASSWORD, Search
from penstock import Stores

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from acceptance.terminal import Terminal
    from fix_servers import PostgreSQLServer

ADDRESS = "postgresql://me@127.0.0.1:1"


def key_file(site: Terminal) -> Path:
    return site.folder / ".penstock" / "key"


def key_ids(site: Terminal) -> list[str]:
    return [line.partition(":")[0] for line in key_file(site).read_text().split()]


def add(site: Terminal, name: str = "main", url: str = ADDRESS, password: str = PASSWORD) -> None:
    site.ok("services", "add", name, url, "--password-stdin", stdin=password.encode() + b"\n")


def by_hand(site: Terminal, statement: str, *values: str) -> None:
    """Change the registry behind Penstock's back."""
    path = site.folder / ".penstock" / "registry.sqlite3"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)


def row(site: Terminal, name: str = "main") -> dict[str, object]:
    rows = site.json("services", "list")["services"]
    found: dict[str, object] = next(each for each in rows if each["service"] == name)
    return found


@pytest.fixture
def eavesdropper() -> Iterator[socket.socket]:
    """Listens where nobody is meant to connect."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


def heard_nothing(eavesdropper: socket.socket) -> bool:
    """Whether nobody ever connected."""
    try:
        eavesdropper.accept()[0].close()
    except BlockingIOError:
        return True
    return False


# --- kept, never shown ----------------------------------------------------------------------------


def test_t15_a_password_is_sealed_and_in_no_file_in_any_disguise(site: Terminal) -> None:
    before = set(site.folder.rglob("*"))
    add(site)
    site.ok(
        *("services", "edit", "main", "--admin-url", ADDRESS, "--admin-password-stdin"),
        stdin=PASSWORD.encode(),
    )
    secret = key_file(site).read_text().strip().partition(":")[2]
    for search in (Search(), Search(secret)):
        search.folder(site.folder, but=(key_file(site),))
        for text in site.printed:
            search.text("output", text)
        assert search.found == []
    assert {path.name for path in set(site.folder.rglob("*")) - before} <= {".key.lock", "__pycache__"}
    assert key_file(site).stat().st_mode & 0o777 == 0o600
    shown = f"sealed (key {key_ids(site)[0]})"
    assert (row(site)["password"], row(site)["admin_password"]) == (shown, shown)
    for words in (("services", "list"), ("secrets", "check"), ("doctor",)):
        printed = site(*words).all
        assert shown in printed
        assert "sealed:" not in printed


def test_z5_no_keyring_of_the_desktop_is_asked(site: Terminal) -> None:
    (site.folder / "keyring.py").write_text("raise SystemExit('somebody asked the desktop')")
    site.env["PYTHONPATH"] = str(site.folder)
    add(site)
    site.ok("secrets", "check")
    key_file(site).unlink()
    done = site("services", "edit", "main", "--password-stdin", stdin=b"other")
    assert (done.code, "error[key-missing]" in done.err) == (1, True)
    assert "penstock init" in done.err


def test_t15_blank_keeps_the_password_while_the_address_is_the_same(site: Terminal) -> None:
    add(site)
    site.ok("services", "edit", "main", "--max-connections", "7", "--pooled")
    assert (row(site)["max_connections"], row(site)["pooled"]) == (7, True)
    site.ok("services", "edit", "main", "--max-connections", "0", "--no-pooled")
    assert (row(site)["max_connections"], row(site)["pooled"]) == (None, False)
    done = site.typed("services", "edit", "main", "--prompt-password", answers=[("empty keeps it", "")])
    assert done.code == 0
    site.ok("services", "edit", "main", "--url", f"{ADDRESS}/other?application_name=x")
    assert opened(site) == PASSWORD
    done = site("services", "edit", "main", "--url", f"{ADDRESS}?hostaddr=127.0.0.2")
    assert (done.code, "given again" in done.err) == (2, True)
    done = site.typed(
        *("services", "edit", "main", "--url", f"{ADDRESS}0"), answers=[("empty for none", "another")]
    )
    assert (done.code, opened(site)) == (0, "another")
    site.ok("services", "edit", "main", "--no-password")
    assert (row(site)["password"], opened(site)) == (None, None)


def test_the_journal_knows_of_seals_and_rotations(site: Terminal) -> None:
    add(site)
    [first] = key_ids(site)
    site.ok("secrets", "rotate-key", "--drop-old", "--yes")
    [second] = key_ids(site)
    with Stores.from_config(site.folder / "penstock.toml") as stores:
        lines = [(entry.action, entry.subject, dict(entry.detail)) for entry in stores.registry.journal(4)]
    assert lines == [
        ("drop keys", first, {}),
        ("seal again", "main", {"key": second}),
        ("make key", str(key_file(site)), {}),
        ("add service", "main", {"url": row(site)["url"], "password": f"sealed (key {first})"}),
    ]


def test_a_password_file_is_used_until_a_password_takes_its_place_and_is_left_as_it_is(
    site: Terminal,
) -> None:
    kept = site.folder / "main.password"
    kept.write_text("old")
    site.ok("services", "add", "main", ADDRESS, "--password-file", kept)
    site.ok("services", "edit", "main", "--max-connections", "3")
    assert opened(site) == "old"
    site.ok("services", "edit", "main", "--password-stdin", stdin=b"new")
    assert (opened(site), kept.read_text()) == ("new", "old")


# --- the registry changed by hand -----------------------------------------------------------------

BY_HAND = {
    "host": "postgresql+psycopg://penstock@localhost:{port}",
    "port": "postgresql+psycopg://penstock@127.0.0.1:{evil}",
    "user": "postgresql+psycopg://penstock_admin@127.0.0.1:{port}",
    "option": "postgresql+psycopg://penstock@127.0.0.1:{port}?hostaddr=127.0.0.1&port={evil}",
    "hosts": "postgresql+psycopg://penstock@/?host=127.0.0.1:{evil}&host=127.0.0.1:{port}",
}


@pytest.mark.parametrize("url", BY_HAND.values(), ids=BY_HAND)
def test_z4_an_address_that_was_changed_by_hand_never_gets_the_password(
    site: Terminal, postgresql: PostgreSQLServer, eavesdropper: socket.socket, url: str
) -> None:
    add(site, url=postgresql.url, password=postgresql.owner_password_file.read_text().strip())
    site.ok("services", "test", "main")
    site.ok("link", "main", "lab:gages")
    evil = eavesdropper.getsockname()[1]
    by_hand(site, "UPDATE penstock_service SET url = ?", url.format(port=postgresql.port, evil=evil))
    for words in (("services", "test", "main"), ("syncstores", "lab"), ("secrets", "check"), ("doctor",)):
        done = site(*words)
        assert (done.code, "services edit main --password-stdin" in done.all) == (1, True), words
    assert "error[seal-broken]" in site("services", "test", "main").err
    assert heard_nothing(eavesdropper)
    assert postgresql.databases() == set()


def test_z4_a_scheme_that_was_changed_by_hand_is_refused(site: Terminal) -> None:
    add(site)
    by_hand(site, "UPDATE penstock_service SET url = 'sqlite+pysqlite:///127.0.0.1' WHERE name = 'main'")
    assert "error[seal-broken]" in site("secrets", "check").err


def test_z4_what_is_sealed_for_one_service_does_not_open_for_another(site: Terminal) -> None:
    add(site, "main", password="mine")
    add(site, "other", password="theirs")
    by_hand(
        site,
        "UPDATE penstock_service SET password = (SELECT password FROM penstock_service WHERE name = 'main') "
        "WHERE name = 'other'",
    )
    rows = {each["service"]: each for each in site.json("secrets", "check")["secrets"]}
    assert (rows["main"]["ok"], rows["other"]["ok"]) == (True, False)
    assert rows["other"]["error"]["code"] == "seal-broken"
    site.ok("services", "edit", "other", "--password-stdin", stdin=b"again")
    site.ok("secrets", "check")
    assert (opened(site, "main"), opened(site, "other")) == ("mine", "again")


def test_z4_a_sealed_text_that_is_broken_hides_no_other_service(site: Terminal) -> None:
    add(site, "main")
    by_hand(site, "UPDATE penstock_service SET password = 'sealed:garbage' WHERE name = 'main'")
    assert row(site)["password"] == "sealed (key ?)"
    assert "error[seal-broken]" in site("secrets", "check").err


# --- keys -----------------------------------------------------------------------------------------


def test_a_lost_key_is_named_and_a_new_one_begins_again(site: Terminal) -> None:
    add(site)
    [lost] = key_ids(site)
    key_file(site).unlink()
    assert "made .penstock/key" in site.ok("init")
    assert "nothing was changed" in site.ok("init")
    done = site("services", "test", "main")
    assert (done.code, "error[key-missing]" in done.err) == (1, True)
    assert f"There is no key {lost}" in done.err
    assert f"{key_file(site)} holds {key_ids(site)[0]}" in done.err
    site.ok("services", "edit", "main", "--password-stdin", stdin=b"again")
    assert opened(site) == "again"


def test_a_key_file_that_others_can_read_is_not_used(site: Terminal) -> None:
    add(site)
    key_file(site).chmod(0o640)
    done = site("secrets", "check")
    assert (done.code, "error[key-unsafe]" in done.err) == (1, True)
    assert "chmod 600" in done.err
    assert "chmod go=" in site("doctor").out


def test_a_new_key_takes_over_and_the_old_one_is_dropped_when_that_is_said(site: Terminal) -> None:
    add(site, "main", password="one")
    add(site, "other", password="two")
    [first] = key_ids(site)
    said = site.ok("secrets", "rotate-key")
    assert f"Nothing is sealed with key {first} any more." in said
    second, kept = key_ids(site)
    assert kept == first
    assert f"Everything that is sealed is sealed with key {second}." in site.ok("secrets", "rotate-key")
    done = site("secrets", "rotate-key", "--drop-old")
    assert (done.code, "error[confirmation-needed]" in done.err) == (2, True)
    assert key_ids(site) == [second, first]
    site.ok("secrets", "rotate-key", "--drop-old", "--yes")
    assert key_ids(site) == [second]
    assert (opened(site, "main"), opened(site, "other")) == ("one", "two")


def test_a_key_that_something_is_still_sealed_with_is_never_dropped(site: Terminal) -> None:
    add(site, "main", password="one")
    add(site, "moved", password="two")
    [first] = key_ids(site)
    by_hand(site, "UPDATE penstock_service SET url = 'postgresql://me@elsewhere' WHERE name = 'moved'")
    done = site("secrets", "rotate-key", "--drop-old", "--yes")
    assert (done.code, "error[seal-broken]" in done.err) == (1, True)
    assert first in key_ids(site)
    by_hand(site, "UPDATE penstock_service SET url = ? WHERE name = 'moved'", ADDRESS)
    site.ok("secrets", "rotate-key", "--drop-old", "--yes")
    assert first not in key_ids(site)
    assert (opened(site, "main"), opened(site, "moved")) == ("one", "two")


def test_a_service_that_a_file_hides_gets_the_new_key_too(site: Terminal) -> None:
    add(site, "main", password="one")
    config = site.folder / "penstock.toml"
    text = config.read_text()
    config.write_text(text + '\n[services.main]\nurl = "sqlite:///elsewhere"\n')
    site.ok("secrets", "rotate-key", "--drop-old", "--yes")
    config.write_text(text)
    assert opened(site) == "one"


def test_keys_in_the_environment_are_for_the_operator_to_change(site: Terminal) -> None:
    old = key_file(site).read_text().strip()
    key_file(site).unlink()
    site.env["PENSTOCK_KEY"] = old
    add(site)
    assert "made" not in site.ok("init")
    done = site("secrets", "rotate-key")
    assert (done.code, 'PENSTOCK_KEY="$(openssl rand -base64 32),$PENSTOCK_KEY"' in done.err) == (1, True)
    site.env["PENSTOCK_KEY"] = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=," + old
    said = site.ok("secrets", "rotate-key")
    assert "take it out of PENSTOCK_KEY" in said
    done = site("secrets", "rotate-key", "--drop-old", "--yes")
    assert (done.code, "no command can change" in done.err) == (1, True)
    site.env["PENSTOCK_KEY"] = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
    site.ok("secrets", "check")
    assert not any(text in "".join(site.printed) for text in ("MDEyMzQ1", old.partition(":")[2]))
