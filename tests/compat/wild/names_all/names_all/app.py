"""The class of the app, with every declaration there is."""

from penstock.compat.tethys.compute import list_schedulers
from penstock.compat.tethys.handoff import HandoffHandler
from penstock.compat.tethys.jobs import CondorJobTemplate

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
from penstock.compat.tethys.permissions import Permission, PermissionGroup


class NamesAll(TethysAppBase):
    """An app with one of everything."""

    name = "Names All"
    index = "names_all:home"
    package = "names_all"
    icon = f"{package}/images/icon.gif"
    root_url = "names-all"
    color = "#16a085"
    description = "One of everything."
    tags = "all"
    enable_feedback = False
    feedback_emails = []

    def url_maps(self):
        UrlMap = url_map_maker(self.root_url)
        return (
            UrlMap(name="home", url="names-all", controller="names_all.controllers.home"),
            UrlMap("map", "names-all/map", "names_all.controllers.show_map", regex=["[0-9]+"]),
        )

    def custom_settings(self):
        return (
            CustomSetting(
                name="max_dams",
                type=CustomSetting.TYPE_INTEGER,
                description="How many dams there may be.",
                required=True,
            ),
            SecretCustomSetting(name="api_key", description="Of the weather.", required=False),
            JSONCustomSetting(name="extent", description="Of the map.", default={"zoom": 4}, required=False),
        )

    def persistent_store_settings(self):
        return (
            PersistentStoreDatabaseSetting(
                name="primary_db",
                description="Every dam we know.",
                initializer="names_all.model.init_primary_db",
                required=True,
            ),
            PersistentStoreConnectionSetting(name="servers", description="More.", required=False),
        )

    def dataset_service_settings(self):
        return [DatasetServiceSetting(name="ckan", description="Data.", engine=DatasetServiceSetting.CKAN)]

    def spatial_dataset_service_settings(self):
        return (
            SpatialDatasetServiceSetting(
                name="primary_geoserver",
                description="Maps.",
                engine=SpatialDatasetServiceSetting.GEOSERVER,
                required=True,
            ),
        )

    def web_processing_service_settings(self):
        return (WebProcessingServiceSetting(name="wps", description="Computes.", required=False),)

    def scheduler_settings(self):
        return (SchedulerSetting(name="cluster", description="Jobs.", engine=SchedulerSetting.HTCONDOR),)

    def permissions(self):
        add_dams = Permission(name="add_dams", description="Add dams")
        return (PermissionGroup(name="admin", permissions=(add_dams,)),)

    def handoff_handlers(self):
        return (HandoffHandler(name="dams", handler="names_all.handoff.dams"),)

    def job_templates(self):
        return (CondorJobTemplate(name="run", parameters={"scheduler": list_schedulers()[0]}),)
