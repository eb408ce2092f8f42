"""Whether a requirement keeps SQLAlchemy older than Penstock needs it."""

from __future__ import annotations

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

OLDEST = Version("2.0.40")
"""The oldest SQLAlchemy that Penstock runs with."""

USABLE = (OLDEST, Version("2.0.999"), Version("2.1"), Version("2.1.999"))
"""The ends of the lines that Penstock runs with."""


def keeps_too_old(requirement: str) -> bool:
    """Whether this is a requirement of SQLAlchemy that no version fulfils which Penstock can use.

    Args:
        requirement: A requirement, as pip reads it; of one that can't be read, pip says more.

    >>> keeps_too_old("SQLAlchemy[asyncio] >=1.4, <2"), keeps_too_old("sqlalchemy>=1.4")
    (True, False)
    """
    try:
        found = Requirement(requirement)
    except InvalidRequirement:
        return False
    if canonicalize_name(found.name) != "sqlalchemy":
        return False
    named = [Version(part.version) for part in found.specifier if not part.version.endswith(".*")]
    usable = [version for version in (*USABLE, *named) if version >= OLDEST]
    return bool(found.specifier) and not any(found.specifier.contains(version) for version in usable)
