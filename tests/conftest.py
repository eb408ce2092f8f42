"""What every test can use; servers are started when first asked for."""

from __future__ import annotations

import os
import shutil
import ssl
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from penstock.embedded import find_binaries
from penstock.errors import BinariesNotFound

pytest_plugins = [
    "fix_servers",
    "fix_packages",
    "fix_pgbouncer",
    "fix_mariadb",
    "fix_apps",
    "fix_aio",
    "fix_doors",
    "fix_registries",
    "fix_bindings",
    "fix_roles",
    "fix_tables",
    "fix_tent",
    "fix_brokers",
    "fix_alert_broker",
]


_AUTHORITIES = ssl.get_default_verify_paths().cafile
if _AUTHORITIES is not None:
    os.environ.setdefault("PIP_CERT", _AUTHORITIES)
os.environ["SSL_CERT_FILE"] = os.devnull
"""PyMySQL reads this file for every connection, with or without TLS, which takes longer than all else."""

_BUSY = (HealthCheck.too_slow, HealthCheck.data_too_large)
"""What hypothesis takes amiss of a busy machine."""

settings.register_profile(
    "penstock", deadline=None, suppress_health_check=[*_BUSY, HealthCheck.function_scoped_fixture]
)
settings.load_profile("penstock")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to `make test-all` what is done by an asynchronous driver besides the one for threads.

    What only such a driver does, has tests of its own, which are done always.
    """
    for item in items:
        callspec = getattr(item, "callspec", None)
        if callspec is not None and "-async" in callspec.id:
            item.add_marker("matrix")


def pytest_report_header() -> str:
    """Which servers the tests will use."""
    try:
        found = find_binaries()
        postgresql = f"PostgreSQL {found.version} ({found.origin}, {found.directory})"
    except BinariesNotFound:
        postgresql = "no PostgreSQL"
    mariadb = "MariaDB" if shutil.which("mariadbd", path="/usr/sbin:/usr/bin") else "no MariaDB"
    return f"servers: SQLite, {postgresql}, {mariadb}"


@pytest.fixture
def shared_data() -> Path:
    """The folder of real input beside the checkout; skips where it is absent."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder of real input is not beside this checkout")
    return folder


@pytest.fixture(autouse=True)
def _no_outer_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the configuration or the addresses of whoever runs it."""
    own = ("PENSTOCK_CONFIG", "PENSTOCK_ACTOR", "PENSTOCK_KEY")
    for name in (*own, "DATABASE_URL", "SERVICE_BINDING_ROOT", "VCAP_SERVICES"):
        monkeypatch.delenv(name, raising=False)
