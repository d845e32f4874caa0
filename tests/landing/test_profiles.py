"""What profiles can say, each on a file that needs it; expected readings are written out by hand."""

from __future__ import annotations

import gzip
import random
from datetime import datetime
from typing import Any

import pytest
from tests.landing.reading import WIDE, Reader

from bioreactor_lake.errors import UsageError
from bioreactor_lake.pipelines.ingestion.profiles.profile_yaml import read_profile

T = "2025-06-01T10:00:00Z"


def test_a_wide_file(reader: Reader) -> None:
    found = reader.read(f"time,pH,Temp [°C]\n{T},7.1,36.5\n\n2025-06-01T10:01:00Z,,37\n")
    assert found.values == [(2, "Temp [°C]", 36.5, None), (2, "pH", 7.1, None), (4, "Temp [°C]", 37.0, None)]
    assert {(one["batch_id"], one["equipment_id"], one["site"]) for one in found.readings} == {("B", "E", None)}
    assert found.facts["rows_in"] == 2
    assert (found.facts["ts_min"], found.facts["ts_max"]) == (datetime(2025, 6, 1, 10), datetime(2025, 6, 1, 10, 1))


def test_a_german_export(reader: Reader) -> None:
    config = {
        **WIDE,
        "text": {"encoding": "cp1252", "delimiter": ";", "decimal": ",", "thousands": ".", "comment": "#"},
        "lines": {"skip_top": 2, "units": True, "skip_after_header": 1, "skip_bottom": 1},
        "time": {"columns": ["Datum", "Zeit"], "format": ["%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M"],
                 "zone": "Europe/Berlin"},
        "batch": {"cell": "B1"},
        "equipment": {"column": "Gerät"},
        "tags": {"rename": {"Temperatur": "temperature"}, "units": {"temperature": "degC"}, "states": ["Pumpe"]},
        "values": {"missing": ["---"], "sentinels": [-9999]},
    }  # fmt: skip
    text = (
        'Charge;"CHO 17"\nexported by;me\nDatum;Zeit;Gerät;Temperatur;Zellen;Pumpe;pO2\n;;;°C;1/mL;;%\n-----\n'
        "01.07.2025;12:00;R1;36,5;1.234.567,5;1;---\n# a remark\n01.12.2025;12:00:30;R2;-9999;1,5e3;aus;12\n"
        "01.07.2025;25:00;R1;1;1;1;1\n;;;1;;;\nEnd of export;;;;;;\n\n\n"
    )
    found = reader.read(text.encode("cp1252"), config)
    assert found.values == [
        (6, "Pumpe", None, "1"), (6, "Zellen", 1234567.5, None), (6, "temperature", 36.5, None),
        (8, "Pumpe", None, "aus"), (8, "Zellen", 1500.0, None), (8, "pO2", 12.0, None),
    ]  # fmt: skip
    assert {str(one["ts"]) for one in found.readings} == {"2025-07-01 10:00:00", "2025-12-01 11:00:30"}
    assert {one["equipment_id"] for one in found.readings} == {"R1", "R2"}
    assert {one["batch_id"] for one in found.readings} == {"CHO 17"}
    assert {one["tag"]: one["unit"] for one in found.readings} == {
        "temperature": "degC", "Zellen": "1/mL", "Pumpe": None, "pO2": "%",
    }  # fmt: skip
    assert list(found.rejects) == [9, 10]
    assert "does not read" in found.rejects[9]
    assert found.rejects[10] == "it has no time"


def test_a_long_file(reader: Reader) -> None:
    config = {
        **WIDE,
        "batch": {"column": "lot"},
        "long": {"tag": "{kind}.{channel}", "value": "value", "unit": "uom", "quality": "status"},
        "tags": {"rename": {"od.2": "od600"}, "states": ["mode.1"], "units": {"od.1": "AU"}},
        "values": {"sentinels": [-1]},
    }
    del config["wide"]
    rows = [
        "od,1,0.5,ignored,good,L",
        "od,2,,x,,L",
        "mode,1,3,,,L",
        "od,1,-1,,,L",
        ",1,5,,,L",
        "od,1,5,,,",
        "od,1,off,,,M",
    ]
    found = reader.read("time,kind,channel,value,uom,status,lot\n" + "".join(f"{T},{row}\n" for row in rows), config)
    assert found.values == [
        (2, "od.1", 0.5, None), (3, "od600", None, None), (4, "mode.1", None, "3"), (5, "od.1", None, None),
        (8, "od.1", None, "off"),
    ]  # fmt: skip
    assert [(one["unit"], one["quality"]) for one in found.readings[:2]] == [("AU", "good"), ("x", None)]
    assert found.rejects == {6: "it has no tag", 7: "it has no batch"}
    assert found.facts["batch_ids"] == ["L", "M"]


@pytest.mark.parametrize(
    ("unit", "elapsed", "expected"),
    [
        ("h", "0.6000000000000001", "2025-01-06 06:36:00"),
        ("s", "0.14", "2025-01-06 06:00:00.140000"),
        ("min", "-1.5", "2025-01-06 05:58:30"),
        ("d", "2", "2025-01-08 06:00:00"),
        ("ms", "1", "2025-01-06 06:00:00.001000"),
        ("clock", "27:00:01.5", "2025-01-07 09:00:01.500000"),
        ("clock", "1.03:00", "2025-01-07 09:00:00"),
        ("clock", "-0:30", "2025-01-06 05:30:00"),
    ],
)
def test_relative_time(reader: Reader, unit: str, elapsed: str, expected: str) -> None:
    origin = {"path": r"(?P<found>\d{8})", "format": "%Y%m%d"} if unit == "d" else {"value": "2025-01-06 07:00"}
    zone = "UTC" if unit == "d" else "Europe/Zurich"
    config = {**WIDE, "time": {"columns": "t", "unit": unit, "origin": origin, "zone": zone}}
    found = reader.read(f"t,x\n{elapsed},1\nnever,2\n", config, "run 20250106.csv")
    assert found.times == [expected.replace("06:00:00", "00:00:00") if unit == "d" else expected]
    assert found.rejects == {3: f"its time is no number of {unit}"}


def test_an_origin_for_each_batch_and_in_a_cell(reader: Reader) -> None:
    by_batch = {"columns": "t", "unit": "s", "origin": [{"by_batch": {"A": "2025-01-01T00:00:00Z"}}, {"cell": "D1"}]}
    config = {**WIDE, "time": by_batch, "batch": {"column": "batch"}}
    found = reader.read("t,batch,x,2026-01-01T00:00:00Z\n1,A,1,\n1,B,1,\n", {**config, "wide": {"only": ["x"]}})
    assert found.times == ["2025-01-01 00:00:01", "2026-01-01 00:00:01"]
    known = {**WIDE, "time": {**by_batch, "origin": by_batch["origin"][:1]}, "batch": {"value": "A"}}  # type: ignore[index]
    assert reader.read("t,x\n1,1\n", known).times == ["2025-01-01 00:00:01"]
    other = reader.read("t,x\n1,1\n", {**known, "batch": {"value": "C"}})
    assert "origin of its time" in other.facts["reason"]


def test_change_only_columns(reader: Reader) -> None:
    config = {**WIDE, "tags": {"change_only": ["a"]}, "equipment": {"column": "unit"}}
    times = [f"2025-06-01T10:0{minute}:00Z" for minute in range(5)]
    cells = ["R1,,", "R1,1,9", "R1,,", "R2,,8", "R1,2,"]
    found = reader.read("time,unit,a,b\n" + "".join(f"{t},{c}\n" for t, c in zip(times, cells, strict=True)), config)
    assert found.values == [(3, "a", 1.0, None), (3, "b", 9.0, None), (4, "a", 1.0, None), (5, "b", 8.0, None),
                            (6, "a", 2.0, None)]  # fmt: skip


def test_a_naive_time_without_a_declared_zone_is_refused(reader: Reader) -> None:
    found = reader.read(f"time,x\n2025-06-01 10:00:00,1\n{T},2\n")
    assert found.rejects == {2: "its time carries no zone, and the profile declares none (time.zone)"}
    assert found.times == ["2025-06-01 10:00:00"]
    assert "none of its 1 rows was read" in reader.read("time,x\n2025-06-01 10:00:00,1\n").facts["reason"]
    with pytest.raises(UsageError, match="have no zone, and declares none"):
        read_profile("mine", {**WIDE, "time": {"columns": "time", "format": "%d.%m.%Y %H:%M"}})
    with_zone = {**WIDE, "time": {"columns": "time", "format": "%d.%m.%Y %H:%M %z"}}
    assert reader.read("time,x\n01.06.2025 12:00 +0200,1\n", with_zone).times == ["2025-06-01 10:00:00"]


def test_numbers_and_texts(reader: Reader) -> None:
    cells = {
        "1": 1.0, "-.5": -0.5, "6.": 6.0, "1e3": 1000.0, "1,5": "1,5", "on": "on", "NaN": "NaN", "1e400": "1e400",
        "=1+1": "=1+1", "=HYPERLINK(\"http://x\")": "=HYPERLINK(\"http://x\")", "1_000": "1_000", " 7 ": 7.0,
    }  # fmt: skip
    lines = "".join('{},"{}"\n'.format(T, cell.replace('"', '""')) for cell in cells)
    found = reader.read(f"time,x\n{lines}")
    assert [value if text is None else text for _, _, value, text in found.values] == list(cells.values())


@pytest.mark.slow
def test_line_numbers_are_those_of_the_file(reader: Reader) -> None:
    """Long files, quoted line breaks, rows of other lengths and blank lines, against a count made while writing."""
    chance, lines, expected, rejected, number = random.Random(5), ["time,x,note"], {}, {}, 1
    for row in range(120_000):
        number += 1
        kind = chance.choices(["plain", "long", "short", "blank", "broken"], [94, 2, 2, 1, 1])[0]
        if kind == "plain":
            lines.append(f"{T},{row},n")
        elif kind == "long":
            lines.append(f"{T},{row},n,more" + "y" * chance.randrange(50))
        elif kind == "short":
            lines.append(f"{T}")
        elif kind == "blank":
            lines.append("")
        else:
            lines.append(f'{T},{row},"one\ntwo\nthree"')
        if kind in ("plain", "broken"):
            expected[number] = float(row)
        elif kind != "blank":
            rejected[number] = None
        number += 2 if kind == "broken" else 0
    found = reader.read("\n".join(lines) + "\n", {**WIDE, "wide": {"only": ["x"]}})
    assert {line: value for line, _, value, _ in found.values} == expected
    assert found.rejects.keys() == rejected.keys()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "latin-1"])
def test_encodings_and_compression(reader: Reader, encoding: str) -> None:
    text = f"time,Trübung\r\n{T},1\r\n"
    config = {**WIDE, "text": {"encoding": encoding.removesuffix("-sig")}}
    for content in (text.encode(encoding), gzip.compress(text.encode(encoding))):
        assert reader.read(content, config).values == [(2, "Trübung", 1.0, None)]


def test_a_row_that_is_no_text_is_rejected_alone(reader: Reader) -> None:
    found = reader.read(f"time,x,y\n{T},1,a\n".encode() + f"{T},2,°\n".encode("latin-1") + f"{T},3,b\n".encode())
    assert [value for _, tag, value, _ in found.values if tag == "x"] == [1.0, 3.0]
    assert found.rejects == {3: "it is no text in utf-8"}


def test_a_workbook(reader: Reader) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["not here"])
    sheet = book.create_sheet("Data")
    for row in (
        ["Batch", "X-1"], [], ["when", "pH", "state", "sum"], [datetime(2025, 6, 1, 12), 7.1, "on", "=1+1"],
        [datetime(2025, 6, 1, 12, 1), 7, True, None], [None, None, None, None], ["later", 7, None, None],
        [datetime(2025, 6, 1, 12, 2), None, None, None, "beyond"],
    ):  # fmt: skip
        sheet.append(row)
    location = reader.folder / "book.xlsx"
    book.save(location)
    config = {
        **WIDE, "excel": {"sheet": "Data"}, "lines": {"skip_top": 2}, "batch": {"cell": "B1"},
        "time": {"columns": "when", "zone": "Europe/Zurich"},
    }  # fmt: skip
    found = reader.read_file(location, config)
    assert found.values == [(5, "pH", 7.0, None), (5, "state", None, "true")]
    assert found.times == ["2025-06-01 10:01:00"] * 2
    assert "formula" in found.rejects[4]
    assert list(found.rejects) == [4, 7, 8]
    assert {one["batch_id"] for one in found.readings} == {"X-1"}
    assert "no sheet 'Other'" in reader.read_file(location, {**config, "excel": {"sheet": "Other"}}).facts["reason"]
    assert "no workbook" in reader.read("a,b\n", config, "text.xlsx").facts["reason"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"time": {"columns": "t", "zone": "Mars/Olympus"}}, "does not exist"),
        ({"time": {"columns": "t", "unit": "h"}}, "without unit or origin"),
        ({"time": {"columns": "t", "unit": "weeks", "origin": {"value": "x"}}}, "time.unit"),
        ({"time": {"columns": "t", "format": "DD.MM.YYYY"}}, "time format"),
        ({"time": None}, "does not say time"),
        ({"batch": {"column": "a", "value": "b"}}, "names 2 places"),
        ({"batch": {"path": "(?P<lot>x)"}}, "finds no found"),
        ({"batch": {"path": "("}}, "is no pattern"),
        ({"equipment": "R1"}, "is 'R1'"),
        ({"text": {"delimiter": "::"}}, "text.delimiter"),
        ({"text": {"encoding": "klingon"}}, "encoding"),
        ({"long": {"tag": "a", "value": "b"}}, "both wide and long"),
        ({"lines": {"skip_top": -1}}, "lines.skip_top"),
        ({"lines": {"header": 0}}, "no lines.columns"),
        ({"tgas": {}}, "tgas"),
        ({"tags": {"pattern": "x"}}, "finds no tag"),
        ({"values": {"sentinels": ["NA"]}}, "sentinels"),
        ({"source": "../up"}, "source"),
    ],
)
def test_a_profile_that_means_nothing_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says.replace("(", r"\(")):
        read_profile("mine", {**WIDE, **change})
