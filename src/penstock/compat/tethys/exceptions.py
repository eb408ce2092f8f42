"""The errors of Tethys, which are errors of ours by their old names."""

from penstock.errors import InitializerError as PersistentStoreInitializerError
from penstock.errors import NotLinked as TethysAppSettingNotAssigned
from penstock.errors import PermissionRefused as PersistentStorePermissionError
from penstock.errors import StoreExists as PersistentStoreExists
from penstock.errors import StoreNotCreated as PersistentStoreDoesNotExist
from penstock.errors import UnknownObject as TethysAppSettingDoesNotExist

__all__ = [
    "PersistentStoreDoesNotExist",
    "PersistentStoreExists",
    "PersistentStoreInitializerError",
    "PersistentStorePermissionError",
    "TethysAppSettingDoesNotExist",
    "TethysAppSettingNotAssigned",
]
