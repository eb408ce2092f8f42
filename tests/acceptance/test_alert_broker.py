"""The alert broker, run as anybody runs it: one packet, many, and being killed."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fix_alert_broker import EXAMPLES, stored_at_once
from penstock.compat.db_plugins import SQLConnection

if TYPE_CHECKING:
    from fix_alert_broker import Broker, Contents

OID = "ZTF17aaajnnn"
ONE_OF_EACH = ["detection", "dataquality", "magstat", "ss_ztf", "ps1_ztf", "gaia_ztf", "reference", "object"]


def synthetic(count: int, objects: int) -> list[dict]:
    from alert_broker.replay import Replay

    replay = Replay(objects)
    return [replay.alert(number) for number in range(count)]


def undisturbed(count: int, objects: int) -> Contents:
    return stored_at_once(synthetic(count, objects))


# --- the real packet ------------------------------------------------------------------------------


@pytest.mark.once("postgresql")
def test_the_real_packet_is_stored_once(broker, real_packet):
    report = broker.json("ingest", real_packet)
    assert report["rows"] == {**dict.fromkeys(ONE_OF_EACH, 1), "non_detection": 11}
    assert (report["new"], report["known"], report["bad"]) == (1, 0, 0)
    before = broker.contents()
    again = broker.json("ingest", real_packet, real_packet.parent)
    assert (again["new"], again["known"]) == (0, 2)
    assert broker.contents() == before


@pytest.mark.once("mariadb")
def test_the_light_curve_of_the_real_packet(broker, real_packet):
    assert broker("ingest", real_packet).code == 0
    curve = broker.json("lightcurve", OID)
    assert [(seen["candid"], seen["fid"]) for seen in curve["detections"]] == [(472263571115115000, 2)]
    (seen,) = curve["detections"]
    assert (seen["mjd"], seen["mag"]) == pytest.approx((58226.2635764, 18.361856), abs=1e-6)
    # 10^(-0.4 * 16.426) + 10^(-0.4 * 18.361856), as a magnitude.
    assert seen["mag_corr"] == pytest.approx(16.257268, abs=1e-6)
    assert seen["sigma_corr"] == pytest.approx(0.0042806, abs=1e-7)
    limits = [limit["diffmaglim"] for limit in curve["non_detections"]]
    assert (len(limits), min(limits), max(limits)) == pytest.approx((11, 18.705299, 20.090599), abs=1e-6)
    assert (curve["next"], curve["prev"]) == (None, None)


@pytest.mark.once("sqlite")
def test_a_light_curve_comes_in_pages(broker, real_packet):
    assert broker("ingest", real_packet).code == 0
    first = broker.json("lightcurve", OID, "--per-page", 7)
    second = broker.json("lightcurve", OID, "--per-page", 7, "--after", first["next"])
    back = broker.json("lightcurve", OID, "--per-page", 7, "--before", second["prev"])
    assert (len(first["non_detections"]), len(second["non_detections"]), len(second["detections"])) == (
        7,
        4,
        1,
    )
    assert second["next"] is None
    assert back["non_detections"] == first["non_detections"]
    printed = broker("lightcurve", OID)
    assert printed.code == 0
    assert " 58226.26358 r       18.362 ± 0.094  16.257 ± 0.004  20.541\n" in printed.out


@pytest.mark.parametrize("ending", ["svg", "png"])
@pytest.mark.once("sqlite")
def test_a_light_curve_is_drawn(broker, real_packet, tmp_path, ending):
    assert broker("ingest", real_packet).code == 0
    picture = tmp_path / f"curve.{ending}"
    ended = broker("lightcurve", OID, "--plot", picture)
    assert (ended.code, ended.out) == (0, f"made {picture}\n")
    assert picture.read_bytes().startswith(b"\x89PNG" if ending == "png" else b"<?xml")


@pytest.mark.once("sqlite")
def test_what_can_not_be_shown_is_said(broker):
    unknown = broker("lightcurve", "ZTF0")
    assert (unknown.code, unknown.err) == (1, "Error: There is no object 'ZTF0'.\n")
    assert broker("ingest", "--replay", 1).code == 0
    strange = broker("lightcurve", "ZTF18aaaaaaa", "--plot", "curve.xyz")
    assert strange.code == 1
    assert strange.err.startswith("Error: curve.xyz: Format 'xyz' is not supported")
    assert broker("lightcurve", "ZTF18aaaaaaa", "--after", "nothing").code == 1


# --- many -----------------------------------------------------------------------------------------


def test_two_processes_that_see_the_same_objects_store_each_alert_once(broker):
    report = broker.json(
        "ingest", "--replay", 1500, "--objects", 60, "--processes", 2, "--batch", 100, "--skip-bad"
    )
    assert (report["new"], report["known"], report["bad"]) == (1500, 0, 0)
    assert report["deadlocks"] in (0, None)
    assert report["rows"]["object"] == 60
    assert broker.contents() == undisturbed(1500, 60)


def test_the_version_for_db_plugins_stores_the_same(broker):
    from alert_broker.compat_version import store

    alerts = synthetic(60, 7)
    db = SQLConnection(engine=broker.engine)
    db.connect({})
    for start in (0, 20, 40, 0, 30):
        assert store(db, alerts[start : start + 20]) == 20
    db.end_session()
    assert broker.contents() == undisturbed(60, 7)


@pytest.mark.once("sqlite", "postgresql")
def test_the_report_says_what_it_took(broker, ground):
    ended = broker("ingest", "--replay", 20)
    lines = dict(line.strip().split(maxsplit=1) for line in ended.out.splitlines())
    assert (ended.code, ended.err) == (0, "")  # Without a terminal there is no bar.
    assert lines["rate"].endswith("alerts/s; ZTF's peak is 1,333")
    assert lines["deadlocks"] == ("0" if ground.server else "not known")
    assert lines["detection"] == "20 rows"


@pytest.mark.once("sqlite")
def test_on_a_terminal_a_bar_shows_the_rate(broker):
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "alert_broker", "ingest", "--replay", "50", "--batch", "10"],
        cwd=broker.folder,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        stdout=subprocess.DEVNULL,
        stderr=follower,
    )
    os.close(follower)
    shown = b""
    with suppress(OSError):  # That is how its end is read.
        while part := os.read(leader, 4096):
            shown += part
    os.close(leader)
    assert process.wait() == 0
    assert b"50/50" in shown
    assert b"alerts/s" in shown


# --- killed ---------------------------------------------------------------------------------------

MANY = ["ingest", "--replay", 1600, "--objects", 160, "--batch", 25, "--processes", 2]


def until_stored(broker: Broker, process: subprocess.Popen[str]) -> None:
    """Wait for the first batches."""
    while not broker.count("detection"):
        assert process.poll() is None
        time.sleep(0.01)


def workers_of(process: int) -> list[int]:
    """The processes that it has started for its batches."""
    done = subprocess.run(
        ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(process)], capture_output=True, text=True, check=False
    )
    return [int(line.split()[0]) for line in done.stdout.splitlines() if "spawn_main" in line]


@pytest.mark.parametrize("whole", [True, False], ids=["all processes", "the first process"])
@pytest.mark.once("postgresql-all", "mariadb-the first")
def test_what_is_killed_and_started_again_stores_each_alert_once(broker, whole):
    process = broker.start(*MANY)
    until_stored(broker, process)
    workers = workers_of(process.pid)
    assert len(workers) == 2
    if whole:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate()
    for worker in workers:
        while Path("/proc", str(worker)).exists():
            time.sleep(0.01)
    assert 0 < broker.count("detection") < 1600
    report = broker.json(*MANY)
    assert report["known"] > 0
    assert report["new"] + report["known"] == 1600
    assert broker.contents() == undisturbed(1600, 160)


@pytest.mark.once("sqlite")
def test_a_process_that_dies_ends_the_run_which_says_so(broker):
    process = broker.start(*MANY)
    until_stored(broker, process)
    os.kill(workers_of(process.pid)[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert errors.startswith("Error: a process has died; what it was storing is not stored\n")
    assert "Run it again later: nothing is stored twice." in errors
    assert broker.json(*MANY)["rows"]["detection"] == 1600
    assert broker.contents() == undisturbed(1600, 160)


# --- what is no packet ----------------------------------------------------------------------------


@pytest.fixture
def packets(broker):
    """Six packets in a directory, the last of which is cut off."""
    assert broker("packets", "night", "--count", 6, "--objects", 2).code == 0
    files = sorted((broker.folder / "night").iterdir())
    files[-1].write_bytes(files[-1].read_bytes()[:-100])
    return files


@pytest.mark.once("postgresql")
def test_a_packet_that_is_cut_off_is_named_and_nothing_of_its_batch_is_stored(broker, packets):
    ended = broker("ingest", "night", "--batch", 4)
    assert ended.code == 1
    assert ended.err.startswith(f"Error: night/{packets[-1].name}: it is cut off\n4 alerts of other batches")
    assert broker.count("detection") == 4


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.once("sqlite-2", "mariadb-1")
def test_bad_packets_are_left_out_where_that_is_asked_for(broker, packets, processes):
    (broker.folder / "night" / "text.avro").write_text("no packet")
    ended = broker("ingest", "night", "--skip-bad", "--json", "--processes", processes, "--batch", 2)
    assert ended.code == 3
    assert sorted(ended.err.splitlines()) == [
        f"left out: night/{packets[-1].name}: it is cut off",
        "left out: night/text.avro: it is no Avro object container",
    ]
    report = json.loads(ended.out)
    assert (report["new"], report["bad"], report["rows"]["detection"]) == (5, 2, 5)


@pytest.mark.once("sqlite")
def test_what_is_no_file_of_packets_is_said(broker, tmp_path):
    (tmp_path / "empty").mkdir()
    for words, code, said in [
        ([tmp_path / "none.avro"], 1, "No such file or directory"),
        ([tmp_path / "empty"], 1, "there is no *.avro file in"),
        ([], 2, "Name packets or directories, or say --replay N."),
    ]:
        ended = broker("ingest", *words)
        assert (ended.code, said in ended.err) == (code, True), ended


def test_without_a_store_it_is_said_what_to_do(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-m", "alert_broker", "ingest", "--replay", "1"],
        cwd=EXAMPLES,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PENSTOCK_CONFIG": str(tmp_path / "none.toml")},
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("Error: ")
    assert "Traceback" not in ended.stderr
