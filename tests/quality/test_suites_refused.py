"""A suite in which anything is not understood is refused at start, with the suite, the expectation and the key."""

from __future__ import annotations

from typing import Any

import pytest

from bioreactor_lake.errors import UsageError
from bioreactor_lake.quality.suite import read_suites
from bioreactor_lake.quality.tags import read_equipment, read_tags

BETWEEN = {"type": "expect_column_values_to_be_between", "kwargs": {"column": "value", "min_value": 0}}


def of(kind: str, /, **kwargs: Any) -> dict[str, Any]:
    return {"type": kind, "kwargs": kwargs}


def refusal(suite: Any, tables: list[str] | None = None) -> str:
    with pytest.raises(UsageError) as caught:
        read_suites({"readings": suite}, tables)
    return str(caught.value)


@pytest.mark.parametrize(
    ("mistaken", "named"),
    [
        (of("expect_column_values_to_be_not_null", column="a"), ["expect_column_values_to_not_be_null"]),
        (of("expect_column_kl_divergence_to_be_less_than", column="a"), ["expect_column_kl_divergence"]),
        ({"kwargs": {"column": "a"}}, ["no type"]),
        ("expect_column_to_exist", ["no type"]),
        (of("expect_column_values_to_be_between", column="a", min_val=0), ["min_val", "min_value"]),
        (of("expect_column_values_to_be_between", min_value=0), ["lacks column"]),
        (of("expect_column_values_to_be_between", column="a"), ["needs min_value or max_value"]),
        (of("expect_column_values_to_be_between", column="a", min_value=2, max_value=1), ["2 above 1"]),
        (of("expect_column_values_to_be_between", column="a", min_value="x"), ["min_value", "'x'"]),
        (
            of("expect_column_values_to_be_between", column="a", min_value="2026-01-01", max_value=3),
            ["different kinds"],
        ),
        (of("expect_column_values_to_be_between", column="a", min_value=True), ["min_value", "True"]),
        (of("expect_column_values_to_be_between", column="", min_value=1), ["column", "''"]),
        (
            of("expect_column_values_to_be_between", column="a", min_value=1, strict_min="yes"),
            ["strict_min", "true or false"],
        ),
        (of("expect_column_values_to_be_between", column="a", min_value=1, mostly=95), ["mostly", "0 to 1"]),
        (of("expect_column_values_to_be_in_set", column="a", value_set=[]), ["value_set", "list"]),
        (of("expect_column_values_to_be_in_set", column="a", value_set="ph"), ["value_set", "list"]),
        (of("expect_column_values_to_match_regex", column="a", regex="("), ["regex", "regular expression"]),
        (of("expect_column_values_to_be_of_type", column="a", type_="nmber"), ["type_", "nmber"]),
        (
            of("expect_column_pair_values_to_be_equal", column_A="a", column_B="b", ignore_row_if="never"),
            ["ignore_row_if"],
        ),
        (of("expect_column_pair_values_to_be_in_set", column_A="a", column_B="b", value_pairs_set=[["x"]]), ["pairs"]),
        (of("expect_compound_columns_to_be_unique", column_list="a"), ["column_list", "list"]),
        (
            of(
                "expect_column_quantile_values_to_be_between",
                column="a",
                quantile_ranges={"quantiles": [0.5], "value_ranges": []},
            ),
            ["quantile_ranges"],
        ),
        (of("expect_column_values_to_be_increasing", column="a"), ["lacks order_by"]),
        (of("expect_table_row_count_to_equal", value=1.5), ["value", "whole number"]),
        (
            of("expect_column_values_to_be_between_per_tag", column="a", limits="alarm"),
            ["limits", "physical, expected"],
        ),
        (of("unexpected_rows_expectation", unexpected_rows_query="SELECT * FROM readings"), ["{batch}"]),
        (of("unexpected_rows_expectation", unexpected_rows_query="SELECT {x} FROM {batch}"), ["{batch}"]),
        (
            of("expect_totals_to_equal_other_table", other_table_name="b", other_row_condition="a = 1"),
            ["other_row_condition"],
        ),
        (BETWEEN | {"severity": "eror"}, ["eror", "error"]),
        (BETWEEN | {"severty": "error"}, ["severty", "severity"]),
        (BETWEEN | {"kwargs": ["column"]}, ["kwargs"]),
        (BETWEEN | {"meta": {"scope": "batches"}}, ["batches", "batch"]),
        (of("expect_column_to_exist", column="a") | {"meta": {"scope": "batch"}}, ["scope batch"]),
        (of("expect_column_to_exist", column="a") | {"row_condition": "a == 1"}, ["row_condition"]),
        (BETWEEN | {"row_condition": "tag = 'ph'"}, ["tag = 'ph'"]),
        (BETWEEN | {"row_condition": "__import__('os').system('true')"}, ["__import__"]),
        (BETWEEN | {"row_condition": "tag == None"}, ["None", ".isnull()"]),
        (BETWEEN | {"row_condition": "value + 1 > 2"}, ["value + 1"]),
        (
            BETWEEN
            | {"row_condition": {"type": "comparison", "column": {"name": "a"}, "operator": "~", "parameter": 1}},
            ["'~'"],
        ),
        (BETWEEN | {"kwargs": {"column": "a", "min_value": {"$PARAMETER": "low"}}}, ["low", "suite_parameters"]),
    ],
)
def test_what_is_not_understood_is_named(mistaken: Any, named: list[str]) -> None:
    said = refusal({"expectations": {"good": BETWEEN, "bad_one": mistaken}})
    assert all(word in said for word in ["readings", "bad_one", *named]), said


def test_a_suite_of_another_shape_is_refused() -> None:
    assert "no expectations" in refusal({"name": "x"})
    assert "expectatons" in refusal({"expectations": [], "expectatons": []})
    assert "list" in refusal({"expectations": "none"})
    assert "without a type" in refusal({"expectations": [{"kwargs": {}}]})
    assert "two expectations with the id x" in refusal({"expectations": [BETWEEN | {"id": "x"}, BETWEEN | {"id": "x"}]})
    assert "Did you mean reading" in refusal({"expectations": []}, ["reading", "batches"])
    other = of("expect_table_row_count_to_equal_other_table", other_table_name="dim_bach")
    assert "Did you mean dim_batch" in refusal({"expectations": {"same": other}}, ["readings", "dim_batch"])


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"uom": "pH"}, "description"),
        ({"description": "Acidity"}, "uom"),
        ({"description": "", "uom": "", "physical_minimum": 0}, "physical_min"),
        ({"description": "", "uom": "", "physical_min": "0"}, "'0'"),
        ({"description": "", "uom": "", "physical_min": 0, "expected_min": -1}, "not in order"),
        ({"description": "", "uom": "", "physical_max": float("nan")}, "is nan"),
        ({"description": "", "uom": "", "logging": "sometimes"}, "sometimes"),
        ([], "no mapping"),
    ],
)
def test_mistakes_in_tags_are_named(said: Any, named: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_tags({"ph": said})
    assert "ph" in str(caught.value)
    assert named in str(caught.value)


def test_mistakes_in_equipment_are_named() -> None:
    with pytest.raises(UsageError, match=r"(?s)R-1 in equipment\.yml has sight.*site"):
        read_equipment({"R-1": {"sight": "Cork"}})
