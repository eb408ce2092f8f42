"""Reads alert packets of ZTF: Avro object containers, each with its schema."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import fastavro

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

Alert = dict[str, Any]
"""A packet without its pictures: `objectId`, `candid`, `candidate` and `prv_candidates`."""

SCHEMA = "ztf.alert"

_WHOLE = ("candid", "pid", "fid")
_NUMBERS = ("jd", "ra", "dec", "magpsf", "sigmapsf")
_OF_ALERT = ("rfid", "ranr", "decnr", "jdstartref", "jdendref", "nframesref", "nmtchps")
_SIGNS = {"t": 1, "1": 1, "f": -1, "0": -1}
_NOTHING = (-999.0, "null")  # What ZTF writes where there is no neighbour.


class PacketError(ValueError):
    """A file that is no alert packet, or one that can't be understood.

    Args:
        path: The file.
        problem: What is wrong with it.
    """

    def __init__(self, path: Path | str, problem: str) -> None:
        super().__init__(path, problem)
        self.path = path
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


def packet_files(paths: Iterable[Path]) -> list[Path]:
    """The files that are meant: those named, and every `*.avro` in the directories named, in order."""
    found: list[Path] = []
    for path in paths:
        found += sorted(path.rglob("*.avro")) if path.is_dir() else [path]
    return found


def read_alerts(path: Path) -> list[Alert]:
    """The alerts of one file, checked: what the tables can't do without is there.

    Args:
        path: The file; usually it has one alert.

    Raises:
        PacketError: It can't be read, is cut off, is not Avro, or is of another schema.
    """
    try:
        with path.open("rb") as file:
            alerts = [_checked(path, record) for record in _records(path, file)]
    except OSError as error:
        raise PacketError(path, error.strerror or str(error)) from error
    if not alerts:
        raise PacketError(path, "there is no alert in it")
    return alerts


def _records(path: Path, file: Any) -> Iterator[Any]:
    """What the container holds, once it is known to be of the schema."""
    if file.read(4) != b"Obj\x01":
        raise PacketError(path, "it is no Avro object container")
    file.seek(0)
    try:
        reader = fastavro.reader(file)
        schema: Any = reader.writer_schema
        name = schema.get("name") if isinstance(schema, dict) else schema
        if name != SCHEMA:
            raise PacketError(path, f"its schema is {name!r}, not {SCHEMA!r}")
        yield from reader
    except (PacketError, OSError):
        raise
    except EOFError as error:
        raise PacketError(path, "it is cut off") from error
    except Exception as error:  # Whatever a decoder makes of bytes that mean something else.
        raise PacketError(path, f"it can't be decoded ({type(error).__name__})") from error


def _checked(path: Path, record: Mapping[str, Any]) -> Alert:
    """The alert of a record; what is not known is None, however ZTF says so."""
    candidate = record.get("candidate")
    if not isinstance(candidate, dict) or not isinstance(record.get("objectId"), str):
        raise PacketError(path, "it has no objectId, or no candidate")
    history = [_known(each) for each in record.get("prv_candidates") or ()]
    alert = {"objectId": record["objectId"], "candidate": _known(candidate), "prv_candidates": history}
    _check(path, "candidate", alert["candidate"], _OF_ALERT)
    for number, each in enumerate(history):
        if each.get("candid") is not None:
            _check(path, f"prv_candidates[{number}]", each)
        elif not {"jd", "fid"} <= each.keys():
            raise PacketError(path, f"prv_candidates[{number}] has no jd, or no fid")
    return {**alert, "candid": alert["candidate"]["candid"]}


def _known(candidate: Mapping[str, Any]) -> dict[str, Any]:
    return {name: None if value in _NOTHING else value for name, value in candidate.items()}


def _check(path: Path, where: str, candidate: dict[str, Any], more: Iterable[str] = ()) -> None:
    """Check what can't be missing, and put a number for the sign of the difference."""
    for name in (*_WHOLE, *_NUMBERS, *more):
        value = candidate.get(name)
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise PacketError(path, f"{where} has no {name}, or one that is no number")
    sign = _SIGNS.get(str(candidate.get("isdiffpos")))
    if sign is None:
        raise PacketError(path, f"{where} does not say with t, f, 1 or 0 whether isdiffpos is true")
    candidate["isdiffpos"] = sign
