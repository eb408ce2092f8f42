"""What bulk writing does and does not do: a table for readers and for tests."""

from __future__ import annotations

from dataclasses import dataclass

DOES, NOT, REFUSES, NONE = "yes", "no", "refused", "-"
"""It is done; it is not; the call raises an error; there is nothing to do."""

VERBS = ("bulk_insert", "bulk_update", "upsert", "get_or_create")


@dataclass(frozen=True)
class Promise:
    """A feature, and what each verb does with it.

    Args:
        group: The heading it stands below.
        feature: What a model has, or what is given.
        answers: Of `bulk_insert`, `bulk_update`, `upsert` and `get_or_create`.
        note: What a reader should know besides.
    """

    group: str
    feature: str
    answers: tuple[str, str, str, str]
    note: str = ""


_DEFAULTS, _UPDATES = "Defaults of new rows", "What each update sets"
_CLASSES, _OBJECTS, _CODE = "Inheritance", "Objects that are given", "Code of the model"
_VERSIONS = "Version counters"

PROMISES = (
    Promise(_DEFAULTS, "`default=` a value or a function", (DOES, NONE, DOES, DOES)),
    Promise(
        _DEFAULTS,
        "a function that looks at its row: `context.get_current_parameters()`",
        (DOES, NONE, DOES, DOES),
        "Bulk verbs show it the values of its row, and nothing else of the context.",
    ),
    Promise(
        _DEFAULTS,
        "`default=func.now()` and other expressions",
        (DOES, NONE, DOES, DOES),
        "The server evaluates them as a DEFAULT of its own: `now()` is the same for a whole transaction on"
        " PostgreSQL, `random()` differs from row to row.",
    ),
    Promise(_DEFAULTS, "`default=select(…)`", (DOES, NONE, DOES, DOES)),
    Promise(
        _DEFAULTS,
        "`default=Sequence(…)`",
        (DOES, NONE, DOES, DOES),
        "Where a server has no sequences, the column is left to it, as SQLAlchemy does.",
    ),
    Promise(_DEFAULTS, "`server_default=`, `Identity()`, `Computed()`", (DOES, NONE, DOES, DOES)),
    Promise(
        _DEFAULTS,
        "None in a mapping, for a column with a default: the default",
        (NOT, NONE, NOT, DOES),
        "Bulk verbs store what is given: NULL. In a session `get_or_create` leaves it to the default.",
    ),
    Promise(
        _DEFAULTS,
        "None in a new object, for a column with a default: the default",
        (DOES, NONE, DOES, NONE),
        "As the ORM does it.",
    ),
    Promise(
        _UPDATES,
        "`onupdate=` a value or a function",
        (NONE, DOES, DOES, NONE),
        "`upsert` calls a function once for all rows that are there, or once for each row where it is the"
        " column's `default`, too.",
    ),
    Promise(
        _UPDATES,
        "a function that looks at its row",
        (NONE, DOES, REFUSES, NONE),
        "Give the column a value, or use `bulk_update`.",
    ),
    Promise(_UPDATES, "`onupdate=func.now()` and other expressions", (NONE, DOES, DOES, NONE)),
    Promise(_UPDATES, "`onupdate=`, but the column is given: what is given", (NONE, DOES, DOES, NONE)),
    Promise(_VERSIONS, "`version_id_col` starts with 1", (DOES, NONE, DOES, DOES)),
    Promise(
        _VERSIONS,
        "it is raised, so that a stale object in a session gets `StaleDataError`",
        (NONE, DOES, DOES, NONE),
    ),
    Promise(
        _VERSIONS,
        "a version is given, and the row that is there has another one",
        (NONE, REFUSES, REFUSES, NONE),
        "[`row-stale`](#row-stale); nothing is stored. A new row gets the version that is given.",
    ),
    Promise(
        _VERSIONS,
        "`version_id_generator=` a function of one's own",
        (DOES, DOES, DOES, DOES),
        "A moment, a UUID, or a sum: `version + 10`. For others, give the version that was read.",
    ),
    Promise(
        _VERSIONS, "`version_id_generator=False`: the column is left to the server", (DOES, DOES, DOES, DOES)
    ),
    Promise(
        _CLASSES,
        "a class of single-table inheritance: its discriminator is set",
        (DOES, NONE, DOES, DOES),
        "In a session, on a connection and on an engine alike.",
    ),
    Promise(
        _CLASSES,
        "the row with its key is of another class: it stays",
        (REFUSES, DOES, REFUSES, REFUSES),
        "`bulk_update` skips it. `bulk_insert` and `get_or_create` get the server's IntegrityError.",
    ),
    Promise(
        _CLASSES,
        "a class of joined inheritance",
        (REFUSES, REFUSES, REFUSES, DOES),
        "[`not-supported`](#not-supported): there are several tables. In a session, `get_or_create` asks the"
        " ORM; elsewhere it refuses, too. The class at the top is written as any other.",
    ),
    Promise(_CLASSES, "a class of concrete inheritance", (DOES, DOES, DOES, DOES)),
    Promise(_CLASSES, "an abstract class: `polymorphic_abstract=True`", (REFUSES, NONE, REFUSES, REFUSES)),
    Promise(
        _CLASSES, "`polymorphic_on=` an expression", (DOES, DOES, DOES, DOES), "There is nothing to set."
    ),
    Promise(
        _OBJECTS,
        "attributes that are expired or deferred are loaded",
        (DOES, DOES, DOES, NONE),
        "By the object's session, without a flush, one object at a time.",
    ),
    Promise(
        _OBJECTS,
        "they can't be loaded: the object is detached",
        (REFUSES, REFUSES, REFUSES, NONE),
        "[`row-refused`](#row-refused), with their names.",
    ),
    Promise(_OBJECTS, "what was never set on a new object", (DOES, DOES, DOES, NONE), "It is not given."),
    Promise(
        _OBJECTS,
        "an SQL expression in an attribute: `gage.read_at = func.now()`",
        (REFUSES, REFUSES, REFUSES, NONE),
        "`row-refused`, with its name.",
    ),
    Promise(_OBJECTS, "an object of a subclass", (REFUSES, REFUSES, REFUSES, NONE)),
    Promise(
        _OBJECTS,
        "objects get what the server made, and those in a session the new values",
        (NOT, NOT, NOT, DOES),
        "Expire or refresh objects that you go on with.",
    ),
    Promise(
        _CODE,
        "a synonym, a hybrid, a composite or a relationship by its name",
        (REFUSES, REFUSES, REFUSES, REFUSES),
        "[`column-unknown`](#column-unknown). Objects hold what these have set.",
    ),
    Promise(
        _CODE,
        "`@validates` and events of attributes",
        (NOT, NOT, NOT, NOT),
        "They have run where an object is given. In a class of joined inheritance `get_or_create` runs them.",
    ),
    Promise(
        _CODE,
        "events of mappers and sessions: `before_insert`, `before_flush`",
        (NOT, NOT, NOT, NOT),
        "In a class of joined inheritance `get_or_create` runs them.",
    ),
    Promise(_CODE, "cascades to related objects", (NOT, NOT, NOT, NONE)),
    Promise(_CODE, "types of one's own: `TypeDecorator`", (DOES, DOES, DOES, DOES)),
)
