"""Controllers: their functions stay as they are, with what the decorator was told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.compat.tethys.base import url_map_maker
from penstock.compat.tethys.portal import PortalClass, needs_portal
from penstock.compat.tethys.workspaces import FOLDERS, handing_over

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "TethysController",
    "consumer",
    "controller",
    "handler",
    "page",
    "register_controllers",
    "url_map_maker",
    "with_paths",
    "with_request",
    "with_workspaces",
]


class TethysController(PortalClass):
    """A controller that is a class."""


def _decorator(kind: str) -> Callable[..., Any]:
    def decorate(function: Any = None, /, **options: Any) -> Any:
        def keep(function: Any) -> Any:
            for name in FOLDERS:
                if options.get(name) and not isinstance(function, type):
                    function = handing_over(name)(function)
            function.routing = {"kind": kind, **options}
            return function

        return keep if function is None else keep(function)

    decorate.__name__ = decorate.__qualname__ = kind
    decorate.__doc__ = f"""Make a {kind}: its options are kept in the attribute `routing`."""
    return decorate


controller, consumer, handler, page = map(_decorator, ("controller", "consumer", "handler", "page"))
with_request, with_workspaces, with_paths = map(_decorator, ("with_request", "with_workspaces", "with_paths"))
register_controllers = needs_portal("register_controllers")
