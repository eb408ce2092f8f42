"""The tables of the broker are as they are declared, and so are objects of them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import inspect
from sqlalchemy.orm import configure_mappers

from fix_brokers import DETECTION, config_of, detections
from penstock.compat.db_plugins import models
from penstock.compat.db_plugins.models import Base, Detection, Object, Ps1_ztf, Reference, Ss_ztf, Taxonomy
from penstock.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_servers import TestServer
    from penstock.compat.db_plugins import SQLConnection

KEYS = {
    "allwise": ["oid_catalog"],
    "dataquality": ["candid", "oid"],
    "detection": ["candid", "oid"],
    "feature": ["oid", "name", "fid", "version"],
    "feature_version": ["version"],
    "gaia_ztf": ["oid"],
    "magstat": ["oid", "fid"],
    "non_detection": ["oid", "fid", "mjd"],
    "object": ["oid"],
    "pipeline": ["pipeline_id"],
    "probability": ["oid", "class_name", "classifier_name", "classifier_version"],
    "ps1_ztf": ["oid", "candid"],
    "reference": ["oid", "rfid"],
    "ss_ztf": ["oid"],
    "step": ["step_id"],
    "taxonomy": ["classifier_name", "classifier_version"],
    "xmatch": ["oid", "catid"],
}
TO_OBJECT = ["detection", "feature", "gaia_ztf", "magstat", "non_detection", "probability", "ps1_ztf"]
TO_OBJECT += ["reference", "ss_ztf", "xmatch"]

INDEXES = {
    "object": ["firstmjd", "g_r_max", "g_r_mean_corr", "meandec", "meanra", "ndet"],
    "allwise": ["dec", "ra"],
    "magstat": [
        *("dmdt_first", "firstmjd", "lastmjd", "magfirst", "maglast", "magmean", "magmin", "ndet", "oid"),
    ],
    "non_detection": ["oid"],
    "ss_ztf": ["candid", "ssnamenr"],
    "reference": ["fid"],
}
INDEXES = {
    table: [f"ix_{'magstats' if table == 'magstat' else table}_{name}" for name in names]
    for table, names in INDEXES.items()
}
INDEXES |= {
    "probability": [
        "ix_classification_rank1",
        "ix_probabilities_oid",
        "ix_probabilities_probability",
        "ix_probabilities_ranking",
    ],
    "feature": ["ix_feature_oid_2"],
    "detection": ["ix_ndetection_oid"],
}


def test_there_are_seventeen_tables_with_the_keys_that_they_had(db: SQLConnection) -> None:
    found = inspect(db.engine)
    assert sorted(found.get_table_names()) == sorted(KEYS)
    assert {table: found.get_pk_constraint(table)["constrained_columns"] for table in KEYS} == KEYS
    assert [len(Base.metadata.tables[name].columns) for name in ("object", "detection", "magstat")] == [
        22,
        30,
        28,
    ]


def test_rows_refer_to_those_that_they_did(db: SQLConnection) -> None:
    found = inspect(db.engine)
    referred = {
        (table, tuple(key["constrained_columns"]), key["referred_table"])
        for table in KEYS
        for key in found.get_foreign_keys(table)
    }
    assert referred == {
        *((table, ("oid",), "object") for table in TO_OBJECT),
        ("feature", ("version",), "feature_version"),
        ("feature_version", ("step_id_feature",), "step"),
        ("feature_version", ("step_id_preprocess",), "step"),
        ("dataquality", ("candid", "oid"), "detection"),
    }


def test_there_are_the_indexes_that_there_were(db: SQLConnection) -> None:
    found = inspect(db.engine)
    named = {table: sorted(str(each["name"]) for each in found.get_indexes(table)) for table in KEYS}
    declared = {table: [name for name in names if name.startswith("ix_")] for table, names in named.items()}
    assert {table: names for table, names in declared.items() if names} == INDEXES


def test_indexes_are_of_hashes_and_of_some_rows_where_there_is_such_a_thing(
    postgresql_ground: TestServer, connections: Callable[..., SQLConnection]
) -> None:
    postgresql_ground.make_database("alerts")
    connections(config_of(postgresql_ground, "alerts")).create_db()
    hashed = "SELECT indexname FROM pg_indexes WHERE indexdef LIKE '%USING hash (oid)' ORDER BY 1"
    assert [name for (name,) in postgresql_ground.run_sql("alerts", hashed)] == [
        "ix_feature_oid_2",
        "ix_magstats_oid",
        "ix_ndetection_oid",
        "ix_non_detection_oid",
        "ix_probabilities_oid",
    ]
    [(partial,)] = postgresql_ground.run_sql(
        "alerts", "SELECT indexdef FROM pg_indexes WHERE indexname = 'ix_classification_rank1'"
    )
    assert partial.endswith("(ranking) WHERE (ranking = 1)")
    types = postgresql_ground.run_sql(
        "alerts",
        """
        SELECT DISTINCT format_type(atttypid, atttypmod)
        FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
        WHERE relkind = 'r' AND attnum > 0 AND relnamespace = 'public'::regnamespace ORDER BY 1
        """,
    )
    assert [name for (name,) in types] == [
        "bigint",
        "boolean",
        "character varying",
        "character varying[]",
        "double precision",
        "integer",
        "timestamp without time zone",
    ]


def test_columns_may_be_empty_that_could_be(db: SQLConnection) -> None:
    required = {
        table: sum(not column["nullable"] for column in inspect(db.engine).get_columns(table))
        for table in KEYS
    }
    assert required == {
        "allwise": 3,
        "dataquality": 3,
        "detection": 14,
        "feature": 4,
        "feature_version": 1,
        "gaia_ztf": 3,
        "magstat": 7,
        "non_detection": 3,
        "object": 1,
        "pipeline": 2,
        "probability": 6,
        "ps1_ztf": 6,
        "reference": 9,
        "ss_ztf": 2,
        "step": 5,
        "taxonomy": 3,
        "xmatch": 4,
    }


def test_every_model_is_offered_and_has_its_relationships() -> None:
    configure_mappers()
    mapped = {mapper.class_.__name__ for mapper in Base.registry.mappers}
    assert mapped == {*models.__all__} - {"Base"}
    assert sorted(inspect(Object).relationships.keys()) == [
        "detections",
        "features",
        "magstats",
        "non_detections",
        "probabilities",
    ]
    assert inspect(Detection).relationships.keys() == ["dataquality"]


def test_lists_and_texts_that_differ_in_case_are_kept_everywhere(db: SQLConnection) -> None:
    rows = [
        {"classifier_name": name, "classifier_version": "1", "classes": ["SN", name]} for name in ("lc", "LC")
    ]
    assert db.query(Taxonomy).bulk_insert(rows).inserted == 2
    made, new = db.query(Taxonomy).get_or_create(
        filter_by={"classifier_name": "Lc", "classifier_version": "1"}, classes=[]
    )
    assert (made.classes, new) == ([], True)
    db.session.expire_all()
    assert db.query(Taxonomy).find_one(filter_by={"classifier_name": "LC"}).classes == ["SN", "LC"]


def test_a_light_curve_is_in_the_order_of_time(db: SQLConnection) -> None:
    found, _ = db.query(Object).get_or_create(filter_by={"oid": "ZTF1"})
    db.query(Detection).bulk_insert(
        [*detections(1, mjd=3.0), *detections(2, mjd=1.0), *detections(3, mjd=2.0)]
    )
    misses = [{"oid": "ZTF1", "fid": 1, "mjd": mjd, "diffmaglim": 20.0} for mjd in (2.5, 0.5)]
    db.query(models.NonDetection).bulk_insert(misses)
    curve = found.get_lightcurve()
    assert [each["candid"] for each in curve["detections"]] == [2, 3, 1]
    assert [each["mjd"] for each in curve["non_detections"]] == [0.5, 2.5]


def test_a_row_reads_by_name_also_when_it_has_expired(db: SQLConnection) -> None:
    db.query(Object).get_or_create(filter_by={"oid": "ZTF1"})
    found, _ = db.query(Detection).get_or_create(filter_by={"candid": 7, "oid": "ZTF1"}, **DETECTION)
    db.session.commit()
    db.session.expire_all()
    assert found["magpsf"] == 18.5
    with pytest.raises(KeyError):
        found["metadata"]


def test_rows_say_which_they_are() -> None:
    assert repr(Object(oid="ZTF1")) == "<Object(oid='ZTF1')>"
    assert repr(Detection(candid=1, fid=2, oid="ZTF1")) == "<Detection(candid='1', fid='2', oid='ZTF1')>"
    assert repr(Reference(oid="ZTF1", rfid=3)) == "<Reference(oid='ZTF1', rfid='3')>"


# --- serializers ----------------------------------------------------------------------------------


def test_schemas_write_and_read_what_goes_out_with_an_alert(db: SQLConnection) -> None:
    serializers: Any = pytest.importorskip("penstock.compat.db_plugins.serializers")
    db.query(Object).get_or_create(filter_by={"oid": "ZTF1"})
    found, _ = db.query(Ss_ztf).get_or_create(filter_by={"oid": "ZTF1"}, candid=1, ssdistnr=-999.0)
    db.session.commit()
    written = serializers.Ss_ztfSchema().dump(found)
    assert written == {"candid": 1, "ssdistnr": -999.0, "ssmagnr": None, "ssnamenr": None}
    assert serializers.Ss_ztfSchema().load(written) == written
    empty = {"unique1": True, "unique2": False, "unique3": True, "nmtchps": 3, "candid": 1}
    assert serializers.Ps1_ztfSchema().dump(Ps1_ztf(oid="ZTF1", **empty)).items() >= empty.items()
    assert {"magnr", "rfid"} <= serializers.ReferenceSchema().fields.keys()
    assert {"neargaia", "unique1"} <= serializers.Gaia_ztfSchema().fields.keys()


def test_without_its_extra_the_schemas_say_what_to_install() -> None:
    code = (
        "import sys; sys.modules['marshmallow_sqlalchemy'] = None\n"
        "from penstock.errors import MissingExtra\n"
        "try:\n    import penstock.compat.db_plugins.serializers\n"
        "except MissingExtra as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "penstock[db-plugins]" in done.stdout
    assert MissingExtra.code == "extra-missing"


def test_the_plugin_for_mongodb_is_refused_by_name() -> None:
    from penstock.errors import NotSupported

    with pytest.raises(NotSupported, match="MongoConnection: Penstock has no plugin for MongoDB"):
        from penstock.compat.db_plugins.mongo import MongoConnection  # noqa: F401
