"""An address that can't lead anywhere is refused when it is read."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import MemoryRegistry, Service, Stores
from penstock.backends import parse_url
from penstock.backends.contract import own_timeout
from penstock.errors import ConfigError, ConfigProblems, PenstockError
from penstock.registry.file import read_config

if TYPE_CHECKING:
    from pathlib import Path

BAD = ["h:0", "h:65536", "h:99999999999", "h:-1", "h:abc", "h:", "h:5432x", "[::1]:0"]
BESIDE = ["host=a&port=0", "host=a,b&port=5432,65536", "host=a:1&host=b:65536", "host=[::1]:abc"]


@pytest.mark.parametrize("kind", ["postgresql", "postgresql+asyncpg", "mariadb", "mysql"])
@pytest.mark.parametrize("where", BAD)
def test_a_port_that_can_not_be_is_refused(kind: str, where: str) -> None:
    with pytest.raises(ConfigError, match="port that can't be") as caught:
        parse_url(f"{kind}://user@{where}")
    assert "from 1 to 65535" in caught.value.hint


@pytest.mark.parametrize("options", BESIDE)
def test_so_is_one_among_the_options_of_an_address(options: str) -> None:
    with pytest.raises(ConfigError, match="port that can't be"):
        parse_url(f"postgresql://user@/?{options}")


@given(port=st.integers(-10, 2**17))
def test_all_ports_that_there_are_are_taken_and_no_other(port: int) -> None:
    try:
        assert parse_url(f"postgresql://user@h:{port}").port == port
    except ConfigError:
        assert not 1 <= port <= 65535
    else:
        assert 1 <= port <= 65535


@pytest.mark.parametrize(
    "address",
    ["u@h", "u@h:5432", "u@[::1]:1", "u@/?host=/var/run/pg:5", "u@/?host=a,b&port=1,2", "u@/?host=::1"],
)
def test_other_addresses_are_taken(address: str) -> None:
    parse_url(f"postgresql://{address}")


@given(said=st.text("0123456789abc.:-/[] ", max_size=12))
def test_whatever_stands_after_the_host_is_read_or_refused(said: str) -> None:
    with suppress(PenstockError):
        assert parse_url(f"postgresql://user@h:{said}").host


@pytest.mark.parametrize("key", ["url", "admin_url"])
def test_a_file_is_told_the_line_and_the_key(key: str, tmp_path: Path) -> None:
    lines = {"url": "mariadb://me@h", "admin_url": "mariadb://root@h"} | {key: "mariadb://me@h:70000"}
    text = "\n".join(f'{name} = "{value}"' for name, value in lines.items())
    (tmp_path / "penstock.toml").write_text(f"\n[services.main]\n{text}\n")
    with pytest.raises(ConfigProblems) as caught:
        read_config(tmp_path / "penstock.toml")
    [problem] = caught.value.problems
    assert (problem.line, problem.key) == (3 + list(lines).index(key), f"services.main.{key}")
    assert "port that can't be" in problem.message


def test_a_service_is_not_registered_with_such_a_port() -> None:
    with Stores(MemoryRegistry()) as stores:
        with pytest.raises(ConfigError, match="port that can't be"):
            stores.services.add(Service(name="main", url="postgresql://me@h:0"))
        assert stores.registry.services() == []


@pytest.mark.parametrize(
    ("said", "seconds"), [("", None), ("=5", 5), ("=2.5", 2.5), ("=0", None), ("=-1", None), ("=inf", None)]
)
def test_an_address_has_a_timeout_or_none(said: str, seconds: float | None) -> None:
    url = parse_url(f"postgresql://me@h?connect_timeout{said}" if said else "postgresql://me@h")
    assert own_timeout(url) == seconds


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_timeout_that_is_no_number_is_refused(kind: str) -> None:
    with pytest.raises(ConfigError, match="connect_timeout of this address is no number"):
        parse_url(f"{kind}://me@h?connect_timeout=soon")
