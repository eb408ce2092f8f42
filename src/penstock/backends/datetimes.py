"""Datetimes in UTC, to the microsecond, as each dialect keeps and tells them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import DateTime
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

if TYPE_CHECKING:
    from sqlalchemy.sql.compiler import SQLCompiler

# Without a number of digits, MySQL and MariaDB keep whole seconds.
UTC_DATETIME = DateTime(timezone=True).with_variant(mysql.DATETIME(timezone=True, fsp=6), "mysql", "mariadb")
"""The type of a column of aware datetimes; only PostgreSQL knows that they are."""

UTC_DATETIME_SOURCE = "sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')"
UTC_DATETIME_IMPORT = "from sqlalchemy.dialects import mysql"
"""What a migration writes for it, and what that needs."""


class AlwaysAware:
    """What a type is whose values are aware datetimes, also where a server keeps no time zones."""


class UTCNow(FunctionElement[datetime]):
    """The time by the server's clock; where a column keeps no time zone, in UTC, whatever a session's is.

    Args:
        kind: The type of what it gives.
    """

    name = "utc_now"
    inherit_cache = True

    def __init__(self, kind: Any = UTC_DATETIME) -> None:
        self.type = kind
        super().__init__()


@compiles(UTCNow)
def _by_standard(element: UTCNow, compiler: SQLCompiler, **options: Any) -> str:
    return "CURRENT_TIMESTAMP"


@compiles(UTCNow, "mysql")
@compiles(UTCNow, "mariadb")
def _by_mysql(element: UTCNow, compiler: SQLCompiler, **options: Any) -> str:
    return "UTC_TIMESTAMP(6)"  # CURRENT_TIMESTAMP is that of the session's time zone.


@compiles(UTCNow, "sqlite")
def _by_sqlite(element: UTCNow, compiler: SQLCompiler, **options: Any) -> str:
    # It counts thousandths; six digits sort among the texts that SQLAlchemy writes.
    return "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
