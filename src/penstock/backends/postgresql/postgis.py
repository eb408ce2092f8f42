"""PostGIS: whether a server has it, who may enable it, and whether that is safe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from penstock.backends.address import direct_login
from penstock.backends.postgresql.faults import translated
from penstock.backends.postgresql.sessions import maintenance, own_session
from penstock.errors import NotSupported, PermissionRefused, StoreNotCreated

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from penstock.backends.address import DatabaseAddress, Login
    from penstock.errors import PenstockError

_RASTER = "postgis_raster"
_INSTALLED = "SELECT 1 FROM pg_catalog.pg_extension WHERE extname = 'postgis'"
_AVAILABLE = "SELECT 1 FROM pg_catalog.pg_available_extensions WHERE name = :name"
# Roles by which managed servers let others than superusers create it.
_MANAGED = ("rds_superuser", "cloudsqlsuperuser", "azure_pg_admin", "alloydbsuperuser")
_MAY = """
    SELECT r.rolsuper OR NOT v.superuser OR v.trusted OR EXISTS (
        SELECT 1 FROM pg_catalog.pg_roles m
        WHERE m.rolname = ANY (:managed) AND pg_catalog.pg_has_role(m.oid, 'MEMBER'))
    FROM pg_catalog.pg_available_extensions a
    JOIN pg_catalog.pg_available_extension_versions v ON v.name = a.name AND v.version = a.default_version
    CROSS JOIN pg_catalog.pg_roles r WHERE a.name = 'postgis' AND r.rolname = current_user"""
_PLANTED = """
    SELECT pg_catalog.format('%s', p.oid::pg_catalog.regprocedure) FROM pg_catalog.pg_proc p
    WHERE p.pronamespace = 'public'::pg_catalog.regnamespace
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
    UNION ALL
    SELECT pg_catalog.format('%s', o.oid::pg_catalog.regoperator) FROM pg_catalog.pg_operator o
    WHERE o.oprnamespace = 'public'::pg_catalog.regnamespace
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.objid = o.oid AND d.deptype = 'e')
    LIMIT 1"""


def problem(address: DatabaseAddress, *, exists: bool) -> PenstockError | None:
    """Why a database can't be a spatial one, or None; a server that lacks it is told before it is made.

    Args:
        address: The database.
        exists: Whether it is there already.
    """
    if exists and _is_enabled(address):
        return None
    with maintenance(address.server, keep=True, anywhere=True) as connection:
        if connection.execute(text(_AVAILABLE), {"name": "postgis"}).first() is None:
            return _absent(connection, address)
        may = connection.execute(text(_MAY), {"managed": list(_MANAGED)}).scalar()
        user = connection.execute(text("SELECT current_user")).scalar_one()
    if may or address.server.admin is not None:
        return None
    url = address.server.login.url
    administrator = f"postgresql://postgres@{url.host or 'localhost'}:{url.port or 5432}"
    return PermissionRefused(
        f"The store {address.label} can't be spatial on service {address.server.service}.",
        why=f"Only a superuser may create the extension postgis, and the role {user} is none.",
        hint=f"penstock services edit {address.server.service} --admin-url {administrator}, "
        "or have CREATE EXTENSION postgis done in a database that was made for the store.",
    )


def enable(address: DatabaseAddress) -> None:
    """Create the extension, and that for rasters where it is one of its own; safe to repeat.

    An extension's script runs with the rights of whoever creates it, and looks names up in the schema that it
    is put into (https://www.postgresql.org/docs/current/extend-extensions.html,
    "Security Considerations for Extension Scripts"). So nothing of an app's may be there that it could
    take for something else.

    Raises:
        NotSupported: There are functions or operators in the way.
        ServerError: The server refuses; its own words are given.
    """
    login = address.server.admin or direct_login(address.server)
    try:
        with own_session(login, address, keep=True) as connection:
            if connection.execute(text(_INSTALLED)).first() is None:
                _check_nothing_planted(connection, address)
            connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS postgis SCHEMA public")
            if connection.execute(text(_AVAILABLE), {"name": _RASTER}).first() is not None:
                connection.exec_driver_sql(f"CREATE EXTENSION IF NOT EXISTS {_RASTER} SCHEMA public")
    except DBAPIError as error:
        raise translated(error, f"PostGIS can't be enabled in {address.database}.") from error


def _is_enabled(address: DatabaseAddress) -> bool:
    login: Login = direct_login(address.server)
    try:
        with own_session(login, address, keep=True) as connection:
            return connection.execute(text(_INSTALLED)).first() is not None
    except (DBAPIError, StoreNotCreated):
        return False  # Whoever works on it next says why.


def _absent(connection: Connection, address: DatabaseAddress) -> NotSupported:
    major = int(connection.execute(text("SHOW server_version_num")).scalar_one()) // 10_000
    return NotSupported(
        f"The store {address.label} can't be spatial on service {address.server.service}.",
        why="Its server has no PostGIS.",
        hint=f"Install it beside the server; on Debian: apt-get install postgresql-{major}-postgis-3",
    )


def _check_nothing_planted(connection: Connection, address: DatabaseAddress) -> None:
    planted = connection.execute(text(_PLANTED)).scalar()
    if planted is not None:
        raise NotSupported(
            f"PostGIS is not enabled in {address.database}, whose schema public has functions or operators.",
            why=f"Its script, which a superuser runs, could be made to call them: {planted}.",
            hint="Look at them; then do, as a superuser in this database: CREATE EXTENSION postgis",
        )
