"""A PostgreSQL server of your own: find binaries, initdb, start, stop."""

from __future__ import annotations

from penstock.embedded.binaries import Binaries, find_binaries
from penstock.embedded.cluster import Cluster
from penstock.embedded.status import OWNER, Credentials, ServerState, ServerStatus

__all__ = ["OWNER", "Binaries", "Cluster", "Credentials", "ServerState", "ServerStatus", "find_binaries"]
