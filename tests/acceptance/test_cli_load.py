"""Files are loaded into tables: all rows, or none, as the columns say."""

from __future__ import annotations

import gzip
import json
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from sqlalchemy import create_engine

from acceptance.loads import HEAD, stored, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from acceptance.terminal import Terminal
    from fix_servers import TestServer

SEEN = datetime.fromisoformat("2020-01-02T03:04:05.600000")


def check_first(row: dict[str, Any], ground: TestServer) -> None:
    """The row that each format of a file has."""
    assert (row["number"], row["name"], row["height"], row["gates"]) == ("007", "Weber, O", 1.5, 3)
    seen = SEEN.replace(microsecond=0) if ground.kind == "mariadb" else SEEN  # A DATETIME has seconds there.
    assert (row["made"], row["seen"]) == (date(2020, 1, 2), seen)
    assert (bool(row["works"]), row["extra"]) in ((False, {"a": [1]}), (False, '{"a": [1]}'))
    if ground.kind != "sqlite":  # It has no exact numbers.
        assert row["price"] == Decimal("12345678901234.123456")


def test_csv_is_read_as_the_columns_say_and_nothing_is_guessed(loads: Terminal, ground: TestServer) -> None:
    first = '007,"Weber, O",1.5,12345678901234.123456, 3,2020-01-02,2020-01-02T03:04:05.6,no,"{""a"": [1]}"\n'
    write(loads, "a.csv", HEAD + first + '008,"",2e3,,,,,T,\n009,,-1,7.5,,,,1,\n')
    said = loads.ok("load", "lab:gages", "gage", "a.csv")
    assert said.startswith("gage: 3 inserted, 0 updated, 0 skipped  (3 rows of 1 file in ")
    rows = stored(loads)
    check_first(rows[0], ground)
    assert [(row["name"], row["height"], bool(row["works"])) for row in rows[1:]] == [
        ("", 2000.0, True),
        (None, -1.0, True),
    ]
    assert rows[1]["price"] is rows[1]["gates"] is rows[1]["made"] is rows[1]["extra"] is None


def test_json_lines_are_read_as_the_columns_say(loads: Terminal, ground: TestServer) -> None:
    first = (
        '{"number": "007", "name": "Weber, O", "height": 1.5, "price": 12345678901234.123456, "gates": 3,'
        ' "made": "2020-01-02", "seen": "2020-01-02 03:04:05.6", "works": false, "extra": {"a": [1]}}'
    )
    write(loads, "a.jsonl", f'{first}\n\n{{"number": 8, "height": "2", "works": true, "extra": null}}')
    loads.ok("load", "lab:gages", "gage", "a.jsonl")
    rows = stored(loads)
    check_first(rows[0], ground)
    assert (rows[1]["number"], rows[1]["height"], rows[1]["extra"]) == ("8", 2.0, None)


def test_parquet_is_read_as_the_columns_say(loads: Terminal, ground: TestServer) -> None:
    table = pa.table(
        {
            "number": pa.array(["007", "8"]).dictionary_encode(),
            "name": ["Weber, O", None],
            "height": ["1.5", "2"],
            "price": [Decimal("12345678901234.123456"), None],
            "gates": [3, None],
            "made": ["2020-01-02", None],
            "seen": [SEEN, None],
            "works": [False, True],
            "extra": ['{"a": [1]}', None],
        }
    )
    parquet.write_table(table, loads.folder / "a.parquet")
    loads.ok("load", "lab:gages", "gage", "a.parquet")
    check_first(stored(loads)[0], ground)
    numbers = pa.table({"number": [9], "height": [1.0], "works": [True]})
    parquet.write_table(numbers, loads.folder / "b.parquet")
    loads.ok("load", "lab:gages", "gage", "b.parquet")
    assert [row["number"] for row in stored(loads)] == ["007", "8", "9"]


def test_a_table_that_the_app_does_not_declare_has_the_types_of_the_database(loads: Terminal) -> None:
    write(loads, "f.tsv", "site\tday\tamount\tworks\n01\t2020-01-02\t3.1250\tyes\n")
    loads.ok("load", "lab:gages", "flow", "f.tsv")
    [row] = stored(loads, "flow")
    assert (row["site"], row["day"], row["amount"], row["note"]) == (
        "01", date(2020, 1, 2), Decimal("3.125"), "none",
    )  # fmt: skip
    assert bool(row["works"])


def test_several_files_and_standard_input_are_one_transaction(loads: Terminal) -> None:
    head = "number,height,works\n"
    write(loads, "a.csv", head + "1,1,yes\n")
    write(loads, "b.csv.gz", gzip.compress(f"{head}2,2,yes\n".encode()))
    said = loads.ok(
        "load", "lab:gages", "gage", "a.csv", "b.csv.gz", "-", "--format", "csv",
        stdin=gzip.compress(f"{head}3,3,no\n".encode()),
    )  # fmt: skip
    assert "3 rows of 3 files" in said
    write(loads, "c.csv", head + "4,4,yes\n")
    write(loads, "d.csv", head + "5,5,yes\n6,much,yes\n")
    done = loads("load", "lab:gages", "gage", "c.csv", "d.csv")
    assert (done.code, done.out) == (1, "")
    assert [row["number"] for row in stored(loads)] == ["1", "2", "3"]


def test_rows_that_are_there_are_refused_left_or_updated(loads: Terminal) -> None:
    head = "site,day,amount\n"
    write(loads, "a.csv", head + "1,2020-01-01,1\n2,2020-01-01,2\n")
    write(loads, "b.csv", head + "2,2020-01-01,20\n3,2020-01-01,30\n")
    loads.ok("load", "lab:gages", "flow", "a.csv")
    done = loads("load", "lab:gages", "flow", "b.csv")
    assert (done.code, "b.csv, line 2, can't be stored for its " in done.err) == (1, True)
    nothing = loads.json("load", "lab:gages", "flow", "b.csv", "--on-conflict", "nothing")
    assert (nothing["inserted"], nothing["updated"], nothing["skipped"]) == (1, 0, 1)
    for key in (["--key", "site,day"], ["--key", "site", "--key", "day"], []):
        updated = loads.json("load", "lab:gages", "flow", "b.csv", "--on-conflict", "update", *key)
        assert (updated["inserted"], updated["updated"], updated["skipped"]) == (0, 2, 0)
    assert [row["amount"] for row in stored(loads, "flow")] == [1, 20, 30]


def test_columns_are_mapped_and_left_out(loads: Terminal) -> None:
    write(loads, "a.csv", "Site No;height;works;remark\n1;1.5;yes;unwanted\n")
    words = ["lab:gages", "gage", "a.csv", "--delimiter", ";", "--map", "Site No=number", "--map", "remark="]
    plan = loads.ok("load", *words, "--plan")
    assert stored(loads) == []
    lines = [" ".join(line.split()) for line in plan.splitlines()]
    assert lines[0] == "a.csv to gage as the app declares it"
    assert "Site No text number VARCHAR(20) loaded" in lines
    assert "remark text - - left out" in lines
    assert any(line.startswith("- - price ") and line.endswith(" NULL") for line in lines)
    loads.ok("load", *words)
    write(loads, "b.csv", "number;height;works\n2;1.5;yes\n")  # What one of the files has is enough.
    loads.ok("load", *words, "b.csv", "--on-conflict", "nothing")
    assert [row["number"] for row in stored(loads)] == ["1", "2"]


def test_a_plan_shows_what_does_not_fit_and_fails(loads: Terminal) -> None:
    write(loads, "a.csv", "number,hight\n1,1.5\n")
    done = loads("load", "lab:gages", "gage", "a.csv", "--plan")
    assert done.code == 2
    fates = {line.split()[-1] for line in done.out.splitlines()}
    assert {"loaded", "unknown", "missing", "default", "NULL"} <= fates
    assert "try: Did you mean height? Map it: --map hight=COLUMN" in done.err
    document = json.loads(loads("load", "lab:gages", "gage", "a.csv", "--plan", "--json").out)
    assert document["error"]["code"] == "column-unknown"


def test_a_bar_grows_on_a_terminal(loads: Terminal) -> None:
    write(loads, "a.csv", "number,height,works\n" + "".join(f"{n},1,yes\n" for n in range(60_000)))
    done = loads.typed("load", "lab:gages", "gage", "a.csv")
    assert done.code == 0
    assert "50,000 rows" in done.out
    assert "rows/s" in done.out
    assert "gage: 60,000 inserted" in done.out


@pytest.fixture
def in_the_way(loads: Terminal, ground: TestServer) -> Iterator[None]:
    """Somebody who has stored a row, but has not yet said for good: the same one waits for that."""
    if ground.kind == "sqlite":  # One writes at a time: there is nothing to wait for in the middle.
        yield
        return
    engine = create_engine(loads.ok("stores", "url", "lab:gages", "--reveal").strip())
    with engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("INSERT INTO gage (number, height, works) VALUES ('last', 1, true)")
        yield
    engine.dispose()


@pytest.mark.usefixtures("in_the_way")
def test_ctrl_c_in_the_middle_stores_nothing_and_says_so(loads: Terminal, ground: TestServer) -> None:
    count = 1_000_000 if ground.kind == "sqlite" else 60_000
    lines = "".join(f"{n},1,yes\n" for n in range(count))
    write(loads, "a.csv", f"number,height,works\n{lines}last,1,yes\n")
    done = loads.typed("load", "lab:gages", "gage", "a.csv", answers=[("50,000 rows", "\x03")])
    assert done.code == 130, done.out
    assert "Nothing was stored." in done.out
    assert [row["number"] for row in stored(loads)] in ([], ["last"])
