"""A packet that is made up, and a way to write some where there are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fastavro

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alert_broker.packets import Alert

_TYPES = {
    "double": {"jd", "ra", "dec", "ranr", "decnr", "jdstartref", "jdendref", "jdstarthist", "jdendhist"},
    "long": {"pid", "candid", "tblid", "rfid", "objectidps1", "objectidps2", "objectidps3"},
    "int": {"fid", "programid", "nid", "rcid", "field", "nneg", "nbad", "ndethist", "ncovhist", "tooflag"}
    | {"nmtchps", "nframesref", "nmatches"},
    "string": {"isdiffpos", "ssnamenr", "rbversion", "drbversion"},
}
"""The types of fields; all others are `float`."""

_CANDIDATE = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))

TEMPLATE: dict[str, Any] = {
    "objectId": "ZTF18aaaaaaa",
    "candid": _CANDIDATE["candid"],
    "candidate": _CANDIDATE,
    "prv_candidates": [],
}
"""What `read_alerts` would give of it."""


def write_packet(path: Path, alerts: Iterable[Alert]) -> None:
    """Write alerts as a file that ZTF could have sent, but for the pictures.

    Args:
        path: The file.
        alerts: Usually one.
    """
    records = [
        {
            "schemavsn": "3.3",
            "publisher": "alert_broker",
            "objectId": alert["objectId"],
            "candid": alert["candid"],
            "candidate": _spelled(alert["candidate"]),
            "prv_candidates": [_spelled(each) for each in alert["prv_candidates"]],
        }
        for alert in alerts
    ]
    with path.open("wb") as file:
        fastavro.writer(file, _SCHEMA, records)


def _spelled(candidate: dict[str, Any]) -> dict[str, Any]:
    """A candidate with its sign as ZTF writes it."""
    sign = candidate.get("isdiffpos")
    return {**candidate, "isdiffpos": None if sign is None else "t" if sign > 0 else "f"}


def _field(name: str) -> dict[str, Any]:
    kind = next((kind for kind, names in _TYPES.items() if name in names), "float")
    return {"name": name, "type": ["null", kind], "default": None}


_FIELDS = [_field(name) for name in _CANDIDATE]
_SCHEMA = fastavro.parse_schema(
    {
        "type": "record",
        "name": "ztf.alert",
        "fields": [
            *({"name": name, "type": "string"} for name in ("schemavsn", "publisher", "objectId")),
            {"name": "candid", "type": "long"},
            {"name": "candidate", "type": {"type": "record", "name": "ztf.candidate", "fields": _FIELDS}},
            {"name": "prv_candidates", "type": {"type": "array", "items": "ztf.candidate"}},
        ],
    }
)
