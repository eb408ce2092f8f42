"""Keys: how they are written, where they are found, what is not trusted."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import DefinedElsewhere, KeyInvalid, KeyMissing, KeyUnsafe
from penstock.secrets import Key, Keyring
from penstock.secrets.keys import parse_keys

KEY, OTHER = Key(bytes(range(32))), Key(bytes(range(32, 64)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(f"{KEY.written()}\n")
    path.chmod(0o600)
    return path


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=4), st.sampled_from([",", "\n", " , ", "\r\n"]))
def test_keys_are_read_as_they_are_written(secrets: list[bytes], between: str) -> None:
    keys = [Key(secret) for secret in secrets]
    assert parse_keys(between.join(key.written() for key in keys), "here") == keys


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_the_base64_alone_is_enough_as_openssl_prints_it(encode: object) -> None:
    assert callable(encode)
    key = Key(b"\xfb\xff" * 16)
    text = encode(key.secret).decode()
    assert parse_keys(f"{text}\n", "here") == parse_keys(text.rstrip("="), "here") == [key]


@pytest.mark.parametrize(
    "text",
    [
        "s3cret",
        "s3cret!!",
        f"{OTHER.id}:{KEY.written().partition(':')[2]}",
        KEY.written()[:-8],
        "ü" * 43,
        f"{KEY.written()};{OTHER.written()}",
    ],
)
def test_what_is_no_key_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(KeyInvalid, match="at place 2 in PENSTOCK_KEY") as caught:
        parse_keys(f"{OTHER.written()},{text}", "PENSTOCK_KEY")
    assert text not in str(caught.value)
    assert (text[9:] or text) not in str(caught.value)


def test_a_key_shows_only_its_id() -> None:
    assert KEY.id == "630dcd29"
    assert repr(KEY) == "Key()"
    assert str(KEY) == "Key()"


def test_the_variable_wins_over_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = Keyring(file)
    assert (keyring.keys(), keyring.source) == ([KEY], str(file))
    monkeypatch.setenv("PENSTOCK_KEY", f"{OTHER.written()},{KEY.written()},{OTHER.written()}")
    assert (keyring.keys(), keyring.source) == ([OTHER, KEY], "PENSTOCK_KEY")
    monkeypatch.setenv("PENSTOCK_KEY", "")
    assert keyring.keys() == [KEY]


def test_without_a_key_it_says_how_to_make_one(file: Path) -> None:
    file.write_text("\n")
    for keyring in (Keyring(), Keyring(file), Keyring(file.with_name("absent"))):
        with pytest.raises(KeyMissing) as caught:
            keyring.keys()
        assert caught.value.hint == "penstock init"


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o602, 0o601, 0o666])
def test_a_key_file_that_others_can_reach_is_not_used_and_chmod_is_named(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(KeyUnsafe) as caught:
        Keyring(file).keys()
    assert f"chmod 600 {file}" in caught.value.hint
    assert stat.filemode(file.stat().st_mode) in caught.value.why


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_key_file_of_another_user_is_not_used(file: Path) -> None:
    os.chown(file, 4242, 4242)
    with pytest.raises(KeyUnsafe, match="belongs to another user"):
        Keyring(file).keys()


def test_a_key_file_has_to_be_a_plain_file_of_text(file: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(KeyInvalid):
            Keyring(path).keys()
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(KeyInvalid, match="can't be read"):
        Keyring(file).keys()


def test_a_key_file_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "key"
    os.umask(before := os.umask(0))
    assert Keyring(path).make_file()
    assert not Keyring(path).make_file()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert before == os.umask(before)
    [key] = Keyring(path).keys()
    assert len(key.secret) == 32


def test_no_file_is_made_where_the_variable_has_the_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_KEY", KEY.written())
    keyring = Keyring(tmp_path / "key")
    with keyring.held():
        assert not keyring.make_file()
        with pytest.raises(DefinedElsewhere, match="no command can change") as caught:
            keyring.add_key()
    assert "openssl rand -base64 32" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_new_key_comes_first_and_old_ones_can_be_dropped(file: Path) -> None:
    keyring = Keyring(file)
    with keyring.held():
        made = keyring.add_key()
        assert keyring.keys() == [made, KEY]
        keyring.drop_keys([KEY.id])
    assert keyring.keys() == [made]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not list(file.parent.glob(".key.*[!k]"))


def test_where_no_file_can_be_made_no_lock_is_needed(tmp_path: Path) -> None:
    with Keyring(tmp_path / "absent" / "key").held(), Keyring(Path("/proc/self/key")).held():
        assert list(tmp_path.iterdir()) == []
