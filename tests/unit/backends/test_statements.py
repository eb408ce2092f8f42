"""Which statements only read."""

from __future__ import annotations

import pytest

from penstock.backends.statements import first_word, only_reads


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1",
        "\n  -- who\n  select * FROM gage",
        "/* INSERT */ (SELECT 1) UNION SELECT 2",
        "SELECT 'INSERT INTO x', \"into\", replace(a, 'b', 'c') FROM gage",
        "WITH x AS (SELECT 1) SELECT replace(a, 'UPDATE', '') FROM x",
        "VALUES (1)",
        "EXPLAIN QUERY PLAN SELECT 1",
        "PRAGMA foreign_keys",
        "PRAGMA main.table_info('gage')",
        "PRAGMA main.page_count;",
        "SHOW CREATE TABLE gage",
        "SELECT ST_AsText(geom) FROM dam WHERE ST_Within(geom, BuildMbr(1, 2, 3, 4))",
    ],
)
def test_what_plainly_reads_is_known(statement: str) -> None:
    assert only_reads(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO gage VALUES (1)",
        "-- SELECT\nDELETE FROM gage",
        "WITH x AS (SELECT 1) INSERT INTO gage SELECT * FROM x",
        "with x as (select 1) update gage set a = 1",
        "EXPLAIN ANALYZE DELETE FROM gage",
        "SELECT * INTO other FROM gage",
        "REPLACE INTO gage VALUES (1)",
        "CREATE TABLE mine (id integer)",
        "SAVEPOINT one",
        "PRAGMA foreign_keys = OFF",
        "PRAGMA wal_checkpoint",
        "PRAGMA user_version(3)",
        "SELECT AddGeometryColumn('dam', 'geom', 4326, 'POINT')",
        "SELECT st_newedgessplit('topology', 1, geom) FROM dam",
        "CALL something()",
        "anything else",
    ],
)
def test_all_else_is_taken_for_a_change(statement: str) -> None:
    assert not only_reads(statement)


def test_an_empty_statement_has_no_first_word() -> None:
    assert first_word(" -- nothing") == ""
