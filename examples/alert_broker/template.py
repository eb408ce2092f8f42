"""A packet that is made up, and the schema of packets, to write some where there are none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import fastavro

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from alert_broker.packets import Alert

_DOUBLES = "jd ra dec ranr decnr jdstartref jdendref jdstarthist jdendhist".split()
_LONGS = "pid candid tblid rfid objectidps1 objectidps2 objectidps3".split()
_WHOLE = (
    "fid programid nid rcid field nneg nbad ndethist ncovhist tooflag nmtchps nframesref nmatches".split()
)
_TEXTS = "isdiffpos ssnamenr rbversion drbversion".split()

TEMPLATE: dict[str, Any] = {
    "objectId": "ZTF18aaaaaaa",
    "candid": 1_000_000_000_000_000,
    "candidate": {
        **{"jd": 2458300.75, "ra": 180.0, "dec": 30.0, "ranr": 180.0, "decnr": 30.0},
        **{"jdstartref": 2458150.7, "jdendref": 2458240.9, "jdstarthist": 2458300.7, "jdendhist": 2458300.8},
        **{"pid": 1_000_000_000, "candid": 1_000_000_000_000_000, "tblid": 1, "rfid": 700_120_200},
        **{"objectidps1": 144_001_800_000_001, "objectidps2": 144_001_800_000_002, "objectidps3": None},
        **{"fid": 1, "programid": 1, "nid": 540, "rcid": 11, "field": 700, "nneg": 2, "nbad": 0},
        **{"ndethist": 1, "ncovhist": 9, "tooflag": 0, "nmtchps": 2, "nframesref": 18, "nmatches": 300},
        **{"isdiffpos": 1, "ssnamenr": None, "rbversion": "t17_f5_c3", "drbversion": "d6_m7"},
        **{"diffmaglim": 20.5, "magpsf": 18.4, "sigmapsf": 0.08, "chipsf": 1.1, "magap": 18.41},
        **{"sigmagap": 0.09, "distnr": 0.4, "magnr": 17.5, "sigmagnr": 0.02, "chinr": 0.7, "sharpnr": 0.01},
        **{"sky": 0.2, "fwhm": 2.4, "classtar": 0.98, "mindtoedge": 900.0, "seeratio": 1.0, "aimage": 0.7},
        **{"bimage": 0.65, "aimagerat": 0.3, "bimagerat": 0.27, "xpos": 1500.0, "ypos": 900.0, "rb": 0.9},
        **{"ssdistnr": None, "ssmagnr": None, "sumrat": 0.99, "magapbig": 18.42, "sigmagapbig": 0.1},
        **{"sgmag1": 17.9, "srmag1": 17.4, "simag1": 17.2, "szmag1": 17.1, "sgscore1": 0.97},
        **{"distpsnr1": 0.3, "sgmag2": 19.9, "srmag2": 19.1, "simag2": 18.8, "szmag2": 18.7},
        **{"sgscore2": 0.1, "distpsnr2": 9.8, "sgmag3": None, "srmag3": None, "simag3": None},
        **{"szmag3": None, "sgscore3": None, "distpsnr3": None, "scorr": 21.0, "dsnrms": 10.0},
        **{"ssnrms": 30.0, "magzpsci": 26.2, "magzpsciunc": 1e-5, "magzpscirms": 0.04, "clrcoeff": 0.1},
        **{"clrcounc": 2e-5, "zpclrcov": -1e-5, "zpmed": 26.2, "clrmed": 0.7, "clrrms": 0.3},
        **{"neargaia": 0.3, "neargaiabright": None, "maggaia": 17.4, "maggaiabright": None},
        **{"exptime": 30.0, "drb": 0.99},
    },
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
            **{"schemavsn": "3.3", "publisher": "alert_broker"},
            **{"objectId": alert["objectId"], "candid": alert["candid"]},
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
    kinds = {"double": _DOUBLES, "long": _LONGS, "int": _WHOLE, "string": _TEXTS}
    kind = next((kind for kind, names in kinds.items() if name in names), "float")
    return {"name": name, "type": ["null", kind], "default": None}


_FIELDS = [_field(name) for name in TEMPLATE["candidate"]]
_SCHEMA = fastavro.parse_schema(
    {
        **{"type": "record", "name": "ztf.alert"},
        "fields": [
            *({"name": name, "type": "string"} for name in ("schemavsn", "publisher", "objectId")),
            {"name": "candid", "type": "long"},
            {"name": "candidate", "type": {"type": "record", "name": "ztf.candidate", "fields": _FIELDS}},
            {"name": "prv_candidates", "type": {"type": "array", "items": "ztf.candidate"}},
        ],
    }
)
