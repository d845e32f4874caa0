"""What the suites that come with the project see in readings that would make a wrong number, or a number of few."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from tests.increments.lake import PROJECT, Lake

BEGIN = datetime(2026, 1, 5, 10)


def put(lake: Lake, batch: str, changes: dict[int, dict[str, Any]] | None = None, *, file: str = "") -> None:
    """Twenty temperatures and twenty pH, a minute apart, but for what is said of some of them."""
    rows = [
        {
            "batch_id": batch, "equipment_id": "BR-1", "tag": tag, "ts": BEGIN + timedelta(minutes=minute),
            "value": str(value), "unit": unit, "quality": "good",
        }
        for tag, value, unit in (("temperature", 37.0, "°C"), ("ph", 7.0, "pH"))
        for minute in range(20)
    ]  # fmt: skip
    for number, change in (changes or {}).items():
        rows[number] |= change
    lake.raw.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), lake.raw / f"{file or batch}.parquet")


def overview(lake: Lake, batch: str, tag: str) -> tuple[Any, ...]:
    with psycopg.connect(lake.database) as connection:
        return connection.execute(
            "SELECT avg_value, reading_count, value_count, text_count, unit FROM marts.mart_bioreactor_overview "
            "WHERE batch_id = %s AND tag = %s",
            [batch, tag],
        ).fetchone()


def test_what_would_mislead_is_held_or_said(lake: Lake) -> None:
    put(lake, "fine", {4: {"unit": None}})
    put(lake, "fahrenheit", {row: {"value": "98.6", "unit": "°F"} for row in range(20)})
    put(lake, "mixed", {3: {"value": "98.6", "unit": "°F"}})
    put(lake, "commas", {row: {"value": "7,2"} for row in range(20, 26)})
    put(lake, "one comma", {20: {"value": "7,2"}, 21: {"value": "<0.5"}, 22: {"value": None}})
    put(lake, "spelled", {row: {"tag": "pH"} for row in range(20, 40)})
    put(lake, "bad", {row: {"quality": "Bad"} for row in range(5)})
    put(lake, "faulty", {row: {"quality": "BAD;sensor fault"} for row in range(20)})
    put(lake, "silent", {row: {"value": None} for row in range(19)})
    run = lake.run()

    held = {batch: " ".join(reasons) for batch, reasons in run.held.items()}
    assert set(held) == {"fahrenheit", "mixed", "commas"}
    assert "unit_is_that_of_the_tag: 1 of 2 rows fail" in held["fahrenheit"]
    assert "readings_are_in_one_unit: 1 of 2 rows fail" in held["mixed"]
    assert "most_readings_are_numbers: 1 of 2 rows fail" in held["commas"]

    said = "\n".join(run.notices)
    assert "readings_are_numbers: 1 of 2 rows fail" in said
    assert "most_readings_are_not_bad: 5 of 40 rows fail" in said
    assert "(quality), in bad; the like in 1 other batch: faulty" in said
    assert "most_readings_have_a_value: 1 of 2 rows fail" in said
    assert "20 rows are of tags that tags.yml does not list: pH (did you mean ph?), in spelled" in said

    assert overview(lake, "fine", "temperature") == (37.0, 20, 20, 0, "°C")
    assert overview(lake, "one comma", "ph") == (7.0, 20, 17, 2, "pH")
    assert overview(lake, "mixed", "temperature") is None


def test_in_production_the_same_reading_twice_is_held_too(lake: Lake) -> None:
    put(lake, "fine")
    put(lake, "twice", {1: {"ts": BEGIN, "value": "38"}})
    assert lake.run().held == {}
    asked = yaml.safe_load((PROJECT / "conf/prod/suites/stg_bioreactor.yml").read_text())["expectations"]
    lake.suites = {"stg_bioreactor": asked}
    ((batch, reasons),) = lake.run().held.items()
    assert batch == "twice"
    assert "readings_are_there_once: 2 of 40 rows fail" in reasons[0]


def test_a_unit_may_be_spelled_otherwise_and_that_is_asked_again(lake: Lake) -> None:
    put(lake, "B-1", {row: {"unit": "degC"} for row in range(20)})
    put(lake, "B-2", {row: {"unit": "Grad"} for row in range(20)})
    assert set(lake.run().held) == {"B-2"}
    assert overview(lake, "B-1", "temperature")[-1] == "degC"
