"""What the document on db-plugins shows, run with another import root."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.orm import scoped_session

from compat.snippets import document, passage, with_new_roots
from fix_brokers import detections
from penstock.compat.db_plugins import SQLConnection
from penstock.compat.db_plugins.models import Detection, Object, Probability

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def snippet(first: str, last: str, number: int = 0) -> str:
    """A piece of the document, as it runs here: with our import root, and what it misspells put right."""
    code = with_new_roots(passage(document("002"), first, last, number))
    return code.replace("filter_by=**filters", "filter_by=filters")


@pytest.fixture
def connected(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What the first piece names, with a configuration that means a database of the test."""
    code = snippet("from db_plugins.db.sql import SQLConnection", "db.connect(")
    for key, value in config.items():
        code, count = re.subn(rf'("{key}": )("\w+"|\d+)', lambda found: found[1] + repr(value), code)  # noqa: B023
        assert count == 1
    names = run(code)
    names["db"].create_db()
    yield names
    names["db"].end_session()
    names["db"].dispose()


def run(code: str, names: dict[str, Any] | None = None) -> dict[str, Any]:
    """Run a piece of code; what it names."""
    names = {} if names is None else names
    exec(compile(code, "the document", "exec"), names)  # noqa: S102  (of the document)
    return names


def test_a_connection_is_made_as_shown_and_nobody_is_asked() -> None:
    names = run(snippet("from db_plugins.db.sql import SQLConnection", "db.connect("))
    assert names["db"].engine.url.database == "database"
    assert names["db"].engine.url.host == "host"
    assert "SQLALCHEMY_DATABASE_URL" not in names["db_config"]["SQL"]
    names["db"].end_session()


def test_an_instance_is_got_or_made_as_shown(
    connected: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    code = snippet("oid = ", "print(")
    run(code, connected)
    run(code, connected)
    said = "<Object(oid='ZTF_OID')> created: {}\n"
    assert capsys.readouterr().out == said.format(True) + said.format(False)
    assert isinstance(connected["obj"], Object)


def test_many_objects_are_added_as_shown(connected: dict[str, Any]) -> None:
    connected["db"].query(Object).bulk_insert([{"oid": "ZTF1"}])
    connected["prv_detections"] = detections(1, 2)
    run(snippet("db.query(Detection)", "db.query(Detection)"), connected)
    assert connected["db"].query(Detection).count() == 2


def test_an_instance_is_updated_as_shown(connected: dict[str, Any]) -> None:
    run(snippet("obj = db.query(Object)", "obj = db.query().update"), connected)
    run(snippet("db.session.commit()", "db.session.commit()"), connected)
    connected["db"].session.expire_all()
    assert connected["db"].query(Object).find_one(filter_by={"oid": "ZTF123"}).lastmjd == 12345


def test_a_scoped_session_is_used_as_shown(config: dict[str, Any]) -> None:
    names = run(
        snippet("# scoped session example", "conn.session.remove()"),
        {"SQLConnection": SQLConnection, "config": config},
    )
    assert isinstance(names["conn"].session, scoped_session)
    names["conn"].end_session()
    names["conn"].dispose()


def test_queries_are_asked_as_shown(connected: dict[str, Any]) -> None:
    db = connected["db"]
    kinds = {"class_name": "SN", "classifier_name": "lc", "classifier_version": "1"}
    db.query(Object).get_or_create(filter_by={"oid": "ZTF1"})
    db.query(Probability).get_or_create(filter_by={"oid": "ZTF1", **kinds}, probability=0.5, ranking=1)
    names: dict[str, Any] = {**connected, "db_conn": db, "filters": {"oid": "ZTF1"}}
    code = snippet("# Using SQLAlchemy API", "db_conn.query().get_or_create")
    results = [
        eval(line, names)  # noqa: S307  (of the document)
        for line in code.splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
    assert [each.ranking for each in results[0]] == [1]
    assert [each.ranking for each in results[1].items] == [1]
    assert results[2] == (db.query(Object).one(), False)


def test_the_signatures_of_the_document_are_those_of_the_methods() -> None:
    text = document("002")
    shown = {"__init__": re.findall(r"^class db_plugins\.db\.sql\.SQLConnection\((.*)\)", text, re.MULTILINE)}
    for name in ("connect", "create_session", "query"):
        shown[name] = re.findall(rf"^{name}\((.*)\)\[source\]$", text, re.MULTILINE)
    for name, found in shown.items():
        assert found == [signature_of(getattr(SQLConnection, name))]
    assert callable(SQLConnection.end_session)


def signature_of(method: Callable[..., Any]) -> str:
    def said(each: inspect.Parameter) -> str:
        name = f"*{each.name}" if each.kind is each.VAR_POSITIONAL else each.name
        return name if each.default is each.empty else f"{name}={each.default!r}"

    return ", ".join(said(each) for each in list(inspect.signature(method).parameters.values())[1:])
