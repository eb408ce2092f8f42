"""Many rows are written to MariaDB."""

from __future__ import annotations


class MySQLRows:
    """Writes rows to MariaDB and MySQL."""
