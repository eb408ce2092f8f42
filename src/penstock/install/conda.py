"""Turns a package of conda into a requirement of pip, or says what to do instead."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something that is not done, and what to do about it.

    Args:
        what: What it is, and what becomes of it.
        why: Why.
        to_do: What to do instead; empty if nothing is to be done.
    """

    what: str
    why: str = ""
    to_do: str = ""


_SPEC = re.compile(
    r"(?:[\w./-]+::)?(?P<name>[A-Za-z0-9_][\w.-]*)"
    r"(?:\s*(?P<clauses>[=<>!~].*)|\s+(?P<words>\S.*))?"
)
_BUILD = re.compile(r"(==?)([^=<>!~,|\s]+)=\S+")
_CLAUSE = re.compile(r"(==|!=|<=|>=|~=|<|>|=)?([\w.+!-]+?)(\.?\*)?")
_OPEN = ("<=", ">=", "<", ">", "~=")  # pip takes no star after these

_RENAMED: Mapping[str, str] = {
    "dask-core": "dask",
    "matplotlib-base": "matplotlib",
    "msgpack-python": "msgpack",
    "opencv": "opencv-python",
    "psycopg": "psycopg[binary]",
    "pyqt": "PyQt5",
    "pytables": "tables",
    "python-graphviz": "graphviz",
    "pytorch": "torch",
    "ruamel-yaml": "ruamel.yaml",
}

_SYSTEM = "Install it with the packages of the operating system, if the app needs it."
_SERVER = (
    "Name a server: penstock services add main postgresql://user@host:5432; "
    "or make one: penstock db configure"
)
_ELSEWHERE: Mapping[str, str] = {
    "conda": "Nothing: Penstock uses pip.",
    "gdal": "Install the system's GDAL, then name the same version under pip: gdal==VERSION",
    "geos": _SYSTEM,
    "git": _SYSTEM,
    "graphviz": _SYSTEM,
    "hdf5": _SYSTEM,
    "libgdal": _SYSTEM,
    "libnetcdf": _SYSTEM,
    "libspatialite": _SYSTEM,
    "nodejs": "Install Node.js, if the app needs it.",
    "openssl": _SYSTEM,
    "pip": "Nothing: the pip of this Python is used.",
    "postgis": "Install it on the server: on Debian, postgresql-NN-postgis-3",
    "postgresql": _SERVER,
    "proj": _SYSTEM,
    "python": "Nothing: the Python that runs Penstock is used.",
    "redis-server": _SYSTEM,
    "sqlite": "Nothing: Python has it.",
}
_DRIVER = Remark(
    what="psycopg2 is not needed",
    why="Penstock speaks to PostgreSQL by psycopg 3.",
    to_do='pip install "penstock[postgresql]"; if the app imports psycopg2 itself, name it under pip',
)


def translated(spec: str) -> str | Remark:
    """What pip is told in place of a package of conda; or why it is told nothing.

    Args:
        spec: The package, as conda reads it: `numpy`, `numpy=1.26`, `numpy >=1.2,<2`.

    >>> translated("conda-forge::numpy=1.26")
    'numpy==1.26.*'
    """
    found = _SPEC.fullmatch(spec.strip())
    if found is None:
        return _unreadable(spec)
    name = str(canonicalize_name(found["name"]))
    if name == "psycopg2":
        return _DRIVER
    if name in _ELSEWHERE:
        return Remark(what=f"conda's {name} is not installed by Penstock", to_do=_ELSEWHERE[name])
    version = _version(found["clauses"] or found["words"] or "")
    return _unreadable(spec) if version is None else _RENAMED.get(name, found["name"]) + version


def _unreadable(spec: str) -> Remark:
    return Remark(
        what=f"conda's {spec!r} is not installed",
        why="It can't be said to pip.",
        to_do="Name it under pip, with a version as pip writes it.",
    )


def _version(text: str) -> str | None:
    """A version as pip writes it, empty for any; None for one that pip can't be told."""
    text = re.sub(r"([=<>!~])\s+", r"\1", re.sub(r"\s*,\s*", ",", text))
    text = _BUILD.sub(r"==\2", (text.split() or [""])[0])  # A build of conda's means nothing to pip.
    clauses = [_clause(clause) for clause in text.split(",")] if text else []
    known = [clause for clause in clauses if clause is not None]
    return ",".join(filter(None, known)) if len(known) == len(clauses) else None


def _clause(text: str) -> str | None:
    if text in ("*", "=*", "==*"):
        return ""
    found = _CLAUSE.fullmatch(text)
    if found is None:
        return None
    operator, version, star = found[1] or "==", found[2], found[3]
    if operator == "=":
        return f"=={version}.*"
    return f"{operator}{version}.*" if star and operator not in _OPEN else f"{operator}{version}"
