"""The app's own tests."""

import pytest
from names_all.app import NamesAll
from names_all.controllers import add_dam, get_layers, home, show_map
from names_all.model import Dam

from penstock.compat.tethys.testing import TethysTestCase
from penstock.errors import NotSupported


def test_the_pages_get_what_is_in_the_store(penstock_stores):
    assert home(None)["table"].rows == [("Deer Creek",)]
    assert show_map(None)["map"].view.zoom == 4


def test_what_needs_a_portal_says_so_once_it_is_used():
    for use in (lambda: add_dam(None), get_layers):
        with pytest.raises(NotSupported):
            use()


class DamTests(TethysTestCase):
    """As Tethys has them."""

    def set_up(self):
        self.create_test_persistent_stores_for_app(NamesAll)
        self.create_test_user(username="joe", password="secret", email="joe@example.org")
        self.client = self.get_test_client()

    def tear_down(self):
        self.destroy_test_persistent_stores_for_app(NamesAll)

    def test_there_is_a_dam(self):
        session = NamesAll.get_persistent_store_database("primary_db", as_sessionmaker=True)()
        assert session.query(Dam).count() == 1
        session.close()
