"""The parts of pages: each keeps what it is given, and draws nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.compat.tethys.portal import Gizmo

_NAMES = (
    *("BokehView", "Button", "ButtonGroup", "DataTableView", "DatePicker", "JobsTable", "MessageBox"),
    *("PlotlyView", "RangeSlider", "SelectInput", "SlideSheet", "TableView", "TextInput", "ToggleSwitch"),
    *("CesiumMapView", "ESRIMap", "EMLayer", "EMView", "MapView", "MVDraw", "MVLayer", "MVLegendClass"),
    *("MVLegendGeoServerImageClass", "MVLegendImageClass", "MVView", "EditableGoogleMap", "GoogleMapView"),
    *("AreaRange", "BarPlot", "HeatMap", "LinePlot", "PiePlot", "PlotObject", "PolarPlot", "ScatterPlot"),
    *("FetchClimate", "SecondaryGizmoOptions", "TethysGizmoOptions", "TimeSeries"),
)

if TYPE_CHECKING:

    def __getattr__(name: str) -> type[Gizmo]:
        """Each of them, for who checks types."""

else:
    globals().update(
        {name: type(name, (Gizmo,), {"__module__": __name__}) for name in _NAMES}, __all__=[*_NAMES]
    )
