"""The class of the app."""

from penstock.compat.tethys.app_settings import PersistentStoreDatabaseSetting
from penstock.compat.tethys.base import TethysAppBase


class AsksItself(TethysAppBase):
    """An app with one store."""

    name = "Asks Itself"
    index = "home"
    package = "asks_itself"
    root_url = "asks-itself"

    def persistent_store_settings(self):
        return (
            PersistentStoreDatabaseSetting(
                name="primary_db",
                description="Every dam we know.",
                initializer="asks_itself.model.init_primary_db",
                required=True,
            ),
        )
