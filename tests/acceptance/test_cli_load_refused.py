"""Files that do not fit are refused: nothing is stored, and no value is shown."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from pyarrow import parquet

from acceptance.loads import HEAD, stored, write

if TYPE_CHECKING:
    from acceptance.terminal import Terminal

pytestmark = pytest.mark.turns("ground")

ROW = "1,a,1.5,1,1,2020-01-01,2020-01-01,yes,\n"

ROWS = {
    "NULL": (
        "a.csv",
        "number,height,works\n1,,yes\n",
        1,
        "row-refused",
        "a.csv, line 2, can't be stored for its height",
    ),
    "no number": (
        "a.csv",
        HEAD + ROW + '2,"two\nlines",secret,,,,,yes,\n',
        1,
        "row-refused",
        "a.csv, line 3, can't be stored: what it has for height is no ",
    ),
    "no whole number": (
        "a.csv",
        HEAD + ROW.replace(",1,2020", ",0x10,2020"),
        1,
        "row-refused",
        "line 2, can't be stored: what it has for gates is no ",
    ),
    "no date": (
        "a.csv",
        HEAD + ROW.replace("1,2020-01-01", "1,secret"),
        1,
        "row-refused",
        "for made is no ",
    ),
    "no moment": (
        "a.csv",
        HEAD + ROW.replace("2020-01-01,yes", "2020-01-01T00:00:00Z,yes"),
        1,
        "row-refused",
        "for seen is no ",
    ),
    "no boolean": ("a.csv", HEAD + ROW.replace("yes", "secret"), 1, "row-refused", "for works is no "),
    "no decimal": (
        "a.csv",
        HEAD + ROW.replace("1.5,1,", "1.5,1_000,"),
        1,
        "row-refused",
        "for price is no ",
    ),
    "no document": (
        "a.csv",
        HEAD + ROW.replace("yes,", "yes,secret"),
        1,
        "row-refused",
        "line 2, can't be stored for its extra",
    ),
    "a key twice": ("a.csv", HEAD + ROW + ROW, 1, "row-refused", "a.csv, line 3, can't be stored"),
}
"""Rows that can't be stored: the file, its text, the exit code, the error, and what it says."""

FILES = {
    "an unknown column": ("a.csv", "number,height,works,x\n1,1,yes,secret\n", 2, "column-unknown", "'x'"),
    "a missing column": ("a.csv", "number,works\n1,yes\n", 1, "column-missing", "height"),
    "fields too few": (
        "a.csv",
        HEAD + ROW + "\n2,secret\n",
        1,
        "file-unreadable",
        "a.csv, line 4, has 2 fields, not 9",
    ),
    "open quotes": (
        "a.csv",
        HEAD + ROW + '2,a,1.5,1,1,2020-01-01,2020-01-01,yes,"secret\n',
        1,
        "file-unreadable",
        "quotes are not closed",
    ),
    "no line of names": (
        "a.csv",
        "secret,1.5,yes\n",
        1,
        "file-unreadable",
        "No column of a.csv is one of gage",
    ),
    "a name twice": ("a.csv", "number,number,height\n1,1,1\n", 1, "file-unreadable", "two columns 'number'"),
    "no UTF-8": (
        "a.csv",
        HEAD.encode() + ROW.replace("a", "\xe9").encode("latin-1"),
        1,
        "file-unreadable",
        "UTF-8",
    ),
    "an empty file": ("a.csv", "", 1, "file-unreadable", "a.csv is empty"),
    "cut gzip": ("a.csv.gz", gzip.compress((HEAD + ROW).encode())[:-9], 1, "file-unreadable", "cut off"),
    "no parquet": ("a.parquet", HEAD + ROW, 1, "file-unreadable", "no Parquet file"),
    "parquet by another name": ("a.csv", b"PAR1\x15\x04\xff\xfe", 1, "file-unreadable", "UTF-8"),
    "no JSON": (
        "a.jsonl",
        '{"number": "1", "height": 1, "works": true}\n{"number": "sec',
        1,
        "file-unreadable",
        "a.jsonl, line 2, is no JSON",
    ),
    "no object": ("a.jsonl", '["secret"]\n', 1, "file-unreadable", "a.jsonl, line 1, is no object"),
    "half a character": (
        "a.jsonl",
        '{"number": "\\ud800", "height": 1, "works": true}\n',
        1,
        "file-unreadable",
        "line 1, has half",
    ),
    "no known name": ("a.txt", HEAD + ROW, 1, "not-supported", "does not say its format"),
}
"""Files that can't be read, or have other columns than the table."""


def check_refused(lab: Terminal, what: str) -> None:
    """Nothing is stored of a bad file, nor of the good one before it."""
    name, text, code, error, words = (ROWS | FILES)[what]
    good = write(lab, "good.csv", "number,height,works\ngood,1,yes\n")
    write(lab, name, text)
    done = lab("--debug", "load", "lab:gages", "gage", good, name)
    assert (done.code, done.out) == (code, ""), f"{what}: {done.all}"
    assert f"error[{error}]" in done.err, what
    assert words in done.err, what
    assert "secret" not in done.all, what


def test_a_row_that_does_not_fit_stores_nothing_and_says_where_it_is(loads: Terminal) -> None:
    for what in ROWS:
        check_refused(loads, what)
    assert stored(loads) == []


@pytest.mark.parametrize("ground", ["sqlite"], indirect=True)
def test_a_file_that_does_not_fit_stores_nothing(loads: Terminal) -> None:
    for what in FILES:
        check_refused(loads, what)
    assert stored(loads) == []


def test_a_cut_parquet_file_stores_nothing(loads: Terminal) -> None:
    table = pa.table(
        {"number": [str(n) for n in range(5000)], "height": [1.0] * 5000, "works": [True] * 5000}
    )
    parquet.write_table(table, loads.folder / "whole.parquet")
    whole = (loads.folder / "whole.parquet").read_bytes()
    write(loads, "cut.parquet", whole[: len(whole) // 2])
    write(loads, "damaged.parquet", whole[:100] + bytes(200) + whole[300:])
    for name in ("cut.parquet", "damaged.parquet"):
        done = loads("load", "lab:gages", "gage", name)
        assert (done.code, "error[file-unreadable]" in done.err) == (1, True), done.all
    assert stored(loads) == []


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (["gagee", "a.csv"], 2, "table-unknown"),
        (["penstock_store", "a.csv"], 2, "table-unknown"),
        (["nowhere.gage", "a.csv"], 2, "table-unknown"),
        (["gage", "nothing.csv"], 2, "usage"),
        (["gage"], 2, "usage"),
        (["gage", "a.csv", "--map", "number"], 2, "usage"),
        (["gage", "a.csv", "--map", "nothing=number"], 2, "column-unknown"),
        (["gage", "a.csv", "--key", "nothing"], 2, "column-unknown"),
        (["gage", "a.csv", "--map", "works=height"], 1, "not-supported"),
        (["gage", "a.csv", "--delimiter", "ab"], 2, "usage"),
        (["gage", "-"], 1, "not-supported"),
    ],
)
def test_what_is_named_wrongly_is_refused(loads: Terminal, words: list[str], code: int, error: str) -> None:
    write(loads, "a.csv", "number,height,works\n1,1,yes\n")
    done = loads("load", "lab:gages", *words)
    assert (done.code, f"error[{error}]" in done.err) == (code, True), done.all
    assert stored(loads) == []


@pytest.mark.parametrize("ground", ["sqlite"], indirect=True)
def test_what_is_not_installed_is_said_with_the_line_for_pip(loads: Terminal) -> None:
    write(loads, "a.csv", "number,height,works\n1,1,yes\n")
    (loads.folder / "hidden").mkdir()
    write(loads, "hidden/pyarrow.py", "raise ImportError('It is hidden.')")
    done = loads("load", "lab:gages", "gage", "a.csv", env={"PYTHONPATH": "hidden"})
    assert (done.code, "error[extra-missing]" in done.err) == (1, True)
    assert 'try: pip install "penstock[frames]"' in done.err


def test_a_table_that_is_not_there_is_guessed(loads: Terminal) -> None:
    write(loads, "a.csv", "number\n1\n")
    assert "try: Did you mean gage?" in loads("load", "lab:gages", "gagee", "a.csv").err
