"""Rows become the bytes of a binary COPY, by a function made for their columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from struct import Struct, calcsize
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from penstock.backends.rows import Binder, Unfit

if TYPE_CHECKING:
    from types import CodeType

_Write: TypeAlias = Callable[[Sequence[Sequence[Any]], list[bytes]], None]

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
"""What a binary COPY begins with: its signature, no flags, no extension."""

TRAILER = b"\xff\xff"
"""What it ends with."""

NULL = b"\xff\xff\xff\xff"

_OF_DAY = "(({0}.hour * 60 + {0}.minute) * 60 + {0}.second) * 1000000 + {0}.microsecond"
_MICROSECONDS = "((d := {} - %s).days * 86400 + d.seconds) * 1000000 + d.microseconds"

_FIXED = {
    16: ("c", "flags[{}]"),  # bool
    20: ("q", "{}"),  # int8
    21: ("h", "{}"),  # int2
    23: ("i", "{}"),  # int4
    26: ("I", "{}"),  # oid
    700: ("f", "{}"),  # float4
    701: ("d", "{}"),  # float8
    1082: ("i", "{}.toordinal() - 730120"),  # date: days since 2000
    1083: ("q", _OF_DAY),  # time
    1114: ("q", _MICROSECONDS % "epoch"),  # timestamp: since 2000
    1184: ("q", _MICROSECONDS % "epoch_utc"),  # timestamptz
    1186: ("qii", "{0}.seconds * 1000000 + {0}.microseconds, {0}.days, 0"),  # interval
    2950: ("16s", "(UUID({0}) if {0}.__class__ is str else {0}).bytes"),  # uuid
}
"""How types of one length are packed: struct's letters, and the expressions that make what is packed."""

_SIZED = {
    17: "{0} if {0}.__class__ is bytes else bytes(memoryview({0}))",  # bytea
    19: "{}.encode(codec)",  # name
    25: "{}.encode(codec)",  # text
    1042: "{}.encode(codec)",  # char
    1043: "{}.encode(codec)",  # varchar
}
"""How types of any length become bytes."""

_NAMES = {
    "NULL": NULL,
    "flags": {False: b"\0", True: b"\1"},
    "epoch": datetime(2000, 1, 1),  # noqa: DTZ001  (of a type without time zone)
    "epoch_utc": datetime(2000, 1, 1, tzinfo=UTC),
    "size": Struct("!i").pack,
    "UUID": UUID,
}


@dataclass(frozen=True, slots=True)
class Field:
    """How the values of one column are written.

    Args:
        make: The expression that makes of a value, `{}`, its bytes, or what is packed.
        code: As what struct packs it; empty if it is bytes of any length.
        dump: What makes its bytes if there is no expression for it; None is NULL.
        bind: What is made of a value before; None is NULL.
        oid: The number of the type, if a value of Arrow's that is of this type needs no `bind`; or 0.
    """

    make: str = ""
    code: str = ""
    dump: Callable[[Any], Any] | None = None
    bind: Binder | None = None
    oid: int = 0

    def written(self, number: int) -> str:
        """The expression that writes a value of the column with this number, or NULL."""
        return self._made(number, "NULL", self._framed)

    def bare(self) -> str:
        """The expression that makes the bytes of a value, `c0`, without their length; or None."""
        return self._made(0, "None", self._unframed)

    def _made(self, number: int, null: str, framed: Callable[[int, str], str]) -> str:
        value, test = f"c{number}", f"c{number} is None"
        if self.bind is not None:
            value, test = f"v{number}", f"(v{number} := bind{number}({value})) is None"
        if self.dump is not None:
            value, test = f"v{number}", f"{test} or (v{number} := dump{number}({value})) is None"
        return f"{null} if {test} else {framed(number, value)}"

    def _framed(self, number: int, value: str) -> str:
        """The bytes of a value, with their length before them."""
        made = self.make.format(value) if self.make else value
        if self.code:
            return f"pack{number}({calcsize('!' + self.code)}, {made})"
        return f"size(len(b{number} := {made})) + b{number}"

    def _unframed(self, number: int, value: str) -> str:
        made = self.make.format(value) if self.make else value
        return f"pack({made})" if self.code else f"({made})"


def field_of(oid: int, bind: Binder | None = None) -> Field | None:
    """How a type is written that is known here; None for a stranger."""
    if oid in _FIXED:
        code, make = _FIXED[oid]
        return Field(make, code, bind=bind)
    return Field(_SIZED[oid], bind=bind) if oid in _SIZED else None


def single(field: Field, values: Sequence[Any], codec: str) -> list[bytes | None]:
    """The bytes of the values of one column.

    Args:
        field: How they are written.
        values: What they are.
        codec: In what the server expects texts, as Python calls it.
    """
    names = {"codec": codec, "bind0": field.bind, "dump0": field.dump}
    names["pack"] = Struct(f"!{field.code}").pack
    made: dict[str, Any] = {}
    exec(_compiled_single(field.bare()), {**_NAMES, **names}, made)  # noqa: S102
    found: list[bytes | None] = made["write"](values)
    return found


class Encoder:
    """Writes rows with these fields.

    A column is taken for one without NULLs until one is seen; then the function is made anew.

    Args:
        fields: How each column is written, in order.
        codec: In what the server expects texts, as Python calls it.
    """

    def __init__(self, fields: Sequence[Field], codec: str = "utf-8") -> None:
        self._fields = fields
        self._nullable = {number for number, field in enumerate(fields) if field.bind or field.dump}
        self._names: dict[str, Any] = {**_NAMES, "codec": codec}
        for number, field in enumerate(fields):
            self._names[f"bind{number}"], self._names[f"dump{number}"] = field.bind, field.dump
            self._names[f"pack{number}"] = Struct(f"!i{field.code}").pack
        self._make()

    def encode(self, rows: Sequence[Sequence[Any]]) -> bytes:
        """The bytes of rows.

        Raises:
            Unfit: A value is of a type that its column can't hold.
        """
        made: list[bytes] = []
        rest = rows
        while rest:
            pieces: list[bytes] = []
            width = self._width
            try:
                self._write(rest, pieces)
                rest = ()
            except Exception as error:
                rest = rest[len(pieces) // width :]
                if not self._learns_from(rest[0]):
                    raise Unfit(len(rows) - len(rest), self._unfit(rest[0])) from error
            made += pieces
        return b"".join(made)

    def _learns_from(self, row: Sequence[Any]) -> bool:
        """Whether a row has a NULL where none was expected; from now on it is."""
        nulls = {number for number, value in enumerate(row) if value is None} - self._nullable
        self._nullable |= nulls
        if nulls:
            self._make()
        return bool(nulls)

    def _unfit(self, row: Sequence[Any]) -> int:
        """The number of the value that can't be written."""
        for number, value in enumerate(row):
            try:
                eval(self._fields[number].written(number), self._names | {f"c{number}": value})  # noqa: S307
            except Exception:
                return number
        return 0

    # --- the function ---

    def _make(self) -> None:
        pieces = self._pieces()
        self._width = len(pieces)
        columns = "".join(f"c{number}, " for number in range(len(self._fields)))
        made: dict[str, Any] = {}
        exec(_compiled(f"({columns})", ", ".join(pieces)), self._names, made)  # noqa: S102
        self._write: _Write = made["write"]

    def _pieces(self) -> list[str]:
        """The expressions for the bytes of a row; what has one length is packed with its neighbours."""
        pieces: list[str] = []
        codes, values = "h", [str(len(self._fields))]
        for number, field in enumerate(self._fields):
            if number in self._nullable:
                pieces += [*self._packed(codes, values), field.written(number)]
                codes, values = "", []
            elif field.code:
                codes += "i" + field.code
                values += [str(calcsize("!" + field.code)), field.make.format(f"c{number}")]
            else:
                values.append(f"len(b{number} := {field.make.format(f'c{number}')})")
                pieces += [*self._packed(codes + "i", values), f"b{number}"]
                codes, values = "", []
        return pieces + self._packed(codes, values)

    def _packed(self, codes: str, values: list[str]) -> list[str]:
        if not codes:
            return []
        name = f"pack_{codes}"
        self._names[name] = Struct(f"!{codes}").pack
        return [f"{name}({', '.join(values)})"]


@lru_cache(maxsize=1024)
def _compiled(columns: str, pieces: str) -> CodeType:
    source = f"""
def write(rows, out):
    for {columns} in rows:
        out += ({pieces},)
"""
    return compile(source, "<rows of a COPY>", "exec")


@lru_cache(maxsize=256)
def _compiled_single(made: str) -> CodeType:
    return compile(
        f"def write(values):\n    return [{made} for c0 in values]\n", "<a column of a COPY>", "exec"
    )
