"""The class that an app of Tethys is derived from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from penstock.app import App
from penstock.compat.tethys.app_settings import CustomSetting
from penstock.compat.tethys.exceptions import TethysAppSettingDoesNotExist
from penstock.compat.tethys.portal import Kept, needs_portal
from penstock.compat.tethys.values import find_value, get_value
from penstock.compat.tethys.workspaces import (
    TethysPath,
    TethysWorkspace,
    folder_of,
    remember_app,
)
from penstock.declare import OtherDeclaration
from penstock.errors import NotSupported

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["TethysAppBase", "TethysExtensionBase", "url_map_maker"]

_DECLARED: Mapping[str, str] = {
    "custom_settings": "custom setting",
    "dataset_service_settings": "dataset service",
    "spatial_dataset_service_settings": "spatial dataset service",
    "web_processing_service_settings": "web processing service",
    "scheduler_settings": "scheduler",
    "permissions": "permission",
    "url_maps": "page",
    "handoff_handlers": "handoff handler",
    "job_templates": "job template",
}
"""The methods by which an app declares what is not about stores, and what each declares."""


class UrlMap(Kept):
    """A page of an app."""

    fields = ("name", "url", "controller", "protocol", "regex", "handler", "handler_type", "title", "index")
    root_url = ""

    @property
    def description(self) -> str:
        """Where it is, and what makes it."""
        return f"{self.__dict__.get('url', '')} -> {self.__dict__.get('controller', '')}"


def url_map_maker(root_url: str) -> type[UrlMap]:
    """A class for the pages of an app.

    Args:
        root_url: Where the app's pages begin.
    """
    return type("UrlMap", (UrlMap,), {"root_url": root_url})


class TethysAppBase(App):
    """What an app's class is derived from.

    What only a portal reads (`index`, `icon`, `root_url`, `color` and so on) may stay in the class. What an
    app declares beside its stores is kept as data: `penstock apps show` lists it.

    >>> from penstock.compat.tethys import PersistentStoreDatabaseSetting
    >>> class MyFirstApp(TethysAppBase):
    ...     name = "My First App"
    ...     package = "my_first_app"
    ...     def persistent_store_settings(self):
    ...         return (PersistentStoreDatabaseSetting(name="example_db", description="Gages."),)
    >>> MyFirstApp.list_persistent_store_databases()
    ['example_db']
    """

    package_namespace: ClassVar[str] = "tethysapp"
    index: Any = ""
    icon: Any = ""
    root_url: Any = ""
    color: Any = ""
    description: Any = ""
    tags: Any = ""
    enable_feedback: Any = False
    feedback_emails: Any = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        remember_app(cls)

    # --- stores ---

    @classmethod
    def get_persistent_store_engine(cls, name: str) -> Any:
        """The engine of a store: `get_persistent_store_database(name)`."""
        return cls.get_persistent_store_database(name)

    # --- what is not about stores: declared ---

    def custom_settings(self) -> Iterable[Any] | None:
        """The custom settings of the app; override it to return them, and so those that follow."""
        return None

    dataset_service_settings = spatial_dataset_service_settings = custom_settings
    web_processing_service_settings = scheduler_settings = custom_settings
    permissions = url_maps = handoff_handlers = job_templates = custom_settings

    def register_url_maps(self, set_index: bool = True) -> Iterable[Any] | None:
        """The pages of the app: `url_maps()`."""
        return self.url_maps()

    @classmethod
    def other_declarations(cls) -> Sequence[OtherDeclaration]:
        """All that those methods return, as plain data."""
        return [each for method in _DECLARED for each in _declared(cls, method)]

    # --- what is not about stores: used ---

    @classmethod
    def get_custom_setting(cls, name: str) -> Any:
        """The value of a custom setting: of the environment, of `penstock.toml`, or its default.

        Raises:
            TethysAppSettingDoesNotExist: The app declares none of this name.
            TethysAppSettingNotAssigned: It is required, and nobody gives a value.
            ConfigError: What is given is no value of its type.
        """
        for setting in cls().custom_settings() or ():
            if setting.name == name:
                return get_value(cls.package, setting)
        raise TethysAppSettingDoesNotExist("CustomSetting", name, cls.package)

    @classmethod
    def get_app_workspace(cls) -> TethysWorkspace:
        """The app's folder for files: `workspaces/PACKAGE/app_workspace` beside `penstock.toml`."""
        return TethysWorkspace(folder_of(cls, "app_workspace"))

    @classmethod
    def get_user_workspace(cls, user: Any) -> TethysWorkspace:
        """A user's folder for files; `user` is a user, a request, or a user's name."""
        return TethysWorkspace(folder_of(cls, "user_workspace", user))

    @property
    def resources_path(self) -> TethysPath:
        """The folder `resources` of the app's package."""
        return TethysPath(folder_of(type(self), "app_resources"), read_only=True)

    @property
    def public_path(self) -> TethysPath:
        """The folder `public` of the app's package."""
        return TethysPath(folder_of(type(self), "app_public"), read_only=True)

    set_custom_setting = staticmethod(needs_portal("set_custom_setting"))
    get_dataset_service = staticmethod(needs_portal("get_dataset_service"))
    get_spatial_dataset_service = staticmethod(needs_portal("get_spatial_dataset_service"))
    get_web_processing_service = staticmethod(needs_portal("get_web_processing_service"))
    get_scheduler = staticmethod(needs_portal("get_scheduler"))
    get_job_manager = staticmethod(needs_portal("get_job_manager"))
    get_handoff_manager = staticmethod(needs_portal("get_handoff_manager"))


class TethysExtensionBase:
    """What an extension's class is derived from; it has no stores."""

    name = package = root_url = description = ""

    def url_maps(self) -> Iterable[Any] | None:
        """The pages of the extension."""
        return None


def _declared(app: type[TethysAppBase], method: str) -> Iterator[OtherDeclaration]:
    kind = _DECLARED[method]
    try:
        found = list(getattr(app(), method)() or ())
    except NotSupported as error:  # As of job templates that ask for a scheduler.
        yield OtherDeclaration(kind=kind, name="", description=error.what)
        return
    for each in found:
        value_kind = _value_kind(each)
        yield OtherDeclaration(
            kind=f"secret {kind}" if value_kind == "secret" else kind,
            name=str(getattr(each, "name", each)),
            description=str(getattr(each, "description", "")),
            required=getattr(each, "required", None),
            source=_source(app, each),
            value_kind=value_kind,
        )


def _value_kind(each: Any) -> Literal["plain", "secret"] | None:
    if not isinstance(each, CustomSetting):
        return None
    return "secret" if each.type == CustomSetting.TYPE_SECRET else "plain"


def _source(app: type[TethysAppBase], each: Any) -> str:
    found = find_value(app.package, each) if isinstance(each, CustomSetting) else None
    return "" if found is None else found.source
