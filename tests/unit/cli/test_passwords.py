"""What the options say of a password."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.cli.passwords import Given
from penstock.secrets import SecretRef

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_reference_is_kept_as_it_is_but_for_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Given(env="MAIN_PW").reference == SecretRef("env", "MAIN_PW")
    assert Given(file="pw.txt").reference == SecretRef("file", str(tmp_path / "pw.txt"))
    assert Given(none=True).reference is None
