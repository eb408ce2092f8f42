"""Services that platforms hand out: what is read, what is ignored, what is wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from fix_bindings import Mounted, vcap
from penstock.connect import AddressBook, explain
from penstock.declare import AppDeclaration, ConnectionSetting, DatabaseSetting
from penstock.errors import ConfigError, DefinedElsewhere, InvalidName, PenstockError, SecretMissing
from penstock.registry import (
    Bindings,
    FixedRegistry,
    LayeredRegistry,
    Link,
    MemoryRegistry,
    Service,
    Source,
    bound_services,
)
from penstock.secrets import SecretRef, resolve

if TYPE_CHECKING:
    from pathlib import Path

LAB = AppDeclaration("lab", "Lab", (DatabaseSetting("gages"), ConnectionSetting("servers")))
FILE = Source("file", "penstock.toml:3")
PARTS = {"type": "postgresql", "host": "db", "username": "app", "password": "pw"}


def services() -> dict[str, Service]:
    """Every service that the environment gives."""
    return {each.name: each for layer in bound_services() for each in layer.services()}


def book(linked: str = "main") -> tuple[AddressBook, LayeredRegistry]:
    """The environment over a file and a registry that all know `main`."""
    base = MemoryRegistry()
    base.put_service(Service(name="main", url="sqlite:////base"))
    base.put_service(Service(name="kept", url="sqlite:////kept"))
    base.put_link(Link(app="lab", setting="gages", service=linked))
    file = FixedRegistry([Service(name="main", url="sqlite:////file", source=FILE)], [])
    registry = LayeredRegistry([*bound_services(), file], base)
    return AddressBook(registry, Bindings({})), registry


def problem_of(service: Service) -> PenstockError:
    """Why a service can't be used."""
    assert service.problem is not None
    return service.problem


# --- Kubernetes -----------------------------------------------------------------------------------


def test_a_mounted_folder_is_a_service_named_like_it(mounted: Mounted) -> None:
    folder = mounted.put("main", **PARTS, port="5433", database="app", provider="somebody")
    main = services()["main"]
    assert main.url == "postgresql+psycopg://app@db:5433/app"
    assert (main.password, str(main.source)) == (
        SecretRef("file", str(folder / "password")),
        "SERVICE_BINDING_ROOT/main",
    )
    assert resolve(main.password) == "pw"
    assert (main.admin_url, main.pooled, main.max_connections) == (None, False, None)


def test_an_address_as_a_whole_wins_over_its_parts(mounted: Mounted) -> None:
    mounted.put("main", type="postgres", uri="postgres://app:p%40w@one/app?sslmode=require", host="other")
    main = services()["main"]
    assert main.url == "postgresql+psycopg://app@one/app?sslmode=require"
    assert resolve(main.password) == "p@w"
    mounted.put("main", type="postgres", uri="postgresql://one", username="app", password="pw")
    main = services()["main"]
    assert (main.url, resolve(main.password)) == ("postgresql+psycopg://app@one", "pw")


def test_further_entries_say_who_administers_it_and_how_it_takes_connections(mounted: Mounted) -> None:
    more = {"admin_url": "postgresql://dba:x%2Fy@direct", "pooled": "true", "max_connections": "7"}
    mounted.put("main", **PARTS, **more)
    main = services()["main"]
    assert main.admin_url == "postgresql+psycopg://dba@direct"
    assert resolve(main.admin_password) == "x/y"
    assert (main.pooled, main.max_connections) == (True, 7)
    mounted.put("main", **PARTS, admin_url="postgresql://dba@direct", admin_password="z")
    assert resolve(services()["main"].admin_password) == "z"


def test_a_directory_of_files_is_a_service_too(mounted: Mounted, tmp_path: Path) -> None:
    mounted.put("files", type="sqlite", uri=f"sqlite:///{tmp_path}")
    assert services()["files"].url == f"sqlite+pysqlite:///{tmp_path}"


def test_what_is_for_others_is_ignored(mounted: Mounted, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted.put("cache", type="redis", host="h")
    mounted.put("untyped", host="h")
    (mounted.root / "a-file").touch()
    (mounted.root / "..data").mkdir()
    assert services() == {}
    for nowhere in (mounted.root / "absent", mounted.root / "a-file", ""):
        monkeypatch.setenv("SERVICE_BINDING_ROOT", str(nowhere))
        assert services() == {}


@pytest.mark.parametrize(
    ("entries", "named"),
    [
        ({"host": ""}, "neither an entry uri nor an entry host"),
        ({"uri": "hunter2 hunter2"}, "main/uri is not a database address"),
        ({"uri": "postgresql://app:hunter2@h:hunter2/d"}, "main/uri is not a database address"),
        ({"uri": "postgresql://app@h/d?password=hunter2"}, "main/uri has a password among its options"),
        ({"username": ""}, "main is of no use"),
        ({"port": "hunter2"}, "main/port is out of range"),
        ({"port": "0"}, "main/port is out of range"),
        ({"pooled": "hunter2"}, "main/pooled is neither"),
        ({"max_connections": "100000"}, "main/max-connections is out of range"),
        ({"admin_url": "hunter2"}, "main/admin-url is not a database address"),
        ({"host": "a\nhunter2"}, "main/host is not one line"),
    ],
)
def test_what_is_wrong_with_a_binding_is_told_when_it_is_used_and_harms_no_other(
    mounted: Mounted, entries: dict[str, str], named: str
) -> None:
    mounted.put("main", **(PARTS | entries))
    mounted.put("other", **PARTS)
    assert set(services()) == {"main", "other"}
    assert named in str(problem_of(services()["main"]))
    addresses, registry = book()
    with pytest.raises(ConfigError, match="SERVICE_BINDING_ROOT/main") as caught:
        addresses.get(LAB, "gages")
    assert "hunter2" not in f"{caught.value} {caught.value.__context__} {services()!r}"
    assert book("kept")[0].get(LAB, "gages").service == "kept"
    found = explain(registry, addresses, LAB, "gages")
    assert found.problem is not None
    assert found.services[0].answers


def test_an_entry_that_can_not_be_read_is_named(mounted: Mounted) -> None:
    folder = mounted.put("main", **PARTS)
    for entry in ("host", "type"):
        (folder / entry).unlink()
        (folder / entry).mkdir()
        assert f"SERVICE_BINDING_ROOT/main/{entry} can't be read" in str(problem_of(services()["main"]))
    mounted.put("x" * 201, **PARTS)
    assert isinstance(problem_of(services()["x" * 201]), InvalidName)


def test_an_exchanged_binding_is_seen_and_its_password_read_when_it_is_used(mounted: Mounted) -> None:
    mounted.put("main", **PARTS)
    addresses, registry = book()
    before, generation = addresses.get(LAB, "gages"), registry.generation()
    assert registry.generation() == generation
    assert before.database_address.server.login.password() == "pw"
    mounted.put("main", **(PARTS | {"password": "rotated", "host": "moved"}))
    assert before.database_address.server.login.password() == "rotated"
    assert addresses.get(LAB, "gages").database_address.server.login.url.host == "moved"
    assert registry.generation() != generation
    mounted.put("main", type="postgresql", uri="postgresql://app:one@db")
    inside = addresses.get(LAB, "gages").database_address.server.login
    mounted.put("main", type="postgresql", uri="postgresql://app:two@db")
    assert inside.password() == "two"
    mounted.put("main", type="postgresql", uri="postgresql://app@db")
    with pytest.raises(SecretMissing, match="main/uri"):
        inside.password()


def test_a_binding_wins_over_the_file_and_no_command_changes_it(mounted: Mounted) -> None:
    mounted.put("main", **PARTS)
    addresses, registry = book()
    address = addresses.get(LAB, "gages")
    assert address.database_address.server.login.url.host == "db"
    assert (str(address.source), address.external) == ("SERVICE_BINDING_ROOT/main", False)
    with pytest.raises(DefinedElsewhere, match="SERVICE_BINDING_ROOT/main"):
        registry.put_service(Service(name="main", url="sqlite:///x"), replace=True)
    with pytest.raises(DefinedElsewhere, match="bound to this process"):
        registry.remove_service("main")


# --- Cloud Foundry --------------------------------------------------------------------------------


def test_a_service_of_cloud_foundry_has_the_name_of_its_binding_or_instance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uri = {"uri": "postgres://app:p%40w@db:5432/app"}
    named = [
        {"binding_name": "bound", "instance_name": "i", "name": "n", "credentials": uri},
        {"binding_name": None, "instance_name": "instance", "name": "n", "credentials": uri},
        {"name": "plain", "credentials": uri},
        {"name": "plain", "credentials": {"uri": "postgres://later@db"}},
    ]
    monkeypatch.setenv("VCAP_SERVICES", vcap(*named))
    found = services()
    assert list(found) == ["bound", "instance", "plain"]
    assert {each.url for each in found.values()} == {"postgresql+psycopg://app@db:5432/app"}
    assert str(found["plain"].source) == "VCAP_SERVICES/plain"
    assert {resolve(each.password) for each in found.values()} == {"p@w"}


@pytest.mark.parametrize(
    "described",
    [
        {"label": "postgresql-9.6", "tags": []},
        {"label": "aws-rds", "tags": ["RDS", "Postgres"]},
        {"label": "p.something", "tags": ["postgresql", "relational"]},
    ],
)
def test_parts_of_an_address_are_known_by_their_usual_names(
    described: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = {"hostname": "db", "port": 5433, "user": "app", "password": "p@w", "dbname": "app"}
    credentials |= {"pooled": False, "max-connections": 5}
    service = {"name": "main", "credentials": credentials, "tags": described["tags"]}
    monkeypatch.setenv("VCAP_SERVICES", vcap(service, label=described["label"]))
    main = services()["main"]
    assert main.url == "postgresql+psycopg://app@db:5433/app"
    assert (resolve(main.password), main.max_connections) == ("p@w", 5)
    credentials["password"] = "rotated"
    monkeypatch.setenv("VCAP_SERVICES", vcap(service))
    assert resolve(main.password) == "rotated"
    monkeypatch.setenv("VCAP_SERVICES", vcap())
    with pytest.raises(SecretMissing, match=r"'password'.*'main'"):
        resolve(main.password)


def test_other_services_of_cloud_foundry_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    others = [
        {"name": "cache", "credentials": {"uri": "rediss://u:p@h"}, "tags": ["redis"]},
        {"name": "none", "credentials": None, "tags": ["postgresql"]},
        {"credentials": {"uri": "postgres://a@b"}},
        {"name": "untold", "credentials": {"host": "h"}},
    ]
    monkeypatch.setenv("VCAP_SERVICES", vcap(*others))
    assert services() == {}


def test_a_wrong_service_of_cloud_foundry_says_so_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"name": "main", "credentials": {"host": "h", "user": "u", "port": "hunter2"}}
    monkeypatch.setenv("VCAP_SERVICES", vcap(wrong, label="postgresql"))
    assert "VCAP_SERVICES/main/port" in str(problem_of(services()["main"]))


@pytest.mark.parametrize(
    "text", ['{"a": hunter2', '"hunter2"', '{"hunter2": "x"}', '{"a": ["hunter2"]}', "[" * 100_000]
)
def test_a_variable_that_is_no_such_json_is_refused_without_being_repeated(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VCAP_SERVICES", text)
    with pytest.raises(ConfigError, match="VCAP_SERVICES can't be read") as caught:
        services()
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None
    addresses, registry = book("kept")
    with pytest.raises(ConfigError):  # It may have defined this service, which then would be another one.
        addresses.get(LAB, "gages")
    assert explain(registry, addresses, LAB, "gages").services[1].answers


# --- which one is heard ---------------------------------------------------------------------------


def test_mounted_folders_are_asked_before_cloud_foundry_and_both_before_the_file(
    mounted: Mounted, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses, registry = book()

    def heard() -> str:
        found = explain(registry, addresses, LAB, "gages")
        assert [each.place.partition("/")[0] for each in found.services[:2]] == [
            "SERVICE_BINDING_ROOT",
            "VCAP_SERVICES",
        ]
        return next(each.place for each in found.services if each.answers)

    assert heard() == "penstock.toml:3"
    monkeypatch.setenv("VCAP_SERVICES", vcap({"name": "main", "credentials": {"uri": "postgres://a:b@c"}}))
    assert heard() == "VCAP_SERVICES/main"
    mounted.put("main", **PARTS)
    assert heard() == "SERVICE_BINDING_ROOT/main"


def test_an_explanation_says_where_everything_comes_from(
    mounted: Mounted, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = mounted.put("main", **PARTS)
    addresses, registry = book()
    found = explain(registry, addresses, LAB, "gages")
    assert [(each.says or each.why, each.answers) for each in found.places] == [
        ("not set", False),
        ("nothing is linked there", False),
        ("main", True),
        ("not set", False),
    ]
    assert (found.address, found.password, found.database) == (
        "postgresql+psycopg://app@db",
        f"file:{folder}/password",
        "lab_gages",
    )
    assert explain(registry, addresses, LAB, "servers").answer is None
    assert "pw" not in json.dumps(repr(found)).replace("psycopg", "").replace("password", "")


def test_an_explanation_shows_a_whole_address_without_its_password() -> None:
    registry = MemoryRegistry()
    variable = {"PENSTOCK_STORE__LAB__GAGES": "postgres://u:hunter2@h/theirs"}
    found = explain(registry, AddressBook(registry, Bindings(variable)), LAB, "gages")
    assert "hunter2" not in repr(found)
    assert (found.answer and found.answer.service, found.services) == ("PENSTOCK_STORE__LAB__GAGES", ())
    assert (found.address, found.password, found.database) == (
        "postgresql+psycopg://u@h/",
        "uri:env:PENSTOCK_STORE__LAB__GAGES",
        "theirs",
    )
    wrong = Bindings({"PENSTOCK_STORE__LAB__GAGES": "hunter2"})
    found = explain(registry, AddressBook(registry, wrong), LAB, "gages")
    assert found.answer is not None
    assert "can't be used" in found.answer.says
    assert "hunter2" not in repr(found)
