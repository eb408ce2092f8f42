"""Folders for an app's files, as paths."""

from __future__ import annotations

from typing import Any

from penstock.compat.tethys.workspaces import TethysPath, app_class_of, folder_of

__all__ = [
    "TethysPath",
    "get_app_media",
    "get_app_public",
    "get_app_resources",
    "get_app_workspace",
    "get_user_media",
    "get_user_workspace",
]


def get_app_workspace(app: Any, bypass_quota: bool = False) -> TethysPath:
    """An app's folder for files; `app` is its class."""
    return TethysPath(folder_of(app_class_of(app), "app_workspace"))


def get_user_workspace(app: Any, user: Any = None, bypass_quota: bool = False) -> TethysPath:
    """The folder of a user of an app."""
    return TethysPath(folder_of(app_class_of(app), "user_workspace", user))


def get_app_media(app: Any, bypass_quota: bool = False) -> TethysPath:
    """An app's folder for files that are served."""
    return TethysPath(folder_of(app_class_of(app), "app_media"))


def get_user_media(app: Any, user: Any = None, bypass_quota: bool = False) -> TethysPath:
    """The folder of a user of an app for files that are served."""
    return TethysPath(folder_of(app_class_of(app), "user_media", user))


def get_app_resources(app: Any) -> TethysPath:
    """The folder `resources` of an app's package."""
    return TethysPath(folder_of(app_class_of(app), "app_resources"), read_only=True)


def get_app_public(app: Any) -> TethysPath:
    """The folder `public` of an app's package."""
    return TethysPath(folder_of(app_class_of(app), "app_public"), read_only=True)
