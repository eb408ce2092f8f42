"""References become passwords; what is no reference is never repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from penstock.errors import SecretError, SecretMissing
from penstock.secrets import SecretRef, resolve

if TYPE_CHECKING:
    from pathlib import Path


def test_a_variable_is_read_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ref = SecretRef.parse("env:LAB_PW")
    monkeypatch.setenv("LAB_PW", "a:b@c/d%")
    assert resolve(ref) == "a:b@c/d%"
    monkeypatch.setenv("LAB_PW", "rotated")
    assert resolve(ref) == "rotated"
    monkeypatch.delenv("LAB_PW")
    with pytest.raises(SecretMissing, match="LAB_PW"):
        resolve(ref)


@pytest.mark.parametrize(
    ("content", "password"),
    [
        ("pw", "pw"),
        ("pw\n", "pw"),
        ("pw\r\n", "pw"),
        ("pw\n\n", "pw\n"),
        ("pw\r", "pw\r"),
        (" pw ", " pw "),
        ("ü", "ü"),
    ],
)
def test_a_file_loses_one_trailing_newline(tmp_path: Path, content: str, password: str) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content.encode())
    assert resolve(SecretRef("file", str(file))) == password


def test_a_missing_or_unreadable_file_names_its_path(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(SecretMissing, match=str(path)):
            resolve(SecretRef("file", str(path)))


def test_a_file_that_is_no_password_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SecretError, match="not UTF-8"):
        resolve(SecretRef("file", str(file)))
    file.write_bytes(b"x" * 70000)
    with pytest.raises(SecretError, match="too large"):
        resolve(SecretRef("file", str(file)))


@pytest.mark.parametrize("text", ["hunter2", "vault:hunter2", "env:", "file: ", ":hunter2"])
def test_what_is_no_reference_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(SecretError) as caught:
        SecretRef.parse(text)
    assert "hunter2" not in str(caught.value)


def test_no_reference_is_no_password() -> None:
    assert resolve(None) is None
