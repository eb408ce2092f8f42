"""`services.yml` is read as Tethys writes it; what is linked already stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from penstock import MemoryRegistry, Service, Stores
from penstock.declare import AppDeclaration, DatabaseSetting
from penstock.errors import ConfigProblems
from penstock.install.links import LinkFile, RequestedLink, link_all, read_links
from penstock.registry import Link

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WHOLE = """\
version: 1.0
persistent:
  gages: main
  basins:
spatial:
  maps: geoserver
wps:
custom_settings:
  colour: blue
"""


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], LinkFile]:
    """Read a text as the working directory's links."""
    monkeypatch.chdir(tmp_path)

    def read(text: str) -> LinkFile:
        (tmp_path / "services.yml").write_text(text)
        return read_links(tmp_path)

    return read


def test_links_are_read_and_what_is_for_others_is_known(read: Callable[[str], LinkFile]) -> None:
    assert read(WHOLE) == LinkFile(
        links=(RequestedLink(setting="gages", service="main", where="services.yml:3"),),
        empty={"basins": "services.yml:4"},
        others={"spatial": "services.yml:5", "custom_settings": "services.yml:8"},
    )


def test_of_a_setting_that_is_there_twice_the_last_counts_and_it_is_said(
    read: Callable[[str], LinkFile],
) -> None:
    twice = read("persistent:\n  gages: main\n  gages: other\n")
    assert twice == LinkFile(
        links=(RequestedLink(setting="gages", service="other", where="services.yml:3"),),
        repeated=("services.yml:3: gages is there twice, and line 2 is not read",),
    )


def test_without_a_file_or_anything_in_it_there_are_no_links(
    read: Callable[[str], LinkFile], tmp_path: Path
) -> None:
    assert read_links(tmp_path) == LinkFile()
    for text in ("", "version: 1\n", "persistent:\n"):
        assert read(text) == LinkFile()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("persistent: main", "services.yml:1: persistent: is text, not a table"),
        (
            "persistent:\n  gages: 3\n",
            "services.yml:2: persistent.gages: is a whole number, not the name of a service",
        ),
        ("persistent:\n  5: main\n", "services.yml:2: persistent.5: is a whole number, not text"),
        (
            "persistent:\n  gages: [main]\n",
            "services.yml:2: persistent.gages: is a list, not the name of a service",
        ),
    ],
)
def test_what_is_wrong_names_file_line_and_key(
    read: Callable[[str], LinkFile], text: str, expected: str
) -> None:
    with pytest.raises(ConfigProblems) as caught:
        read(text)
    assert [str(problem).partition(" -> ")[0] for problem in caught.value.problems] == [expected]


def test_each_is_linked_unless_it_is_already_and_one_that_fails_stops_no_other() -> None:
    lab = AppDeclaration("lab", "Lab", (DatabaseSetting("a"), DatabaseSetting("b"), DatabaseSetting("c")))
    registry = MemoryRegistry()
    for name in ("main", "other"):
        registry.put_service(Service(name=name, url=f"sqlite:///{name}"))
    registry.put_link(Link(app="lab", setting="a", service="other"))
    stores = Stores(registry, apps=[lab])
    wanted = [("a", "main"), ("nothing", "main"), ("b", "nowhere"), ("c", "main")]
    links = tuple(RequestedLink(setting=setting, service=service, where="") for setting, service in wanted)
    results = list(link_all(stores, lab, links))
    assert [each.before.service if each.before else None for each in results] == ["other", None, None, None]
    assert [each.error.code if each.error else None for each in results] == [
        None,
        "setting-unknown",
        "service-unknown",
        None,
    ]
    assert [(a.setting, a.service) for a in registry.links()] == [("a", "other"), ("c", "main")]
