"""Landed files that mean harm, or are none: bounded memory, a reason, and nothing written outside of the lake."""

from __future__ import annotations

import gzip
import io
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.landing.landed_lake import PROJECT, LandedLake, rows
from tests.landing.reading import WIDE, Reader

from bioreactor_lake.datasets.landed_raw import name_raw_file
from bioreactor_lake.landing.limits import Limits

T = "2025-06-01T10:00:00Z"
MEGABYTE = 1 << 20

cells = st.one_of(
    st.sampled_from(
        ["", "1", "-2.5", "1e999", "NaN", "x", T, "2025-06-01 10:00", "=cmd|'/C calc'!A0", "@SUM(1)", "'", '"', '""',
         "a\nb", "\x00", "\ufeff", "../..", "\u202eevil", ";", "\t", "9" * 400, "null"]
    ),
    st.text(max_size=8),
)  # fmt: skip
lines = st.lists(st.lists(cells, max_size=5).map(",".join), max_size=12)
contents = st.one_of(
    st.binary(max_size=300),
    st.tuples(st.sampled_from(["time,x", "time,x,y", "time", "x,time\r", "\ufefftime,x"]), lines).map(
        lambda both: "\n".join([both[0], *both[1]]).encode("utf-8", "surrogatepass")
    ),
    st.lists(st.sampled_from([f"{T},1", f"{T},", "", f'{T},"a', f'{T},"a"b', f"{T},1,2", "\r", "#"])).map(
        lambda some: "\r\n".join(["time,x", *some]).encode()
    ),
)


def plain(text: str) -> str:
    return text.replace('"', "").replace("\0", "")


@pytest.mark.parametrize("examples", [25, pytest.param(400, marks=[pytest.mark.slow, pytest.mark.nightly])])
def test_whatever_a_text_file_holds_each_row_is_read_or_has_a_reason(reader: Reader, examples: int) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(content=contents, comment=st.sampled_from(["", "#"]), bottom=st.sampled_from([0, 1]))
    def check(content: bytes, comment: str, bottom: int) -> None:
        config = {**WIDE, "text": {"comment": comment}, "lines": {"skip_bottom": bottom}}
        found = reader.read(content, config)  # counts rows itself
        if found.facts.get("reason") is None:
            physical = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").count(b"\n") + 1
            assert found.readings
            for one in found.readings:
                assert 2 <= one["line"] <= physical
                assert (one["value"] is None) != (one["value_text"] is None)
                # What is kept as text stands there; a number in a cell never becomes another's.
                assert plain(one["value_text"] or "") in plain(content.decode("utf-8", "replace"))
        else:
            assert not found.readings

    check()


def test_a_file_with_a_blank_header_is_refused(reader: Reader) -> None:
    for config in (WIDE, {**WIDE, "text": {"comment": "#"}}):
        assert "header is blank" in reader.read(f"\n{T},1\n", config).facts["reason"]


def test_a_compressed_bomb_is_refused(reader: Reader) -> None:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as stream:
        stream.write(b"time,x\n")
        for _ in range(40):
            stream.write(f"{T},1\n".encode() * 50_000)
    reader.limits = Limits(bytes=5_000_000)
    try:
        assert "more than 5,000,000 bytes" in reader.read(packed.getvalue(), path="bomb.csv.gz").facts["reason"]
        assert "cannot be unpacked" in reader.read(packed.getvalue()[:-100_000] + b"x" * 9, path="x.gz").facts["reason"]
        book = reader.folder / "bomb.xlsx"
        with zipfile.ZipFile(book, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("xl/worksheets/sheet1.xml", b" " * 6_000_000)
        assert "far larger" in reader.read_file(book, {**WIDE, "excel": {}}).facts["reason"]
    finally:
        reader.limits = Limits()


def test_a_workbook_with_entities_that_multiply_is_refused(reader: Reader) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["time", "x"])
    plain, evil = reader.folder / "plain.xlsx", reader.folder / "evil.xlsx"
    book.save(plain)
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    doctype = f'<!DOCTYPE x [<!ENTITY l0 "{"ha" * 50}">{laughs}]>'
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(evil, "w") as target:
        for part in source.infolist():
            text = source.read(part)
            if part.filename.endswith("sheet1.xml"):
                text = doctype.encode() + text.replace(b"</sheetData>", b"<row><c><v>&l11;</v></c></row></sheetData>")
            target.writestr(part, text)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "cannot be read as a workbook" in reader.read_file(evil, {**WIDE, "excel": {}}).facts["reason"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"time,x\n" + b'"' + b"a" * (9 * MEGABYTE), "longer than"),
        (b"x" * (3 * MEGABYTE), "first lines are longer"),
        (b"time," + b",".join(b"c%d" % n for n in range(5_000)) + b"\n", "5,001 columns"),
        (b"time,x,x\n", "two columns are called 'x'"),
        (b"time,x\n" + b"\n" * 1000, "no rows"),
        (b"", "it has 0 lines"),
        (b"PK\x03\x04rest", "zip file"),
        (b"PAR1" + b"\0" * 100, "stands in none|no column"),
    ],
)
def test_files_of_odd_shapes_are_refused_with_a_reason(reader: Reader, content: bytes, says: str) -> None:
    import re

    reason = reader.read(content).facts["reason"]
    assert re.search(says, reason), reason
    assert len(reason) < 1000


def test_too_many_batches_are_refused(reader: Reader) -> None:
    reader.limits = Limits(batches=10)
    try:
        text = "time,lot,x\n" + "".join(f"{T},{n},1\n" for n in range(11))
        assert "11 batches" in reader.read(text, {**WIDE, "batch": {"column": "lot"}}).facts["reason"]
    finally:
        reader.limits = Limits()


TRICKS = [
    "../../escaped", "/etc/cron.d/evil", "a/b\\c", "..", ".", ".hidden", "_hidden", "CON", "a:b", "-rf", "~", " lead",
    "batch_id=7", "a*b?[c]", "é" * 300, "B", "b", "%2E", "q'; DROP TABLE x; --", "\u202egpj.exe", "x" * 5000,
]  # fmt: skip


@pytest.mark.slow
def test_batches_called_like_paths_stay_in_their_folder(tmp_path: Path) -> None:
    lake = LandedLake(tmp_path / "lake")
    quoted = ['"{}"'.format(name.replace('"', '""')) for name in TRICKS]
    lake.put("mine/tricks.csv", rows(*((name, minute, "ph", 7) for minute, name in enumerate(quoted))))
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    lake.run()
    assert lake.files()["mine/tricks.csv"]["reason"] is None
    assert {one[0] for one in lake.readings()} == {name.strip() for name in TRICKS if len(name) <= 200}
    made = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    allowed = (lake.raw / "mine", lake.warehouse.parent, lake.folder / "reports")
    outside = [path for path in made if not path.is_relative_to(lake.raw / "mine") and path.parent not in allowed]
    assert [path.name for path in outside if path.name != "ledger.jsonl"] == []
    assert len(lake.raw_hashes()) == len(TRICKS)
    assert all(len(Path(path).parts) == 2 for path in lake.raw_hashes())


@pytest.mark.parametrize("name", TRICKS)
def test_a_name_never_leaves_its_folder(name: str) -> None:
    path = Path(name_raw_file("mine", name))
    assert len(path.parts) == 2
    assert path.parts[0] == "mine"
    assert path.name[0] not in "._"
    assert len(path.name) < 200


@pytest.mark.slow
def test_a_link_in_the_raw_folder_leads_nowhere(tmp_path: Path) -> None:
    lake = LandedLake(tmp_path / "lake")
    outside = tmp_path / "outside"
    outside.mkdir()
    (lake.raw / "mine").symlink_to(outside)
    lake.put("mine/a.csv", rows(("A", 0, "ph", 7)))
    with pytest.raises(Exception, match="leads out of the raw folder"):
        lake.run()
    assert list(outside.iterdir()) == []


PEAK = """
import resource, sys
from pathlib import Path
from tests.landing.reading import WIDE, Reader
reader = Reader(Path(sys.argv[1]))
reader.backend.raw_sql("SET memory_limit = '300MB'")
reader.backend.raw_sql("SET threads = 2")
reader.read("time,x\\n2025-06-01T10:00:00Z,1\\n")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
reader.look = False
found = reader.read_file(Path(sys.argv[2]), WIDE)
print(found.facts["rows_in"], found.facts["readings"], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.nightly
@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    peaks = []
    for count in (50_000, 400_000):
        path = tmp_path / f"{count}.csv"
        with path.open("w") as stream:
            stream.write("time,a,b,c,d,e,f\n")
            for row in range(count):
                stream.write(f"2025-06-01T10:00:{row % 60:02}.{row % 1000:03}Z,{row},{row / 7},on,{row},x{row},{row}\n")
        outcome = subprocess.run(
            [sys.executable, "-c", PEAK, str(tmp_path), str(path)],
            cwd=PROJECT, env={"PYTHONPATH": f"{PROJECT / 'src'}:{PROJECT}", "PATH": "/usr/bin:/bin"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert outcome.returncode == 0, outcome.stderr
        rows_in, readings, peak = map(int, outcome.stdout.split())
        assert (rows_in, readings) == (count, 6 * count)
        peaks.append(peak)
    assert peaks[1] < 600 * 1024, peaks  # kilobytes; the file is 30 MB, its readings are far more
    assert peaks[1] - peaks[0] < 350 * 1024, peaks
