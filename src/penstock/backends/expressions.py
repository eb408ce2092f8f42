"""SQL expressions that SQLAlchemy does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import ClauseElement, Executable, ScalarSelect, SelectBase
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.visitors import replacement_traverse

from penstock.sqlalchemy_compat import forget_result_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Column, ColumnElement, Insert, Select, Table
    from sqlalchemy.sql.compiler import SQLCompiler


class Explained(Executable, ClauseElement):
    """EXPLAIN of a statement.

    Args:
        how: The word, with its options.
        statement: What is explained.
    """

    inherit_cache = False

    def __init__(self, how: str, statement: Select[Any]) -> None:
        self.how = how
        self.statement = statement


@compiles(Explained)
def _explain(element: Explained, compiler: SQLCompiler, **options: Any) -> str:
    text = compiler.process(element.statement, **options)
    # What is explained has other columns than the explanation, some of the same name.
    forget_result_columns(compiler)
    return f"{element.how} {text}"


class Assembled(Executable, ClauseElement):
    """A statement as a text, with expressions where it has their numbers between two NULs.

    Args:
        text: The statement, quoted as the driver reads it.
        expressions: What is put in.
    """

    inherit_cache = False

    def __init__(self, text: str, expressions: Sequence[ClauseElement]) -> None:
        self.pieces = text.split("\0")
        self.expressions = expressions


@compiles(Assembled)
def _assemble(element: Assembled, compiler: SQLCompiler, **options: Any) -> str:
    return "".join(
        compiler.process(element.expressions[int(piece)], **options) if number % 2 else piece
        for number, piece in enumerate(element.pieces)
    )


def with_columns(
    expression: ColumnElement[Any], table: Table, instead: Callable[[Column[Any]], ColumnElement[Any]]
) -> ColumnElement[Any]:
    """The expression, with others for the columns of a table; those in subqueries stay.

    Args:
        expression: What is changed, in a copy.
        table: Whose columns are meant.
        instead: What stands for a column.
    """

    def replaced(element: Any, **_: Any) -> Any:
        if isinstance(element, SelectBase | ScalarSelect):
            return element
        return instead(element) if getattr(element, "table", None) is table else None

    return cast("ColumnElement[Any]", replacement_traverse(expression, {}, replaced))


def as_compiled_by_sqlalchemy(kind: type[Insert]) -> Callable[[Any], Any]:
    """A kind of INSERT that SQLAlchemy compiles itself, also in a program that hooks `@compiles(Insert)`.

    Such a hook may add ON CONFLICT, which ours has said already. A class that says what it is visited as
    gets a way to be compiled of its own.
    """
    cached = kind.inherit_cache
    return type(kind.__name__, (kind,), {"__visit_name__": "insert", "inherit_cache": cached})
