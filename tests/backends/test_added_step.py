"""A step added from outside is planned, done, journalled and shown like any other."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest
from click.testing import CliRunner

from penstock.cli import main
from penstock.provision.facts import NOTHING, DesiredState, Found
from penstock.provision.plan import plan_sync
from penstock.provision.steps import Phase, Step, register, registered, unregister

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fix_servers import TestServer
    from penstock import App, Stores
    from penstock.provision.context import SyncContext

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "what-sync-does.md"

HUT = """
from penstock import App, Database

class Hut(App):
    package = "hut"
    main = Database("One.")
"""


@dataclass(frozen=True, slots=True)
class MakeNotes(Step):
    """Make a table of notes in a new store."""

    database: str

    def __str__(self) -> str:
        return f"make the notes of {self.database}"

    @classmethod
    def needed(cls, desired: DesiredState, found: Found) -> Self | None:
        """In a store that is not complete."""
        return cls(desired.database) if found.record is None or not found.record.initialised else None

    def run(self, context: SyncContext) -> None:
        """By the store's owner."""
        with context.engine().begin() as connection:
            connection.exec_driver_sql("CREATE TABLE notes (id INTEGER)")


@pytest.fixture
def added() -> Iterator[type[Step]]:
    """The step, between tables and initializer."""
    yield register(Phase.FILL, order=65, title="Make notes")(MakeNotes)
    unregister(MakeNotes)


@pytest.mark.usefixtures("added")
def test_a_step_from_outside_is_in_plan_sync_and_journal(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    words = f"make the notes of {stores.address(lab, 'gages').database}"
    planned = [str(step) for step in stores.plan(lab, "gages").steps]
    done = [str(done.step) for result in stores.sync(lab) for done in result.or_raise().steps]
    entry = stores.registry.journal()[0]
    place = planned.index(words)
    assert planned[place - 1].startswith(("create missing tables", "let the logins"))
    assert planned[place + 1].startswith(("let the logins", "run initializer"))
    assert entry.action == "sync store"
    assert entry.detail["steps"] == "; ".join(done)
    assert words in done
    ground.run_sql(stores.address(lab, "gages").database, "INSERT INTO notes VALUES (1)")
    assert words not in [str(step) for step in stores.plan(lab, "gages").steps]


@pytest.mark.usefixtures("added")
def test_a_step_from_outside_is_shown_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.joinpath("hut.py").write_text(HUT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    runner = CliRunner()
    for words in ("init", "link local hut:main"):
        made = runner.invoke(main, words.split())
        assert made.exit_code == 0, made.output
    plan = runner.invoke(main, ["syncstores", "hut", "--plan"])
    done = runner.invoke(main, ["syncstores", "hut"])
    assert "make the notes of hut_main" in plan.output
    assert "make the notes of hut_main" in done.output


def test_a_place_that_a_step_has_is_refused_to_another() -> None:
    with pytest.raises(ValueError, match="CreateTables"):
        register(Phase.FILL, order=60, title="Notes")(MakeNotes)
    assert MakeNotes not in registered(Phase.FILL)


def test_every_step_that_makes_a_store_is_in_the_documentation_in_its_order() -> None:
    page = PAGE.read_text("utf-8")
    titles = [step.title for phase in (Phase.CREATE, Phase.FILL) for step in registered(phase)]
    assert [title for title in titles if f"**{title}**" not in page] == []
    assert all(inspect.getdoc(step) for phase in Phase for step in registered(phase))


def test_the_decision_is_made_without_a_database_or_an_operating_system(added: type[Step]) -> None:
    desired = DesiredState(app="lab", store="main", database="lab_main")
    assert added in [type(step) for step in plan_sync(desired, NOTHING).steps]
