"""The app's own tests."""

from asks_itself.model import add_dam, get_dams


def test_the_first_dams_are_there(penstock_stores):
    add_dam("Echo", 48.0)
    assert get_dams() == ["Deer Creek", "Jordanelle", "Echo"]


def test_what_a_test_adds_is_gone_after_it(penstock_stores):
    assert get_dams() == ["Deer Creek", "Jordanelle"]
