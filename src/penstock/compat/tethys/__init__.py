"""What apps of Tethys Platform import, in place of `tethys_sdk` and `tethys_apps`."""

from penstock.compat.tethys.app_settings import (
    CustomSetting,
    DatasetServiceSetting,
    JSONCustomSetting,
    PersistentStoreConnectionSetting,
    PersistentStoreDatabaseSetting,
    SchedulerSetting,
    SecretCustomSetting,
    SpatialDatasetServiceSetting,
    WebProcessingServiceSetting,
)
from penstock.compat.tethys.base import TethysAppBase, url_map_maker
from penstock.compat.tethys.exceptions import (
    PersistentStoreDoesNotExist,
    PersistentStoreExists,
    PersistentStoreInitializerError,
    PersistentStorePermissionError,
    TethysAppSettingDoesNotExist,
    TethysAppSettingNotAssigned,
)
from penstock.compat.tethys.permissions import Permission, PermissionGroup
from penstock.compat.tethys.roots import make_modules
from penstock.compat.tethys.testing import TethysTestCase

__all__ = [
    "CustomSetting",
    "DatasetServiceSetting",
    "JSONCustomSetting",
    "Permission",
    "PermissionGroup",
    "PersistentStoreConnectionSetting",
    "PersistentStoreDatabaseSetting",
    "PersistentStoreDoesNotExist",
    "PersistentStoreExists",
    "PersistentStoreInitializerError",
    "PersistentStorePermissionError",
    "SchedulerSetting",
    "SecretCustomSetting",
    "SpatialDatasetServiceSetting",
    "TethysAppBase",
    "TethysAppSettingDoesNotExist",
    "TethysAppSettingNotAssigned",
    "TethysTestCase",
    "WebProcessingServiceSetting",
    "url_map_maker",
]

make_modules(__name__)
