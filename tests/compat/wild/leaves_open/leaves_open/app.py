"""The class of the app."""

from penstock.compat.tethys.app_settings import PersistentStoreDatabaseSetting
from penstock.compat.tethys.base import TethysAppBase


class LeavesOpen(TethysAppBase):
    """An app with one store."""

    name = "Leaves Open"
    index = "home"
    package = "leaves_open"
    root_url = "leaves-open"

    def persistent_store_settings(self):
        return (
            PersistentStoreDatabaseSetting(
                name="wells", description="Wells.", initializer="leaves_open.model.init_wells"
            ),
        )
