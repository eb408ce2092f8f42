"""Permissions: declared as data; a check that nobody can make lets nobody through."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from penstock.compat.tethys.portal import Kept, needs_portal, not_here

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Permission", "PermissionGroup", "has_permission", "login_required", "permission_required"]


class Permission(Kept):
    """Something that a user may be allowed to do."""


class PermissionGroup(Kept):
    """Several permissions under one name."""

    fields = ("name", "permissions")
    permissions: Any = ()

    @property
    def description(self) -> str:
        """The names of its permissions."""
        return ", ".join(each.name for each in self.permissions)


has_permission = needs_portal("has_permission")


def permission_required(*permissions: str, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Guard a controller: without a portal, to call it raises NotSupported.

    Args:
        permissions: The names of permissions.
        options: Kept with them in the controller's `guard`.
    """
    return _guard(f"The check of permissions {', '.join(permissions)}", permissions=permissions, **options)


def login_required(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Guard a controller by a login: without a portal, to call it raises NotSupported."""
    guard = _guard("The check of a login", **options)
    return guard if function is None else guard(function)


def _guard(what: str, **kept: Any) -> Callable[[Callable[..., Any]], Any]:
    def guard(function: Callable[..., Any]) -> Any:
        @wraps(function)
        def refuse(*_: Any, **__: Any) -> Any:
            raise not_here(what)

        refuse.__dict__["guard"] = kept
        return refuse

    return guard
