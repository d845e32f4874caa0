"""Row conditions in the spellings of Great Expectations pick the rows that SQL would."""

from __future__ import annotations

from typing import Any

import pytest
from tests.quality.small_tables import Engine, at

from bioreactor_lake.quality.comparisons import fit
from bioreactor_lake.quality.conditions import NotUnderstood, apply_condition, read_condition
from bioreactor_lake.quality.querying import fetch

ROWS = [
    {"n": 1, "tag": "ph", "value": 7.0, "text": "it's"},
    {"n": 2, "tag": "ph", "value": None, "text": 'a "b" c'},
    {"n": 3, "tag": "do", "value": 40.0, "ts": at(60), "text": "and or"},
    {"n": 4, "tag": None, "value": -1.0, "text": "R-1"},
]


@pytest.fixture(scope="module")
def table() -> Any:
    return Engine.duckdb().table(ROWS)


def comparison(name: str, sign: str, value: Any) -> dict[str, Any]:
    return {"type": "comparison", "column": {"name": name}, "operator": sign, "parameter": value}


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ('col("tag") == "ph"', [1, 2]),
        ("col('tag')=='ph'", [1, 2]),
        ('tag == "ph"', [1, 2]),
        ('`tag` == "ph"', [1, 2]),
        ('"ph" == tag', [1, 2]),
        ('tag != "ph"', [3]),  # null is neither
        ('not tag == "ph"', [3]),
        ("value > 6.9", [1, 3]),
        ("7 >= value", [1, 4]),
        ("value == -1", [4]),
        ("0 < value <= 7", [1]),
        ('tag == "ph" and value > 0', [1]),
        ('(tag == "ph") & (value > 0)', [1]),
        ('(tag == "do") | ~(value > 0)', [3, 4]),
        ('tag in ["do", "x"] or value.isnull()', [2, 3]),
        ('tag not in ("do", "x")', [1, 2]),
        ("col('value').notNull()", [1, 3, 4]),
        ('col("tag").isnull()', [4]),
        ("text == other or text == equipment_id", [4]),
        ('ts >= date("2026-01-05T11:00:00")', [3]),
        ('text == "it\'s"', [1]),
        ("text == 'a \"b\" c'", [2]),
        ('text == "and or"', [3]),
        (comparison("tag", "==", "ph"), [1, 2]),
        (comparison("n", "IN", [1, 4]), [1, 4]),
        (comparison("n", "NOT_IN", [1, 4]), [2, 3]),
        ({"type": "nullity", "column": {"name": "value"}, "is_null": True}, [2]),
        ({"type": "nullity", "column": {"name": "value"}, "is_null": False}, [1, 3, 4]),
        ({"type": "and", "conditions": [comparison("tag", "==", "ph"), comparison("n", "<", 2)]}, [1]),
        ({"type": "or", "conditions": [comparison("tag", "==", "do"), comparison("n", "<", 2)]}, [1, 3]),
        ({"type": "pass_through", "pass_through_filter": 'tag == "do"'}, [3]),
    ],
)
def test_a_condition_keeps_its_rows(table: Any, condition: Any, kept: list[int]) -> None:
    found = fetch(table.filter(apply_condition(read_condition(condition), table, fit)))
    assert sorted(row["n"] for row in found) == kept


@pytest.mark.parametrize(
    "condition",
    [
        "tag = 'ph'", "tag == 'ph' AND value > 1", "tag is None", "tag == null", "lower(tag) == 'ph'", "tag", "1", "",
        "tag in 'ph'", "tag in []", "value > 1 + 1", "col(tag) == 1", "tag == f'{x}'", "[x for x in y]", "a.b == 1",
        "col('value').notNull(1)", "(" * 500, {"type": "comparison"}, {"type": "and", "conditions": []},
        {"type": "comparison", "column": {"name": "a"}, "operator": "==", "parameter": None},
    ],
)  # fmt: skip
def test_another_form_is_not_guessed_at(condition: Any) -> None:
    with pytest.raises(NotUnderstood):
        read_condition(condition)
