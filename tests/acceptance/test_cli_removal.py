"""Stores are dropped, brought back, purged, and passwords rotated, in a terminal."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from acceptance.conftest import add_service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from acceptance.terminal import Terminal
    from fix_servers import PostgreSQLServer, TestServer

pytestmark = pytest.mark.turns("ground")

WHEN = r"\d{4}-\d\d-\d\d"


@pytest.fixture
def synced(linked: Terminal, ground: TestServer) -> Terminal:
    """A site whose store `gages` is there, with a row of its own; its terminal has no colours."""
    linked.env["NO_COLOR"] = "1"
    linked.ok("syncstores", "lab")
    ground.run_sql("lab_gages", "INSERT INTO gage VALUES ('mine')")
    return linked


def kept(site: Terminal) -> list[dict[str, Any]]:
    """The dropped stores that are listed."""
    rows: list[dict[str, Any]] = site.json("stores", "list")["stores"]
    return [row for row in rows if row["state"] == "dropped"]


def healths(site: Terminal, *words: str) -> dict[str, str]:
    """What each database is like, by `stores status`."""
    rows = site.json("stores", "status", *words)["stores"]
    return {row["database"]: row["health"] for row in rows if row["database"]}


def numbers(ground: TestServer) -> list[str]:
    """The rows of the store `gages`."""
    return [number for (number,) in ground.run_sql("lab_gages", "SELECT number FROM gage ORDER BY number")]


# --- drop, and bring back -------------------------------------------------------------------------


def test_a_dropped_store_is_kept_for_a_while_and_comes_back(synced: Terminal, ground: TestServer) -> None:
    done = synced("stores", "drop", "lab:gages", "--yes")
    assert done.code == 0, done.all
    assert re.search(r"^Drops lab:gages: database lab_gages on main, [\d.]+ [kM]B, kept for 7 days", done.err)
    step, said = done.out.splitlines()
    [row] = kept(synced)
    assert step.startswith(f"  set database lab_gages aside as {row['database']}")
    assert re.fullmatch(
        rf"lab:gages is dropped, and kept until {WHEN}: penstock stores undrop lab:gages", said
    )
    assert (row["store"], row["service"], row["made"]) == ("gages", "main", "declared")
    assert healths(synced) == {"lab_gages": "not created", row["database"]: "dropped"}
    shown = synced("stores", "status")
    assert re.search(rf"why: It was dropped, and is kept until {WHEN}\.", shown.err)
    assert "lab_gages" not in ground.databases()
    assert synced.ok("stores", "undrop", "lab:gages") == "lab:gages is back: database lab_gages on main\n"
    assert kept(synced) == []
    assert healths(synced) == {"lab_gages": "ready"}
    assert numbers(ground) == ["1", "2", "mine"]


def test_a_drop_asks_on_a_terminal_and_only_a_yes_is_one(synced: Terminal, ground: TestServer) -> None:
    for answer in ("n", ""):
        done = synced.typed("stores", "drop", "lab:gages", answers=[("Drop it? [y/N]", answer)])
        assert (done.code, "Nothing was changed." in done.out) == (1, True), done.out
    assert numbers(ground) == ["1", "2", "mine"]
    done = synced.typed("stores", "drop", "lab:gages", answers=[("Drop it? [y/N]", "y")])
    assert (done.code, "kept for 7 days" in done.out) == (0, True), done.out
    assert "✓ lab:gages is dropped, and kept until" in done.out
    done = synced.typed("stores", "undrop", "lab:gages")
    assert (done.code, "✓ lab:gages is back" in done.out) == (0, True), done.out
    assert numbers(ground) == ["1", "2", "mine"]


def test_where_nobody_can_be_asked_nothing_is_dropped_without_a_yes(
    synced: Terminal, ground: TestServer
) -> None:
    for words in (["drop", "lab:gages"], ["drop", "lab:gages", "--now"]):
        done = synced("stores", *words, stdin=b"y\n")
        assert (done.code, done.out) == (2, ""), done.all
        assert done.err.startswith("Drops lab:gages: database lab_gages on main")
        assert "error[confirmation-needed]" in done.err
        assert "try: Add --yes" in done.err
    assert numbers(ground) == ["1", "2", "mine"]
    assert kept(synced) == []


def test_a_store_that_is_dropped_at_once_is_gone(synced: Terminal, ground: TestServer) -> None:
    question = "Drop this database with all that is in it? [y/N]"
    done = synced.typed("stores", "drop", "lab:gages", "--now", answers=[(question, "y")])
    assert (done.code, "kept" in done.out) == (0, False), done.out
    assert done.out.splitlines()[-1].endswith("✓ lab:gages is dropped")
    assert (kept(synced), ground.databases()) == ([], set())
    assert synced.ok("stores", "drop", "lab:gages") == "lab:gages had no database\n"
    done = synced("stores", "undrop", "lab:gages")
    assert (done.code, "error[store-unknown]" in done.err) == (2, True)


def test_where_nothing_is_to_be_kept_a_drop_says_so_before_it_asks(site: Terminal) -> None:
    config = site.folder / "penstock.toml"
    config.write_text(f"keep_dropped = 0\n{config.read_text()}")
    site.ok("link", "local", "lab:gages")
    site.ok("syncstores", "lab")
    done = site("stores", "drop", "lab:gages", "--yes")
    assert (done.code, "kept" in done.all) == (0, False), done.all
    assert kept(site) == []


def test_a_store_that_was_made_anew_has_to_go_before_the_old_one_comes_back(
    synced: Terminal, ground: TestServer
) -> None:
    synced.ok("stores", "drop", "lab:gages", "--yes")
    [old] = kept(synced)
    synced.ok("syncstores", "lab")
    assert numbers(ground) == ["1", "2"]
    done = synced("stores", "undrop", "lab:gages")
    assert (done.code, done.out) == (1, ""), done.all
    assert "error[store-exists]" in done.err
    assert "try: penstock stores drop lab:gages, then undrop this one by --database." in done.err
    synced.ok("stores", "drop", "lab:gages", "--yes")
    assert len(kept(synced)) == 2
    synced.ok("stores", "undrop", "lab:gages", "--database", old["database"])
    assert numbers(ground) == ["1", "2", "mine"]
    assert len(kept(synced)) == 1


def test_the_kept_store_of_an_app_that_is_gone_is_listed_and_comes_back(
    synced: Terminal, ground: TestServer
) -> None:
    synced.ok("stores", "drop", "lab:gages", "--yes")
    shutil.rmtree(synced.folder / "lab")
    [row] = kept(synced)
    assert healths(synced) == healths(synced, "lab") == {row["database"]: "dropped"}
    synced.ok("stores", "undrop", "lab:gages")
    assert healths(synced) == {"lab_gages": "broken"}
    assert numbers(ground) == ["1", "2", "mine"]


# --- for good -------------------------------------------------------------------------------------


def test_a_purge_takes_what_is_due_and_all_only_after_a_yes(synced: Terminal, ground: TestServer) -> None:
    assert synced.ok("stores", "purge") == "No dropped store is kept.\n"
    assert synced.ok("stores", "purge", "--all") == "No dropped store is kept.\n"
    synced.ok("stores", "drop", "lab:gages", "--yes")
    [row] = kept(synced)
    assert synced.ok("stores", "purge") == "Nothing is due.\n"
    done = synced("stores", "purge", "--all", stdin=b"y\n")
    assert (done.code, "error[confirmation-needed]" in done.err) == (2, True), done.all
    loss = f"Drops lab:gages: database {row['database']} on main"
    assert loss in done.err
    done = synced.typed("stores", "purge", "--all", answers=[("Drop them for good? [y/N]", "n")])
    assert (done.code, "Nothing was changed." in done.out) == (1, True), done.out
    assert kept(synced) == [row]
    done = synced.typed("stores", "purge", "--all", answers=[("Drop them for good? [y/N]", "y")])
    assert (done.code, loss in done.out) == (0, True), done.out
    assert f"✓ lab:gages: {row['database']} is gone" in done.out
    assert (kept(synced), ground.databases()) == ([], set())
    done = synced("stores", "undrop", "lab:gages")
    assert (done.code, "why: Kept: none." in done.err) == (2, True), done.all


def test_a_purge_in_which_one_store_fails_drops_the_others_and_exits_with_1(
    synced: Terminal, ground: TestServer
) -> None:
    synced.ok("stores", "create", "lab:basins.logan")
    for name in ("gages", "basins.logan"):
        synced.ok("stores", "drop", f"lab:{name}", "--yes")
    names = {row["store"]: row["database"] for row in kept(synced)}
    replace_database(ground, names["gages"])
    done = synced("stores", "purge", "--all", "--yes")
    assert (done.code, "error[store-not-ours]" in done.err) == (1, True), done.all
    assert done.out == f"lab:basins.logan: {names['basins.logan']} is gone\n"
    assert [row["store"] for row in kept(synced)] == ["gages"]


def replace_database(ground: TestServer, name: str) -> None:
    """Put a database of somebody's in place of one that is kept."""
    if ground.directory is None:
        ground.drop_database(name)
        ground.make_database(name)
        ground.run_sql(name, "CREATE TABLE mine (id int)")
        return
    (ground.directory / name).unlink()
    ground.make_database("mine")
    ground.run_sql("mine", "CREATE TABLE mine (id int)")
    (ground.directory / "mine.sqlite").rename(ground.directory / name)


# --- new logins for stores ------------------------------------------------------------------------


@pytest.fixture
def logged(site: Terminal, postgresql_ground: TestServer) -> Terminal:
    """A site with two stores on PostgreSQL that have logins of their own."""
    add_service(site, postgresql_ground)
    for setting in ("gages", "basins"):
        site.ok("link", "main", f"lab:{setting}")
    site.ok("syncstores", "lab")
    site.ok("stores", "create", "lab:basins.logan")
    return site


def address(site: Terminal, store: str = "lab:gages") -> str:
    """The address of a store, with its password."""
    return site.ok("stores", "url", store, "--reveal").strip()


def lets_in(url: str) -> bool:
    """Whether its server lets somebody in with this address."""
    try:
        psycopg.connect(url.replace("+psycopg", "")).close()
    except psycopg.OperationalError:
        return False
    return True


def is_told(site: Terminal, *urls: str) -> bool:
    """Whether the password of an address was printed, but where it was asked for."""
    passwords = [str(make_url(url).password) for url in urls]
    texts = [text for text in site.printed if text.strip() not in urls]
    return any(password in text for password in passwords for text in texts)


def test_a_store_gets_a_new_login_and_the_old_one_is_gone(logged: Terminal) -> None:
    old = address(logged)
    said = logged.ok("stores", "rotate", "lab:gages", "--grace", "0")
    assert said == "lab:gages has new logins\nlab:gages has no old logins any more\n"
    new = address(logged)
    assert (lets_in(old), lets_in(new)) == (False, True)
    said = logged.ok("stores", "rotate", "--all", "--grace", "0")
    assert said.splitlines() == [
        "lab:basins.logan has new logins",
        "lab:gages has new logins",
        "lab:basins.logan has no old logins any more",
        "lab:gages has no old logins any more",
    ]
    assert not lets_in(new)
    assert not is_told(logged, old, new, address(logged))


def test_a_login_that_is_in_use_is_left_for_a_later_finish(logged: Terminal) -> None:
    with psycopg.connect(address(logged).replace("+psycopg", "")) as busy:
        busy.execute("SELECT count(*) FROM gage")
        done = logged("stores", "rotate", "--service", "main", "--grace", "0")
        assert done.code == 1, done.all
        assert done.err == (
            f"lab:gages: {busy.info.user} is still needed\n  try: penstock stores rotate --all --finish\n"
        )
        assert "lab:gages has no old logins" not in done.out
        assert logged("stores", "rotate", "--all", "--finish", "--grace", "0").code == 1
        busy.execute("SELECT count(*) FROM gage")
    done = logged("stores", "rotate", "--all", "--finish")
    assert (done.code, "is still needed" in done.err) == (1, True), done.all
    said = logged.ok("stores", "rotate", "--all", "--finish", "--grace", "0")
    assert said.splitlines() == [
        "lab:basins.logan has no old logins any more",
        "lab:gages has no old logins any more",
    ]


def test_a_store_whose_rotation_fails_does_not_stop_the_others(logged: Terminal) -> None:
    logged.ok("services", "add", "files", f"sqlite:///{logged.folder}")
    logged.ok("link", "files", "lab:gages")
    logged.ok("syncstores", "lab", "-d", "gages")
    for more in ([], ["--finish"]):
        done = logged("stores", "rotate", "lab:gages", "lab:basins.logan", "--grace", "0", *more)
        assert (done.code, "error[not-supported]" in done.err) == (1, True), done.all
        assert "lab:gages has no logins of its own" in done.err
        assert done.out.splitlines()[-1] == "lab:basins.logan has no old logins any more"


def test_where_no_store_has_a_login_there_is_nothing_to_rotate(site: Terminal) -> None:
    site.ok("link", "local", "lab:gages")
    site.ok("syncstores", "lab")
    assert site.ok("stores", "rotate", "--all") == "No store has logins of its own.\n"
    done = site("stores", "rotate", "lab:gages", "--grace", "0")
    assert (done.code, "error[not-supported]" in done.err) == (1, True), done.all


# --- new passwords for services -------------------------------------------------------------------


@pytest.fixture
def turner(postgresql: PostgreSQLServer) -> Iterator[str]:
    """The address of a role of the test's own, whose password is `first`."""
    with postgresql.connect() as connection:
        first = sql.Literal("first")
        connection.execute(sql.SQL("CREATE ROLE turner LOGIN CREATEDB PASSWORD {}").format(first))
    yield f"postgresql://turner@127.0.0.1:{postgresql.port}"
    postgresql.clean()


def test_a_services_password_is_new_and_sealed_and_its_stores_go_on(
    site: Terminal, turner: str, postgresql_ground: TestServer
) -> None:
    (site.folder / "secret").write_text("first")
    site.ok("services", "add", "main", turner, "--password-file", "secret")
    site.ok("link", "main", "lab:gages")
    site.ok("syncstores", "lab")
    old = address(site)
    done = site("services", "rotate", "main")
    assert (done.code, done.out) == (1, ""), done.all
    assert "try: penstock services rotate main --seal keeps the new one in the registry." in done.err
    done = site("services", "rotate", "main", "--seal")
    assert done.code == 0, done.all
    said = r"the service's password of service main is new: sealed \(key \w+\)\n"
    assert re.fullmatch(said, done.out)
    assert done.err == f"note: file:{site.folder}/secret is not used any more, and holds the old password\n"
    second = address(site)
    done = site("services", "rotate", "main")
    assert (done.code, done.err) == (0, ""), done.all
    third = address(site)
    assert [lets_in(url) for url in (old, second, third)] == [False, False, True]
    site.ok("services", "test", "main")
    assert healths(site) == {"lab_gages": "ready"}
    assert not is_told(site, second, third)


def test_an_administrators_password_is_rotated_by_itself(site: Terminal, turner: str) -> None:
    words = ["services", "add", "main", turner.replace("turner", "nobody"), "--no-password"]
    site.ok(*words, "--admin-url", turner, "--admin-password-stdin", stdin=b"first")
    done = site("services", "rotate", "main", "--admin")
    assert (done.code, done.err) == (0, ""), done.all
    assert done.out.startswith("the administrator's password of service main is new: sealed (key ")
    assert not lets_in(f"{turner.replace('turner', 'turner:first')}/postgres")
    rows = {row["role"]: row["ok"] for row in site.json("services", "test", "main")["services"]}
    assert rows["administrator"]


def test_a_password_that_can_not_be_rotated_exits_with_1(site: Terminal, empty: Terminal) -> None:
    done = site("services", "rotate", "local")
    assert (done.code, "error[defined-elsewhere]" in done.err) == (1, True), done.all
    site.ok("services", "add", "files", f"sqlite:///{site.folder}")
    done = site("services", "rotate", "files", "--seal")
    assert (done.code, "error[not-supported]" in done.err) == (1, True), done.all
    site.ok("services", "add", "gone", "postgresql://me@127.0.0.1:1", "--password-stdin", stdin=b"s3cret")
    done = site("services", "rotate", "gone")
    assert (done.code, "error[server-unreachable]" in done.err) == (1, True), done.all
    assert "s3cret" not in done.all
    listed = site("services", "list")
    assert "service gone is getting a new password\n  try: penstock services rotate gone\n" in listed.err
    assert {row["service"]: row["rotating"] for row in site.json("services", "list")["services"]} == {
        "files": False,
        "gone": True,
        "local": False,
    }


# --- named wrongly --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["stores", "drop", "nothing:gages", "--yes"], "app-unknown"),
        (["stores", "drop", "lab", "--yes"], "usage"),
        (["stores", "drop", "lab:gages", "--service", "nothing", "--yes"], "store-unknown"),
        (["stores", "undrop", "lab:gages"], "store-unknown"),
        (["stores", "undrop", "lab:gages", "--database", "nothing"], "store-unknown"),
        (["stores", "undrop", "lab"], "usage"),
        (["stores", "purge", "lab:gages"], "usage"),
        (["stores", "rotate"], "usage"),
        (["stores", "rotate", "lab:gages", "--all"], "usage"),
        (["stores", "rotate", "--all", "--grace", "-1"], "usage"),
        (["stores", "rotate", "lab:nothing"], "store-unknown"),
        (["stores", "rotate", "nothing:gages"], "app-unknown"),
        (["stores", "rotate", "lab:nothing", "--finish"], "store-unknown"),
        (["stores", "rotate", "--service", "nothing"], "service-unknown"),
        (["services", "rotate", "nothing"], "service-unknown"),
        (["services", "rotate"], "usage"),
    ],
)
def test_t12_what_is_named_wrongly_exits_with_2_and_changes_nothing(
    site: Terminal, words: list[str], code: str
) -> None:
    site.ok("link", "local", "lab:gages")
    done = site(*words)
    assert (done.code, done.out) == (2, ""), done.all
    assert f"error[{code}]" in done.err
    assert "  try: " in done.err


@pytest.mark.parametrize("words", ["drop lab:gages", "undrop lab:gages", "purge --all", "rotate --all"])
def test_without_a_configuration_nothing_is_remembered_so_nothing_is_changed(
    empty: Terminal, words: str
) -> None:
    done = empty("stores", *words.split())
    assert done.code in (1, 2), done.all
    assert done.out == ""
