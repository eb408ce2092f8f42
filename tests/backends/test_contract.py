"""Penstock's own backends pass the suite that it publishes for those of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from penstock.testing.contract import BackendContract, BackendUnderTest

if TYPE_CHECKING:
    from fix_servers import TestServer


class TestOwnBackends(BackendContract):
    @pytest.fixture
    def subject(self, ground: TestServer) -> BackendUnderTest:
        return BackendUnderTest(service=ground.service)
