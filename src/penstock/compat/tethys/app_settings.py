"""The settings of an app: those of stores are ours, all others are kept as data."""

from __future__ import annotations

from typing import Any

from penstock.compat.tethys.exceptions import TethysAppSettingNotAssigned
from penstock.compat.tethys.portal import Kept
from penstock.declare import ConnectionSetting as PersistentStoreConnectionSetting
from penstock.declare import DatabaseSetting as PersistentStoreDatabaseSetting

__all__ = [
    "CustomSetting",
    "CustomTethysAppSetting",
    "DatasetServiceSetting",
    "JSONCustomSetting",
    "PersistentStoreConnectionSetting",
    "PersistentStoreDatabaseSetting",
    "SchedulerSetting",
    "SecretCustomSetting",
    "SpatialDatasetServiceSetting",
    "TethysAppSettingNotAssigned",
    "WebProcessingServiceSetting",
]


class _Setting(Kept):
    fields = ("name", "description", "required")
    required = True


class CustomSetting(_Setting):
    """A value that the operator gives (see `TethysAppBase.get_custom_setting`)."""

    TYPE_STRING = "STRING"
    TYPE_INTEGER = "INTEGER"
    TYPE_FLOAT = "FLOAT"
    TYPE_BOOLEAN = "BOOLEAN"
    TYPE_UUID = "UUID"
    TYPE_SECRET = "SECRET"  # noqa: S105  (a kind of value, no value)
    TYPE_JSON = "JSON"

    type = TYPE_STRING
    value: Any = None
    default: Any = None


class SecretCustomSetting(CustomSetting):
    """A value that is a secret: `penstock.toml` says only where it is."""

    type = CustomSetting.TYPE_SECRET


class JSONCustomSetting(CustomSetting):
    """A value of any shape."""

    type = CustomSetting.TYPE_JSON


CustomTethysAppSetting = CustomSetting


class DatasetServiceSetting(_Setting):
    """A service with data sets."""

    CKAN = "tethys_dataset_services.engines.CkanDatasetEngine"
    HYDROSHARE = "tethys_dataset_services.engines.HydroShareDatasetEngine"
    engine = CKAN


class SpatialDatasetServiceSetting(_Setting):
    """A service with maps."""

    GEOSERVER = "tethys_dataset_services.engines.GeoServerSpatialDatasetEngine"
    THREDDS = "thredds-engine"
    engine = GEOSERVER


class WebProcessingServiceSetting(_Setting):
    """A service that computes."""


class SchedulerSetting(_Setting):
    """A scheduler of jobs."""

    HTCONDOR = "htcondor-engine"
    DASK = "dask-engine"
    engine = DASK
