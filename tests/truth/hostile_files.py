"""A folder with nearly everything that files of laboratories do wrong or differently."""

import itertools
import math
from datetime import UTC, date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from lake_under_test import PROJECT
from raw_files import MINUTE, NOON, RawFolder, columns, damage, of
from reference import Reading, at

BERLIN = {"time_zones": {"berlin/": "Europe/Berlin"}}
STYLES = (
    str,
    str.upper,
    lambda name: name.replace("_", " ").title(),
    lambda name: name.replace("_", "-"),
    lambda name: name.title().replace("_", ""),
    lambda name: f" {name.replace('_', '.')} ",
)


def fill(root: Path) -> RawFolder:
    """Write the folder; read it with the parameters `BERLIN`."""
    folder = RawFolder(root)
    for add in (
        _numbers, _names, _ties, _old_times, _berlin, _spellings, _time_types, _value_types, _key_types, _padding,
        _hive, _rejects, _bad_structure, _bad_bytes,
    ):  # fmt: skip
        add(folder)
    return folder


def _numbers(folder: RawFolder) -> None:
    values = {
        "ties": [36.5, 37.0, 37.0, None],
        "not finite": [1.0, math.nan, math.inf, -math.inf],
        "huge": [1e308, -1e308, 1.0, 1e308],
        "too large to average": [1e151, 2.0],
        "just small enough": [1e150, -1e150, 3.0],
        "one": [4.0],
        "empty": [None, None],
        "cancelling": [1e12, 1.0, -1e12, 0.25],
    }
    spelled = {math.inf: "Infinity", -math.inf: "-Infinity"}
    raw, readings = [], []
    for tag, numbers in values.items():
        for number in numbers:
            raw.append(Reading("numbers", "E", tag, NOON, number))
            text = None if number is None or math.isfinite(number) else spelled.get(number, "NaN")
            readings.append(raw[-1] if text is None else raw[-1]._replace(value=None, value_text=text))
    folder.add("numbers.parquet", of(raw), readings)
    series = [Reading("numbers", "E", "series", NOON + timedelta(seconds=7 * step), step / 7) for step in range(500)]
    folder.add("numbers/twice.parquet", of(series + series), series + series)
    folder.add("numbers/more.parquet", of(series[:3]), series[:3])


def _names(folder: RawFolder) -> None:
    names = (
        "it's; DROP TABLE x --", 'a "quoted" one', "100 %s %(x)s", "[red]bold[/red]", "two\nlines", "back\\slash",
        "{curly}", "Zürich/β-λ 標籤 🧫", "case", "CASE", "\ufefftab\tinside", "null", "None", "*", "x" * 200,
    )  # fmt: skip
    readings = [Reading(name, name, name, NOON, 1.0, site=name, unit=name, quality=name) for name in names]
    folder.add("it's [1] {a,b} *?;\n%20 100%.parquet", of(readings), readings)
    folder.add("Zürich β/a=b=c/no extension", of(readings[:1]), readings[:1])


def _ties(folder: RawFolder) -> None:
    tie = [Reading("tie", *key, NOON, 1.0) for key in (("Z", "t"), ("A", "t"), ("Z", "u"), ("A", "u"))]
    sites = ["Cork", "Basel", "Cork", "Basel"]
    tie = [reading._replace(site=site) for reading, site in zip(tie, sites, strict=True)]
    most = [Reading("most", "Z", "t", NOON, 1.0, site="Cork")]
    most += [Reading("most", equipment, "t", NOON + MINUTE, 1.0) for equipment in "ZZAA"]
    folder.add("ties.parquet", of(tie + most), tie + most)


def _old_times(folder: RawFolder) -> None:
    times = [
        at(1, 1, 1), at(1899, 12, 31, 23, 59, 59), at(1969, 12, 31, 23, 54, 59, 999999),
        at(1969, 12, 31, 23, 59, 59, 999999), at(1970, 1, 1), at(9999, 12, 31, 23, 59, 59, 999999),
    ]  # fmt: skip
    readings = [Reading("old", "E", "t", ts, 1.0) for ts in times]
    folder.add("old.parquet", of(readings), readings)


def _berlin(folder: RawFolder) -> None:
    """Naive times of a declared zone. The hour that comes twice in autumn is taken as the second one, in winter time;
    a time that the clock leaps over in spring is moved on by an hour, as a clock that was not set would show it.
    """
    local_and_utc = {
        at(2025, 7, 1, 12): at(2025, 7, 1, 10),
        at(2025, 12, 1, 12): at(2025, 12, 1, 11),
        at(2025, 10, 26, 1, 59): at(2025, 10, 25, 23, 59),
        at(2025, 10, 26, 2, 30): at(2025, 10, 26, 1, 30),
        at(2025, 10, 26, 3): at(2025, 10, 26, 2),
        at(2025, 3, 30, 1, 59): at(2025, 3, 30, 0, 59),
        at(2025, 3, 30, 2, 30): at(2025, 3, 30, 1, 30),
        at(2025, 3, 30, 3): at(2025, 3, 30, 1),
    }
    readings = [Reading("berlin", "E", "t", utc, 1.0) for utc in local_and_utc.values()]
    rows, local = len(readings), list(local_and_utc)
    own = {"batch_id": ["berlin"] * rows}
    folder.add("berlin/naive.parquet", columns(rows, **own, ts=local), readings)
    folder.add("berlin/text.parquet", columns(rows, **own, ts=[f"{ts:%Y-%m-%d %H:%M:%S}" for ts in local]), readings)
    utc = list(local_and_utc.values())
    folder.add("berlin/aware.parquet", columns(rows, **own, ts=[ts.replace(tzinfo=UTC) for ts in utc]), readings)
    folder.add("berlin/offset.parquet", columns(rows, **own, ts=[f"{ts.isoformat()}Z" for ts in utc]), readings)


def _spellings(folder: RawFolder) -> None:
    declared = yaml.safe_load((PROJECT / "conf/base/parameters_reading.yml").read_text("utf-8"))["reading"]["synonyms"]
    row = {"batch_id": "spelled", "equipment_id": "E", "ts": NOON, "tag": "t", "value": 1.0}
    row |= {"site": "S", "unit": "u", "quality": "q"}
    spellings = {column: [column, *declared[column]] for column in row}
    wanted = Reading("spelled", "E", "t", NOON, 1.0, site="S", unit="u", quality="q")
    for number in range(max(map(len, spellings.values()))):
        style = STYLES[number % len(STYLES)]
        raw = {style(names[number % len(names)]): [row[column]] for column, names in spellings.items()}
        folder.add(f"spelled/{number}.parquet", {"color": ["red"], **raw, "nested": [{"value": 2.0}]}, [wanted])


def _time_types(folder: RawFolder) -> None:
    naive = [NOON + 123 * timedelta(milliseconds=1), at(1969, 7, 20, 20, 17, 40)]
    aware = [ts.replace(tzinfo=UTC) for ts in naive]
    epoch = [int(ts.timestamp() * 1000) for ts in aware]
    spelled: dict[str, Any] = {
        "text Z": [ts.isoformat(timespec="milliseconds") + "Z" for ts in naive],
        "text offset": [(ts + timedelta(hours=5, minutes=30)).isoformat(" ") + "+05:30" for ts in naive],
        "text none": [str(ts) for ts in naive],
        "text comma": [f"{ts:%Y-%m-%dT%H:%M:%S},{ts.microsecond:06}" for ts in naive],
        "seconds aware": pa.array([ts.replace(microsecond=0) for ts in aware], pa.timestamp("s", "UTC")),
        "epoch": pa.array(epoch),
        "epoch float": pa.array([float(ms) for ms in epoch]),
        "epoch decimal": pa.array([Decimal(ms) for ms in epoch]),
    }
    for unit in ("ms", "us", "ns"):
        spelled[f"naive {unit}"] = pa.array(naive, pa.timestamp(unit))
        spelled[f"aware {unit}"] = pa.array(aware, pa.timestamp(unit, "America/New_York"))
    for name, ts in spelled.items():
        times = [moment.replace(microsecond=0) for moment in naive] if name.startswith("seconds") else naive
        readings = [Reading("B", "E", f"time {name}", moment, 1.0) for moment in times]
        folder.add(f"times/{name}.parquet", columns(2, tag=[f"time {name}"] * 2, ts=ts), readings)
    midnight = Reading("B", "E", "t", at(2025, 6, 1), 1.0)
    folder.add("times/date.parquet", columns(ts=pa.array([date(2025, 6, 1)])), [midnight])
    folder.add(
        "times/int96.parquet", columns(), [Reading("B", "E", "t", NOON, 1.0)], use_deprecated_int96_timestamps=True
    )


def _value_types(folder: RawFolder) -> None:
    states = ["on", "1,5", "true", "1_000", "1e400", "-1e400", "0x1F", "12 mg", "NaN", "inf", "5%", "\u0661\u0662"]
    texts = {" 12.5 ": 12.5, "-1e-3": -0.001, "+7": 7.0, ".5": 0.5, "6.": 6.0, "0042": 42.0, "1E308": 1e308}
    readings = [Reading("B", "E", "t", NOON, number) for number in texts.values()]
    readings += [Reading("B", "E", "t", NOON, None, text) for text in [*states, None, None, None]]
    raw = [*texts, *states, "", "  ", None]
    folder.add("values/text.parquet", columns(len(raw), value=raw), readings)
    typed = {
        "int8": (pa.array([-5], pa.int8()), -5.0),
        "uint64": (pa.array([2**64 - 1], pa.uint64()), 18446744073709551615.0),
        "float32": (pa.array([0.1], pa.float32()), 0.10000000149011612),
        "decimal": (pa.array([Decimal("12345.678")]), 12345.678),
        "boolean": (pa.array([True]), 1.0),
        "dictionary": (pa.array(["2.5"]).dictionary_encode(), 2.5),
        "null": (pa.array([None]), None),
    }
    for name, (value, number) in typed.items():
        folder.add(f"values/{name}.parquet", columns(value=value), [Reading("B", "E", "t", NOON, number)])


def _key_types(folder: RawFolder) -> None:
    for name, batch_id, text in (
        ("int", pa.array([42]), "42"),
        ("float", pa.array([42.0]), "42"),
        ("fraction", pa.array([4.5]), "4.5"),
        ("text", pa.array(["00042"]), "00042"),
        ("large", pa.array(["00042"], pa.large_string()), "00042"),
    ):
        folder.add(f"keys/{name}.parquet", columns(batch_id=batch_id), [Reading(text, "E", "t", NOON, 1.0)])
    codes = columns(quality=pa.array([192]), unit=pa.array([None]), site=pa.array([7]))
    folder.add("keys/codes.parquet", codes, [Reading("B", "E", "t", NOON, 1.0, site="7", quality="192")])


def _padding(folder: RawFolder) -> None:
    raw = columns(2, batch_id=["  B ", "B\0\0"], tag=["\tt\r\n", "\0t"], unit=["", "\0"], site=[" ", "S\0 "])
    folder.add("padded.parquet", raw, [Reading("B", "E", "t", NOON, 1.0, site=site) for site in (None, "S")])


def _hive(folder: RawFolder) -> None:
    reading = Reading("00042", "R 1/2", "t", NOON, 1.0, site="Köln")
    raw = columns(batch_id=None, equipment_id=None)
    folder.add("site=Köln/Unit ID=R%201%2F2/batch_id=00042/part-0.parquet", raw, [reading])
    folder.add("batch_id=00042/same.parquet", columns(batch_id=["00042"]), [Reading("00042", "E", "t", NOON, 1.0)])
    folder.add_bad("batch_id=00042/number.parquet", columns(batch_id=[42]), "says batch_id=00042 .*own column says 42")
    folder.add_bad("lot=7/other.parquet", columns(batch_id=["8"]), "says batch_id=7 .*own column says 8")
    folder.add_bad("lot=7/batch_id=7/x.parquet", columns(batch_id=None), "'lot' and 'batch_id' both mean batch_id")
    missing = {"reason": "batch_id is missing", "equipment_id": "E", "tag": "t", "ts": NOON, "value": 1.0}
    folder.add("batch_id=__HIVE_DEFAULT_PARTITION__/x.parquet", columns(batch_id=None), rejects=[missing])


def _rejects(folder: RawFolder) -> None:
    unread = "ts does not read as a time between the years 1 and 9999"
    good = {"batch_id": "B", "equipment_id": "E", "tag": "t", "ts": f"{NOON}", "value": "1"}
    seen = {**good, "ts": NOON, "ts_text": f"{NOON}", "value": 1.0}
    rows, rejects = [good], []
    for name, text in itertools.product(("batch_id", "equipment_id", "tag"), (None, "", "  ", "\0")):
        rows.append({**good, name: text})
        rejects.append({**seen, name: None, "reason": f"{name} is missing"})
    for name in ("batch_id", "equipment_id", "tag"):
        rows.append({**good, name: "y" * 201})
        rejects.append({**seen, name: "y" * 201, "reason": f"{name} is longer than 200 characters"})
    for text in ("yesterday", "2025-02-30", "1748779200000", "infinity", "10000-01-01"):
        rows.append({**good, "ts": text})
        rejects.append({**seen, "ts": None, "ts_text": text, "reason": unread})
    rows += [{**good, "ts": None}, {**good, "batch_id": None, "value": "on", "ts": None}]
    rejects.append({**seen, "ts": None, "ts_text": None, "reason": "ts is missing"})
    rejects.append({"equipment_id": "E", "tag": "t", "value_text": "on", "reason": "batch_id is missing"})
    folder.add("rejects.parquet", pa.Table.from_pylist(rows), [Reading("B", "E", "t", NOON, 1.0)], rejects)
    of_numbers = {"batch_id": "B", "equipment_id": "E", "tag": "t", "value": 1.0, "reason": unread}
    rejects = [{**of_numbers, "ts_text": text} for text in ("nan", "inf")]
    numeric = columns(3, ts=[math.nan, math.inf, 1748779200000.0])
    folder.add("rejects/numeric.parquet", numeric, [Reading("B", "E", "t", NOON, 1.0)], rejects)


def _bad_structure(folder: RawFolder) -> None:
    folder.add_bad("bad/synonyms.parquet", columns(lot=["X"]), "'batch_id' and 'lot' both mean batch_id.*rename")
    folder.add_bad("bad/case.parquet", columns(VALUE=[2.0]), "'value' and 'VALUE'.*rename")
    folder.add_bad("bad/missing.parquet", columns(tag=None, value=None), "no column means tag or value.*add")
    folder.add_bad("bad/binary.parquet", columns(tag=[b"t"]), "'tag'.*binary.*write it as text")
    folder.add_bad("bad/no columns.parquet", pa.table({}), "damaged")
    folder.add_bad("bad/no rows.parquet", pa.table(columns()).slice(0, 0), "no rows")


def _bad_bytes(folder: RawFolder) -> None:
    folder.add_bad("bad/empty.parquet", b"", "empty.*again")
    folder.add_bad("bad/readings.csv", b"batch_id,ts\nB,2025-06-01\n", "not a Parquet file.*move it out")
    path = folder.root / "bad" / "whole"
    pq.write_table(pa.table(columns(20000, tag=[f"{number}" for number in range(20000)])), path, use_dictionary=False)
    whole = path.read_bytes()
    damage(path, "tag")
    folder.add_bad("bad/page.parquet", path.read_bytes(), "data cannot be read.*again")
    path.unlink()
    folder.add_bad("bad/cut.parquet", whole[:-20], "cut off or damaged.*again")
    folder.add_bad("bad/start only.parquet", whole[:4], "cut off or damaged.*again")
    folder.add_bad("bad/footer.parquet", whole[:-60] + b"\xff" * 30 + whole[-30:], "cut off or damaged.*again")
