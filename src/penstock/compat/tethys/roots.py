"""Every other module that apps import, made from a table."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from penstock.compat.tethys.portal import Kept, PortalClass, needs_portal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


def _kept(name: str) -> Any:
    return type(name, (Kept,), {})


def _class(name: str) -> Any:
    return type(name, (PortalClass,), {})


_STAND_INS: Mapping[str, Mapping[Callable[[str], Any], tuple[str, ...]]] = {
    "compute": {
        needs_portal: (
            *("create_condor_scheduler", "create_dask_scheduler", "create_scheduler"),
            *("get_scheduler", "list_schedulers"),
        ),
        _class: ("CondorScheduler", "DaskScheduler", "Scheduler"),
    },
    "handoff": {_kept: ("HandoffHandler",)},
    "jobs": {
        _kept: (
            *("BasicJobTemplate", "CondorJobDescription", "CondorJobTemplate", "CondorWorkflowJobTemplate"),
            *("CondorWorkflowTemplate", "JobTemplate"),
        ),
        _class: (
            *("BasicJob", "CondorJob", "CondorWorkflow", "CondorWorkflowJobNode", "CondorWorkflowNode"),
            *("DaskJob", "JobManager", "TethysJob"),
        ),
    },
    "layouts": {_class: ("MapLayout", "TethysLayout")},
    "models": {_class: ("TethysApp", "TethysExtension", "TethysAppSetting", "ProxyApp")},
    "quotas": {
        needs_portal: ("enforce_quota", "get_resource_available", "passes_quota"),
        _class: ("ResourceQuotaHandler",),
    },
    "services": {
        needs_portal: (
            *("ensure_oauth2", "get_dataset_engine", "get_spatial_dataset_engine", "get_wps_service_engine"),
            *("list_dataset_engines", "list_spatial_dataset_engines", "list_wps_service_engines"),
        ),
    },
    "services.backends.hs_restclient_helper": {needs_portal: ("get_oauth_hs",)},
    "services.models": {
        _class: (
            *("DatasetService", "PersistentStoreService", "PostgresPersistentStoreService"),
            *("SQLitePersistentStoreService", "SpatialDatasetService", "WebProcessingService"),
        ),
    },
    "stores": {_kept: ("PersistentStore",)},
    "utilities": {
        needs_portal: (
            *("get_active_app", "get_app_class", "get_app_model", "get_tethys_home_dir"),
            *("get_dataset_engine", "get_spatial_dataset_engine", "user_can_access_app"),
        ),
    },
}
"""Modules of what only a portal has: how each name stands in, and the names."""

_OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "apps": (),
    "apps.app_installation": ("app_installation",),
    "apps.base": ("base", "handoff", "permissions", "routing", "workspaces"),
    "apps.base.app_base": ("base",),
    "apps.base.bokeh_handler": ("routing",),
    "apps.base.controller": ("routing",),
    "apps.base.handoff": ("handoff",),
    "apps.base.paths": ("paths",),
    "apps.base.permissions": ("permissions",),
    "apps.base.testing": ("testing",),
    "apps.base.testing.testing": ("testing",),
    "apps.base.url_map": ("base",),
    "apps.base.workspace": ("workspaces",),
    "apps.decorators": ("permissions",),
    "apps.exceptions": ("exceptions",),
    "apps.models": ("app_settings", "models", "exceptions"),
    "apps.utilities": ("utilities",),
    "compute.job_manager": ("jobs",),
    "compute.models": ("jobs", "compute"),
    "compute.scheduler_manager": ("compute",),
    "gizmos.gizmo_options": ("gizmos",),
    "layouts.views": (),
    "layouts.views.map_layout": ("layouts",),
    "services.backends": (),
    "services.utilities": ("services",),
}
"""Modules with all that is in others, by the names that inner modules of Tethys have."""

_OLD_ROOTS: Mapping[str, str] = {
    "tethys_sdk": "",
    "tethys_apps": "apps",
    "tethys_compute": "compute",
    "tethys_gizmos": "gizmos",
    "tethys_layouts": "layouts",
    "tethys_quotas": "quotas",
    "tethys_services": "services",
}
"""What stands for each package of Tethys."""


def make_modules(root: str) -> None:
    """Let every module of the tables be importable below a package.

    Args:
        root: The package.
    """
    for name in sorted({*_STAND_INS, *_OTHER_NAMES}, key=lambda name: name.count(".")):
        module = ModuleType(f"{root}.{name}", "Stands for a module of Tethys.")
        module.__dict__.update(_names_of(root, name))
        module.__dict__["__all__"] = [each for each in module.__dict__ if not each.startswith("_")]
        sys.modules[module.__name__] = module
        parent, _, last = module.__name__.rpartition(".")
        setattr(import_module(parent), last, module)


def _names_of(root: str, name: str) -> Iterator[tuple[str, Any]]:
    for stand_in, names in _STAND_INS.get(name, {}).items():
        yield from ((each, stand_in(each)) for each in names)
    for other in _OTHER_NAMES.get(name, ()):
        module = import_module(f"{root}.{other}")
        yield from ((each, getattr(module, each)) for each in module.__all__)


def stand_in() -> None:
    """Let the packages of Tethys be imported by their own names, in this process.

    For the `setup.py` of an app, which is run by itself while the app is built.
    """
    root = __name__.rpartition(".")[0]
    for old, place in _OLD_ROOTS.items():
        ours = f"{root}.{place}".rstrip(".")
        for name, module in list(sys.modules.items()):
            if name == ours or name.startswith(f"{ours}."):
                sys.modules[old + name.removeprefix(ours)] = module
