"""Which column of a file goes where: decided before a row is read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column

from penstock.errors import ColumnMissing, FileUnreadable, NotSupported, UnknownColumn
from penstock.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Table


class Fate(Enum):
    """What becomes of a column.

    Attributes:
        LOADED: Its values are stored.
        LEFT_OUT: It was said that it is not wanted.
        UNKNOWN: The table has none that is called so.
        MADE: The database makes it itself, so the file may not have it.
        DEFAULT: The file does not have it, and it has a default.
        NULL: The file does not have it, and it is NULL.
        MISSING: The file does not have it, and it can't be NULL.
    """

    LOADED = "loaded"
    LEFT_OUT = "left out"
    UNKNOWN = "unknown"
    MADE = "made by the database"
    DEFAULT = "default"
    NULL = "NULL"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """A column of a file, or of a table, or of both.

    Args:
        fate: What becomes of it.
        file: What the file calls it; empty if it does not have it.
        file_type: The type that the file says.
        column: The column of the table; None if there is none.
    """

    fate: Fate
    file: str = ""
    file_type: str = ""
    column: Column[Any] | None = None

    @property
    def is_bad(self) -> bool:
        """Whether nothing can be loaded because of it."""
        made = self.fate is Fate.MADE and bool(self.file)
        return made or self.fate in (Fate.UNKNOWN, Fate.MISSING)


def renamed(words: Sequence[str]) -> dict[str, str]:
    """What columns of files are called in the table, of words FILE_COLUMN=TABLE_COLUMN.

    Raises:
        ValueError: A word has no `=`, or a column is named twice.

    >>> renamed(["Site No=number", "remark="])
    {'Site No': 'number', 'remark': ''}
    """
    found: dict[str, str] = {}
    for word in words:
        name, equals, column = word.rpartition("=")
        if not equals or not name or name in found:
            raise ValueError(word)
        found[name] = column
    return found


def mapped(columns: Mapping[str, str], table: Table, names: Mapping[str, str]) -> list[Mapped]:
    """What becomes of every column, those of the file first.

    Args:
        columns: The file's, with the types that it says they have.
        table: The table.
        names: What columns of the file are called in the table; empty for those that are not wanted.
    """
    known = {column.name: column for column in table.columns}
    found = [_of_file(name, kind, names.get(name, name), known) for name, kind in columns.items()]
    given = {each.column.name for each in found if each.column is not None}
    rest = [column for column in table.columns if column.name not in given]
    return found + [Mapped(fate=_fate(column), column=column) for column in rest]


def check_names(names: Mapping[str, str], files: Mapping[str, Mapping[str, str]]) -> None:
    """Refuse to call a column otherwise that no file has.

    Args:
        names: What columns of files are called in the table.
        files: The columns of each file.

    Raises:
        UnknownColumn: There is such a name.
    """
    known = list(dict.fromkeys(name for columns in files.values() for name in columns))
    for name in names:
        if name not in known:
            what = f"{next(iter(files))} has" if len(files) == 1 else "No file has"
            raise UnknownColumn(
                f"{what} {'no' if len(files) == 1 else 'a'} column {name!r}.",
                why=f"There are: {', '.join(known)}.",
                hint=did_you_mean(name, known),
            )


def check(file: str, table: Table, columns: Sequence[Mapped]) -> None:
    """Refuse a file whose columns do not fit the table.

    Args:
        file: Its name.
        table: The table.
        columns: What becomes of the columns.

    Raises:
        UnknownColumn: The file has a column that the table does not have.
        ColumnMissing: The table has one that can't be NULL, and the file does not have it.
        NotSupported: Two columns go to the same one; or the database makes one itself.
        FileUnreadable: No column is one of the table's.
    """
    _check_twice(file, columns)
    if not any(each.fate in (Fate.LOADED, Fate.MADE) and each.file for each in columns):
        raise FileUnreadable(
            f"No column of {file} is one of {table.name}.",
            why=f"{table.name} has: {_listed(table)}.",
            hint="Is its first line a row? Give it a line with the names of the columns, or use --map.",
        )
    _check_unknown(file, table, columns)
    made = [each for each in columns if each.fate is Fate.MADE and each.file]
    if made:
        raise NotSupported(
            f"{file} has {made[0].file}, which the database makes itself.",
            hint=f"Leave it out: --map {made[0].file}=",
        )
    missing = [each.column.name for each in columns if each.fate is Fate.MISSING and each.column is not None]
    if missing:
        raise ColumnMissing(
            f"{file} has no column for {', '.join(missing)}, which can't be NULL in {table.name}.",
            hint=f"If it has another name there: --map NAME={missing[0]}",
        )


def _check_twice(file: str, columns: Sequence[Mapped]) -> None:
    filled = [each.column.name for each in columns if each.file and each.column is not None]
    twice = sorted({name for name in filled if filled.count(name) > 1})
    if twice:
        raise NotSupported(
            f"Two columns of {file} are for {twice[0]}.", hint="Leave one of them out: --map NAME="
        )


def _check_unknown(file: str, table: Table, columns: Sequence[Mapped]) -> None:
    unknown = [each.file for each in columns if each.fate is Fate.UNKNOWN]
    if not unknown:
        return
    free = [each.column.name for each in columns if not each.file and each.column is not None]
    near = did_you_mean(unknown[0], free)
    raise UnknownColumn(
        f"{table.name} has no column {', '.join(map(repr, unknown))}, as {file} has.",
        why=f"It has: {_listed(table)}.",
        hint=f"{near} Map it: --map {unknown[0]}=COLUMN; or leave it out: --map {unknown[0]}=".lstrip(),
    )


def _of_file(name: str, kind: str, wanted: str, known: Mapping[str, Column[Any]]) -> Mapped:
    column = known.get(wanted)
    if not wanted:
        return Mapped(fate=Fate.LEFT_OUT, file=name, file_type=kind)
    if column is None:
        return Mapped(fate=Fate.UNKNOWN, file=name, file_type=kind)
    always = column.computed is not None or (column.identity is not None and column.identity.always)
    fate = Fate.MADE if always else Fate.LOADED
    return Mapped(fate=fate, file=name, file_type=kind, column=column)


def _fate(column: Column[Any]) -> Fate:
    """What becomes of a column that a file does not have."""
    numbered = column is column.table.autoincrement_column
    if column.computed is not None or column.identity is not None or numbered:
        return Fate.MADE
    if column.default is not None or column.server_default is not None:
        return Fate.DEFAULT
    return Fate.NULL if column.nullable else Fate.MISSING


def _listed(table: Table) -> str:
    return ", ".join(column.name for column in table.columns)
