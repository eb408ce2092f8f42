"""The private server from the command line, and the doctor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fix_servers import unavailable
from penstock.embedded import find_binaries
from penstock.errors import BinariesNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from acceptance.terminal import Terminal
    from fix_servers import TestServer


@pytest.fixture
def db(site: Terminal) -> Iterator[Terminal]:
    """A site that may make a server of its own."""
    try:
        find_binaries()
    except BinariesNotFound as error:
        unavailable(str(error))
    yield site
    site("db", "remove", "--force", "--yes")


def test_a_private_server_is_made_used_stopped_and_removed(db: Terminal) -> None:
    assert db.json("db", "status")["state"] == "not configured"
    assert "service postgres is registered" in db.ok("db", "configure")
    assert "service postgres is registered already" in db.ok("db", "configure")
    before = db.json("db", "status")
    assert (before["state"], before["host"]) == ("running", "127.0.0.1")
    assert [row["ok"] for row in db.json("services", "test", "postgres")["services"]] == [True, True]
    db.ok("link", "postgres", "lab:gages")
    db.ok("syncstores", "lab")
    db.ok("db", "stop")
    done = db("syncstores", "lab")
    assert (done.code, "error[server-unreachable]" in done.out) == (1, True)
    db.ok("db", "start")
    db.ok("syncstores", "lab")
    done = db("db", "remove", "--yes")
    assert (done.code, "lab:gages" in done.err) == (1, True)
    done = db("db", "remove", "--force")
    assert (done.code, "Drops lab:gages: database lab_gages on postgres" in done.err) == (2, True)
    db.ok("db", "remove", "--force", "--yes")
    assert [row["service"] for row in db.json("services", "list")["services"]] == ["local"]
    assert db.json("db", "status")["state"] == "not configured"
    assert not (db.folder / ".penstock/secrets/postgres").exists()


def test_a_client_program_looks_into_a_store_of_a_private_server(db: Terminal) -> None:
    db.ok("db", "configure")
    db.ok("link", "postgres", "lab:gages")
    db.ok("syncstores", "lab")
    ask = ("-X", "-A", "-t", "-c", "SELECT session_user = current_user, count(*) FROM gage")
    assert db.ok("stores", "shell", "lab:gages", "--", *ask) == "t|2\n"


def test_a_server_whose_password_was_changed_is_known_as_ours_all_the_same(db: Terminal) -> None:
    db.ok("db", "configure")
    db.ok("services", "rotate", "postgres", "--seal")
    db.ok("services", "rotate", "postgres", "--admin", "--seal")
    assert "service postgres is registered already" in db.ok("db", "configure")
    db.ok("services", "test", "postgres")
    db.ok("link", "postgres", "lab:gages")
    db.ok("syncstores", "lab", "-d", "gages")
    assert db.json("stores", "status", "lab")["stores"][0]["health"] == "ready"
    db.ok("db", "remove", "--force", "--yes")
    assert [row["service"] for row in db.json("services", "list")["services"]] == ["local"]


def test_another_port_changes_the_service_and_a_taken_name_is_refused(db: Terminal) -> None:
    done = db("db", "configure", "--service", "local")
    assert (done.code, "error[service-exists]" in done.err) == (1, True)
    db.ok("db", "configure", "--service", "mine")
    old = db.json("db", "status")["port"]
    new = old + 1
    assert "service mine is changed" in db.ok("db", "configure", "--service", "mine", "--port", new)
    rows = {row["service"]: row for row in db.json("services", "list")["services"]}
    assert rows["mine"]["url"] == f"postgresql+psycopg://penstock@127.0.0.1:{new}"
    db.ok("services", "test", "mine")


# --- doctor ---------------------------------------------------------------------------------------


def results(site: Terminal, **options: object) -> dict[tuple[str, str], str]:
    """What the doctor found: check and subject, and how it came out."""
    document = site.json("doctor", **options)
    return {(each["check"], each["subject"]): each["result"] for each in document["checks"]}


def test_the_doctor_finds_nothing_wrong_where_nothing_is(site: Terminal) -> None:
    site.ok("link", "local", "lab:gages")
    site.ok("syncstores", "lab")
    done = site("doctor")
    assert done.code == 0, done.out
    assert {line.split()[0] for line in done.out.splitlines()} <= {"ok", "warn", "try:"}
    assert results(site)["store", "lab:gages"] == "ok"
    assert results(site)["setting", "lab:basins"] == "warn"


def test_the_doctor_compares_what_all_processes_may_have_with_the_room_of_the_server(
    linked: Terminal, ground: TestServer
) -> None:
    def connections(*words: str) -> list[tuple[str, str]]:
        checks = linked.json("doctor", *words)["checks"]
        return [(each["result"], each["message"]) for each in checks if each["check"] == "connections"]

    if ground.kind == "sqlite":
        assert connections() == []  # A directory has no such limit.
        return
    [(few, _)], [(many, message)] = connections(), connections("--processes", "50")
    assert (few, many) == ("ok", "warn")
    assert message.startswith("50 processes with up to 20 each; the server has room for ")
    linked.ok("services", "edit", "main", "--max-connections", "1")
    assert connections("--processes", "50")[0][0] == "ok"


def test_the_doctor_says_what_is_wrong_and_what_to_do(site: Terminal) -> None:
    site.ok("services", "add", "gone", "postgresql://me@127.0.0.1:1", "--password-env", "GONE_PW")
    site.ok("services", "add", "kept", "postgresql://me@127.0.0.1:1", "--password-stdin", stdin=b"s3cret")
    (site.folder / ".penstock/key").chmod(0o644)
    site.app("bad", "1 / 0\n")
    with (site.folder / "penstock.toml").open("a") as file:
        file.write('[apps]\nbad = "bad.app:Bad"\n[links]\n"lab:basins" = "nothing"\n')
    done = site("doctor")
    assert done.code == 1
    found = results(site)
    assert found["secret", "gone env:GONE_PW"] == "fail"
    assert found["service", "gone"] == "fail"
    assert found["permissions", f"{site.folder}/.penstock/key"] == "fail"
    assert [found[key] for key in found if "kept sealed (key" in key[1]] == ["fail"]
    assert found["app", "bad"] == "fail"
    last = len((site.folder / "penstock.toml").read_text().splitlines())
    assert found["configuration", f"penstock.toml:{last}"] == "fail"
    assert found["setting", "lab:gages"] == "fail"
    assert "penstock link gone lab:gages (or one of: kept, local)" in done.out
    assert "chmod go= " in done.out
    assert "ZeroDivisionError" in done.out
    assert "s3cret" not in done.all


def test_the_doctor_reads_a_bad_file_to_its_end(site: Terminal) -> None:
    path = site.folder / "penstock.toml"
    path.write_text(path.read_text() + "[links]\nlab = 3\n[nothing]\n")
    last = len(path.read_text().splitlines())
    done = site("doctor")
    assert done.code == 1
    assert [line.split()[2] for line in done.out.splitlines() if line.startswith("fail")] == [
        f"penstock.toml:{last - 1}",
        f"penstock.toml:{last}",
    ]
    assert site("services", "list").code == 1


def test_the_doctor_warns_where_there_is_no_file(empty: Terminal) -> None:
    done = empty("doctor")
    assert (done.code, "penstock init" in done.out) == (0, True)
