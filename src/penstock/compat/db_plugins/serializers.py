"""Schemas of marshmallow for what goes out with an alert."""

from __future__ import annotations

from typing import Any

from penstock.compat.db_plugins.models import Gaia_ztf, Ps1_ztf, Reference, Ss_ztf
from penstock.errors import MissingExtra

try:
    from marshmallow_sqlalchemy import SQLAlchemyAutoSchema
except ImportError as error:
    raise MissingExtra(
        "The schemas need marshmallow-sqlalchemy.", hint="pip install 'penstock[db-plugins]'"
    ) from error

__all__ = ["Gaia_ztfSchema", "Ps1_ztfSchema", "ReferenceSchema", "Ss_ztfSchema"]


class Gaia_ztfSchema(SQLAlchemyAutoSchema[Any]):  # noqa: N801  (the name that clients import)
    """The nearest source of Gaia, without the object that it is near to."""

    class Meta:
        """What it is of."""

        model: Any = Gaia_ztf


class Ss_ztfSchema(SQLAlchemyAutoSchema[Any]):  # noqa: N801
    """The nearest known body of the solar system, without the object that it is near to."""

    class Meta:
        """What it is of."""

        model: Any = Ss_ztf


class Ps1_ztfSchema(SQLAlchemyAutoSchema[Any]):  # noqa: N801
    """The nearest sources of Pan-STARRS1, without the object that they are near to."""

    class Meta:
        """What it is of."""

        model: Any = Ps1_ztf


class ReferenceSchema(SQLAlchemyAutoSchema[Any]):
    """The image that an object's others are compared with, without the object."""

    class Meta:
        """What it is of."""

        model: Any = Reference
