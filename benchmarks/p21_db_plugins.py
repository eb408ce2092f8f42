"""P21, P22: what the names of db-plugins cost, beside the technique that it has."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from measure import Target, Way, arguments, interleaved, report, server, stores_of
from sqlalchemy import URL, Engine, bindparam, create_engine, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from penstock import App, Database
from penstock.compat.db_plugins import SQLConnection
from penstock.compat.db_plugins.models import Base, Detection, Object

if TYPE_CHECKING:
    from collections.abc import Mapping

ROUNDS, ROWS, KEYS = 5, 20_000, 300

BULK = [
    Target("P21", "bulk_insert", "their technique", 1 / 5),
    Target("P21", "bulk_insert, all there", "their technique, all there", 1 / 5),
    Target("", "bulk_insert", "the same by psycopg 3", 1 / 5),
]
SINGLE = [
    Target("P22", "get_or_create, made", "their technique, made", 1 / 3),
    Target("P22", "get_or_create, there", "their technique, there", 1 / 3),
    Target("", "limit: one INSERT of the driver's, made", "their technique, made", 1 / 3),
    Target("", "limit: SELECT and INSERT by a connection, made", "their technique, made", 1 / 3),
    Target("", "limit: one SELECT by a connection, there", "their technique, there", 1 / 3),
]


class Lab(App):
    """An app with one store."""

    package = "lab"
    alerts = Database("Alerts.", metadata=Base.metadata)


def detections(count: int) -> list[dict[str, Any]]:
    """Detections as a pipeline sees them: all thirty columns."""
    floats = ("diffmaglim", "magap", "sigmagap", "distnr", "rb", "drb", "magapbig", "sigmagapbig")
    plain = {"isdiffpos": 1, "nid": 1000, "rbversion": "t17", "drbversion": "d6", "rfid": 12345}
    flags = {"corrected": True, "dubious": False, "has_stamp": False, "parent_candid": None}
    return [
        {
            "candid": number,
            "oid": f"ZTF{number % 2000:06}",
            "mjd": 59000 + number / 7,
            "fid": 1,
            "pid": float(number),
            "ra": number / 3,
            "dec": number / 5,
            "magpsf": 18.5,
            "sigmapsf": 0.1,
            **plain,
            **flags,
            **dict.fromkeys(floats, number / 11),
            "magpsf_corr": 18.4,
            "sigmapsf_corr": 0.2,
            "sigmapsf_corr_ext": None,
            "step_id_corr": "correction_1.0.6",
        }
        for number in range(count)
    ]


def main() -> None:
    """Store rows, then get and make single ones, in both ways in turn."""
    rounds, count = arguments(__doc__, rounds=ROUNDS, rows=ROWS)
    given = detections(count)
    with server() as found, stores_of(found.service, Lab, "alerts") as stores:
        engine = stores.engine(Lab, "alerts")
        peer = peers_engine(stores.url(Lab, "alerts"))
        bulk = interleaved(bulk_ways(engine, peer, given), rounds, unit="ms")
        single = interleaved(single_ways(engine, peer), rounds, unit="us")
        not_for_the_disk(engine, peer)
        quick = interleaved(single_ways(engine, peer), rounds, unit="us")
    report(f"{count:,} mappings of 30 columns, each call for good", bulk, BULK, unit="ms", rows=count)
    report("One object, each call for good", single, SINGLE, unit="us")
    shown = [target._replace(row="") for target in SINGLE]
    report("One object, where no commit waits for the disk", quick, shown, unit="us")


def peers_engine(url: URL) -> Engine:
    """An engine as db-plugins makes it: its driver sends one INSERT after the other, and waits for each."""
    return create_engine(url.set(drivername="postgresql+psycopg2"), use_insertmanyvalues=False)


# --- many -----------------------------------------------------------------------------------------


def bulk_ways(engine: Engine, peer: Engine, given: list[dict[str, Any]]) -> Mapping[str, Way]:
    """Each way: into an empty table, then where all rows are there."""
    with Session(engine) as session, session.begin():
        session.add_all([Object(oid=f"ZTF{number:06}") for number in range(2000)])
    before = partial(empty, engine, "detection")
    ways = {
        "bulk_insert": partial(ours, engine, given),
        "their technique": partial(theirs, peer, given),
        "the same by psycopg 3": partial(theirs, engine, given),
    }
    found = {}
    for name, work in ways.items():
        found[name] = Way(work=work, before=before)
        found[f"{name}, all there"] = Way(work=work)
    return found


def empty(engine: Engine, table: str) -> None:
    """Take all rows out of a table; then tidy up what they leave behind, which is not timed."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"DELETE FROM {table}"))
        connection.execute(text(f"VACUUM {table}"))


def ours(engine: Engine, given: list[dict[str, Any]]) -> None:
    """One call of the compatible face."""
    db = connected(engine)
    db.session.query().bulk_insert(given, Detection)
    db.end_session()


def connected(engine: Engine) -> SQLConnection:
    """A connection on the engine."""
    db = SQLConnection(engine=engine)
    db.connect(None)
    return db


def theirs(engine: Engine, given: list[dict[str, Any]]) -> None:
    """The way of db-plugins: executemany of an INSERT that skips, in a transaction of its own."""
    skip = insert(Detection).on_conflict_do_nothing(index_elements=[Detection.candid, Detection.oid])
    with engine.begin() as connection:
        connection.execute(skip, given)


# --- one by one -----------------------------------------------------------------------------------

VALUES = {
    **dict.fromkeys(("ndethist", "ncovhist", "ndet"), 0),
    **dict.fromkeys(("mjdstarthist", "mjdendhist", "firstmjd", "lastmjd", "deltajd", "meanra"), 0.0),
    "meandec": 0.0,
    "step_id_corr": "v1.0.0",
    "corrected": False,
    "stellar": False,
}


def single_ways(engine: Engine, peer: Engine) -> Mapping[str, Way]:
    """Each way: rows that are not there, then the same ones."""
    found = {}
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("TRUNCATE object CASCADE"))
    ways = {"get_or_create": partial(singly, engine), "their technique": partial(classic, peer)}
    for name, work in ways.items():
        found[f"{name}, made"] = Way(work=work, before=partial(empty, engine, "object"), count=KEYS)
        found[f"{name}, there"] = Way(work=work, count=KEYS)
    before, least = partial(empty, engine, "object"), partial(inserted, engine)
    found["limit: one INSERT of the driver's, made"] = Way(work=least, before=before, count=KEYS)
    both = partial(looked_and_inserted, engine)
    found["limit: SELECT and INSERT by a connection, made"] = Way(work=both, before=before, count=KEYS)
    found["limit: one SELECT by a connection, there"] = Way(work=partial(selected, engine), count=KEYS)
    return found


def not_for_the_disk(*engines: Engine) -> None:
    """Have commits not wait for the disk, from the next connection on: what they cost else is the disk's."""
    with engines[0].connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ALTER ROLE CURRENT_USER SET synchronous_commit = off"))
    for engine in engines:
        engine.dispose()


def singly(engine: Engine) -> None:
    """One call of the compatible face for each."""
    db = connected(engine)
    for number in range(KEYS):
        found, _ = db.query(Object).get_or_create(filter_by={"oid": f"ZTF{number}"}, **VALUES)
        assert found.ndet == 0
    db.end_session()


def classic(engine: Engine) -> None:
    """The way of db-plugins: look, else add and commit, which expires what the session has."""
    with Session(engine) as session:
        for number in range(KEYS):
            which = {"oid": f"ZTF{number}"}
            found = session.query(Object).filter_by(**which).first()
            if found is None:
                found = Object(**VALUES, **which)
                session.add(found)
                try:
                    session.commit()
                except IntegrityError:
                    session.rollback()
                    found = session.query(Object).filter_by(**which).one()
            assert found.ndet == 0


def inserted(engine: Engine) -> None:
    """The least that makes a row for good: an INSERT of the driver's, in autocommit."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        driver: Any = connection.connection.driver_connection
        cursor = driver.cursor()
        names = ", ".join(["oid", *VALUES])
        places = ", ".join(["%s"] * (len(VALUES) + 1))
        for number in range(KEYS):
            cursor.execute(
                f"INSERT INTO object ({names}) VALUES ({places})", [f"ZTF{number}", *VALUES.values()]
            )


def looked_and_inserted(engine: Engine) -> None:
    """The least that looks before: two statements that were made before, by a connection in autocommit."""
    table: Any = Object.__table__
    query = select(table).where(Object.oid == bindparam("given"))
    insertion: Any = insert(table).values({name: bindparam(name) for name in ("oid", *VALUES)})
    insertion = insertion.on_conflict_do_nothing().returning(*table.columns)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for number in range(KEYS):
            key = f"ZTF{number}"
            assert connection.execute(query, {"given": key}).one_or_none() is None
            assert connection.execute(insertion, {"oid": key, **VALUES}).one().ndet == 0


def selected(engine: Engine) -> None:
    """The least that looks: a SELECT that was made before, by a connection; its rows become no objects."""
    query = select(Object.__table__).where(Object.oid == bindparam("given"))
    with engine.connect() as connection:
        for number in range(KEYS):
            assert connection.execute(query, {"given": f"ZTF{number}"}).one().ndet == 0


if __name__ == "__main__":
    main()
