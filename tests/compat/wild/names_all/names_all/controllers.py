"""Pages, which nobody draws here."""

from penstock.compat.tethys.gizmos import Button, DataTableView, MapView, MVView
from penstock.compat.tethys.permissions import has_permission, permission_required
from penstock.compat.tethys.routing import controller
from penstock.compat.tethys.workspaces import app_workspace

from .app import NamesAll as app
from .model import Dam


@controller
def home(request):
    """The dams, as a table and a button."""
    session = app.get_persistent_store_database("primary_db", as_sessionmaker=True)()
    rows = [(dam.name,) for dam in session.query(Dam)]
    session.close()
    table = DataTableView(column_names=("Name",), rows=rows, searching=False)
    return {"table": table, "add": Button(display_text="Add", icon="plus", style="success")}


@app_workspace
@controller(url="names-all/map")
def show_map(request, app_workspace):
    """A map, and the files there are."""
    view = MVView(projection="EPSG:4326", center=[-100, 40], zoom=app.get_custom_setting("extent")["zoom"])
    return {"map": MapView(height="100%", view=view), "files": app_workspace.files()}


@permission_required("add_dams")
def add_dam(request):
    """What only some may do."""
    return has_permission(request, "add_dams")


def get_layers():
    """What a map service would say."""
    return app.get_spatial_dataset_service("primary_geoserver", as_engine=True).list_layers()
