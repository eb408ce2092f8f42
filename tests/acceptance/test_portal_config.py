"""What a portal's configuration says is taken over; no password is printed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from penstock import Stores
from penstock.connect import ServiceAccount, read_password

if TYPE_CHECKING:
    from acceptance.terminal import Terminal

WILD = Path(__file__).parents[1] / "compat" / "wild"

PORTAL = """\
version: 2.0
name: A portal
apps:
  names_all:
    services:
      persistent:
        primary_db: local
        servers: elsewhere
      spatial:
        primary_geoserver: maps
      custom_settings:
        max_dams: 50
        api_key: hidden-key
        extent: {zoom: 7}
        no_longer: 1
  nowhere:
    services:
      persistent: {primary_db: local}
settings:
  SECRET_KEY: hidden-django
  DATABASES:
    default:
      ENGINE: django.db.backends.postgresql
      NAME: tethys_platform
      USER: tethys_default
      PASSWORD: hidden-pass
      HOST: db.example.org
      PORT: 5436
    files:
      ENGINE: django.db.backends.sqlite3
      NAME: portal.sqlite
site_settings: {}
"""


@pytest.fixture
def portal(empty: Terminal) -> Terminal:
    """A site with an app of Tethys, and a portal's configuration beside it."""
    empty.ok("init")
    shutil.copytree(WILD / "names_all" / "names_all", empty.folder / "names_all")
    (empty.folder / "portal_config.yml").write_text(PORTAL)
    return empty


def test_servers_links_and_values_are_taken_over_and_the_rest_is_said(portal: Terminal) -> None:
    done = portal("services", "import", "portal_config.yml")
    assert done.code == 1  # A service is not known, and an app.
    assert "service portal is postgresql://tethys_default@db.example.org:5436" in done.out
    assert "names_all:primary_db uses service local  (registry" in done.out
    assert "penstock services add elsewhere postgresql:" in done.err
    assert "wanted at portal_config.yml:8; by hand: penstock link elsewhere names_all:servers" in done.err
    assert "There is no app 'nowhere'." in done.err
    for left in (
        "portal_config.yml:9: services.spatial of names_all",
        "since it is a secret: api_key of names_all; give it as PENSTOCK_SETTING__NAMES_ALL__API_KEY",
        "since names_all declares no such setting: no_longer",
        "portal_config.yml:29: the portal's database files",
        "portal_config.yml:20: settings.SECRET_KEY",
        "portal_config.yml:32: site_settings",
    ):
        assert left in done.out
    rows = {row["name"]: row["source"] for row in portal.json("apps", "show", "names_all")["declarations"]}
    assert rows["max_dams"].startswith("penstock.toml:")
    assert rows["extent"].startswith("penstock.toml:")
    assert rows["primary_db"].startswith("local ")
    assert "hidden" not in "".join(portal.printed)
    assert "hidden" not in (portal.folder / "penstock.toml").read_text()
    with Stores.from_config(portal.folder / "penstock.toml") as stores:
        service = stores.services.get("portal")
        assert service.password is not None
        assert service.password.scheme == "sealed"
        assert read_password(service, ServiceAccount.SERVICE, stores.keyring) == "hidden-pass"


def test_a_secret_stays_one_where_something_else_of_the_app_has_its_name(portal: Terminal) -> None:
    app = portal.folder / "names_all" / "app.py"
    app.write_text(
        app.read_text().replace('"add_dams"', '"api_key"').replace('name="admin"', 'name="api_key"')
    )
    shown = portal("services", "import", "portal_config.yml").out
    assert "since it is a secret: api_key of names_all" in shown
    assert "hidden" not in (portal.folder / "penstock.toml").read_text()


def test_a_value_for_what_is_no_custom_setting_is_left_out(portal: Terminal) -> None:
    config = portal.folder / "portal_config.yml"
    config.write_text(PORTAL.replace("no_longer: 1", "admin: hidden-one"))
    shown = portal("services", "import", "portal_config.yml").out
    assert "since names_all declares no such setting: admin" in shown
    assert "hidden" not in (portal.folder / "penstock.toml").read_text()


@pytest.mark.parametrize("value", ["{zoom: null}", "[[1, null]]", "{a: [{b: null}]}"])
def test_a_value_that_toml_has_no_word_for_is_left_out(portal: Terminal, value: str) -> None:
    config = portal.folder / "portal_config.yml"
    config.write_text(PORTAL.replace("extent: {zoom: 7}", f"extent: {value}"))
    done = portal("services", "import", "portal_config.yml")
    assert "left out, since TOML can't hold it: extent of names_all\n" in done.out
    assert "has, under [apps.names_all.settings]: max_dams\n" in done.out
    assert "Traceback" not in done.all
    assert "extent" not in (portal.folder / "penstock.toml").read_text()


def test_a_key_that_is_there_twice_is_told_and_the_last_one_counts(portal: Terminal) -> None:
    config = portal.folder / "portal_config.yml"
    config.write_text(PORTAL.replace("max_dams: 50", "max_dams: 50\n        max_dams: 60"))
    shown = portal("services", "import", "portal_config.yml").out
    [said] = [line for line in shown.splitlines() if "max_dams" in line and "twice" in line]
    assert "of no use" not in said
    assert "max_dams = 60" in (portal.folder / "penstock.toml").read_text()


def test_a_link_that_another_error_forbids_is_not_told_to_want_an_address(portal: Terminal) -> None:
    portal.ok("services", "add", "elsewhere", "sqlite:///stores")
    config = portal.folder / "portal_config.yml"
    config.write_text(PORTAL.replace("servers: elsewhere", "no_setting: elsewhere"))
    done = portal("services", "import", "portal_config.yml")
    assert "no_setting" in done.err
    assert "services add" not in done.err


def test_nothing_there_is_replaced_so_asking_for_it_is_refused(portal: Terminal) -> None:
    before = (portal.folder / "penstock.toml").read_text()
    done = portal("services", "import", "portal_config.yml", "--replace")
    assert (done.code, "leave out --replace" in done.err) == (2, True)
    assert (portal.folder / "penstock.toml").read_text() == before


def test_what_is_there_already_stays_as_it_is(portal: Terminal) -> None:
    portal("services", "import", "portal_config.yml")
    text = (portal.folder / "penstock.toml").read_text()
    (portal.folder / "portal_config.yml").write_text(
        PORTAL.replace("max_dams: 50", "max_dams: 9").replace("5436", "5437")
    )
    shown = portal("services", "import", "portal_config.yml").out
    assert "service portal is there already" in shown
    assert "names_all:primary_db uses service local already  (registry" in shown
    assert "max_dams of names_all is in penstock.toml already" in shown
    assert (portal.folder / "penstock.toml").read_text() == text


def test_the_file_keeps_its_mode_its_comments_and_the_class_of_the_app(portal: Terminal) -> None:
    config = portal.folder / "penstock.toml"
    config.write_text(
        config.read_text() + '\n# Ours.\n[apps]\nnames_all = "names_all.app:NamesAll"  # Here.\n'
    )
    config.chmod(0o640)
    portal("services", "import", "portal_config.yml")
    assert "# Ours." in config.read_text()
    assert config.stat().st_mode & 0o777 == 0o640
    [app] = portal.json("apps", "list")["apps"]
    assert (app["class"], app["error"]) == ("names_all.app:NamesAll", None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: x", "neither apps nor settings"),
        ("apps: [hidden]", "apps: is a list"),
        ("settings: {DATABASES: {default: {ENGINE: postgresql, PORT: hidden}}}", "PORT: is not a port"),
        ("settings: {DATABASES: {default: {ENGINE: postgresql, PASSWORD: [hidden]}}}", "PASSWORD: is a list"),
        ("apps: {lab: {services: {persistent: {db: 5}}}}", "db: is a whole number"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_of_it_is_repeated(portal: Terminal, text: str, said: str) -> None:
    (portal.folder / "portal_config.yml").write_text(text)
    done = portal("services", "import", "portal_config.yml")
    assert (done.code, said in done.err) == (1, True), done.err
    assert "hidden" not in done.all
