"""What stands for a portal's things: kept as data, or refused once it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from penstock.errors import NotSupported

if TYPE_CHECKING:
    from collections.abc import Callable


def not_here(what: str) -> NotSupported:
    """The error of something that only a portal has.

    >>> raise not_here("get_job_manager")
    Traceback (most recent call last):
    penstock.errors.NotSupported: get_job_manager needs a portal, and there is none here.
      try: Use it in Tethys Portal only. The app's stores, its custom settings and workspaces need none.
    """
    return NotSupported(
        f"{what} needs a portal, and there is none here.",
        hint="Use it in Tethys Portal only. The app's stores, its custom settings and workspaces need none.",
    )


def needs_portal(name: str) -> Callable[..., Any]:
    """A function that can be imported, and raises when it is called."""

    def function(*_: Any, **__: Any) -> Any:
        raise not_here(name)

    function.__name__ = function.__qualname__ = name
    return function


class Portal:
    """An object of a portal's: it can be kept, and raises when something is asked of it.

    Args:
        name: What it is called.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):  # Asked by Python itself, as for copying or showing.
            raise AttributeError(attribute)
        raise not_here(f"{self._name}.{attribute}")


class PortalClass:
    """A class of a portal's: it can be imported and derived from, and raises when it is used."""

    objects: ClassVar[Portal] = Portal("objects")

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.objects = Portal(f"{cls.__name__}.objects")

    def __init__(self, *_: Any, **__: Any) -> None:
        raise not_here(type(self).__name__)

    @classmethod
    def as_controller(cls, **_: Any) -> Any:
        """Make a controller of it, which only a portal can."""
        raise not_here(f"{cls.__name__}.as_controller")


class Kept:
    """A declaration: it keeps what it is given.

    Attributes:
        fields: The names of arguments by position.
        arguments: Arguments by position that have no name.

    >>> Kept(name="view_map").name
    'view_map'
    """

    fields: ClassVar[tuple[str, ...]] = ("name", "description")
    name: Any = ""
    description: Any = ""
    required: Any = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.__dict__.update(zip(self.fields, arguments, strict=False), **options)
        self.arguments = arguments[len(self.fields) :]

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{type(self).__name__} {self.name!r} was given no {name!r}.")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class Gizmo(dict[str, Any]):
    """A part of a page: it keeps what it is given, as keys and as attributes, and draws nothing.

    >>> Gizmo(display_text="Add").display_text
    'Add'
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(options)
        object.__setattr__(self, "arguments", arguments)

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value
