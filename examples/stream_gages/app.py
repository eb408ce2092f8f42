"""What the app needs from Penstock, and what its first store begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock import App, Database
from stream_gages.model import Base
from stream_gages.sites import gages_file, read_gages

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class StreamGages(App):
    """Stream gages: where rivers are measured."""

    package = "stream_gages"
    gages = Database("Every gage we know.", metadata=Base.metadata)
    basins = Database("One store per river basin.", metadata=Base.metadata, many=True)


@StreamGages.gages.initializer
def seed(session: Session, first_time: bool) -> None:
    """Fill the new store, in one transaction with the note that it has been filled."""
    if first_time:
        session.add_all(read_gages(gages_file()))
