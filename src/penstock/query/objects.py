"""Takes objects apart into rows, and loads what they have not loaded."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import inspect
from sqlalchemy.exc import IntegrityError, InvalidRequestError
from sqlalchemy.orm import InstanceState
from sqlalchemy.orm.exc import DetachedInstanceError

from penstock.backends.rows import OnConflict
from penstock.errors import RowRefused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Mapper, Session

    from penstock.query.target import Target


def values_of(target: Target, number: int, given: Any, *, new: bool) -> Mapping[str, Any]:
    """The values of an object by attribute: those that it has, and those that its session has to load.

    What was never set on a new object is left out. So is a None that the ORM would leave to a default
    (https://docs.sqlalchemy.org/en/20/orm/persistence_techniques.html#forcing-null-on-a-column-with-a-default).

    Args:
        target: The class.
        number: Of the row.
        given: The object.
        new: Whether a row may be made of it, which gets defaults.

    Raises:
        RowRefused: It is no object of the class; or a value of it can't be loaded, or is an expression.
    """
    state = inspect(given, raiseerr=False)
    if not isinstance(state, InstanceState) or state.mapper.class_ is not target.model:
        raise RowRefused(
            f"Row {number} is a {type(given).__name__}.",
            hint="Give mappings, objects of the very class, or sequences with columns=(…).",
            row=number,
        )
    own = [(name, column) for name, column in target.columns.items() if not column.computed]
    if state.key is not None:
        _load(target, number, given, state, [name for name, _ in own if name not in state.dict])
    found = {name: state.dict[name] for name, _ in own if name in state.dict}
    expressions = [name for name, value in found.items() if hasattr(value, "__clause_element__")]
    if expressions:
        raise RowRefused(
            f"Row {number} of {target.name} has SQL expressions for {', '.join(expressions)}.",
            hint="Give values, or have a session write the object.",
            row=number,
        )
    if not new:
        return found
    return {
        name: value for name, value in found.items() if value is not None or not _has_default(target, name)
    }


def _has_default(target: Target, name: str) -> bool:
    """Whether the ORM leaves None to the column's default."""
    column = target.columns[name]
    made = column.default is not None or column.server_default is not None
    return (made or column is column.table.autoincrement_column) and not column.type.should_evaluate_none


def _load(target: Target, number: int, given: Any, state: InstanceState[Any], names: Sequence[str]) -> None:
    """Have the object's session load what it has not: what is expired, and what is deferred."""
    try:
        with state.session.no_autoflush if state.session else nullcontext():
            for name in names:
                if name not in state.dict:  # One that is loaded may bring others.
                    getattr(given, name)
    except (InvalidRequestError, DetachedInstanceError) as error:
        raise RowRefused(
            f"Row {number} of {target.name} has not been loaded: {', '.join(names)}.",
            why="It has no session any more that could load it."
            if isinstance(error, DetachedInstanceError)
            else f"Its session raised {type(error).__name__}.",
            hint="Give objects of an open session, or load them before: session.refresh(…).",
            row=number,
        ) from error


def made_by_orm(
    session: Session, target: Target, values: Mapping[str, Any], on_conflict: OnConflict
) -> Any | None:
    """An object that the ORM has stored, also in several tables; None if a row is there already.

    Args:
        session: It stores what it has pending, too, and begins a savepoint.
        target: The class; its constructor is not called.
        values: By attribute.
        on_conflict: Whether it is an error if a row is there, or the database refuses it for another reason.
    """
    mapper = cast("Mapper[Any]", inspect(target.model))
    made = mapper.class_manager.new_instance()
    own = {mapper.get_property_by_column(column).key: value for column, value in target.fixed.items()}
    for name, value in {**own, **values}.items():
        setattr(made, name, value)
    try:
        with session.begin_nested():
            session.add(made)
    except IntegrityError:
        if on_conflict is OnConflict.ERROR:
            raise
        return None
    return made
