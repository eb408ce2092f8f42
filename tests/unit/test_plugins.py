"""Backends and secret sources of other packages are found, or named as broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from penstock.backends import backend_for, parse_url
from penstock.errors import MissingExtra, NotSupported, PluginError, SecretError, SecretMissing
from penstock.secrets import Credentials, SecretRef, look_up, resolve

if TYPE_CHECKING:
    from fix_packages import Package

BACKENDS, SECRETS = "penstock.backends", "penstock.secrets"

LIKE_SQLITE = """
from penstock.backends import backend_for, parse_url
SQLite = type(backend_for(parse_url("sqlite:///stores")))
class Other(SQLite):
    name = "other"
"""


def test_a_backend_of_another_package_is_found_by_its_scheme(package: Package) -> None:
    package("found_db", BACKENDS, {"founddb": "found_db:Other"}, LIKE_SQLITE)
    url = parse_url("sqlite:///stores").set(drivername="founddb")
    assert backend_for(url).name == "other"
    assert backend_for(url) is backend_for(url)


def test_a_package_that_fails_is_named_with_the_cause(package: Package) -> None:
    package("torn_db", BACKENDS, {"torndb": "torn_db:make"}, "raise RuntimeError('torn')")
    with pytest.raises(PluginError, match=r"backend for 'torndb' of torn_db 1\.0") as caught:
        parse_url("torndb:///stores")
    assert caught.value.why == "RuntimeError: torn"
    assert "import torn_db" in caught.value.hint


def test_a_package_whose_module_is_not_there_is_named(package: Package) -> None:
    package("half_db", BACKENDS, {"halfdb": "half_db_backend:make"})
    with pytest.raises(PluginError, match=r"half_db 1\.0"):
        parse_url("halfdb:///stores")


def test_what_lacks_a_method_is_told_with_its_name(package: Package) -> None:
    text = "from penstock.backends.contract import Backend\nclass Less(Backend):\n    name = 'less'\n"
    package("less_db", BACKENDS, {"lessdb": "less_db:Less"}, text)
    with pytest.raises(PluginError, match=r"less_db 1\.0") as caught:
        parse_url("lessdb:///stores")
    assert "server_key" in caught.value.why


def test_what_is_no_backend_is_refused(package: Package) -> None:
    package("no_db", BACKENDS, {"nodb": "builtins:dict"})
    with pytest.raises(PluginError, match=r"no_db 1\.0") as caught:
        parse_url("nodb:///stores")
    assert caught.value.why == "It makes a dict, which is no Backend."


def test_an_error_of_penstocks_family_is_the_packages_own_word(package: Package) -> None:
    text = "from penstock.errors import MissingExtra\ndef make():\n    raise MissingExtra('No driver.')\n"
    package("bare_db", BACKENDS, {"baredb": "bare_db:make"}, text)
    with pytest.raises(MissingExtra, match="No driver"):
        parse_url("baredb:///stores")


@pytest.mark.parametrize(("group", "scheme"), [(BACKENDS, "twodb"), (SECRETS, "two")])
def test_two_packages_with_the_same_scheme_are_both_named(package: Package, group: str, scheme: str) -> None:
    for name in ("one_of_two", "other_of_two"):
        package(name, group, {scheme: f"{name}:make"})
    ask = {
        BACKENDS: lambda: parse_url(f"{scheme}:///stores"),
        SECRETS: lambda: resolve(SecretRef(scheme, "lab")),
    }
    with pytest.raises(PluginError, match=f"'{scheme}'") as caught:
        ask[group]()
    assert caught.value.why == "They are one_of_two 1.0 and other_of_two 1.0."


def test_no_package_takes_over_what_is_penstocks_own(
    package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    package("thief", BACKENDS, {"sqlite": "thief:make"}, "raise RuntimeError")
    package(
        "pickpocket", SECRETS, {"env": "pickpocket:read", "sealed": "pickpocket:read"}, "raise RuntimeError"
    )
    monkeypatch.setenv("LAB_PW", "Utah")
    assert parse_url("sqlite:///stores").get_backend_name() == "sqlite"
    assert resolve(SecretRef.parse("env:LAB_PW")) == "Utah"
    with pytest.raises(SecretError, match="sealed"):
        resolve(SecretRef("sealed", "v1"))


def test_an_unknown_scheme_is_told_with_all_that_are_known(package: Package) -> None:
    package("known_db", BACKENDS, {"knowndb": "known_db:make"})
    with pytest.raises(NotSupported, match="'oracle'") as caught:
        parse_url("oracle://lab")
    assert "knowndb" in caught.value.hint


# --- secrets --------------------------------------------------------------------------------------

SOURCE = """
from penstock.secrets import Credentials
def read(locator):
    if locator == "torn":
        raise RuntimeError("the password is Utah")
    return {"plain": "Utah", "lease": Credentials(user="v-lab", password="Utah")}.get(locator, 7)
"""


def test_a_secret_of_another_package_is_looked_up(package: Package) -> None:
    package("lab_vault", SECRETS, {"labvault": "lab_vault:read"}, SOURCE)
    assert resolve(SecretRef.parse("labvault:plain")) == "Utah"
    assert look_up(SecretRef.parse("labvault:lease")) == Credentials(user="v-lab", password="Utah")
    assert resolve(SecretRef.parse("labvault:lease")) == "Utah"


def test_a_source_that_fails_repeats_no_secret(package: Package) -> None:
    package("lab_vault", SECRETS, {"labvault": "lab_vault:read"}, SOURCE)
    with pytest.raises(SecretMissing) as caught:
        resolve(SecretRef.parse("labvault:torn"))
    assert "Utah" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_a_source_that_answers_something_else_is_named(package: Package) -> None:
    package("lab_vault", SECRETS, {"labvault": "lab_vault:read"}, SOURCE)
    with pytest.raises(PluginError, match=r"lab_vault 1\.0"):
        resolve(SecretRef.parse("labvault:number"))


def test_the_scheme_of_no_package_is_no_reference() -> None:
    with pytest.raises(SecretError, match="not a secret reference"):
        SecretRef.parse("nosuchvault:lab")
    with pytest.raises(SecretError, match="nosuchvault"):
        resolve(SecretRef("nosuchvault", "lab"))
