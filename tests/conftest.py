"""What every test can use; servers are started when first asked for."""

from __future__ import annotations

import os
import shutil
import ssl
from collections import defaultdict
from pathlib import Path
from typing import Any

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

_ALWAYS: dict[str, Any] = {
    "deadline": None, "suppress_health_check": [*_BUSY, HealthCheck.function_scoped_fixture]
}  # fmt: skip
settings.register_profile("same", **_ALWAYS, derandomize=True)
settings.register_profile("other", **_ALWAYS)
settings.load_profile("same")
"""`make test` tries the same examples each time, `make test-all` others."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to `make test-all` what shows with other parameters what one of them has shown.

    That is what is done by an asynchronous driver besides the one for threads (what only such a driver does,
    has tests of its own, which are done always), and what a test leaves itself: marked `once`, it is done
    with the parameters named; marked `turns`, it is done on one server, and the next test on the next.
    """
    for item in items:
        named = [text for mark in item.iter_markers("once") for text in mark.args]
        chosen = getattr(item, "callspec", None)
        if chosen is None:
            assert not named, item.nodeid
        elif "-async" in chosen.id or (named and not any(text in chosen.id for text in named)):
            item.add_marker("matrix")
    files: dict[Path, list[tuple[pytest.Function, str]]] = defaultdict(list)
    for item in items:
        for mark in [*item.iter_markers("turns")][:1]:
            chosen = getattr(item, "callspec", None)
            if isinstance(item, pytest.Function) and chosen is not None and mark.args[0] in chosen.params:
                files[item.path].append((item, mark.args[0]))
    for found in files.values():
        _take_turns(found)


def _take_turns(items: list[tuple[pytest.Function, str]]) -> None:
    """Mark those of a file that are on a server whose turn it is not; the order does not depend on chance."""
    turns: dict[tuple[int, str], dict[str, pytest.Function]] = defaultdict(dict)
    for item, server in items:
        on = str(item.callspec.params[server])
        given = item.callspec.id.replace(on, "", 1)
        turns[item.function.__code__.co_firstlineno, given][on] = item
    for number, (_, found) in enumerate(sorted(turns.items())):
        servers = sorted(found)
        for server in servers:
            if server != servers[number % len(servers)]:
                found[server].add_marker("matrix")


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
