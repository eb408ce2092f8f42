"""What the document on tent's data shows, run with another import root."""

from __future__ import annotations

import ast
import importlib
import re
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from sqlalchemy import inspect, make_url

from compat.snippets import document, with_new_roots
from penstock.compat.tent import dbm

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Engine

Connect: TypeAlias = "Callable[[Any], Engine]"

pytestmark = pytest.mark.usefixtures("models")


def configurations() -> list[dict[str, Any]]:
    """Those of the document."""
    shown = re.findall(r"^\{\n.*?^\}$", document("003"), re.MULTILINE | re.DOTALL)
    return [ast.literal_eval(each) for each in shown]


def story() -> str:
    """A user is stored."""
    [code] = re.findall(
        r"^from tent\.data import dbm$.*?^session\.close\(\)$", document("003"), re.MULTILINE | re.DOTALL
    )
    return with_new_roots(code)


def model() -> str:
    """A class on tent's base, with the indentation that the document has lost."""
    pattern = r"^(from tent\.data\.dbm import Base)\n\.\.\.\n(class \w+\(Base\):)\n(__tablename__ = .*)$"
    [(imports, head, name)] = re.findall(pattern, document("003"), re.MULTILINE)
    return with_new_roots(f"{imports}\n{head}\n    {name}\n")


def test_the_document_has_the_pieces_that_are_tested_here() -> None:
    assert [list(each) for each in configurations()] == [["driver", "path"]] * 2
    assert story().count("\n") > 8
    assert model().startswith("from penstock.compat.tent.dbm import Base\nclass ")


def test_every_name_of_the_document_is_there() -> None:
    names = set(re.findall(r"\btent\.data\.[\w.]*\w", document("003")))
    assert names >= {"tent.data.user", "tent.data.dbm.open_session", "tent.data.dbm.TableMixin"}
    for name in names:
        parts = with_new_roots(name).split(".")
        module = importlib.import_module(".".join(parts[:4]))
        assert all(hasattr(module, attribute) for attribute in parts[4:]), name


def test_the_configurations_lead_to_files(tmp_path: Path, connected: Connect) -> None:
    for number, shown in enumerate(configurations()):
        path = tmp_path / str(number) / shown["path"].lstrip("/")
        path.parent.mkdir(parents=True)
        dbm.install_tables(connected({**shown, "path": str(path)}))
        assert path.stat().st_size > 0


def test_a_user_is_stored_as_shown() -> None:
    named: dict[str, Any] = {}
    exec(story(), named)  # noqa: S102  (that is what a document is for)
    assert make_url(str(named["engine"].url)).get_backend_name() == "sqlite"
    with dbm.open_session(named["engine"]) as session:
        assert [user.name for user in session.query(named["User"])] == ["Joe Public"]
    named["engine"].dispose()


def test_a_user_is_stored_on_every_server_as_shown(tent_config: dict[str, Any], connected: Connect) -> None:
    code, changed = re.subn(r"^config = .*$", "", story(), flags=re.MULTILINE)
    assert changed == 1
    for _ in range(2):
        named: dict[str, Any] = {"config": tent_config}
        exec(code, named)  # noqa: S102
        named["engine"].dispose()
    with dbm.open_session(connected(tent_config)) as session:
        assert [user.name for user in session.query(named["User"])] == ["Joe Public"] * 2


@pytest.mark.filterwarnings("ignore:This declarative base already contains a class")
def test_a_model_is_declared_as_shown_but_for_its_key(
    tent_config: dict[str, Any], connected: Connect
) -> None:
    key = "    id = Column(Integer, primary_key=True)\n"
    exec("from sqlalchemy import Column, Integer\n" + model() + key, {"__name__": "a_program"})  # noqa: S102
    engine = connected(tent_config)
    dbm.install_tables(engine)
    assert set(inspect(engine).get_table_names()) == {"tables", "users"}
