"""The examples' own tests pass, as users run them, on every kind of server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fix_servers import require_spatial

if TYPE_CHECKING:
    from fix_servers import TestServer

EXAMPLES = Path(__file__).parents[2] / "examples"
TESTS = {"stream_gages": 4, "dam_inventory": 3}


@pytest.mark.parametrize("app", TESTS)
def test_the_tests_of_an_example_pass(app: str, ground: TestServer, tmp_path: Path) -> None:
    if app == "dam_inventory":
        require_spatial(ground)
    config = tmp_path / "penstock.toml"
    config.write_text(written(ground))
    config.chmod(0o600)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", f"{app}/tests", "-c", os.devnull, "--rootdir", ".",
         "--penstock-service", "main", "-n", "2", "-q", "-p", "no:cacheprovider"],
        cwd=EXAMPLES,
        env={**os.environ, "PENSTOCK_CONFIG": str(config), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{TESTS[app]} passed" in done.stdout
    assert ground.databases() == set()


def written(ground: TestServer) -> str:
    """A configuration with the ground as the service `main`."""
    service = ground.service
    keys = {
        "url": service.url,
        "password": service.password,
        "admin_url": service.admin_url,
        "admin_password": service.admin_password,
    }
    lines = [f'{key} = "{value}"' for key, value in keys.items() if value is not None]
    return "\n".join(["[services.main]", *lines, ""])
