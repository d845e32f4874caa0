"""Verdicts on small random tables are those of a plain computation in Python."""

from __future__ import annotations

import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.quality.small_tables import Engine, at

from bioreactor_lake.quality.checks import check_table
from bioreactor_lake.quality.suite import read_suites
from bioreactor_lake.quality.tags import Tag

Row = dict[str, Any]
TAGS = {"ph": Tag("ph", "", "", 0, 2), "do": Tag("do", "", "", -1, None)}
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "batch_id": st.sampled_from(["B-1", "B-2", "b'2"]),
            "tag": st.sampled_from(["ph", "do", "redox", None]),
            "value": st.one_of(st.none(), st.integers(-2, 3).map(float), st.just(float("nan"))),
            "n": st.one_of(st.none(), st.integers(-1, 2)),
            "text": st.one_of(st.none(), st.sampled_from(["a", "ab", "b", ""])),
            "ts": st.integers(0, 3).map(at),
            "source_file": st.sampled_from(["a.parquet", "b.parquet"]),
        }
    ),
    max_size=12,
)
ENGINE = Engine.duckdb()


def is_number(value: float | None) -> bool:
    return value is not None and value == value


def between(row: Row) -> bool | None:
    return None if row["value"] is None else is_number(row["value"]) and 0 <= row["value"] <= 2


def per_tag(row: Row) -> bool | None:
    if row["value"] is None or row["tag"] not in TAGS:
        return None
    tag = TAGS[row["tag"]]
    return is_number(row["value"]) and tag.physical_min <= row["value"] <= (tag.physical_max or float("inf"))


def greater(row: Row) -> bool | None:
    a, b = row["n"], row["value"]
    if a is None and b is None:
        return None
    return a is None or b is None or (is_number(b) and a > b)


# Of each row: None where it is passed over, else whether it is as expected.
ROW_WISE: dict[str, tuple[dict[str, Any], Callable[[Row], bool | None]]] = {
    "expect_column_values_to_not_be_null": ({"column": "value"}, lambda row: row["value"] is not None),
    "expect_column_values_to_be_between": ({"column": "value", "min_value": 0, "max_value": 2}, between),
    "expect_column_values_to_be_between_per_tag": ({"column": "value", "limits": "physical"}, per_tag),
    "expect_column_values_to_be_in_set": (
        {"column": "tag", "value_set": ["ph", "do"]},
        lambda row: None if row["tag"] is None else row["tag"] in ("ph", "do"),
    ),
    "expect_column_values_to_match_regex": (
        {"column": "text", "regex": "^a"},
        lambda row: None if row["text"] is None else bool(re.search("^a", row["text"])),
    ),
    "expect_column_value_lengths_to_be_between": (
        {"column": "text", "min_value": 1, "max_value": 1},
        lambda row: None if row["text"] is None else len(row["text"]) == 1,
    ),
    "expect_column_pair_values_a_to_be_greater_than_b": ({"column_A": "n", "column_B": "value"}, greater),
}


def verdicts_of(rows: list[Row], type_: str, kwargs: dict[str, Any], **more: Any) -> dict[str | None, Any]:
    suite = read_suites({"t": {"expectations": {"it": {"type": type_, "kwargs": kwargs, **more}}}})["t"]
    found = check_table(ENGINE.table(rows), suite, tags=TAGS)
    assert [verdict.error for verdict in found if verdict.error] == []
    return {verdict.batch: verdict for verdict in found if verdict.expectation_id == "it"}


def by_batch(rows: list[Row]) -> dict[str, list[Row]]:
    found = defaultdict(list)
    for row in rows:
        found[row["batch_id"]].append(row)
    return found


quick = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("type_", ROW_WISE)
@given(rows=ROWS, mostly=st.sampled_from([1, 0.5, 0.75, 0]))
@quick
def test_rows(type_: str, rows: list[Row], mostly: float) -> None:
    kwargs, judge = ROW_WISE[type_]
    found = verdicts_of(rows, type_, {**kwargs, "mostly": mostly})
    assert set(found) == set(by_batch(rows))
    for batch, some in by_batch(rows).items():
        judged = [answer for answer in map(judge, some) if answer is not None]
        failing = judged.count(False)
        verdict = found[batch]
        assert (verdict.rows, verdict.failing_rows) == (len(judged), failing)
        assert verdict.success == (not judged or (len(judged) - failing) / len(judged) >= mostly)
        assert len(verdict.samples) == (0 if verdict.success else min(failing, 5))


@given(rows=ROWS)
@quick
def test_uniqueness(rows: list[Row]) -> None:
    names = ["batch_id", "text", "n"]
    keys = Counter(tuple(row[name] for name in names) for row in rows if None not in (row["text"], row["n"]))
    found = verdicts_of(rows, "expect_compound_columns_to_be_unique", {"column_list": names})
    for batch in by_batch(rows):
        assert found[batch].failing_rows == sum(n for key, n in keys.items() if key[0] == batch and n > 1)
    texts = Counter(row["text"] for row in rows if row["text"] is not None)
    found = verdicts_of(rows, "expect_column_values_to_be_unique", {"column": "text"})
    for batch, some in by_batch(rows).items():
        assert found[batch].failing_rows == sum(texts[row["text"]] > 1 for row in some if row["text"] is not None)


@given(rows=ROWS)
@quick
def test_keys_in_one_file(rows: list[Row]) -> None:
    files, times = defaultdict(set), Counter()
    for row in rows:
        if row["tag"] is not None:
            key = (row["batch_id"], row["tag"], row["ts"])
            files[key].add(row["source_file"])
            times[key] += 1
    found = verdicts_of(rows, "expect_keys_to_be_in_one_file", {})
    for batch in by_batch(rows):
        expected = sum(times[key] for key in files if key[0] == batch and len(files[key]) > 1)
        assert found[batch].failing_rows == expected


@given(rows=ROWS, strictly=st.booleans())
@quick
def test_order(rows: list[Row], strictly: bool) -> None:
    rows = [{**row, "ts": at(number)} for number, row in enumerate(rows)]
    kwargs = {"column": "n", "group_by": ["tag"], "order_by": ["ts"], "strictly": strictly}
    found = verdicts_of(rows[::-1], "expect_column_values_to_be_increasing", kwargs)
    for batch, some in by_batch(rows).items():
        failing = 0
        for tag in {row["tag"] for row in some}:
            values = [row["n"] for row in some if row["tag"] == tag and row["n"] is not None]
            failing += sum(b <= a if strictly else b < a for a, b in pairwise(values))
        assert found[batch].failing_rows == failing


STATISTICS: dict[str, Callable[[list[int]], Any]] = {
    "expect_column_mean_to_be_between": lambda values: statistics.mean(values) if values else None,
    "expect_column_median_to_be_between": lambda values: statistics.median(values) if values else None,
    "expect_column_stdev_to_be_between": lambda values: statistics.stdev(values) if len(values) > 1 else None,
    "expect_column_sum_to_be_between": lambda values: sum(values) if values else None,
    "expect_column_min_to_be_between": lambda values: min(values, default=None),
    "expect_column_max_to_be_between": lambda values: max(values, default=None),
    "expect_column_unique_value_count_to_be_between": lambda values: len(set(values)),
}


@pytest.mark.parametrize("type_", STATISTICS)
@pytest.mark.parametrize("scope", ["batch", "table"])
@given(rows=ROWS)
@quick
def test_statistics(type_: str, scope: str, rows: list[Row]) -> None:
    found = verdicts_of(rows, type_, {"column": "n", "min_value": 1}, meta={"scope": scope})
    groups: dict[str | None, list[Row]] = {None: rows} if scope == "table" else dict(by_batch(rows))
    assert set(found) == set(groups)
    for batch, some in groups.items():
        value = STATISTICS[type_]([row["n"] for row in some if row["n"] is not None])
        assert found[batch].observed == (None if value is None else pytest.approx(value))
        assert found[batch].success == (value is not None and value >= 1)
