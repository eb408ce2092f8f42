"""What SQLAlchemy knows and has no public way to ask for, all in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import CompoundSelect, Engine, Result, Select, TwoPhaseTransaction
    from sqlalchemy.engine import Dialect
    from sqlalchemy.sql.compiler import SQLCompiler

# A release of SQLAlchemy that has them otherwise fails tests/unit/test_sqlalchemy_compat.py.
_EXTENSIONS = ("_pre_columns_clause", "_post_select_clause", "_post_criteria_clause", "_post_body_clause")

# --- statements -----------------------------------------------------------------------------------


def cache_key_of(statement: Any) -> Any:
    """What is equal for statements that are alike but for their values; None if it is not known."""
    made = statement._generate_cache_key()
    return None if made is None else made.key


def order_of(statement: Select[Any] | CompoundSelect[Any]) -> tuple[Any, ...]:
    """What a query is ordered by."""
    return statement._order_by_clauses


def groups_of(statement: Select[Any] | CompoundSelect[Any]) -> tuple[Any, ...]:
    """What a query is grouped by."""
    return statement._group_by_clauses


def is_distinct(statement: Select[Any]) -> bool:
    """Whether it is DISTINCT, or DISTINCT ON."""
    return bool(statement._distinct)


def is_distinct_on(statement: Select[Any]) -> bool:
    """Whether it gives one row of several, or is extended by what nothing is known of."""
    return bool(statement._distinct_on) or any(
        getattr(statement, name, None) is not None for name in _EXTENSIONS
    )


def limits_of(statement: Any) -> tuple[Any, Any, Any]:
    """Its LIMIT, OFFSET and FETCH as clauses; each is None where there is none."""
    return statement._limit_clause, statement._offset_clause, statement._fetch_clause


def limit_and_offset(statement: Any) -> tuple[int | None, int | None]:
    """Its LIMIT and OFFSET as numbers; raises CompileError where they are expressions."""
    return statement._limit, statement._offset


def locks_rows(statement: Any) -> bool:
    """Whether it is a SELECT FOR UPDATE, or the like."""
    return getattr(statement, "_for_update_arg", None) is not None


def without_lock(statement: Any) -> Any:
    """A copy of a SELECT, without FOR UPDATE."""
    made = statement.where()
    made._for_update_arg = None
    return made


def options_of(statement: Any) -> tuple[Any, ...]:
    """The options it was given."""
    found: tuple[Any, ...] = statement._with_options
    return found


def with_only_options(statement: Any, keep: Callable[[Any], bool]) -> Any:
    """A copy with some of its options."""
    made = statement._generate()
    made._with_options = tuple(filter(keep, statement._with_options))
    return made


def columns_as_given(statement: Select[Any]) -> Sequence[Any]:
    """What it selects, as it was written: a text is one."""
    return statement._raw_columns


def name_in_row(column: Any) -> str | None:
    """What a row calls a column; None where it has no name."""
    found: str | None = column._proxy_key
    return found


def is_mapped(kind: type) -> bool:
    """Whether objects of a class are rows; nothing is configured by the question."""
    return hasattr(kind, "_sa_class_manager")


# --- compiled, and answered -----------------------------------------------------------------------


def forget_result_columns(compiler: SQLCompiler) -> None:
    """Let a result have the columns that the server says, and not those that were compiled."""
    compiler._result_columns.clear()


def bind_processors_of(compiled: Any) -> dict[str, Any]:
    """What makes of each value what the driver takes, by parameter."""
    found: dict[str, Any] = compiled._bind_processors
    return found


def must_be_unique(result: Result[Any]) -> bool:
    """Whether eager loading by a join has repeated its rows, so that SQLAlchemy insists on `unique()`."""
    return result._unique_filter_state is not None


def is_prepared(transaction: TwoPhaseTransaction) -> bool:
    """Whether a transaction in two phases has its first one behind it."""
    return transaction._is_prepared


# --- engines and dialects -------------------------------------------------------------------------


def engine_behind(engine: Engine) -> Engine:
    """The engine that one with execution options of its own shares all else with."""
    found: Any = engine
    while hasattr(found, "_proxied"):
        found = found._proxied
    made: Engine = found
    return made


def has_listeners(dialect: Dialect) -> bool:
    """Whether somebody listens to events of a dialect."""
    return dialect._has_events


def listeners_for(kind: Any, dialect: Any) -> Any:
    """A place for listeners of one dialect, as those of its class have it."""
    return kind.dispatch._for_instance(dialect)
