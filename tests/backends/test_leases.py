"""The user that a secret source lends logs in, anew for each connection."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import make_url, text

from penstock import App, Database, SecretRef
from penstock.secrets import resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from fix_packages import Package
    from fix_servers import TestServer
    from penstock import Stores

SOURCE = """
from os import environ
from penstock.secrets import Credentials
asked = []
def read(locator):
    asked.append(locator)
    return Credentials(user=environ["LEASED_USER"], password=environ["LEASED_PASSWORD"])
"""


def test_the_user_of_a_lease_logs_in_and_each_connection_has_its_own_lease(
    server_ground: TestServer,
    stores_on: Callable[..., Stores],
    package: Package,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package("leases", "penstock.secrets", {"lease": "leases:read"}, SOURCE)
    service = server_ground.service
    monkeypatch.setenv("LEASED_USER", make_url(service.url).username or "")
    monkeypatch.setenv("LEASED_PASSWORD", resolve(service.password) or "")

    class Lab(App):
        package = "lab"
        gages = Database()

    stores = stores_on(server_ground, Lab)
    url = make_url(service.url).set(username="nobody").render_as_string(hide_password=False)
    stores.registry.put_service(
        replace(
            service,
            name="leased",
            url=url,
            password=SecretRef.parse("lease:lab"),
            admin_url=None,
            roles=False,
        )
    )
    stores.links.add("leased", Lab, "gages")
    assert [result.error for result in stores.sync(Lab)] == [None]
    import leases

    before = len(leases.asked)
    assert before > 0
    engine = stores.engine(Lab, "gages")
    with engine.connect() as one, engine.connect() as other:
        for connection in (one, other):
            user = connection.execute(text("SELECT CURRENT_USER")).scalar_one()
            assert user.partition("@")[0] == make_url(service.url).username
    assert len(leases.asked) == before + 2
    assert stores.url(Lab, "gages").username == make_url(service.url).username
