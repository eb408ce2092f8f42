"""Errors of what an app says it needs."""

from __future__ import annotations

from penstock.errors.base import PenstockError

__all__ = ["DeclarationError", "InvalidName", "NameCollision"]


class DeclarationError(PenstockError):
    """A setting or an app is declared in a way that can't work."""

    code = "declaration-invalid"


class InvalidName(DeclarationError, ValueError):
    """A name can't be used for an app, a setting, a store, a service or a role."""

    code = "name-invalid"


class NameCollision(DeclarationError):
    """Two declarations, or two stores of one service, would share one database."""

    code = "name-collision"
