"""Stores: the one object that ties what apps declare to the servers there are."""

from penstock.stores.stores import Stores

__all__ = ["Stores"]
