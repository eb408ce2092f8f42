"""Initializers are found, checked, and told apart by their first parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from penstock.errors import InitializerInvalid, InitializerNotFound
from penstock.provision.facts import InitializerForm
from penstock.provision.initializers import find_initializer

if TYPE_CHECKING:
    from pathlib import Path


def with_engine(engine: object, first_time: bool) -> None:
    """The documented form."""


def with_session(session: object, first_time: bool) -> None:
    """The exactly-once form."""


def with_connection(connection: object, first_time: bool) -> None:
    """The exactly-once form, for Core."""


def with_anything(*given: object) -> None:
    """Called with the engine."""


@pytest.mark.parametrize(
    ("function", "form"),
    [
        (with_engine, InitializerForm.ENGINE),
        (with_session, InitializerForm.SESSION),
        (with_connection, InitializerForm.CONNECTION),
        (with_anything, InitializerForm.ENGINE),
    ],
)
def test_the_first_parameter_says_what_is_wanted(function: object, form: InitializerForm) -> None:
    found = find_initializer(function)
    assert found is not None
    assert found.form is form


@pytest.mark.parametrize(
    "function", [lambda: None, lambda a: None, lambda a, b, c: None], ids=["0", "1", "3"]
)
def test_a_function_of_other_arguments_is_refused(function: object) -> None:
    with pytest.raises(InitializerInvalid, match="two arguments"):
        find_initializer(function)


def test_no_initializer_is_none() -> None:
    assert find_initializer("") is None


def test_paths_are_looked_up_as_given_and_then_below_tethysapp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "tethysapp" / "old_lab"
    package.mkdir(parents=True)
    (package / "model.py").write_text("def seed(engine, first_time): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    for path in ("tethysapp.old_lab.model.seed", "old_lab.model.seed", "old_lab.model:seed"):
        found = find_initializer(path)
        assert found is not None
        assert found.function.__module__ == "tethysapp.old_lab.model"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("no_such.seed", "no module 'no_such'"),
        ("json.no_such", "no function 'no_such'"),
        ("json.decoder", "something else named 'decoder'"),
        ("seed", "names no module"),
    ],
)
def test_t6_what_is_missing_is_named(path: str, said: str) -> None:
    with pytest.raises(InitializerNotFound, match=said):
        find_initializer(path)


def test_t6_a_module_that_breaks_is_chained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "breaks_at_import.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InitializerNotFound, match="ZeroDivisionError") as caught:
        find_initializer("breaks_at_import.seed")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
