"""Test runs in processes of their own, which can be killed."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fix_servers import TestServer

KILLED = """
import os, signal, sys
from fix_apps import make_lab
from penstock import Service, use
from penstock.registry import Service
from penstock.secrets import SecretRef
from penstock.testing import stores_for_tests

url, password, admin_url, admin_password = sys.argv[1:]
service = Service(
    name="main", url=url, password=SecretRef("file", password) if password else None,
    admin_url=admin_url or None, admin_password=SecretRef("file", admin_password) if admin_password else None,
)
lab = make_lab()
with stores_for_tests([lab], service=service) as stores, use(stores):
    lab.basins.create("logan")
    with lab.gages.begin() as session:
        print(stores.copies.run, flush=True)
        sys.stdin.readline()
        os.kill(os.getpid(), signal.SIGKILL)
"""


def start_a_run(ground: TestServer) -> subprocess.Popen[str]:
    """Another process, in the middle of its run; it kills itself when nobody writes to it any more."""
    service = ground.service
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(KILLED),
            service.url,
            service.password.locator if service.password else "",
            service.admin_url or "",
            service.admin_password.locator if service.admin_password else "",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parent)},
    )
