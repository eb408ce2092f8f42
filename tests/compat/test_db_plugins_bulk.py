"""Many rows are stored by the names of db-plugins."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select

from fix_brokers import STEP, detections, in_threads
from penstock.compat.db_plugins import IgnoredKeys
from penstock.compat.db_plugins.models import Dataquality, Detection, NonDetection, Object, Probability, Step
from penstock.errors import RowRefused, UnknownColumn
from penstock.query import Written

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.compat.db_plugins import SQLConnection

    Asked = Callable[[str], list[tuple[Any, ...]]]


def test_many_rows_are_stored_for_good_and_those_that_are_there_are_skipped(
    db: SQLConnection, asked: Asked
) -> None:
    db.query(Object).bulk_insert([{"oid": "ZTF1"}])
    rows = detections(1, 2, 3)
    assert db.session.query().bulk_insert(rows, Detection) == Written(3, 0, 0)
    db.session.rollback()
    rows = detections(3, 3, 4, mjd=1.0)
    assert db.query(Detection).bulk_insert(rows) == Written(1, 0, 2)
    assert asked("SELECT candid, mjd FROM detection ORDER BY candid") == [
        (1, 59000.5),
        (2, 59000.5),
        (3, 59000.5),
        (4, 1.0),
    ]


@pytest.mark.parametrize("nothing", [None, [], ()])
def test_no_rows_are_nothing_to_do(db: SQLConnection, nothing: Any) -> None:
    assert db.query(Detection).bulk_insert(nothing) == Written()


def test_d3_rows_may_differ_come_one_by_one_and_lack_values(db: SQLConnection, asked: Asked) -> None:
    rows = [{"oid": "ZTF1", "ndet": 1}, {"oid": "ZTF2"}, {"meanra": math.nan, "oid": "ZTF3"}]
    assert db.query(Object).bulk_insert(row for row in rows) == Written(3, 0, 0)
    assert db.query(Object).bulk_insert(tuple(rows)) == Written(0, 0, 3)
    assert db.query(Object).bulk_insert({"oid": "ZTF4"}) == Written(1, 0, 0)
    assert asked("SELECT oid, ndet, meanra FROM object ORDER BY oid") == [
        ("ZTF1", 1, None),
        ("ZTF2", None, None),
        ("ZTF3", None, None),
        ("ZTF4", None, None),
    ]


@pytest.mark.parametrize("kind", [list, iter])
def test_d3_keys_that_are_no_columns_are_left_out_with_one_warning(
    db: SQLConnection, asked: Asked, kind: Any
) -> None:
    rows = [{"oid": "ZTF1", "jd": 1.0}, {"oid": "ZTF2"}, {"oid": "ZTF3", "jd": 2.0, "chinr": 3}]
    with pytest.warns(IgnoredKeys, match="Object has no column 'chinr', 'jd'") as warned:
        assert db.query(Object).bulk_insert(kind(rows)) == Written(3, 0, 0)
    assert [each.filename for each in warned] == [__file__]
    assert len(asked("SELECT oid FROM object")) == 3


@pytest.mark.parametrize("kind", [list, iter])
def test_d3_keys_that_are_no_columns_are_an_error_if_asked_for(
    db: SQLConnection, asked: Asked, kind: Any
) -> None:
    with pytest.raises(UnknownColumn, match="jd"):
        db.query(Object).bulk_insert(kind([{"oid": "ZTF1"}, {"oid": "ZTF2", "jd": 1.0}]), strict=True)
    assert asked("SELECT count(*) FROM object") == [(0,)]


@pytest.mark.parametrize("package", ["pandas", "polars", "pyarrow"])
def test_d3_a_frame_is_stored_without_the_columns_that_are_none(
    db: SQLConnection, asked: Asked, package: str
) -> None:
    given = {"oid": ["ZTF1", "ZTF2"], "meanra": [1.5, None], "jd": [1, 2]}
    module = pytest.importorskip(package)
    frame = module.table(given) if package == "pyarrow" else module.DataFrame(given)
    with pytest.warns(IgnoredKeys, match="'jd'"):
        assert db.query(Object).bulk_insert(frame) == Written(2, 0, 0)
    assert asked("SELECT oid, meanra FROM object ORDER BY oid") == [("ZTF1", 1.5), ("ZTF2", None)]


def test_d4_threads_that_store_the_same_keys_in_another_order_do_not_wait_in_turn(
    db: SQLConnection, config: Any, connections: Callable[..., SQLConnection], asked: Asked
) -> None:
    rows = [{"oid": f"ZTF{number:03}"} for number in range(400)]
    turns = iter([rows, rows[::-1], rows, rows[::-1]])
    lock = threading.Lock()

    def work() -> None:
        with lock:
            own, mine = connections(config), next(turns)
        for _ in range(5):
            own.query(Object).bulk_insert(mine)

    in_threads(work, 4)
    assert asked("SELECT count(*) FROM object") == [(400,)]


def test_d5_the_row_that_is_refused_is_named_and_none_is_stored(db: SQLConnection, asked: Asked) -> None:
    db.query(Object).bulk_insert([{"oid": "ZTF1"}])
    rows = detections(*range(100))
    rows[57]["mjd"] = None
    with pytest.raises(RowRefused, match=r"(?s)Row 57 of Detection.*mjd"):
        db.query(Detection).bulk_insert(rows)
    del rows[57]["mjd"]
    with pytest.raises(RowRefused, match="Row 57 of Detection"):
        db.query(Detection).bulk_insert(rows)
    with pytest.raises(RowRefused, match="Row 1 of Detection"):
        db.query(Detection).bulk_insert([*detections(1), *detections(2, oid="nobody")])
    assert asked("SELECT count(*) FROM detection") == [(0,)]


def test_rows_that_are_there_get_new_values_if_asked_for(db: SQLConnection, asked: Asked) -> None:
    db.query(Object).bulk_insert([{"oid": "ZTF1", "ndet": 1, "meanra": 2.0}])
    rows = [{"oid": "ZTF1", "ndet": 2}, {"oid": "ZTF2", "ndet": 3}]
    assert db.query(Object).bulk_insert(rows, on_conflict="update") == Written(1, 1, 0)
    assert asked("SELECT ndet, meanra FROM object ORDER BY oid") == [(2, 2.0), (3, None)]


def test_what_is_pending_is_not_committed_by_many_rows(db: SQLConnection, asked: Asked) -> None:
    db.session.add(Step(**STEP))
    assert db.query(Object).bulk_insert([{"oid": "ZTF1"}]) == Written(1, 0, 0)
    assert asked("SELECT count(*) FROM step") == [(0,)]
    assert asked("SELECT count(*) FROM object") == [(1,)]
    db.session.commit()
    assert asked("SELECT date FROM step")[0][0] is not None
    assert db.session.scalar(select(Step.date)) == STEP["date"]


def test_all_that_a_step_of_the_broker_stores_is_stored(db: SQLConnection, asked: Asked) -> None:
    found, _ = db.query(Object).get_or_create(filter_by={"oid": "ZTF1"})
    db.session.query().bulk_insert([*detections(2, mjd=59002.0), *detections(1)], Detection)
    quality = [{"candid": candid, "oid": "ZTF1", "fid": 1, "xpos": 1.0} for candid in (1, 2)]
    db.session.query().bulk_insert(quality, Dataquality)
    misses = [{"oid": "ZTF1", "fid": 1, "mjd": 58999.25, "diffmaglim": 20.5}]
    db.session.query().bulk_insert(misses, NonDetection)
    kinds = {"classifier_name": "lc", "classifier_version": "1", "probability": 0.5, "ranking": 1}
    for name in ("SN", "AGN"):
        db.query().get_or_create(Probability, {"oid": "ZTF1", "class_name": name, **kinds})
    db.session.commit()
    curve = found.get_lightcurve()
    assert [each["candid"] for each in curve["detections"]] == [1, 2]
    assert [each["mjd"] for each in curve["non_detections"]] == [58999.25]
    assert curve["detections"][0].dataquality[0].xpos == 1.0
    counted = (
        db.query(Probability.class_name, func.count(Detection.candid))
        .join(Object, Object.oid == Probability.oid)
        .join(Detection, Detection.oid == Object.oid)
        .filter(Probability.ranking == 1)
        .group_by(Probability.class_name)
        .order_by(Probability.class_name)
    )
    assert [tuple(row) for row in counted] == [("AGN", 2), ("SN", 2)]
    assert db.session.query(Detection.oid, Detection.candid).filter_by(candid=2).scalar() == "ZTF1"
