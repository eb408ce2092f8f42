"""An app that keeps stream gages: one store for all, one store per river basin."""

from __future__ import annotations

from stream_gages.app import StreamGages

__all__ = ["StreamGages"]
