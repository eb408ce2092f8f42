"""Settings, names and apps are checked when they are declared."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import App, Connection, Database
from penstock.declare import AppDeclaration, ConnectionSetting, DatabaseSetting, StoreName, physical_name
from penstock.errors import DeclarationError, InvalidName, NameCollision, UnknownSetting, WrongSetting


@pytest.mark.parametrize(
    ("package", "store", "expected"),
    [
        ("lab_app", "Main DB", "lab_app_main_db"),
        ("lab_app", "My-Db X", "lab_app_my_db_x"),
        ("stream_gages", "basins.logan", "stream_gages_basins_logan"),
        ("lab", "x.y.z", "lab_x_y_z_2e1b2ac1"),
    ],
)
def test_a_name_becomes_package_underscore_name(package: str, store: str, expected: str) -> None:
    found = physical_name(package, StoreName(store))
    assert found == expected or (len(expected) > 15 and found.startswith(expected[:-8]))


def test_a_name_that_loses_more_than_case_spaces_and_hyphens_gets_a_hash() -> None:
    assert physical_name("lab", StoreName("a'b")) != physical_name("lab", StoreName('a"b'))
    assert physical_name("lab", StoreName("a'b")).startswith("lab_a_b_")


def test_names_of_63_bytes_are_kept_and_longer_ones_cut() -> None:
    assert physical_name("a", StoreName("b" * 61)) == "a_" + "b" * 61
    cut = physical_name("a", StoreName("b" * 62))
    assert len(cut) == 63
    assert cut != physical_name("a", StoreName("b" * 63))


@pytest.mark.parametrize("name", ["", "  ", "a\n", "x" * 201, "\0", "\ud800", None, 5])
def test_a_name_that_nothing_can_carry_is_refused(name: object) -> None:
    with pytest.raises(InvalidName):
        DatabaseSetting(name)
    with pytest.raises(InvalidName):
        AppDeclaration(name, "Lab", ())


@pytest.mark.parametrize("name", ["a.b", ".", "kind."])
def test_a_dot_is_kept_for_kinds(name: str) -> None:
    with pytest.raises(InvalidName):
        ConnectionSetting(name)


@pytest.mark.parametrize("name", [".x", "x.", "."])
def test_both_sides_of_a_dot_are_needed(name: str) -> None:
    with pytest.raises(InvalidName):
        StoreName(name)


@pytest.mark.parametrize("given_", [5, "no path", "a..b", "a.b()", object()])
def test_an_initializer_that_is_no_function_and_no_path_is_refused(given_: object) -> None:
    with pytest.raises(DeclarationError):
        DatabaseSetting("gages", initializer=given_)


def test_two_settings_of_one_name_are_refused() -> None:
    with pytest.raises(NameCollision):
        AppDeclaration("lab", "Lab", (DatabaseSetting("x"), ConnectionSetting("x")))


def test_what_is_no_setting_is_refused() -> None:
    with pytest.raises(DeclarationError, match="not a setting"):
        AppDeclaration("lab", "Lab", ("gages",))


def test_a_setting_is_looked_up_by_name_and_kind() -> None:
    app = AppDeclaration("lab", "Lab", (DatabaseSetting("x"), ConnectionSetting("y")))
    assert app.get("x").required
    with pytest.raises(UnknownSetting, match="It declares x, y"):
        app.get("z")
    with pytest.raises(WrongSetting, match="get_persistent_store_database"):
        app.get_connection("x")
    with pytest.raises(WrongSetting, match="not a kind"):
        app.get_kind("x")


def test_both_spellings_are_one_set_of_settings() -> None:
    class Lab(App):
        typed = Database("In the class body.")

        def persistent_store_settings(self) -> tuple[DatabaseSetting | ConnectionSetting, ...]:
            return (DatabaseSetting("old"), ConnectionSetting("primary"))

    assert [setting.name for setting in Lab.declaration().settings] == ["typed", "old", "primary"]


def test_the_documented_method_may_return_any_iterable_or_none() -> None:
    class Nothing(App):
        def persistent_store_settings(self) -> None:
            return None

    class Lazy(App):
        def persistent_store_settings(self):
            yield DatabaseSetting("gages")

    assert Nothing.declaration().settings == ()
    assert [s.name for s in Lazy.declaration().settings] == ["gages"]


def test_a_package_is_that_of_the_module_below_tethysapp_the_second_part() -> None:
    here = type("Here", (App,), {"__module__": "my_app.app"})
    below = type("Below", (App,), {"__module__": "tethysapp.my_lab.app"})
    script = type("StreamGages", (App,), {"__module__": "__main__"})
    assert (here.package, below.package, script.package) == ("my_app", "my_lab", "stream_gages")
    assert here.name == "Here"


def test_a_subclass_has_its_bases_settings_as_its_own() -> None:
    class Base(App):
        package = "base"
        gages = Database("Every gage.")
        servers = Connection()

    class Derived(Base):
        package = "derived"

    @Base.gages.initializer
    def seed(engine: object, first_time: bool) -> None: ...

    assert Derived.gages is not Base.gages
    assert (Derived.gages.app, Base.gages.app) == (Derived, Base)
    assert Derived.gages.setting.initializer is seed
    assert [s.name for s in Derived.declaration().settings] == ["gages", "servers"]


@given(st.text(), st.text())
def test_declaring_raises_nothing_but_declaration_errors(package: str, name: str) -> None:
    with contextlib.suppress(DeclarationError):
        AppDeclaration(package, package, (DatabaseSetting(name), ConnectionSetting(name + "x")))
