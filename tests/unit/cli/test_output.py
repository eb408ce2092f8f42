"""What is printed: no password, no control character, sizes for people."""

from __future__ import annotations

import pytest

from penstock.cli import output


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:s3cret@host/db", "postgresql://me:***@host/db"),
        ("at postgresql://me:s3:c@r/et@host, and on", "at postgresql://me:***@host, and on"),
        ("postgresql://me@host:5432", "postgresql://me@host:5432"),
        ("sqlite:////srv/stores", "sqlite:////srv/stores"),
        ("postgresql://:s3cret@host", "postgresql://:***@host"),
    ],
)
def test_a_password_in_an_address_is_never_printed(text: str, shown: str) -> None:
    assert output.clean(text) == shown


def test_what_a_server_says_can_not_move_the_cursor_or_turn_the_text() -> None:
    assert output.clean("a\x1b[2Jb\x1b]0;title\x07c\rd\u202ee") == "a�[2Jb�]0;title�c�d�e"
    assert output.clean("\x1b[31mred\x1b[0m\n\ttab été 數") == "\x1b[31mred\x1b[0m\n\ttab été 數"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, ""),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (8_200_000, "8.2 MB"),
        (5 * 10**12, "5.0 TB"),
        (5 * 10**16, "50000.0 TB"),
    ],
)
def test_a_size_is_for_people(count: int | None, text: str) -> None:
    assert output.size(count) == text


def test_an_address_is_shown_without_the_name_of_its_driver() -> None:
    assert output.address("postgresql+psycopg://me@host") == "postgresql://me@host"
    assert output.address("sqlite+pysqlite:////srv") == "sqlite:////srv"
