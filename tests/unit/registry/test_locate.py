"""Every key of a TOML document is found on its line."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.registry.locate import lines_of, locate, shown, without_addresses

DOCUMENT = '''\
# a comment with [brackets] and = signs
registry = "sqlite:///x"

[services.main]
url = "postgresql://me@host"
"admin_url" = 'postgresql://me@host' # why

[services."odd [name] # \\u00e9"]
url = """
[services.not_a_table]
url = "not a key"
"""
password = \'\'\'
'\'x = 1\'\'\'\'

[ services . "a.b" ]
url = [
  1, # ]
  [2, "]"],
]
admin_url = { host = "x", port = [1] }

[links]
lab.gages = "main"
lab."x:y" = "main"
inline = { "a:b" = "main" }
[[many]]
a = 1
[[many]]
a = 2
[late.below]
[late]
'''
LINES = [
    (("registry",), 2),
    (("services", "main"), 4),
    (("services", "main", "url"), 5),
    (("services", "main", "admin_url"), 6),
    (("services", "odd [name] # é"), 8),
    (("services", "odd [name] # é", "password"), 13),
    (("services", "a.b"), 16),
    (("services", "a.b", "url"), 17),
    (("services", "a.b", "admin_url"), 21),
    (("links",), 23),
    (("links", "lab"), 24),
    (("links", "lab", "gages"), 24),
    (("links", "lab", "x:y"), 25),
    (("many",), 27),
    (("late", "below"), 31),
    (("late",), 32),
]


@pytest.mark.parametrize(
    ("key", "line"), LINES, ids=lambda value: shown(value) if type(value) is tuple else ""
)
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
def test_a_key_is_found_in_every_form_of_table_and_value(key, line, end):
    text = DOCUMENT.replace("\n", end)
    tomllib.loads(text)
    assert lines_of(text)[key] == line


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (("services", "a.b", "admin_url", "host"), 21),
        (("services", "main", "absent"), 4),
        (("links", "inline", "a:b"), 26),
        (("absent",), 1),
        ((), 1),
    ],
    ids=["inside an inline table", "missing from a table", "quoted in an inline table", "nowhere", "no key"],
)
def test_a_key_without_a_line_of_its_own_has_that_of_the_nearest_key_around_it(key, line):
    assert locate(lines_of(DOCUMENT), key) == line


def test_nothing_in_a_text_or_a_comment_is_taken_for_a_key():
    assert ("services", "not_a_table") not in lines_of(DOCUMENT)


def test_an_empty_document_has_no_keys():
    assert lines_of("") == {}
    assert lines_of("# nothing\n\n") == {}


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (("links", "lab", "gages"), "links.lab.gages"),
        (("links", "lab:gages"), 'links."lab:gages"'),
        (("services", ""), 'services.""'),
        (("services", "été"), 'services."été"'),
        (("a\nb\x1b",), '"a\\nb\\u001b"'),
        (("postgresql://me:s3cret@host",), '"postgresql://***"'),
        (("x" * 5000,), '"' + "x" * 80 + '…"'),
    ],
    ids=["bare", "quoted", "empty", "not ASCII", "control characters", "an address", "too long"],
)
def test_a_key_is_shown_as_toml_writes_it_and_never_shows_a_password(key, text):
    assert shown(key) == text


def test_an_address_in_a_text_is_cut_off():
    assert without_addresses("no postgresql://me:s3cret@host, no") == "no postgresql://***"


# --- documents that nobody thought of ------------------------------------------------------------

VALUES = st.sampled_from(
    [
        "1",
        "1979-05-27 07:32:00",
        '"a # b"',
        '"\\""',
        "'[x]'",
        "'\\'",
        '"""\n[fake]\nx = 1\n"""',
        '"""a"b""c\\""""',
        '""""quoted""""',
        '""""""',
        "'''\ny = [\n'''''",
        "[]",
        "[ # ]\n  1, [2, '''\n]''']\n]",
        "{ z = 1, 'w' = [ {v = 2} ] }",
    ]
)
BLANKS = st.sampled_from(["", "\n", "  \n\t\n", "# c = 1\n", "#[x]\n\n", "#\n"])
PARTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@dataclass
class Page:
    """A document while it is written, with the line of everything in it."""

    text: str = ""
    names: int = 0
    lines: dict[tuple[str, ...], int] = field(default_factory=dict)

    @property
    def line(self) -> int:
        return self.text.count("\n") + 1

    def name(self, part: str) -> str:
        """The part, made different from all others."""
        self.names += 1
        return f"{part}{self.names}"


def written(draw, key):
    """A key with its parts quoted in one of the ways that TOML has."""
    dot = draw(st.sampled_from([".", " . ", "\t."]))
    return dot.join(draw(st.sampled_from(ways(part))) for part in key)


def ways(part):
    """The ways to write a part of a key: bare, quoted, in single quotes."""
    quoted = json.dumps(part, ensure_ascii=not part.isprintable() and max(part) <= "\uffff")
    found = [quoted.replace("\x7f", "\\u007f")]
    if part.isprintable() and "'" not in part:
        found.append(f"'{part}'")
    if part.isascii() and part.replace("-", "").replace("_", "").isalnum():
        found.append(part)
    return found


@st.composite
def pages(draw):
    page = Page()
    table = ()
    for _ in range(draw(st.integers(0, 8))):
        page.text += draw(BLANKS)
        key = tuple(page.name(part) for part in draw(st.lists(PARTS, min_size=1, max_size=3)))
        if draw(st.booleans()):
            table, key = key, ()
            page.lines[table] = page.line
            page.text += f"[{written(draw, table)}]"
        else:
            page.lines[table + key] = page.line
            page.text += f"{written(draw, key)} = {draw(VALUES)}"
        page.text += draw(st.sampled_from(["\n", " # [c] = '\n", "\t\n"]))
    return page


@given(pages())
def test_every_key_of_any_document_is_found_on_its_line(page):
    tomllib.loads(page.text)
    found = lines_of(page.text)
    assert {key: found.get(key) for key in page.lines} == page.lines


@given(st.text(st.sampled_from("ab=.[]{}\"'\\#\n\r \t,1"), max_size=60))
def test_no_key_is_missed_or_made_up_in_any_text_that_is_toml(text):
    try:
        document = tomllib.loads(text)
    except ValueError:
        return
    assert {key[0] for key in lines_of(text)} == set(document)
