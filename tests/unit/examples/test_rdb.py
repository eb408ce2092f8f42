"""The reader of RDB files: good files, and every way a file can be bad."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stream_gages.rdb import RdbError, Row, read_rdb

HEAD = "# a comment\n#\nsite_no\talt_va\n15s\t8s\n"


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that examples of hypothesis overwrite, one after the other."""
    return tmp_path_factory.mktemp("rdb") / "sites.rdb"


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def cells(path: Path, content: str | bytes) -> list[dict[str, str]]:
    return [dict(row.cells) for row in read_rdb(written(path, content))]


def problem(path: Path, content: str | bytes, *columns: str) -> RdbError:
    with pytest.raises(RdbError) as caught:
        list(read_rdb(written(path, content), columns))
    return caught.value


# --- good files -----------------------------------------------------------------------------------


def test_rows_come_by_column_name(scratch):
    found = list(read_rdb(written(scratch, HEAD + "01\t 12.5\n02\t\n"), ["alt_va", "site_no"]))
    assert [row.text("site_no", 15) for row in found] == ["01", "02"]
    assert [row.number("alt_va", 100) for row in found] == [12.5, None]
    assert [row.line for row in found] == [5, 6]


@pytest.mark.parametrize(
    "content",
    [
        HEAD + "01\t2\n",
        HEAD + "01\t2",
        (HEAD + "01\t2\n").replace("\n", "\r\n"),
        "\ufeff" + HEAD + "01\t2\n",
        HEAD + "\n# between the rows\n   \n01\t2\n\n",
    ],
    ids=["plain", "no end of line", "DOS", "byte order mark", "comments and blank lines"],
)
def test_the_same_table_in_many_clothes(scratch, content):
    assert cells(scratch, content) == [{"site_no": "01", "alt_va": "2"}]


def test_a_table_may_have_no_rows(scratch):
    assert cells(scratch, HEAD) == []


def test_text_is_utf8_and_where_it_is_not_latin1(scratch):
    rows = cells(scratch, HEAD.encode() + "Río\t1\n".encode() + "Río\t2\n".encode("latin-1"))
    assert [row["site_no"] for row in rows] == ["Río", "Río"]


def test_rows_are_read_one_at_a_time(scratch):
    line = b"0123456789\t1234.5\n"
    written(scratch, HEAD.encode() + line * 50_000)
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_rdb(scratch)) == 50_000
        assert tracemalloc.get_traced_memory()[1] < len(line) * 50_000 / 4
    finally:
        tracemalloc.stop()


# --- bad files ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        ("", 1, "no line of column names"),
        ("# only\n# comments\n", 1, "no line of column names"),
        ("<html>\n", 1, "no column site_no, alt_va; there is: <html>"),
        ("site_no\n5s\n", 1, "no column alt_va"),
        ("site_no\tsite_no\talt_va\n5s\t5s\t5s\n", 1, "two have the same"),
        ("site_no\t\talt_va\n5s\t5s\t5s\n", 1, "no name"),
        ("# c\nsite_no\talt_va\n", 3, "a width such as 15s is expected for each of 2 columns"),
        ("# c\nsite_no\talt_va\n01\t2\n", 3, "a width such as 15s"),
        ("site_no\talt_va\n15s\n", 2, "a width such as 15s"),
        (HEAD + "01\t2\n02\n", 6, "2 columns expected, 1 found"),
        (HEAD + "01\t2\t3\n", 5, "2 columns expected, 3 found"),
        (HEAD + "01\t\x00\n", 5, "NUL"),
        (HEAD.encode("utf-16"), 1, "NUL"),
    ],
)
def test_a_bad_file_is_refused_with_file_and_line(scratch, content, line, said):
    error = problem(scratch, content, "site_no", "alt_va")
    assert (error.file, error.line) == (scratch, line)
    assert str(error).startswith(f"{scratch}, line {line}: ")
    assert said in error.problem


def test_a_missing_file_and_a_folder_are_errors_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        next(read_rdb(tmp_path / "none.rdb"))
    with pytest.raises(IsADirectoryError):
        next(read_rdb(tmp_path))


# --- cells ----------------------------------------------------------------------------------------


def row(text: str) -> Row:
    return Row(Path("sites.rdb"), 7, {"column": text})


@pytest.mark.parametrize(
    ("text", "number"), [(" 2550.00", 2550.0), ("-81.1", -81.1), ("+.5", 0.5), ("7.", 7.0), ("  ", None)]
)
def test_a_number_may_have_blanks_around_it(text, number):
    assert row(text).number("column", 5000) == number


@pytest.mark.parametrize(
    "text", ["nan", "inf", "1_000", "1e3", "१२", "12 ft", "--", "6000", "-6000", "9" * 500]
)
def test_what_is_no_number_is_refused_with_file_and_line(text):
    with pytest.raises(RdbError, match=r"^sites\.rdb, line 7: column should be a number from -5000 to 5000"):
        row(text).number("column", 5000)


def test_a_text_that_is_too_long_is_refused(scratch):
    assert row(" four ").text("column", 4) == "four"
    with pytest.raises(RdbError, match="5 characters, at most 4"):
        row("fives").text("column", 4)


# --- any file -------------------------------------------------------------------------------------


@given(st.lists(st.lists(st.text(st.characters(exclude_characters="\t\n\r\0", exclude_categories=["Cs"])))))
def test_a_line_is_read_as_it_is_or_refused_by_its_number(scratch, rows):
    lines = ["\t".join(row) for row in rows]
    written(scratch, HEAD + "".join(f"{line}\n" for line in lines))
    said = [(n, line) for n, line in enumerate(lines, 5) if line.strip(" ") and not line.startswith("#")]
    bad = [(n, line) for n, line in said if line.count("\t") != 1]
    if not bad:
        found = [(row.line, "\t".join(row.cells.values())) for row in read_rdb(scratch)]
        assert found == said
    else:
        with pytest.raises(RdbError, match=r"columns expected") as caught:
            list(read_rdb(scratch))
        assert caught.value.line == bad[0][0]


@given(st.binary())
@example(b"\xff\xfe#\x00")
def test_any_bytes_are_read_or_refused(scratch, content):
    written(scratch, content)
    with suppress(RdbError):
        assert all(len(row.cells) >= 1 for row in read_rdb(scratch))


@given(st.text())
def test_any_cell_is_a_number_or_nothing_or_refused(text):
    try:
        number = row(text).number("column", 5000)
    except RdbError:
        return
    assert number is None if not text.strip() else abs(number) <= 5000
