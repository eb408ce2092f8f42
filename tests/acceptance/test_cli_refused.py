"""Commands say in time why a server can't be used."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from fix_refusals import PATIENCE, WAYS, listening, says_nothing, speaks_ssh

if TYPE_CHECKING:
    from acceptance.terminal import Terminal

SCHEMES = sorted({way.scheme for way in WAYS})


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (says_nothing, "server-silent", "Nothing answers in time at "),
        (speaks_ssh, "wrong-protocol", " is SSH, not "),
    ],
)
@pytest.mark.once("in time at -mariadb", "SSH, not -postgresql+asyncpg")
def test_what_is_wrong_with_a_server_is_said_by_every_command_within_the_time(
    site: Terminal, scheme: str, answer: object, code: str, said: str
) -> None:
    with listening(answer) as port:  # type: ignore[arg-type]
        with (site.folder / "penstock.toml").open("a", encoding="utf-8") as file:
            file.write("\n[engine]\nconnect_timeout = 2\n")
        site.ok("services", "add", "main", f"{scheme}://me@127.0.0.1:{port}", "--no-password")
        site.ok("link", "main", "lab:gages")
        commands = (["services", "test", "main"], ["stores", "status", "lab"], ["doctor"])
        began = time.monotonic()
        done = {words[0]: site(*words) for words in commands}
        assert time.monotonic() - began < len(commands) * PATIENCE
        [row] = json.loads(site("stores", "status", "lab", "--json").out)["stores"][:1]
    assert (done["services"].code, f"error[{code}]" in done["services"].err) == (1, True)
    assert done["doctor"].code == 1
    for shown in done.values():
        assert said in shown.all
    assert row["health"] == "unreachable"
    assert said in row["problem"]


@pytest.mark.parametrize("port", ["0", "65536", "abc"])
def test_a_port_that_can_not_be_is_refused_when_a_service_is_added(site: Terminal, port: str) -> None:
    done = site("services", "add", "main", f"postgresql://me@127.0.0.1:{port}", "--no-password")
    assert (done.code, "error[config-invalid]" in done.err) == (1, True)
    assert "port that can't be" in done.err
    assert [row["service"] for row in site.json("services", "list")["services"]] == ["local"]
