"""The tables of a registry database."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Enum,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from penstock.backends import StoreRole
from penstock.registry.service import CredentialState, RoleMode, StoreState

REVISION = "0001"
"""The newest revision in `versions/`, which makes the tables below; known here without Alembic."""

VERSION_TABLE = "penstock_registry_version"
"""Where a registry says at which revision it is."""

FORMAT = 1
"""Raised by a revision after which earlier releases must not write; every writer looks at it."""

metadata = MetaData()

version = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))

registry = Table(
    "penstock_registry",
    metadata,
    Column("format", Integer, primary_key=True),
    Column("generation", BigInteger, nullable=False),
    Column("id", String(36), nullable=False),
)

services = Table(
    "penstock_service",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("url", Text, nullable=False),
    Column("password", Text),
    Column("admin_url", Text),
    Column("admin_password", Text),
    Column("pooled", Boolean, nullable=False),
    Column("max_connections", Integer),
    Column("roles", Enum(RoleMode, native_enum=False, length=20), nullable=False),
    Column("next_password", Text),
    Column("next_admin_password", Text),
    Column("id", String(32), nullable=False),
    Column("version", Integer, nullable=False),
    Column("written_by", Text, nullable=False),
    UniqueConstraint("id", name="penstock_service_id_key"),
)

links = Table(
    "penstock_link",
    metadata,
    Column("app", String(200), primary_key=True),
    Column("setting", String(200), primary_key=True),
    Column("service", String(200), nullable=False),
    Column("version", Integer, nullable=False),
)

stores = Table(
    "penstock_known_store",
    metadata,
    Column("service", String(400), primary_key=True),
    Column("database", String(400), primary_key=True),
    Column("app", String(200), nullable=False, index=True),
    Column("name", String(400), nullable=False),
    Column("dynamic", Boolean, nullable=False),
    Column("connection", String(200), nullable=False),
    Column("initializer", Text, nullable=False),
    Column("spatial", Boolean, nullable=False),
    Column("state", Enum(StoreState, native_enum=False, length=20), nullable=False),
    Column("problem", Text, nullable=False),
    Column("kind", String(200), nullable=False),
    Column("record_id", String(36), nullable=False),
    Column("was", String(400), nullable=False),
    Column("kept_until", DateTime(timezone=True)),
    Column("version", Integer, nullable=False),
    UniqueConstraint("app", "name", "service", "database"),
)

credentials = Table(
    "penstock_credential",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("service", String(400), nullable=False),
    Column("database", String(400), nullable=False),
    Column("role", Enum(StoreRole, native_enum=False, length=20), nullable=False),
    Column("login", String(200), nullable=False),
    Column("password", Text, nullable=False),
    Column("state", Enum(CredentialState, native_enum=False, length=20), nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
    Index("ix_penstock_credential_store", "service", "database"),
)

journal = Table(
    "penstock_journal",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("who", Text, nullable=False),
    Column("action", String(100), nullable=False),
    Column("subject", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("detail", JSON, nullable=False),
)
