"""`penstock.toml` is found by a variable, else upward from where one is."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import ConfigError, ConfigNotFound
from penstock.registry.file import find_config_file, read_config


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A working directory of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PENSTOCK_CONFIG", raising=False)
    return tmp_path


def test_the_nearest_file_upward_is_found(home, monkeypatch):
    (home / "a/b").mkdir(parents=True)
    (home / "penstock.toml").touch()
    assert find_config_file(home / "a/b") == home / "penstock.toml"
    (home / "a/penstock.toml").symlink_to("nothing")
    assert find_config_file(home / "a/b") == home / "a/penstock.toml"
    monkeypatch.chdir(home / "a/b")
    assert find_config_file() == home / "a/penstock.toml"
    assert find_config_file(Path("..")) == home / "a/b/../penstock.toml"


def test_the_variable_names_the_file_wherever_one_begins(home, monkeypatch):
    (home / "penstock.toml").touch()
    (home / "other.toml").touch()
    monkeypatch.setenv("PENSTOCK_CONFIG", "other.toml")
    assert find_config_file(home) == home / "other.toml"
    monkeypatch.setenv("PENSTOCK_CONFIG", "")
    assert find_config_file(home) == home / "penstock.toml"


def test_a_variable_that_names_nothing_is_an_error(home, monkeypatch):
    monkeypatch.setenv("PENSTOCK_CONFIG", "absent.toml")
    with pytest.raises(ConfigNotFound, match=r"absent\.toml") as caught:
        find_config_file(home)
    assert "PENSTOCK_CONFIG" in caught.value.hint


def test_a_working_directory_that_is_gone_is_an_error_and_no_crash(home, monkeypatch):
    (home / "penstock.toml").touch()
    gone = home / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ConfigError, match="working directory is gone"):
        find_config_file()
    assert read_config(home / "penstock.toml").services == ()
    monkeypatch.chdir(home)
