"""What the options say of a password, and where release 0.1.0 kept one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.cli.passwords import Given, _file_name, forget_files
from penstock.secrets import SecretRef

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NAMES = ["main", "Main", "main.admin", "../main", "a/b", "é", ".", "..", "postgres", "x" * 200, "main "]


def test_services_of_different_names_never_share_a_file() -> None:
    names = [_file_name(name) for name in NAMES]
    assert len({name.lower() for name in names}) == len(names)
    assert not any("/" in name for name in names)
    assert max(len(name.encode()) for name in names) < 180


def test_a_reference_is_kept_as_it_is_but_for_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Given(env="MAIN_PW").reference == SecretRef("env", "MAIN_PW")
    assert Given(file="pw.txt").reference == SecretRef("file", str(tmp_path / "pw.txt"))
    assert Given(none=True).reference is None


def test_only_files_that_nothing_points_at_are_forgotten(tmp_path: Path) -> None:
    for name in ("main.password", "main.admin-password", "other.password"):
        (tmp_path / name).write_text("x")
    forget_files(tmp_path, "main", SecretRef("file", str(tmp_path / "main.password")), None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["main.password", "other.password"]
    forget_files(tmp_path, "main")
    assert [path.name for path in tmp_path.iterdir()] == ["other.password"]
