"""Sealed passwords: any one comes back, and nothing that differs opens it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.connect import ServiceAccount, read_password, seal_password, server_of
from penstock.errors import KeyMissing, SealBroken, SecretError
from penstock.registry import MemoryRegistry, Service, values
from penstock.registry.problems import Wrong
from penstock.secrets import Key, Keyring, SecretRef, resolve

if TYPE_CHECKING:
    from pathlib import Path

KEY = Key(bytes(range(32)))
PASSWORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
ADDRESS = "postgresql://me@db1:5432/maintenance?sslmode=verify-full&connect_timeout=3"
SERVICE = Service(name="main", url=ADDRESS, admin_url=ADDRESS, id="a" * 32)

ELSEWHERE = {
    "scheme": "sqlite:///db1",
    "host": "postgresql://me@db2:5432?sslmode=verify-full",
    "port": "postgresql://me@db1:5433?sslmode=verify-full",
    "no port": "postgresql://me@db1?sslmode=verify-full",
    "user": "postgresql://you@db1:5432?sslmode=verify-full",
    "host option": "postgresql://me@db1:5432?sslmode=verify-full&host=db2",
    "several hosts": "postgresql://me@/?host=db1:5432&host=db2:5432&sslmode=verify-full",
    "hostaddr": "postgresql://me@db1:5432?sslmode=verify-full&hostaddr=10.0.0.1",
    "port option": "postgresql://me@db1:5432?sslmode=verify-full&port=5433",
    "user option": "postgresql://me@db1:5432?sslmode=verify-full&user=you",
    "service file": "postgresql://me@db1:5432?sslmode=verify-full&service=evil",
    "conninfo": "postgresql://me@db1:5432?sslmode=verify-full&conninfo=hostaddr%3D10.0.0.1",
    "less TLS": "postgresql://me@db1:5432?sslmode=disable",
    "no TLS option": "postgresql://me@db1:5432",
    "other root": "postgresql://me@db1:5432?sslmode=verify-full&sslrootcert=/tmp/evil.pem",
    "logged TLS keys": "postgresql://me@db1:5432?sslmode=verify-full&sslkeylogfile=/tmp/keys",
    "unknown option": "postgresql://me@db1:5432?sslmode=verify-full&new_in_libpq_30=1",
}
MARIADB = "mariadb://me@db1:3306/maintenance?ssl_ca=/ca.pem&ssl_verify_identity=true&connect_timeout=3"
MARIADB_ELSEWHERE = {
    "scheme": MARIADB.replace("mariadb:", "postgresql:"),
    "host": MARIADB.replace("db1", "db2"),
    "port": MARIADB.replace("3306", "3307"),
    "user": MARIADB.replace("me@", "you@"),
    "host option": f"{MARIADB}&host=db2",
    "port option": f"{MARIADB}&port=3307",
    "user option": f"{MARIADB}&user=you",
    "socket": f"{MARIADB}&unix_socket=/tmp/evil.sock",
    "option file": f"{MARIADB}&read_default_file=/tmp/evil.cnf",
    "less TLS": MARIADB.replace("&ssl_verify_identity=true", ""),
    "no TLS": f"{MARIADB}&ssl_disabled=true",
    "other root": MARIADB.replace("/ca.pem", "/evil.pem"),
    "unknown option": f"{MARIADB}&new_in_the_driver=1",
}
STILL_THERE = {
    "other database": "postgresql://me@db1:5432/other?sslmode=verify-full",
    "no database": "postgresql://me@db1:5432?sslmode=verify-full",
    "other driver": "postgresql+psycopg://me@db1:5432?sslmode=verify-full",
    "tuning": "postgresql://me@db1:5432?application_name=x&keepalives=0&sslmode=verify-full",
}


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> Keyring:
    monkeypatch.setenv("PENSTOCK_KEY", KEY.written())
    return Keyring()


@pytest.fixture(scope="module")
def shared_keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    keyring = Keyring(tmp_path_factory.mktemp("keys") / "key")
    keyring.make_file()
    return keyring


def sealed(
    keyring: Keyring, password: str = "s3cret", role: ServiceAccount = ServiceAccount.SERVICE
) -> Service:
    return seal_password(SERVICE, role, password, keyring)


# --- there and back -------------------------------------------------------------------------------


@given(password=PASSWORDS, role=st.sampled_from(ServiceAccount))
def test_any_password_comes_back(shared_keyring: Keyring, password: str, role: ServiceAccount) -> None:
    service = sealed(shared_keyring, password, role)
    ref = role.password(service)
    assert ref is not None
    assert SecretRef.parse(str(ref)) == ref
    assert read_password(service, role, shared_keyring) == password


@given(password=PASSWORDS)
def test_equal_passwords_look_different_and_show_their_length_in_blocks_only(
    shared_keyring: Keyring, password: str
) -> None:
    one, other = sealed(shared_keyring, password).password, sealed(shared_keyring, password).password
    assert one is not None
    assert other is not None
    assert one != other
    assert len(one.locator) == len(other.locator)
    blocks = len(password.encode()) // 32 + 1
    assert len(one.locator.rpartition(".")[2]) == -(-(12 + 32 * blocks + 16) * 4 // 3)


def test_z4_a_login_opens_its_password_when_it_is_asked_and_not_before(
    keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = server_of(sealed(keyring), keyring)
    monkeypatch.delenv("PENSTOCK_KEY")
    with pytest.raises(KeyMissing):
        server.login.password()
    monkeypatch.setenv("PENSTOCK_KEY", KEY.written())
    assert server.login.password() == "s3cret"
    assert "s3cret" not in repr(server)


def test_a_password_that_utf8_can_not_hold_is_refused(keyring: Keyring) -> None:
    with pytest.raises(SecretError, match="UTF-8"):
        sealed(keyring, "\udcff")


def test_a_new_service_gets_its_id_with_its_password_and_keeps_it(keyring: Keyring) -> None:
    registry = MemoryRegistry()
    registry.put_service(
        seal_password(Service(name="new", url=ADDRESS), ServiceAccount.SERVICE, "pw", keyring)
    )
    [service] = registry.services()
    assert read_password(service, ServiceAccount.SERVICE, keyring) == "pw"
    registry.put_service(replace(service, max_connections=3), replace=True)
    assert read_password(registry.services()[0], ServiceAccount.SERVICE, keyring) == "pw"


# --- what it is bound to --------------------------------------------------------------------------


@pytest.mark.parametrize("role", ServiceAccount)
@pytest.mark.parametrize("url", ELSEWHERE.values(), ids=ELSEWHERE)
def test_z4_a_password_does_not_open_at_an_address_that_leads_elsewhere(
    keyring: Keyring, url: str, role: ServiceAccount
) -> None:
    service = sealed(keyring, role=role)
    moved = replace(service, url=url) if role is ServiceAccount.SERVICE else replace(service, admin_url=url)
    with pytest.raises(SealBroken) as caught:
        read_password(moved, role, keyring)
    option = "--password-stdin" if role is ServiceAccount.SERVICE else "--admin-password-stdin"
    assert caught.value.hint.endswith(f"penstock services edit main {option}")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("url", STILL_THERE.values(), ids=STILL_THERE)
def test_z4_a_password_opens_where_only_the_database_or_the_tuning_differs(
    keyring: Keyring, url: str
) -> None:
    service = sealed(keyring)
    assert read_password(replace(service, url=url), ServiceAccount.SERVICE, keyring) == "s3cret"


@pytest.mark.parametrize("url", MARIADB_ELSEWHERE.values(), ids=MARIADB_ELSEWHERE)
def test_z4_a_password_for_mariadb_does_not_open_elsewhere_either(keyring: Keyring, url: str) -> None:
    service = seal_password(replace(SERVICE, url=MARIADB), ServiceAccount.SERVICE, "s3cret", keyring)
    other = MARIADB.replace("/maintenance", "").replace("=3", "=4").replace("mariadb:", "mariadb+asyncmy:")
    assert read_password(replace(service, url=other), ServiceAccount.SERVICE, keyring) == "s3cret"
    with pytest.raises(SealBroken):
        read_password(replace(service, url=url), ServiceAccount.SERVICE, keyring)


def test_z4_a_password_does_not_open_for_another_record_or_role(keyring: Keyring) -> None:
    service = sealed(keyring)
    other = replace(service, id="b" * 32)
    swapped = replace(service, admin_password=service.password)
    renamed = replace(service, name="renamed")
    for each, role in ((other, ServiceAccount.SERVICE), (swapped, ServiceAccount.ADMINISTRATOR)):
        with pytest.raises(SealBroken):
            read_password(each, role, keyring)
    assert read_password(renamed, ServiceAccount.SERVICE, keyring) == "s3cret"


@pytest.mark.parametrize("url", ELSEWHERE.values(), ids=ELSEWHERE)
def test_z4_past_a_pooler_the_password_goes_to_the_server_so_it_is_bound_to_both(
    keyring: Keyring, url: str
) -> None:
    service = seal_password(replace(SERVICE, pooled=True), ServiceAccount.SERVICE, "s3cret", keyring)
    assert read_password(service, ServiceAccount.SERVICE, keyring) == "s3cret"
    for moved in (replace(service, admin_url=url), replace(service, url=url)):
        with pytest.raises(SealBroken):
            read_password(moved, ServiceAccount.SERVICE, keyring)
    with pytest.raises(SealBroken):
        read_password(replace(sealed(keyring), pooled=True), ServiceAccount.SERVICE, keyring)


WORDS = st.text(st.sampled_from("abz019-._"), min_size=1, max_size=8)
PORTS = st.none() | st.integers(1, 65535)
OPTIONS = st.dictionaries(st.sampled_from(["host", "hostaddr", "sslmode", "new"]), WORDS, max_size=3)
PARTS = st.tuples(WORDS, WORDS, PORTS, OPTIONS)


def address(parts: tuple[str, str, int | None, dict[str, str]]) -> str:
    user, host, port, options = parts
    query = "&".join(f"{key}={value}" for key, value in options.items())
    return f"postgresql://{user}@{host}{f':{port}' if port else ''}/?{query}"


@given(one=PARTS, other=PARTS)
def test_z4_addresses_share_a_password_only_if_every_part_is_the_same(
    shared_keyring: Keyring, one: tuple, other: tuple
) -> None:
    service = seal_password(replace(SERVICE, url=address(one)), ServiceAccount.SERVICE, "pw", shared_keyring)
    assert read_password(service, ServiceAccount.SERVICE, shared_keyring) == "pw"
    if one != other:
        with pytest.raises(SealBroken):
            read_password(replace(service, url=address(other)), ServiceAccount.SERVICE, shared_keyring)


# --- what was changed, and what is lost -----------------------------------------------------------


def test_a_sealed_text_that_was_changed_anywhere_does_not_open(keyring: Keyring) -> None:
    service = sealed(keyring)
    assert service.password is not None
    text = service.password.locator
    for at in range(12, len(text)):
        changed = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
        with pytest.raises(SealBroken):
            read_password(
                replace(service, password=SecretRef("sealed", changed)), ServiceAccount.SERVICE, keyring
            )


@pytest.mark.parametrize(
    "locator", ["x", "v1.", "v1.630dcd29.", "v1.630dcd29.AAAA", "v2.630dcd29." + "A" * 80]
)
def test_a_sealed_text_that_is_not_whole_is_not_repeated(keyring: Keyring, locator: str) -> None:
    with pytest.raises(SealBroken, match="does not belong") as caught:
        read_password(
            replace(SERVICE, password=SecretRef("sealed", locator)), ServiceAccount.SERVICE, keyring
        )
    assert f"{locator} " not in str(caught.value)
    assert "not whole" in caught.value.why


def test_a_lost_key_is_named_with_the_place_where_it_was_looked_for(
    keyring: Keyring, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    service = sealed(keyring)
    other = Key(bytes(32))
    monkeypatch.setenv("PENSTOCK_KEY", other.written())
    with pytest.raises(KeyMissing, match=KEY.id) as caught:
        read_password(service, ServiceAccount.SERVICE, keyring)
    assert caught.value.why == f"PENSTOCK_KEY holds {other.id}."
    assert "penstock services edit main --password-stdin" in caught.value.hint
    monkeypatch.delenv("PENSTOCK_KEY")
    with pytest.raises(KeyMissing, match=KEY.id) as caught:
        read_password(service, ServiceAccount.SERVICE, Keyring(tmp_path / "key"))
    assert str(tmp_path / "key") in caught.value.why


def test_a_sealed_reference_shows_its_key_and_nothing_else(keyring: Keyring) -> None:
    ref = sealed(keyring).password
    assert ref is not None
    assert ref.shown == f"sealed (key {KEY.id})"
    assert ref.locator not in repr(sealed(keyring))
    assert repr(ref) == f"SecretRef({ref.shown})"
    assert SecretRef("sealed", "x").shown == "sealed (key ?)"
    with pytest.raises(SecretError, match="only for the service"):
        resolve(ref)


def test_a_configuration_file_holds_no_sealed_password(keyring: Keyring) -> None:
    with pytest.raises(Wrong, match="sealed for a service of the registry"):
        values.reference(str(sealed(keyring).password))


# --- nothing else is used -------------------------------------------------------------------------

SEAL_ONCE = """
import sys, penstock.secrets as s
assert not {"cryptography", "keyring"} & set(sys.modules), "imported too early"
s.Keyring().seal("pw", s.Seal(subject="", renew="", facts=()))
print("keyring" in sys.modules, "cryptography" in sys.modules)
"""


def test_z5_a_keyring_of_the_desktop_is_never_imported(tmp_path: Path) -> None:
    (tmp_path / "keyring.py").write_text("raise SystemExit('somebody asked the desktop')")
    env = {
        "PYTHONPATH": str(tmp_path),
        "PENSTOCK_KEY": KEY.written(),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
    }
    done = subprocess.run(
        [sys.executable, "-c", SEAL_ONCE], env=env, capture_output=True, text=True, check=False
    )
    assert (done.stdout.split(), done.stderr) == (["False", "True"], "")
