"""The alert broker's parts: packets, magnitudes, statistics, replay, pictures."""

from __future__ import annotations

import doctest
import random
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

import fastavro
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgba

from alert_broker import magnitudes
from alert_broker.lightcurve import Epoch, LightCurve
from alert_broker.magnitudes import correct
from alert_broker.magstats import Seen, summarize
from alert_broker.packets import PacketError, packet_files, read_alerts
from alert_broker.plot import COLOURS, draw, save
from alert_broker.replay import Replay
from alert_broker.template import TEMPLATE, write_packet
from fix_alert_broker import stored_at_once

if TYPE_CHECKING:
    from pathlib import Path

    from fix_alert_broker import Contents


# --- packets --------------------------------------------------------------------------------------


@pytest.fixture
def packet(tmp_path: Path) -> Path:
    """A good packet, with a history."""
    path = tmp_path / "good.avro"
    write_packet(path, [Replay(1).alert(3)])
    return path


def test_a_packet_is_read_as_it_was_written(packet):
    (alert,) = read_alerts(packet)
    written = Replay(1).alert(3)
    assert alert["objectId"] == written["objectId"]
    assert alert["candidate"]["candid"] == alert["candid"] == written["candid"]
    assert alert["candidate"]["magpsf"] == pytest.approx(written["candidate"]["magpsf"], abs=1e-5)
    assert alert["candidate"]["isdiffpos"] == 1
    jds = [each["jd"] for each in alert["prv_candidates"]]
    assert jds == [each["jd"] for each in written["prv_candidates"]]


def test_what_ztf_does_not_know_is_none(real_packet):
    (alert,) = read_alerts(real_packet)
    assert alert["candid"] == 472263571115115000
    names = ("ssdistnr", "ssmagnr", "ssnamenr", "neargaiabright", "sgmag3")
    assert [alert["candidate"][name] for name in names] == [None] * 5
    assert len(alert["prv_candidates"]) == 11


def test_a_packet_that_is_cut_anywhere_is_an_error_that_names_it(packet):
    whole = packet.read_bytes()
    for length in range(0, len(whole), 7):
        packet.write_bytes(whole[:length])
        with pytest.raises(PacketError) as caught:
            read_alerts(packet)
        assert caught.value.path == packet
        assert str(caught.value).startswith(f"{packet}: ")


@settings(max_examples=100)
@given(place=st.integers(0, 4000), put=st.binary(min_size=1, max_size=9))
def test_bytes_that_are_changed_give_alerts_or_the_error_that_says_so(packet, place, put):
    write_packet(packet, [Replay(1).alert(3)])
    whole = packet.read_bytes()
    packet.write_bytes(whole[:place] + put + whole[place + len(put) :])
    with suppress(PacketError):  # No other error comes of it.
        assert read_alerts(packet)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"magpsf": None}, "candidate has no magpsf, or one that is no number"),
        ({"ra": float("nan")}, "candidate has no ra, or one that is no number"),
        ({"rfid": None}, "candidate has no rfid, or one that is no number"),
        ({"isdiffpos": None}, "candidate does not say with t, f, 1 or 0 whether isdiffpos is true"),
    ],
)
def test_a_packet_without_what_the_tables_need_is_an_error(packet, changed, said):
    write_packet(packet, [{**TEMPLATE, "candidate": {**TEMPLATE["candidate"], **changed}}])
    with pytest.raises(PacketError, match=said):
        read_alerts(packet)


def test_a_file_of_another_schema_is_an_error(tmp_path):
    path = tmp_path / "other.avro"
    schema = {"type": "record", "name": "lsst.alert", "fields": [{"name": "alertId", "type": "long"}]}
    with path.open("wb") as file:
        fastavro.writer(file, schema, [{"alertId": 1}])
    with pytest.raises(PacketError, match=r"its schema is 'lsst.alert', not 'ztf.alert'"):
        read_alerts(path)


def test_a_file_without_an_alert_is_an_error(packet):
    write_packet(packet, [])
    with pytest.raises(PacketError, match="there is no alert in it"):
        read_alerts(packet)


def test_directories_are_searched_and_files_are_taken(tmp_path):
    (tmp_path / "night" / "deep").mkdir(parents=True)
    for name in ("night/b.avro", "night/deep/a.avro", "night/readme.txt", "one.bin"):
        (tmp_path / name).touch()
    found = packet_files([tmp_path / "one.bin", tmp_path / "night"])
    assert [path.name for path in found] == ["one.bin", "b.avro", "a.avro"]


# --- magnitudes and statistics --------------------------------------------------------------------

STAR = {"magpsf": 18.0, "sigmapsf": 0.1, "magnr": 18.0, "sigmagnr": 0.01, "isdiffpos": 1}


def test_two_equal_fluxes_are_three_quarters_of_a_magnitude_brighter():
    found = correct(STAR)
    assert found.mag == pytest.approx(17.247425)
    assert found.sigma_ext == pytest.approx(0.05)
    assert found.sigma == pytest.approx((0.1**2 - 0.01**2) ** 0.5 / 2)


def test_the_examples_of_the_correction_are_right():
    failed, attempted = doctest.testmod(magnitudes)
    assert (failed, attempted) == (0, 3)


def test_a_source_that_has_lost_more_than_it_had_has_no_magnitude():
    assert correct({**STAR, "isdiffpos": -1, "magpsf": 17.0}) == (None, None, None)
    assert correct({**STAR, "magnr": None}) == (None, None, None)
    assert correct({**STAR, "sigmagnr": 0.5}).sigma is None


def seen(candid: int, mjd: float, mag: float, **changed: object) -> Seen:
    values = {"oid": "Z", "candid": candid, "fid": 1, "mjd": mjd, "magpsf": mag, "sigmapsf": 0.1}
    values |= {"magpsf_corr": None, "isdiffpos": 1, "ra": 10.0, "dec": 5.0, "corrected": False}
    return Seen.of({**values, "dubious": False, "has_stamp": True, "rfid": 1, **changed})


def test_the_statistics_of_a_filter():
    points = [seen(2, 12.0, 18.0), seen(1, 10.0, 19.0), seen(3, 11.0, 18.5, isdiffpos=-1)]
    found = summarize("Z", points, {("Z", 1): [(8.0, 20.0), (9.8, 20.5), (5.0, 21.0)]}, stellar=False)
    (row,) = found.magstats
    assert (row["ndet"], row["ndubious"], row["firstmjd"], row["lastmjd"]) == (3, 1, 10.0, 12.0)
    assert (row["magfirst"], row["maglast"], row["magmin"], row["magmax"]) == (19.0, 18.0, 18.0, 19.0)
    assert (row["magmean"], row["magmedian"], row["magsigma"]) == pytest.approx((18.5, 18.5, 0.5))
    assert (row["dt_first"], row["dm_first"], row["dmdt_first"]) == pytest.approx((2.0, -1.0, -0.45))
    assert row["magmean_corr"] is row["saturation_rate"] is None
    assert found.dubious == {1: False, 2: False, 3: True}


def test_an_object_at_zero_hours_has_its_mean_there():
    points = [seen(1, 1.0, 18.0, ra=359.9999), seen(2, 2.0, 18.0, ra=0.0003)]
    assert summarize("Z", points, {}, stellar=False).object["meanra"] == pytest.approx(0.0001)


def test_the_colour_is_green_less_red():
    points = [seen(1, 1.0, 18.0), seen(2, 2.0, 17.25, fid=2), seen(3, 3.0, 19.0)]
    found = summarize("Z", points, {}, stellar=False).object
    assert (found["g_r_max"], found["g_r_mean"], found["g_r_max_corr"]) == (0.75, 1.25, None)


# --- synthetic alerts -----------------------------------------------------------------------------


def test_synthetic_alerts_are_the_same_whenever_they_are_made():
    first, second = Replay(7), Replay(7)
    backward = {number: second.alert(number) for number in reversed(range(40))}
    assert all(first.alert(number) == backward[number] for number in range(40))
    assert first.alert(3) != Replay(7, seed=1).alert(3)
    assert len({first.alert(number)["candid"] for number in range(100)}) == 100
    assert len({first.alert(number)["objectId"] for number in range(100)}) == 7


def test_a_history_remembers_what_was_seen():
    replay = Replay(5)
    old, new = replay.alert(2), replay.alert(7)
    remembered = [each for each in new["prv_candidates"] if each.get("candid") == old["candid"]]
    assert [each["magpsf"] for each in remembered] == [old["candidate"]["magpsf"]]
    assert "drb" not in remembered[0]


def test_a_real_packet_is_perturbed(real_packet):
    templates = read_alerts(real_packet)
    alert = Replay(5, templates=templates).alert(6)
    assert alert["candidate"]["rcid"] == 11
    assert alert["objectId"] != templates[0]["objectId"]


ALERTS = [Replay(3).alert(number) for number in range(9)]


@cache
def in_order() -> Contents:
    return stored_at_once(ALERTS)


@settings(max_examples=10)
@given(chance=st.randoms(use_true_random=False), size=st.integers(2, 12), twice=st.integers(0, 5))
@example(chance=random.Random(0), size=2, twice=4)
def test_what_is_stored_does_not_depend_on_the_order_in_which_alerts_come(chance, size, twice):
    alerts = [*ALERTS, *ALERTS[:twice]]
    chance.shuffle(alerts)
    batches = [alerts[start : start + size] for start in range(0, len(alerts), size)]
    assert stored_at_once(*batches) == in_order()


def test_neighbours_on_which_alerts_do_not_agree_are_marked():
    one, two = Replay(1).alert(0), Replay(1).alert(1)
    two["candidate"] |= {"objectidps1": 77, "maggaia": 12.0}
    for batches in ([[one, two]], [[one], [two]], [[two], [one]]):
        found = stored_at_once(*batches)
        assert [row[-3:] for row in found["ps1_ztf"]] == [(False, True, True)] * 2
        assert [row[-1] for row in found["gaia_ztf"]] == [False]


# --- pictures -------------------------------------------------------------------------------------


def epoch(mjd: float, fid: int, mag: float | None, *, sign: int = 1, limit: float | None = 20.5) -> Epoch:
    seen = {"mag": mag, "sigma": mag and 0.1, "mag_corr": mag and mag - 1, "sigma_corr": mag and 0.05}
    return Epoch(
        mjd=mjd, fid=fid, candid=int(mag is not None), isdiffpos=sign, limit=limit, dubious=False, **seen
    )


CURVE = LightCurve(
    oid="ZTF18abc",
    epochs=[
        *(epoch(day, 1, None) for day in (1.0, 2.0)),
        *(epoch(day, 2, None) for day in (1.5, 2.5, 2.8)),
        *(epoch(day, 1, 18.0 + day / 10) for day in (3.0, 4.0)),
        *(epoch(day, 2, 17.5 + day / 10) for day in (3.5, 4.5)),
        epoch(5.0, 3, 17.0),
        epoch(6.0, 2, 19.0, sign=-1),
    ],
)


def test_a_picture_shows_points_with_error_bars_in_one_colour_per_filter():
    (axes,) = draw(CURVE).axes
    shown = {str(bars.get_label()): bars for bars in axes.containers}
    assert set(shown) == {"g", "r", "i", "r, fainter than reference"}
    for name in "gri":
        line, caps, _bars = shown[name]
        assert to_rgba(line.get_color()) == to_rgba(COLOURS[name])
        assert len(caps) == 2
    assert shown["g"][0].get_xydata().tolist() == [[3.0, 18.3], [4.0, 18.4]]
    segments = shown["g"][2][0].get_segments()
    assert [ends[1] - ends[0] for ends in (part[:, 1] for part in segments)] == pytest.approx([0.2, 0.2])
    assert shown["r, fainter than reference"][0].get_markerfacecolor() == "white"


def test_a_picture_shows_upper_limits_as_triangles_that_point_down():
    (axes,) = draw(CURVE).axes
    shown = {str(points.get_label()): points for points in axes.collections}
    assert len(shown["g, upper limit"].get_offsets()) == 2
    assert len(shown["r, upper limit"].get_offsets()) == 3
    for name in "gr":
        triangle = shown[f"{name}, upper limit"]
        assert to_rgba(COLOURS[name])[:3] == tuple(triangle.get_edgecolor()[0][:3])
        outline = triangle.get_paths()[0].vertices
        lowest = outline[:, 1].min()
        assert len({tuple(point) for point in outline if point[1] == lowest}) == 1


def test_a_picture_has_bright_magnitudes_up_and_says_what_it_shows():
    (axes,) = draw(CURVE).axes
    assert axes.yaxis_inverted()
    assert axes.get_title(loc="left") == "ZTF18abc"
    assert axes.get_title(loc="right") == "6 detections, 5 upper limits"
    assert axes.get_xlabel() == "modified Julian date (MJD)"
    assert axes.get_ylabel() == "difference magnitude"
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["g", "r", "r, fainter than reference", "i", "g, upper limit", "r, upper limit"]


def test_a_picture_of_the_source_itself_has_no_limits():
    (axes,) = draw(CURVE, corrected=True).axes
    assert axes.get_ylabel() == "apparent magnitude"
    assert [str(bars.get_label()) for bars in axes.containers] == ["g", "r", "i"]
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["g", "r", "i"]


def test_the_same_curve_gives_the_same_file(tmp_path):
    for name in ("one.svg", "two.svg"):
        save(CURVE, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_a_curve_without_a_point_is_drawn(tmp_path):
    save(LightCurve(oid="ZTF18abc", epochs=[]), tmp_path / "empty.png")
    assert (tmp_path / "empty.png").stat().st_size > 1000
