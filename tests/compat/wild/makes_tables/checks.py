"""The app's own tests."""

import pytest
from makes_tables.app import MakesTables as app
from makes_tables.basins import add_basin, get_reaches, remove_basin

from penstock.compat.tethys.exceptions import TethysAppSettingDoesNotExist


def test_a_basin_is_made_with_its_tables_and_removed(penstock_fresh_stores):
    add_basin("logan", ["upper", "lower"])
    assert get_reaches("logan") == ["upper", "lower"]
    assert app.list_persistent_store_databases(dynamic_only=True) == ["logan"]
    engine = app.get_persistent_store_database("logan")
    remove_basin("logan")
    assert app.list_persistent_store_databases(dynamic_only=True) == []
    with pytest.raises(TethysAppSettingDoesNotExist):
        app.get_persistent_store_database("logan")
    assert engine is not None
