"""What the app needs from Penstock, and the dams that its store begins with."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from dam_inventory.dams import at
from dam_inventory.model import Base, Dam
from penstock import App, Database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session

BUILT_IN = Path(__file__).with_name("dams.csv")


class DamInventory(App):
    """Dams, and where they are."""

    package = "dam_inventory"
    dams = Database("Every dam we know.", metadata=Base.metadata, spatial=True)


@DamInventory.dams.initializer
def seed(session: Session, first_time: bool) -> None:
    """Fill the new store."""
    if first_time:
        session.add_all(read_dams())


def read_dams(path: Path = BUILT_IN) -> Iterator[Dam]:
    """The dams of a file of comma-separated values."""
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield Dam(
                name=row["name"],
                owner=row["owner"],
                river=row["river"],
                built=date.fromisoformat(row["built"]),
                location=at(float(row["longitude"]), float(row["latitude"])),
            )
