"""The class of the app."""

from penstock.compat.tethys.app_settings import PersistentStoreConnectionSetting
from penstock.compat.tethys.base import TethysAppBase


class MakesTables(TethysAppBase):
    """An app without a store, at first."""

    name = "Makes Tables"
    index = "home"
    package = "makes_tables"
    root_url = "makes-tables"

    def persistent_store_settings(self):
        return [PersistentStoreConnectionSetting(name="servers", description="For basins.", required=True)]
