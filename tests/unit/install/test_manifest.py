"""`install.yml` is read in both indentations; an error names file, line, key."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from penstock.errors import ConfigError, ConfigNotFound, ConfigProblems, MissingExtra
from penstock.install.document import LARGEST
from penstock.install.manifest import Manifest, read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NESTED = """\
version: 1.0
name: lab
requirements:
  skip: false
  conda:
    channels: [conda-forge]
    packages:
      - numpy=1.26
  pip:
    - requests>=2
  npm:
    - leaflet
post:
  - scripts/seed.py
"""

BESIDE = """\
# A comment.
version: 1.1
tethys_version: ">=4.0.0"
name: lab

requirements:
# Whether to skip all of this.
skip: false
conda:
    channels:
    - conda-forge
    packages:
    - numpy=1.26

pip:
    - requests>=2
npm:
    - leaflet
post:
    - scripts/seed.py
"""
"""What belongs below `requirements` stands beside it, as one of the reference documents has it."""


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str | bytes], Manifest]:
    """Read a text as the working directory's manifest."""
    monkeypatch.chdir(tmp_path)

    def read(text: str | bytes) -> Manifest:
        (tmp_path / "install.yml").write_bytes(text.encode() if isinstance(text, str) else text)
        return read_manifest(tmp_path)

    return read


@pytest.fixture
def problems(read: Callable[[str | bytes], Manifest]) -> Callable[[str | bytes], list[str]]:
    """The problems of a text, as people see them."""

    def problems(text: str | bytes) -> list[str]:
        with pytest.raises(ConfigProblems) as caught:
            read(text)
        assert all(problem.hint for problem in caught.value.problems)
        return [str(problem).partition(" -> ")[0] for problem in caught.value.problems]

    return problems


def test_both_indentations_say_the_same(read: Callable[[str], Manifest]) -> None:
    manifests = [read(text) for text in (NESTED, BESIDE)]
    for manifest in manifests:
        assert (manifest.name, manifest.label, manifest.skip) == ("lab", "install.yml", False)
        assert [item.text for item in manifest.conda] == ["numpy=1.26"]
        assert [item.text for item in manifest.pip] == ["requests>=2"]
        assert [item.text for item in manifest.npm] == ["leaflet"]
        assert [item.text for item in manifest.post] == ["scripts/seed.py"]
    assert [manifest.conda[0].where for manifest in manifests] == ["install.yml:8", "install.yml:13"]


def test_the_two_may_be_mixed_but_say_nothing_twice(
    read: Callable[[str], Manifest], problems: Callable[[str], list[str]]
) -> None:
    mixed = read("name: lab\nrequirements:\n  skip: true\npip: [one]\n")
    assert (mixed.skip, [item.text for item in mixed.pip]) == (True, ["one"])
    assert problems("name: lab\nrequirements:\n  pip: [two]\npip: [one]\n") == [
        "install.yml:4: pip: is there twice; it is at install.yml:3 already"
    ]


def test_a_name_is_all_that_is_needed(read: Callable[[str], Manifest]) -> None:
    assert read("name: lab") == Manifest(name="lab", label="install.yml")
    assert read("name: lab\nrequirements:\nconda:\npip:\nnpm:\npost:\nskip:\n") == read("name: lab")
    assert read("\ufeffname: lab") == read("name: lab")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "install.yml:1: name: is missing"),
        ("version: 1.0\nname:\n", "install.yml:2: name: is missing"),
        ("name: 5", "install.yml:1: name: is a whole number, not text"),
        ("name: on", "install.yml:1: name: is true or false, not text"),
        ("name: ' '", "install.yml:1: name: The name of this app is empty"),
        ("name: lab\nskip: perhaps", "install.yml:2: skip: is text, not true or false"),
        ("name: lab\npip: numpy", "install.yml:2: pip: is text, not a list"),
        ("name: lab\npip:\n- numpy\n- 5", "install.yml:4: pip: An item is a whole number, not text"),
        ("name: lab\npip:\n-\n", "install.yml:3: pip: An item is empty, not text"),
        ("name: lab\npip: [' ']", "install.yml:2: pip: An item is empty, or can't be shown"),
        (
            "name: lab\npip:\n- -r all.txt",
            "install.yml:3: pip: An item is an option, not a requirement",
        ),
        ("name: lab\nconda: [numpy]", "install.yml:2: conda: is a list, not a table"),
        (
            "name: lab\nrequirements:\n  conda:\n    pakages: [a]",
            "install.yml:4: requirements.conda.pakages: is not a known key",
        ),
        ("name: lab\nnme: lab", "install.yml:2: nme: is not a known key"),
        ("name: lab\n5: lab", "install.yml:2: 5: is not a known key"),
        ("name: lab\nversion: [1]", "install.yml:2: version: is a list, not a version"),
        ("name: lab\nrequirements: [pip]", "install.yml:2: requirements: is a list, not a table"),
        ("- name: lab", "install.yml:1: There are no keys"),
        ("name: &a lab\nversion: *a", "install.yml:2: An alias is not allowed"),
        ("name: 2026-13-13", "install.yml:1: A date or a number in it can't be read"),
        (b"name: lab\npip: [\xff]", "install.yml:2: This line is not UTF-8"),
    ],
)
def test_what_is_wrong_names_file_line_and_key(
    problems: Callable[[str | bytes], list[str]], text: str | bytes, expected: str
) -> None:
    assert problems(text) == [expected]


def test_of_a_key_that_is_there_twice_the_last_counts_and_it_is_said(read: Callable[[str], Manifest]) -> None:
    twice = read("name: lap\nname: lab\npip:\n- one\n- two\npip:\n- three\n")
    assert (twice.name, [(item.text, item.where) for item in twice.pip]) == (
        "lab",
        [("three", "install.yml:7")],
    )
    assert twice.repeated == (
        "install.yml:2: name is there twice, and line 1 is not read",
        "install.yml:6: pip is there twice, and line 3 is not read",
    )


def test_all_that_is_wrong_is_told_at_once(problems: Callable[[str], list[str]]) -> None:
    assert len(problems("nme: lab\npip: numpy\nskip: perhaps\nversion: {}\n")) == 5


@pytest.mark.parametrize(
    "text",
    [
        "pip: [",
        "name: \tlab",
        "name: lab\n pip: [a]",
        "name: !!python/name:os.system x",
        "--- a\n--- b",
        "a\0",
    ],
)
def test_what_is_no_yaml_is_told_with_its_line(problems: Callable[[str], list[str]], text: str) -> None:
    [problem] = problems(text)
    assert problem.startswith("install.yml:")
    assert "This is not YAML: " in problem


@pytest.mark.parametrize("text", ["[" * 5000 + "]" * 5000, "[" * 50_000, "name: " + "{a: " * 5000])
def test_a_file_that_is_nested_deep_is_refused_at_once(
    problems: Callable[[str], list[str]], text: str
) -> None:
    assert problems(text) == ["install.yml:1: This is nested too deep"]


def test_a_password_left_in_an_address_is_not_repeated(problems: Callable[[str], list[str]]) -> None:
    [problem] = problems('name: lab\n"https://me:s3cret@example.org": x')
    assert "s3cret" not in problem


def test_a_file_that_is_not_there_or_can_not_be_read_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(ConfigNotFound, match=r"There is no file .*install\.yml"):
        read_manifest(tmp_path)
    with pytest.raises(ConfigNotFound):
        read_manifest(tmp_path / "no" / "folder")
    (tmp_path / "install.yml").write_text("#" * (LARGEST + 1))
    with pytest.raises(ConfigError, match="more than"):
        read_manifest(tmp_path)
    (tmp_path / "install.yml").unlink()
    (tmp_path / "install.yml").mkdir()
    with pytest.raises(ConfigError, match="not a plain file"):
        read_manifest(tmp_path)


def test_without_pyyaml_the_error_has_the_line_that_installs_it(
    read: Callable[[str], Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingExtra) as caught:
        read("name: lab")
    assert caught.value.hint == 'pip install "penstock[install]"'
