"""Several stores at a time: a line for each, every failure told, one exit code."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from acceptance.terminal import Terminal
    from fix_servers import TestServer

pytestmark = pytest.mark.turns("ground")

NAMES = [f"lab:basins.b{number}" for number in range(4)]


def test_stores_named_on_the_command_line_and_in_a_file_are_made_several_at_a_time(
    linked: Terminal, ground: TestServer
) -> None:
    linked.folder.joinpath("names.txt").write_text("# basins\nlab:basins.b2\n\nlab:basins.b3\n")
    told = linked.ok("stores", "create", *NAMES[:2], "--from", "names.txt", "--jobs", "3")
    assert sorted(re.findall(r"^(\S+)  ok  \d steps  \d+\.\d\d s$", told, re.MULTILINE)) == NAMES
    assert "4 of 4 stores are ready" in told
    assert ground.databases() == {f"lab_basins_b{number}" for number in range(4)}


def test_names_may_come_from_stdin_and_a_name_that_is_none_is_a_usage_error(linked: Terminal) -> None:
    told = linked.ok("stores", "create", "--from", "-", stdin=b"lab:basins.a\nlab:basins.b\n")
    assert "2 of 2 stores are ready" in told
    assert linked("stores", "create", "--from", "-", stdin=b"lab\n").code == 2
    assert linked("stores", "create").code == 2


def test_one_that_fails_is_told_and_the_others_are_made(linked: Terminal, ground: TestServer) -> None:
    ground.make_database("lab_basins_b1")
    ground.run_sql("lab_basins_b1", "CREATE TABLE precious (id int)")
    done = linked("stores", "create", *NAMES, "-j", "2")
    assert done.code == 1
    assert "lab:basins.b1  failed" in done.out
    assert "error[store-not-ours]" in done.out
    assert "3 of 4 stores are ready" in done.out
    rows = linked.json("syncstores", "lab", "-j", "3")["stores"]
    assert {row["store"] for row in rows} == {"gages", "basins.b0", "basins.b2", "basins.b3"}
    assert {row["result"] for row in rows} == {"ok"}


def test_json_has_the_steps_of_each_store_and_a_refresh_names_them_all_first(linked: Terminal) -> None:
    linked.ok("stores", "create", *NAMES[:2], "--jobs", "2")
    refused = linked("syncstores", "lab", "--jobs", "2", "--refresh")
    assert refused.code == 2
    assert refused.all.count("Drops lab:basins") == 2
    answer = linked.json("syncstores", "lab", "--jobs", "2", "--refresh", "--yes")
    steps = {row["store"]: [step["step"] for step in row["steps"]] for row in answer["stores"]}
    assert answer["ok"]
    assert set(steps) == {"gages", "basins.b0", "basins.b1"}
    assert all("drop database" in steps[f"basins.b{number}"][0] for number in range(2))


def test_on_a_terminal_a_count_shows_how_far_it_is(linked: Terminal) -> None:
    shown = linked.typed("stores", "create", *NAMES, "--jobs", "2").all
    assert "0 of 4" in shown
    assert "4 of 4 stores are ready" in shown


def test_t18_processes_that_each_sync_several_at_a_time_all_succeed(linked: Terminal) -> None:
    linked.ok("stores", "create", *NAMES, "--jobs", "4")
    with ThreadPoolExecutor(3) as processes:
        codes = list(processes.map(lambda _: linked("syncstores", "all", "--jobs", "3").code, range(3)))
    assert codes == [0, 0, 0]
