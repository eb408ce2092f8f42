"""The class of the app."""

from penstock.compat.tethys.app_settings import CustomSetting, PersistentStoreDatabaseSetting
from penstock.compat.tethys.base import TethysAppBase, url_map_maker


class OldSetup(TethysAppBase):
    """An app with one store."""

    name = "Old Setup"
    index = "old_setup:home"
    icon = "old_setup/images/icon.gif"
    package = "old_setup"
    root_url = "old-setup"
    color = "#c0392b"

    def url_maps(self):
        UrlMap = url_map_maker(self.root_url)
        return (UrlMap(name="home", url="old-setup", controller="old_setup.controllers.home"),)

    def custom_settings(self):
        return (CustomSetting(name="title", type=CustomSetting.TYPE_STRING, required=False),)

    def persistent_store_settings(self):
        return (
            PersistentStoreDatabaseSetting(
                name="primary_db",
                description="Every dam we know.",
                initializer="old_setup.model.init_primary_db",
                required=True,
            ),
        )
