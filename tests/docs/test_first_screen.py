"""The picture and the README are whole wherever they are shown."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text("utf-8")
LIGHT, DARK = PROJECT / "docs" / "penstock-light.svg", PROJECT / "docs" / "penstock-dark.svg"

_PALETTE = re.compile(r":root \{(.*?)\}", re.DOTALL)


def on_a_package_index() -> str:
    """The README as the package carries it: what pyproject.toml says is done to it."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
    text = README
    for each in project["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(each["pattern"], each["replacement"], text)
    return text


def test_on_a_package_index_nothing_leads_into_the_checkout() -> None:
    text = on_a_package_index()
    assert re.findall(r"<(?:img|picture|source)\b", text) == []
    assert re.findall(r"\]\((?!https?://)[^)]*\)", text) == []


def test_on_a_package_index_words_stand_for_the_picture() -> None:
    words = re.search(r'<img alt="([^"]+)"', README)
    assert words
    assert f"\n\n{words[1]}\n\n" in on_a_package_index()


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_a_page_shows_the_picture_for_light_and_for_dark(page: str) -> None:
    text = (PROJECT / page).read_text("utf-8")
    shown = {(PROJECT / page).parent / name for name in re.findall(r"[\w/-]+\.svg", text)}
    assert shown == {LIGHT, DARK}


def test_the_two_pictures_differ_in_their_colours_only() -> None:
    light, dark = LIGHT.read_text("utf-8"), DARK.read_text("utf-8")
    assert _PALETTE.sub("", light) == _PALETTE.sub("", dark)
    assert names_of_colours(light) == names_of_colours(dark)


def names_of_colours(picture: str) -> list[str]:
    palette = _PALETTE.search(picture)
    assert palette
    return re.findall(r"--[\w-]+", palette[1])


def test_every_colour_of_the_picture_is_defined_and_used() -> None:
    picture = LIGHT.read_text("utf-8")
    assert set(re.findall(r"var\((--[\w-]+)\)", picture)) == set(names_of_colours(picture))


@pytest.mark.parametrize("path", [LIGHT, DARK], ids=lambda path: path.stem)
def test_a_picture_needs_nothing_from_elsewhere_and_says_what_it_shows(path: Path) -> None:
    text = path.read_text("utf-8")
    root = ET.fromstring(text)  # noqa: S314 - our own file
    names = [element.tag.rpartition("}")[2] for element in root.iter()]
    assert {"title", "desc"} <= set(names)
    assert not {"script", "image", "use", "foreignObject"} & set(names)
    assert re.findall(r"url\(|@import|href", text) == []
