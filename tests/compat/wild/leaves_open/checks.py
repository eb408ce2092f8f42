"""The app's own tests."""

from leaves_open.model import add_well, count_wells, deepest


def test_wells_are_added_by_many_calls_that_close_nothing(penstock_fresh_stores):
    for number in range(30):
        add_well(20.0 + number)
        assert count_wells() == number + 2
        assert deepest().depth == 20.0 + number
