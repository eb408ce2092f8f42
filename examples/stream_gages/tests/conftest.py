"""Which app is tested."""

from __future__ import annotations

import pytest

from stream_gages.app import StreamGages


@pytest.fixture(scope="session")
def penstock_apps() -> list[type[StreamGages]]:
    """The app whose stores are copied."""
    return [StreamGages]


@pytest.fixture(autouse=True)
def _copies(penstock_stores: object) -> None:
    """Every test uses copies of the stores."""
