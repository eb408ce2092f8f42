"""The app's own tests."""

from pathlib import Path

from tethysapp.old_setup.app import OldSetup as app
from tethysapp.old_setup.model import Dam


def test_there_is_a_dam(penstock_stores):
    session = app.get_persistent_store_database("primary_db", as_sessionmaker=True)()
    assert [dam.name for dam in session.query(Dam)] == ["Deer Creek"]
    session.close()


def test_its_pages_are_installed_with_it():
    import tethysapp.old_setup

    assert (Path(tethysapp.old_setup.__file__).parent / "templates/old_setup/home.html").is_file()
