"""What programs of pytentd import, in place of `tent.data`."""

from penstock.compat.tent import dbm, user
from penstock.compat.tent.dbm import Base, DBConfException, TableMixin, connect, install_tables, open_session
from penstock.compat.tent.user import Profile, User

__all__ = [
    "Base",
    "DBConfException",
    "Profile",
    "TableMixin",
    "User",
    "connect",
    "dbm",
    "install_tables",
    "open_session",
    "user",
]
