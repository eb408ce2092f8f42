"""Site files become gages: the built-in file, the real one, and bad rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_gages.rdb import RdbError
from stream_gages.sites import BUILT_IN, COLUMNS, gages_file, read_gages

GOOD = {
    "site_no": "03185400",
    "station_nm": "NEW RIVER AT THURMOND, WV",
    "site_tp_cd": "ST",
    "dec_lat_va": "37.95511285",
    "dec_long_va": "-81.07648838",
    "alt_va": " 1030.7",
    "alt_datum_cd": "NAVD88",
    "huc_cd": "05050004",
}


def site_file(folder: Path, *rows: dict[str, str]) -> Path:
    lines = [COLUMNS, ["16s"] * len(COLUMNS), *([{**GOOD, **row}[name] for name in COLUMNS] for row in rows)]
    path = folder / "sites.rdb"
    path.write_text("".join("\t".join(line) + "\n" for line in lines), "utf-8")
    return path


def test_a_row_becomes_a_gage(tmp_path):
    (gage,) = read_gages(site_file(tmp_path, {}))
    assert (gage.number, gage.name, gage.kind) == ("03185400", "NEW RIVER AT THURMOND, WV", "ST")
    assert (gage.latitude, gage.longitude) == (37.95511285, -81.07648838)
    assert (gage.altitude, gage.datum, gage.basin) == (1030.7, "NAVD88", "05050004")


def test_what_is_empty_becomes_none(tmp_path):
    names = ("site_tp_cd", "dec_lat_va", "dec_long_va", "alt_va", "alt_datum_cd", "huc_cd")
    (gage,) = read_gages(site_file(tmp_path, dict.fromkeys(names, " ")))
    assert [gage.kind, gage.latitude, gage.longitude, gage.altitude, gage.datum, gage.basin] == [None] * 6


def test_there_are_eight_gages_in_three_basins_built_in():
    gages = list(read_gages(BUILT_IN))
    assert len(gages) == 8
    assert len({gage.basin for gage in gages}) == 3
    assert [gage.name for gage in gages if gage.altitude is None] == ["CAMP CREEK NEAR CAMP CREEK, WV"]


def test_the_real_file_has_206_gages_in_25_basins(shared_data):
    gages = list(read_gages(shared_data / "usgs-nwis_sites.txt"))
    assert len(gages) == 206
    assert len({gage.basin for gage in gages}) == 25
    assert sum(gage.altitude is None for gage in gages) == 49
    highest = max(gages, key=lambda gage: gage.altitude or 0)
    assert (highest.number, highest.altitude) == ("03488445", 3371.95)


def test_the_built_in_gages_are_as_in_the_real_file(shared_data):
    def told(path: Path) -> dict[str, tuple[object, ...]]:
        return {g.number: (g.name, g.latitude, g.longitude, g.altitude, g.basin) for g in read_gages(path)}

    assert told(BUILT_IN).items() <= told(shared_data / "usgs-nwis_sites.txt").items()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"site_no": ""}, "site_no is empty"),
        ({"station_nm": "  "}, "station_nm is empty"),
        ({"site_no": "1" * 16}, "site_no has 16 characters, at most 15 are possible"),
        ({"dec_lat_va": "90.1"}, "dec_lat_va should be a number from -90 to 90, not '90.1'"),
        ({"dec_long_va": "west"}, "dec_long_va should be a number from -180 to 180, not 'west'"),
        ({"alt_va": "nan"}, "alt_va should be a number"),
        ({}, "gage 03185400 again; it is on line 3 already"),
    ],
)
def test_a_bad_row_is_refused_with_file_and_line(tmp_path, row, said):
    path = site_file(tmp_path, {}, row)
    with pytest.raises(RdbError) as caught:
        list(read_gages(path))
    assert str(caught.value).startswith(f"{path}, line 4: ")
    assert said in caught.value.problem


def test_the_environment_names_the_file(monkeypatch):
    monkeypatch.delenv("GAGES", raising=False)
    assert gages_file() == BUILT_IN
    monkeypatch.setenv("GAGES", "")
    assert gages_file() == BUILT_IN
    monkeypatch.setenv("GAGES", "sites.rdb")
    assert gages_file() == Path("sites.rdb")
