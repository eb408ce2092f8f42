"""Settings of servers and sessions that are unlike those that one expects."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fix_servers import TestServer

_MODES = (
    "", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "PIPES_AS_CONCAT", "NO_UNSIGNED_SUBTRACTION", "IGNORE_SPACE",
    "TIME_ROUND_FRACTIONAL", "PAD_CHAR_TO_FULL_LENGTH", "ORACLE", "TRADITIONAL", "HIGH_NOT_PRECEDENCE",
    "REAL_AS_FLOAT", "ANSI",
)  # fmt: skip

SESSION_SETTINGS: dict[str, tuple[str, ...]] = {
    "postgresql": (
        "SET DateStyle = 'SQL, DMY'",
        "SET DateStyle = 'German'",
        "SET IntervalStyle = 'sql_standard'",
        "SET IntervalStyle = 'iso_8601'",
        "SET bytea_output = 'escape'",
        "SET extra_float_digits = -15",
        "SET client_encoding = 'LATIN1'",
        "SET TimeZone = 'America/New_York'",
        "SET standard_conforming_strings = off",
        "SET backslash_quote = off",
        "SET transform_null_equals = on",
        "SET array_nulls = off",
        "SET default_transaction_isolation = 'serializable'",
        "SET default_transaction_deferrable = on",
        "SET row_security = off",
        "SET xmloption = 'document'",
        "SET quote_all_identifiers = on",
    ),
    "mariadb": (
        *(f"SET sql_mode = '{mode}'" for mode in _MODES),
        "SET time_zone = '+05:30'",
        "SET tx_isolation = 'SERIALIZABLE'",
        "SET tx_isolation = 'REPEATABLE-READ'",
        "SET sql_auto_is_null = 1",
        "SET foreign_key_checks = 0, unique_checks = 0",
        "SET lc_time_names = 'ja_JP'",
        "SET old_mode = 'ZERO_DATE_TIME_CAST'",
        "SET group_concat_max_len = 4",
        "SET div_precision_increment = 0",
        "SET sql_select_limit = 2",
        "SET low_priority_updates = 1",
        "SET collation_connection = 'utf8mb4_german2_ci'",
        "SET max_error_count = 0",
        "SET sql_notes = 0",
    ),
    "sqlite": (
        "PRAGMA case_sensitive_like = ON",
        "PRAGMA reverse_unordered_selects = ON",
        "PRAGMA recursive_triggers = ON",
        "PRAGMA foreign_keys = ON",
        "PRAGMA automatic_index = OFF",
        "PRAGMA legacy_alter_table = ON",
        "PRAGMA read_uncommitted = ON",
        "PRAGMA synchronous = OFF",
        "PRAGMA temp_store = MEMORY",
    ),
}
"""What somebody may have set in a session, by the kind of server."""

SERVER_SETTINGS: dict[str, dict[str, Any]] = {
    "postgresql": {
        "DateStyle": "SQL, DMY",
        "IntervalStyle": "sql_standard",
        "bytea_output": "escape",
        "extra_float_digits": -15,
        "client_encoding": "LATIN1",
        "TimeZone": "America/New_York",
        "standard_conforming_strings": "off",
        "transform_null_equals": "on",
        "array_nulls": "off",
        "default_transaction_isolation": "serializable",
        "default_transaction_deferrable": "on",
        "search_path": "nowhere",
        "xmloption": "document",
        "lock_timeout": "60s",
    },
    "mariadb": {
        "sql_mode": "ORACLE,NO_BACKSLASH_ESCAPES,EMPTY_STRING_IS_NULL,PAD_CHAR_TO_FULL_LENGTH",
        "time_zone": "+05:30",
        "tx_isolation": "SERIALIZABLE",
        "sql_auto_is_null": 1,
        "sql_select_limit": 2,
        "sql_safe_updates": 1,
        "foreign_key_checks": 0,
        "group_concat_max_len": 4,
        "character_set_server": "latin1",
        "collation_server": "latin1_swedish_ci",
        "default_storage_engine": "MyISAM",
        "completion_type": 1,
        "init_connect": "SET autocommit = 0, sql_mode = 'ANSI'",
    },
    "sqlite": {},
}
"""What an administrator may have set for all sessions, all at once."""


@contextmanager
def set_on_server(ground: TestServer, settings: dict[str, Any]) -> Iterator[None]:
    """In the block, new sessions of apps have these settings."""
    if ground.kind == "postgresql":
        with _of_role(ground, settings):
            yield
    elif ground.kind == "mariadb":
        with _of_server(ground, settings):
            yield
    else:
        yield


@contextmanager
def _of_role(ground: TestServer, settings: dict[str, Any]) -> Iterator[None]:
    for name, value in settings.items():
        said = value if name == "DateStyle" else f"'{value}'"
        ground.run_sql("postgres", f"ALTER ROLE penstock SET {name} = {said}")
    try:
        yield
    finally:
        ground.run_sql("postgres", "ALTER ROLE penstock RESET ALL")


@contextmanager
def _of_server(ground: TestServer, settings: dict[str, Any]) -> Iterator[None]:
    names = list(settings)
    change = f"SET {', '.join(f'GLOBAL {name} = %s' for name in names)}"
    server: Any = ground.running
    with (
        server.connect() as connection,
        connection.cursor() as cursor,
    ):  # It began before, and stays as it is.
        cursor.execute(f"SELECT {', '.join(f'@@GLOBAL.{name}' for name in names)}")
        before = cursor.fetchone()
        cursor.execute(change, list(settings.values()))
        try:
            yield
        finally:
            cursor.execute(change, before)
