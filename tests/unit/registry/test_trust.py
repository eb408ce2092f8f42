"""A configuration file that somebody else could have written is not read."""

from __future__ import annotations

import os
import stat
from types import SimpleNamespace

import pytest

from penstock.errors import ConfigError, ConfigNotFound, ConfigUnsafe
from penstock.registry.trust import LARGEST, read_trusted

SOMEBODY = 54321


@pytest.fixture
def path(tmp_path):
    """A file that is fine."""
    path = tmp_path / "penstock.toml"
    path.write_bytes(b"[links]")
    path.chmod(0o644)
    return path


def test_a_file_of_this_user_is_read(path):
    assert read_trusted(path) == b"[links]"


def test_a_file_of_the_group_is_read(path):
    path.chmod(0o664)
    assert read_trusted(path) == b"[links]"


def test_a_file_that_everybody_can_change_is_refused(path):
    path.chmod(0o646)
    with pytest.raises(ConfigUnsafe, match="every user") as caught:
        read_trusted(path)
    assert f"chmod o-w {path}" in caught.value.hint


def test_a_link_to_a_file_that_everybody_can_change_is_refused(path, tmp_path):
    path.chmod(0o646)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(ConfigUnsafe):
        read_trusted(tmp_path / "link")


def test_a_file_of_another_user_is_refused(path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: SOMEBODY)
    if path.stat().st_uid == 0:
        assert read_trusted(path) == b"[links]"  # root may do anything anyway
        os.chown(path, SOMEBODY + 1, -1)
    with pytest.raises(ConfigUnsafe, match="another user") as caught:
        read_trusted(path)
    assert f"chown {SOMEBODY} {path}" in caught.value.hint


def test_a_link_of_another_user_is_refused(path, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can give a link away")
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    os.lchown(link, SOMEBODY, -1)
    with pytest.raises(ConfigUnsafe, match="another user"):
        read_trusted(link)


@pytest.mark.parametrize("deep", ["", "a/b"], ids=["its own folder", "a folder above"])
def test_a_file_below_a_folder_where_everybody_can_exchange_it_is_refused(tmp_path, deep):
    folder = tmp_path / "open"
    (folder / deep).mkdir(parents=True)
    path = folder / deep / "penstock.toml"
    path.touch()
    folder.chmod(0o777)
    with pytest.raises(ConfigUnsafe, match="exchange") as caught:
        read_trusted(path)
    assert caught.value.hint == f"chmod o-w {folder}"
    folder.chmod(0o1777)
    assert read_trusted(path) == b""


def test_a_folder_behind_a_link_is_looked_at_as_well(tmp_path, path):
    folder = tmp_path / "open"
    folder.mkdir()
    path = path.rename(folder / "real.toml")
    link = tmp_path / "penstock.toml"
    link.symlink_to(path)
    folder.chmod(0o777)
    with pytest.raises(ConfigUnsafe, match="exchange"):
        read_trusted(link)


def test_an_open_folder_that_is_mounted_read_only_is_fine(path, monkeypatch):
    path.parent.chmod(0o777)
    monkeypatch.setattr(os, "statvfs", lambda folder: SimpleNamespace(f_flag=os.ST_RDONLY))
    assert read_trusted(path) == b"[links]"


def test_a_file_that_is_not_there_is_not_found(tmp_path):
    for path in (tmp_path / "absent", tmp_path / "absent/penstock.toml"):
        with pytest.raises(ConfigNotFound, match="There is no file") as caught:
            read_trusted(path)
        assert "PENSTOCK_CONFIG" in caught.value.hint


def test_a_link_to_nothing_is_told_as_such(tmp_path):
    link = tmp_path / "penstock.toml"
    link.symlink_to("nothing")
    with pytest.raises(ConfigNotFound, match="symbolic link") as caught:
        read_trusted(link)
    assert "nothing" in caught.value.why
    assert f"rm {link}" in caught.value.hint


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(ConfigError, match="is a directory"):
        read_trusted(tmp_path)


def test_a_pipe_is_refused_without_waiting_for_its_other_end(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    with pytest.raises(ConfigError, match="not a plain file"):
        read_trusted(tmp_path / "pipe")


def test_a_huge_file_is_refused(path):
    path.write_bytes(b"#" * LARGEST)
    assert len(read_trusted(path)) == LARGEST
    path.write_bytes(b"#" * (LARGEST + 1))
    with pytest.raises(ConfigError, match="more than 1000000 bytes"):
        read_trusted(path)


def test_a_file_that_can_not_be_opened_is_told_in_the_words_of_the_system(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    with pytest.raises(ConfigError, match="can't be read") as caught:
        read_trusted(loop)
    assert "levels of symbolic links" in caught.value.why
    with pytest.raises(ConfigError, match="can't be read"):
        read_trusted(tmp_path / "a\0b")
