"""The page on configuration says all that the code reads, defaults and limits."""

from __future__ import annotations

import ast
import re
from dataclasses import MISSING, fields
from importlib.metadata import metadata
from pathlib import Path

import pytest
from sybil import Sybil

from docs.blocks import PLAYED, SHOWN, Block, parser
from penstock.engines import EngineOptions
from penstock.registry import shape

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "reference" / "configuration.md").read_text("utf-8")
DOCUMENTS = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]

REASONS = ("it installs", "it needs a server of your own", "they set up a virtual environment")
"""Why a block may not be executed."""

TABLES = {
    shape.FileTable: "### Top level",
    shape.ServiceTable: "### `[services.NAME]`",
    EngineOptions: "### `[engine]`",
}


def rows(heading: str) -> dict[str, str]:
    """The rows of the table below a heading, by what stands in their first cell."""
    section = PAGE.split(f"{heading}\n", 1)[1].split("\n##", 1)[0]
    return {match[1]: match[0] for match in re.finditer(r"^\| `([^`]+)` \|.*$", section, re.MULTILINE)}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_every_key_of_a_table_is_on_the_page_and_no_other(table: type) -> None:
    assert list(rows(TABLES[table])) == [field.name for field in fields(table)]


def test_required_keys_and_defaults_are_as_the_page_says() -> None:
    services, engine = rows(TABLES[shape.ServiceTable]), rows(TABLES[EngineOptions])
    for field in fields(shape.ServiceTable):
        assert ("| required |" in services[field.name]) == (field.default is MISSING)
    for field in fields(EngineOptions):
        if field.default is None:
            continue  # The page says in words what then decides.
        shown = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
        assert f"| {shown} |" in engine[field.name]


def test_limits_are_as_the_page_says() -> None:
    engine = rows(TABLES[EngineOptions])
    for key, (least, most) in shape._LIMITS.items():
        assert f"| {least} to {most} |" in engine[key]


def test_every_variable_that_is_read_is_on_the_page_and_no_other() -> None:
    written = {re.sub(r"<.*", "", name) for name in rows("## Environment variables")}
    assert written == variables_in_code()


def variables_in_code() -> set[str]:
    """What the source names as a variable: `PENSTOCK_…` by its form, others where they are read."""
    texts = [path.read_text("utf-8") for path in (PROJECT / "src").rglob("*.py")]
    constants = {
        node.value
        for text in texts
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    own = {
        text
        for text in constants
        if re.fullmatch(r"_?PENSTOCK_[A-Z_]+|DATABASE_URL|[A-Z_]+_LIBRARY_PATH", text)
    }
    read = re.compile(r"""environ(?:\.get\(|\[)["']([A-Z_]+)["']""")
    return own | {name for text in texts for name in read.findall(text)}


def test_few_blocks_are_not_executed_and_they_say_why() -> None:
    found: list[Block] = []
    for path in DOCUMENTS:
        for example in Sybil([parser(found.append)]).parse(path).examples():
            example.evaluate()
    assert {block.language for block in found} <= {*PLAYED, *SHOWN}
    reasons = [block.reason for block in found if block.reason]
    assert [reason for reason in reasons if not reason.startswith(REASONS)] == []


def test_on_the_package_index_no_link_leads_into_a_checkout() -> None:
    shown = str(metadata("penstock").json["description"])
    assert "How-to guides" in shown
    assert [link for link in re.findall(r"\]\(([^)]*)\)", shown) if not link.startswith("https://")] == []
