"""For every type of expectation, rows that just meet it and rows that just do not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.quality.small_tables import Rows, at


@dataclass(frozen=True)
class Case:
    """Rows that pass, rows that fail, and what is asked.

    Args:
        type: The type of expectation.
        kwargs: Its arguments.
        passes: Rows that just meet it.
        fails: Rows that just do not.
        failing: How many of these fail, where they are counted.
        other: Rows of the table `other`.
        meta: What else the suite says.
    """

    type: str
    kwargs: dict[str, Any]
    passes: Rows
    fails: Rows
    failing: int | None = None
    other: Rows = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.type} {self.kwargs}"


def values(*found: Any, column: str = "value", **same: Any) -> Rows:
    """Rows with some values in one column."""
    return [{column: value, **same} for value in found]


def pairs(*found: tuple[Any, Any]) -> Rows:
    """Rows with some values in the two columns of text."""
    return [{"text": a, "other": b} for a, b in found]


def times(*minutes: float, **same: Any) -> Rows:
    """Rows at some times."""
    return [{"ts": at(minute), **same} for minute in minutes]


LARGEST = "WITH x AS (SELECT batch_id, max(value) AS v FROM {batch} t GROUP BY 1) SELECT * FROM x WHERE v > 7.5;"
RISING = {"column": "value", "order_by": ["ts"], "group_by": ["tag"]}


def series(*found: float | None) -> Rows:
    """Rows with values a minute apart, last first, so that their order in the table helps nobody."""
    return [{"value": value, "ts": at(minute)} for minute, value in enumerate(found)][::-1]


QUANTILES = {
    "column": "value",
    "quantile_ranges": {"quantiles": [0.0, 0.5, 1.0], "value_ranges": [[1, 1], [2, 2], [None, 4]]},
}


def at_bounds(statistic: str, found: float, rows: Rows, less: Rows, more: Rows, **column: str) -> list[Case]:
    """Rows of which a statistic is just at a bound, and others of which it is less or more; by and by each bound.

    Args:
        statistic: The type of expectation.
        found: What it is of the rows.
        rows: Rows that pass where the bound is not strict, and fail where it is.
        less: Rows of which it is less, near enough to fail only a bound at what was found.
        more: Rows of which it is more.
        column: The column, where it has one.
    """
    kind = f"expect_{statistic}_to_be_between"
    return [
        Case(kind, {**column, "min_value": found}, rows, less),
        Case(kind, {**column, "max_value": found}, rows, more),
        Case(kind, {**column, "min_value": found, "strict_min": True}, more, rows),
        Case(kind, {**column, "max_value": found, "strict_max": True}, less, rows),
    ]


ALL = ["batch_id", "equipment_id", "tag", "ts", "value", "n", "text", "other", "flag", "source_file"]

CASES = [
    # --------------------------------------------------------------------------------------------------------- nulls
    Case("expect_column_values_to_not_be_null", {"column": "value"}, values(0, 1), values(0, None), 1),
    Case(
        "expect_column_values_to_not_be_null",
        {"column": "value", "mostly": 0.5},
        values(0, None),
        values(None, None, 1),
        2,
    ),
    Case(
        "expect_column_values_to_be_null",
        {"column": "text"},
        values(None, None, column="text"),
        values(None, "", column="text"),
        1,
    ),
    Case(
        "expect_column_proportion_of_non_null_values_to_be_between",
        {"column": "value", "min_value": 0.5},
        values(1, None),
        values(1, None, None),
    ),
    Case(
        "expect_column_proportion_of_non_null_values_to_be_between",
        {"column": "value", "max_value": 0.5, "strict_max": True},
        values(1, None, None),
        values(1, None),
    ),
    # ---------------------------------------------------------------------------------------------------------- sets
    Case(
        "expect_column_values_to_be_in_set",
        {"column": "tag", "value_set": ["ph", "do"]},
        values("ph", "do", None, column="tag"),
        values("ph", "pH", column="tag"),
        1,
    ),
    Case(
        "expect_column_values_to_be_in_set",
        {"column": "n", "value_set": [1, 2, None]},
        values(1, 2, None, column="n"),
        values(1, 3, column="n"),
        1,
    ),
    Case(
        "expect_column_values_to_be_in_set",
        {"column": "flag", "value_set": [True]},
        values(True, None, column="flag"),
        values(True, False, column="flag"),
        1,
    ),
    Case(
        "expect_column_values_to_be_in_set",
        {"column": "ts", "value_set": ["2026-01-05T10:00:00+00:00"]},
        times(0),
        times(0, 1),
        1,
    ),
    Case(
        "expect_column_values_to_not_be_in_set",
        {"column": "tag", "value_set": ["x"]},
        values("ph", None, column="tag"),
        values("ph", "x", column="tag"),
        1,
    ),
    Case(
        "expect_column_distinct_values_to_be_in_set",
        {"column": "tag", "value_set": ["ph", "do"]},
        values("ph", None, column="tag"),
        values("ph", "x", "x", column="tag"),
        2,
    ),
    Case(
        "expect_column_distinct_values_to_contain_set",
        {"column": "tag", "value_set": ["ph", "do"]},
        values("ph", "do", "x", column="tag"),
        values("ph", "x", column="tag"),
    ),
    Case(
        "expect_column_distinct_values_to_contain_set",
        {"column": "n", "value_set": [1, 2]},
        values(1, 2, 3, column="n"),
        values(1, 3, None, column="n"),
    ),
    Case(
        "expect_column_distinct_values_to_equal_set",
        {"column": "tag", "value_set": ["ph", "do"]},
        values("ph", "do", None, column="tag"),
        values("ph", "do", "x", column="tag"),
        1,
    ),
    Case(
        "expect_column_distinct_values_to_equal_set",
        {"column": "tag", "value_set": ["ph", "do"]},
        values("ph", "do", column="tag"),
        values("ph", column="tag"),
    ),
    # ---------------------------------------------------------------------------------------------------------- text
    Case(
        "expect_column_values_to_match_regex",
        {"column": "text", "regex": "^B-[0-9]{4}$"},
        values("B-0001", None, column="text"),
        values("B-0001", "B-001", column="text"),
        1,
    ),
    Case(
        "expect_column_values_to_match_regex",
        {"column": "text", "regex": "b"},
        values("abc", column="text"),
        values("aBc", column="text"),
        1,
    ),
    Case(
        "expect_column_values_to_not_match_regex",
        {"column": "text", "regex": "^x"},
        values("ax", None, column="text"),
        values("xa", column="text"),
        1,
    ),
    Case(
        "expect_column_values_to_match_regex_list",
        {"column": "text", "regex_list": ["a", "b"]},
        values("a", "b", column="text"),
        values("a", "c", column="text"),
        1,
    ),
    Case(
        "expect_column_values_to_match_regex_list",
        {"column": "text", "regex_list": ["a", "b"], "match_on": "all"},
        values("ab", column="text"),
        values("a", column="text"),
        1,
    ),
    Case(
        "expect_column_values_to_not_match_regex_list",
        {"column": "text", "regex_list": ["a", "b"]},
        values("c", column="text"),
        values("c", "b", column="text"),
        1,
    ),
    Case(
        "expect_column_values_to_match_like_pattern",
        {"column": "text", "like_pattern": "B-%"},
        values("B-", column="text"),
        values("b-1", column="text"),
        1,
    ),
    Case(
        "expect_column_values_to_not_match_like_pattern",
        {"column": "text", "like_pattern": "B-%"},
        values("b-1", column="text"),
        values("B-", column="text"),
        1,
    ),
    Case(
        "expect_column_value_lengths_to_be_between",
        {"column": "text", "min_value": 1, "max_value": 2},
        values("é", "ab", None, column="text"),
        values("", "abc", "ab", column="text"),
        2,
    ),
    Case(
        "expect_column_value_lengths_to_equal",
        {"column": "text", "value": 2},
        values("ab", None, column="text"),
        values("ab", "a", column="text"),
        1,
    ),
    # -------------------------------------------------------------------------------------------------------- ranges
    Case(
        "expect_column_values_to_be_between",
        {"column": "value", "min_value": 0, "max_value": 14},
        values(0, 14, None),
        values(-1e-9, 14.000001, 7),
        2,
    ),
    Case(
        "expect_column_values_to_be_between",
        {"column": "value", "min_value": 0, "max_value": 14, "strict_min": True, "strict_max": True},
        values(1e-9, 13.999999),
        values(0, 14, 7),
        2,
    ),
    Case(
        "expect_column_values_to_be_between",
        {"column": "value", "min_value": 0},
        values(0, float("inf")),
        values(float("nan"), float("-inf"), 0),
        2,
    ),
    Case(
        "expect_column_values_to_be_between",
        {"column": "value", "max_value": 14, "mostly": 0.75},
        values(1, 2, 3, 15),
        values(1, 2, 16, 15),
        2,
    ),
    Case(
        "expect_column_values_to_be_between",
        {"column": "ts", "min_value": "2026-01-05T10:00:00", "max_value": "2026-01-05T12:00:00+01:00"},
        times(0, 60),
        times(-1, 0, 61),
        2,
    ),
    Case(
        "expect_column_values_to_be_between_per_tag",
        {"column": "value", "limits": "physical"},
        [{"tag": "ph", "value": 14}, {"tag": "do", "value": 500}, {"tag": "free", "value": -1e9}],
        [{"tag": "ph", "value": 14.1}, {"tag": "do", "value": 14.1}],
        1,
    ),
    Case(
        "expect_column_values_to_be_between_per_tag",
        {"column": "value", "limits": "expected"},
        [{"tag": "ph", "value": 6.8}, {"tag": "do", "value": None}],
        [{"tag": "ph", "value": 6.79}],
        1,
    ),
    Case(
        "expect_column_values_to_be_unit_of_tag",
        {"column": "text"},
        [{"tag": "do", "text": "%"}, {"tag": "do", "text": "% sat"}, {"tag": "do", "text": None}, {"tag": "redox"}],
        [{"tag": "do", "text": "mg/L"}, {"tag": "ph", "text": "%"}, {"tag": "do", "text": "%"}],
        2,
    ),
    Case(
        "expect_share_of_known_tags_to_be_at_most",
        {"column": "n", "of_column": "value", "max_share": 0.2},
        [{"n": 2, "value": 10}, {"n": 0, "value": 0}, {"n": 9, "value": None}, {"tag": "redox", "n": 9, "value": 9}],
        [{"n": 3, "value": 14.9}, {"n": 3, "value": 15}],
        1,
    ),
    # --------------------------------------------------------------------------------------------------- other columns
    Case(
        "expect_column_pair_values_a_to_be_greater_than_b",
        {"column_A": "value", "column_B": "n"},
        [{"value": 1.1}, {"value": None}, {"value": None, "n": None}],
        [{"value": 1}],
        1,
    ),
    Case(
        "expect_column_pair_values_a_to_be_greater_than_b",
        {"column_A": "value", "column_B": "n", "or_equal": True},
        [{"value": 1}],
        [{"value": 0.9}],
        1,
    ),
    Case(
        "expect_column_pair_values_to_be_equal",
        {"column_A": "text", "column_B": "other"},
        pairs(("a", "a"), (None, None)),
        pairs(("a", "b"), ("a", None)),
        2,
    ),
    Case(
        "expect_column_pair_values_to_be_equal",
        {"column_A": "text", "column_B": "other", "ignore_row_if": "either_value_is_missing"},
        pairs(("a", "a"), ("a", None)),
        pairs(("a", "b")),
        1,
    ),
    Case(
        "expect_column_pair_values_to_be_in_set",
        {"column_A": "text", "column_B": "other", "value_pairs_set": [["a", "b"], ["c", None]]},
        pairs(("a", "b"), ("c", None), (None, None)),
        pairs(("b", "a")),
        1,
    ),
    Case(
        "expect_select_column_values_to_be_unique_within_record",
        {"column_list": ["tag", "text", "other"]},
        pairs(("a", "b")),
        pairs(("a", "a")),
        1,
    ),
    Case("expect_multicolumn_sum_to_equal", {"column_list": ["value", "n"], "sum_total": 8}, values(7), values(7.5), 1),
    # ---------------------------------------------------------------------------------------------------- uniqueness
    Case(
        "expect_column_values_to_be_unique",
        {"column": "text"},
        values("a", "b", None, None, column="text"),
        values("a", "a", "b", column="text"),
        2,
    ),
    Case(
        "expect_compound_columns_to_be_unique",
        {"column_list": ["batch_id", "text", "other"]},
        pairs(("a", "b"), ("b", "a"), ("a", None), ("a", None)),
        pairs(("a", "b"), ("a", "b"), ("a", "b"), ("a", "c")),
        3,
    ),
    Case(
        "expect_compound_columns_to_be_unique",
        {"column_list": ["text", "other"]},
        pairs(("a", "b"), ("b", "a")),
        pairs(("a", "b"), ("a", "b")),
        2,
    ),
    Case(
        "expect_column_unique_value_count_to_be_between",
        {"column": "tag", "min_value": 2},
        values("ph", "do", column="tag"),
        values("ph", "ph", None, column="tag"),
    ),
    Case(
        "expect_column_proportion_of_unique_values_to_be_between",
        {"column": "n", "min_value": 0.5},
        values(1, 1, 2, 2, None, column="n"),
        values(1, 1, 2, 2, 2, column="n"),
    ),
    Case(
        "expect_keys_to_be_in_one_file",
        {},
        [*times(0, 0, 5), *times(1, 3, source_file="b.parquet")],
        [*times(0, 1, 2), *times(1, source_file="b.parquet")],
        2,
    ),
    # --------------------------------------------------------------------------------------------------------- order
    Case("expect_column_values_to_be_increasing", RISING, series(1, 1, None, 2), series(1, 3, None, 2), 1),
    Case("expect_column_values_to_be_increasing", {**RISING, "strictly": True}, series(1, 1.5, 2), series(1, 1, 2), 1),
    Case("expect_column_values_to_be_decreasing", RISING, series(2, 2, None, 1), series(2, 1, None, 1.5), 1),
    Case("expect_column_values_to_be_decreasing", {**RISING, "strictly": True}, series(2, 1), series(2, 2), 1),
    # ---------------------------------------------------------------------------------------------------- statistics
    Case(
        "expect_column_mean_to_be_between",
        {"column": "value", "min_value": 2, "max_value": 2},
        values(1, 3, None),
        values(1, 3.1),
    ),
    Case(
        "expect_column_mean_to_be_between",
        {"column": "n", "min_value": 1.5},
        values(1, 2, column="n"),
        values(1, 1, column="n"),
    ),
    Case(
        "expect_column_median_to_be_between",
        {"column": "value", "min_value": 2, "max_value": 2},
        values(1, 3, None),
        values(1, 3, 4),
    ),
    Case("expect_column_stdev_to_be_between", {"column": "value", "max_value": 1}, values(1, 2, 3), values(1, 2, 3.01)),
    Case("expect_column_stdev_to_be_between", {"column": "value", "max_value": 1}, values(1, 2), values(1)),
    Case(
        "expect_column_sum_to_be_between",
        {"column": "n", "max_value": 3},
        values(1, 2, None, column="n"),
        values(1, 3, column="n"),
    ),
    Case(
        "expect_column_min_to_be_between",
        {"column": "value", "min_value": 1, "strict_min": True},
        values(1.01, None),
        values(1, 2),
    ),
    Case("expect_column_max_to_be_between", {"column": "value", "max_value": 1}, values(1, 0), values(1.01)),
    Case("expect_column_max_to_be_between", {"column": "ts", "max_value": "2026-01-05T11:00:00"}, times(60), times(61)),
    Case("expect_column_quantile_values_to_be_between", QUANTILES, values(1, 2, 3, 4, None), values(1, 1, 1, 4)),
    Case("expect_newest_to_be_within", {"column": "ts", "hours": 24}, times(-5000, 0), times(-1)),
    # A date in the future is no news, and would hide that there is none.
    Case("expect_newest_to_be_within", {"column": "ts", "hours": 24}, times(0, 24 * 60), times(0, 48 * 60 + 1)),
    # --------------------------------------------------------------------------------------------------------- table
    Case("expect_table_row_count_to_be_between", {"min_value": 2, "max_value": 3}, values(1, 2), values(1)),
    Case("expect_table_row_count_to_be_between", {"min_value": 2, "max_value": 3}, values(1, 2, 3), values(1, 2, 3, 4)),
    Case("expect_table_row_count_to_equal", {"value": 2}, values(1, 2), values(1)),
    Case(
        "expect_table_row_count_to_equal_other_table",
        {"other_table_name": "other"},
        values(1, 2),
        values(1),
        other=values(3, 4),
    ),
    Case(
        "expect_totals_to_equal_other_table",
        {"other_table_name": "other"},
        values(1, 2),
        values(1, 2, 3),
        other=values(3, 4),
    ),
    Case(
        "expect_totals_to_equal_other_table",
        {"column": "n", "other_table_name": "other", "other_column": "n", "other_row_condition": 'tag == "ph"'},
        values(1, 2, column="n"),
        values(1, 1, column="n"),
        other=[{"n": 3}, {"n": 9, "tag": "do"}],
    ),
    Case(
        "expect_totals_to_equal_other_table",
        {"column": "n", "other_table_name": "other"},
        values(1, 2, column="n"),
        values(2, 2, column="n"),
        other=values(1, 2, 3),
        meta={"scope": "batch"},
    ),
    Case(
        "expect_column_values_to_exist_in_other_table",
        {"column": "batch_id", "other_table_name": "other"},
        values("B-1", column="batch_id"),
        values("B-1", "B-2", column="batch_id"),
        1,
        other=[{}],
    ),
    Case(
        "expect_column_values_to_exist_in_other_table",
        {"column": "text", "other_table_name": "other", "other_column": "other"},
        values("cd", None, column="text"),
        values("cd", "ab", column="text"),
        1,
        other=[{}, {"other": None}],
    ),
    Case(
        "expect_every_equipment_to_have_data",
        {"column": "equipment_id"},
        values("R-1", "R-2", "R-9", column="equipment_id"),
        values("R-1", "R-9", column="equipment_id"),
    ),
    Case(
        "unexpected_rows_expectation",
        {"unexpected_rows_query": "SELECT * FROM {batch} WHERE value > 7.5"},
        values(7.5),
        values(7.5, 7.6),
        1,
    ),
    Case(
        "unexpected_rows_expectation",
        {"unexpected_rows_query": LARGEST},
        values(7.5),
        values(7.5, 7.6),
        1,
        meta={"scope": "batch"},
    ),
    # ------------------------------------------------------------------------------------------------------- columns
    Case("expect_column_to_exist", {"column": "tag", "column_index": 2}, [], []),
    Case("expect_table_columns_to_match_set", {"column_set": [*reversed(ALL)]}, [], []),
    Case("expect_table_columns_to_match_set", {"column_set": ["value", "tag"], "exact_match": False}, [], []),
    Case("expect_table_columns_to_match_ordered_list", {"column_list": ALL}, [], []),
    Case("expect_table_column_count_to_equal", {"value": 10}, [], []),
    Case("expect_table_column_count_to_be_between", {"min_value": 10, "max_value": 10}, [], []),
    Case("expect_column_type_to_be", {"column": "value", "type_": "DOUBLE PRECISION"}, [], []),
    Case("expect_column_values_to_be_of_type", {"column": "value", "type_": "float64"}, [], []),
    Case("expect_column_values_to_be_in_type_list", {"column": "value", "type_list": ["TEXT", "DOUBLE"]}, [], []),
    # --------------------------------------------------------------------------------------------------- at each bound
    *at_bounds("column_mean", 2, values(1, 3), values(1, 2.9), values(1, 3.1), column="value"),
    *at_bounds("column_median", 2, values(1, 2, 9), values(1, 1.9, 9), values(1, 2.1, 9), column="value"),
    *at_bounds("column_stdev", 1, values(1, 2, 3), values(1, 2, 2.99), values(1, 2, 3.01), column="value"),
    *at_bounds("column_sum", 4, values(1, 3), values(1, 2.9), values(1, 3.1), column="value"),
    *at_bounds("column_min", 1, values(1, 3), values(0.9, 3), values(1.1, 3), column="value"),
    *at_bounds("column_max", 3, values(1, 3), values(1, 2.9), values(1, 3.1), column="value"),
    *at_bounds("column_unique_value_count", 2, values(1, 2), values(1, 1), values(1, 2, 3), column="value"),
    *at_bounds("column_proportion_of_unique_values", 0.5, values(1, 1), values(1, 1, 1), values(1, 2), column="value"),
    *at_bounds(
        "column_proportion_of_non_null_values", 0.5, values(1, None), values(1, None, None), values(1), column="value"
    ),
    *at_bounds("table_row_count", 2, values(1, 2), values(1), values(1, 2, 3)),
    *at_bounds(
        "column_value_lengths",
        2,
        values("ab", "cd", column="text"),
        values("a", column="text"),
        values("abc", column="text"),
        column="text",
    ),
    # ------------------------------------------------------------------------------ most of the rows
    *(
        Case(type_, {**kwargs, "mostly": 0.5}, [*good, *bad], [*good, *bad, *bad], failing)
        for type_, kwargs, good, bad, failing in (
            ("values_to_be_null", {"column": "text"}, values(None, column="text"), values("a", column="text"), 2),
            ("values_to_be_in_set", {"column": "n", "value_set": [1]}, values(1, column="n"), values(2, column="n"), 2),
            (
                "values_to_not_be_in_set",
                {"column": "n", "value_set": [2]},
                values(1, column="n"),
                values(2, column="n"),
                2,
            ),
            (
                "values_to_match_regex",
                {"column": "text", "regex": "a"},
                values("a", column="text"),
                values("b", column="text"),
                2,
            ),
            (
                "values_to_not_match_regex",
                {"column": "text", "regex": "b"},
                values("a", column="text"),
                values("b", column="text"),
                2,
            ),
            (
                "values_to_match_regex_list",
                {"column": "text", "regex_list": ["a"]},
                values("a", column="text"),
                values("b", column="text"),
                2,
            ),
            (
                "values_to_not_match_regex_list",
                {"column": "text", "regex_list": ["b"]},
                values("a", column="text"),
                values("b", column="text"),
                2,
            ),
            (
                "values_to_match_like_pattern",
                {"column": "text", "like_pattern": "a"},
                values("a", column="text"),
                values("b", column="text"),
                2,
            ),
            (
                "values_to_not_match_like_pattern",
                {"column": "text", "like_pattern": "b"},
                values("a", column="text"),
                values("b", column="text"),
                2,
            ),
            (
                "value_lengths_to_equal",
                {"column": "text", "value": 1},
                values("a", column="text"),
                values("ab", column="text"),
                2,
            ),
            (
                "value_lengths_to_be_between",
                {"column": "text", "max_value": 1},
                values("a", column="text"),
                values("ab", column="text"),
                2,
            ),
            (
                "pair_values_to_be_equal",
                {"column_A": "text", "column_B": "other"},
                pairs(("a", "a")),
                pairs(("a", "b")),
                2,
            ),
            ("pair_values_a_to_be_greater_than_b", {"column_A": "value", "column_B": "n"}, values(2), values(1), 2),
        )
        for type_ in [f"expect_column_{type_}"]
    ),
    Case(
        "expect_column_values_to_be_unique",
        {"column": "n", "mostly": 0.5},
        values(1, 1, 2, 3, column="n"),
        values(1, 1, 2, column="n"),
        2,
    ),
    Case("expect_column_values_to_be_increasing", {**RISING, "mostly": 0.5}, series(1, 0), series(2, 1, 0), 2),
    # ---------------------------------------------------------------------------------- missing values
    Case(
        "expect_column_pair_values_a_to_be_greater_than_b",
        {"column_A": "value", "column_B": "n", "ignore_row_if": "either_value_is_missing", "mostly": 0.5},
        [{"value": 2}, {"value": 1}, {"value": None}],
        [{"value": 2}, {"value": 1}, {"value": 1}, {"value": None}],
        2,
    ),
    Case(
        "expect_column_pair_values_to_be_equal",
        {"column_A": "text", "column_B": "other", "ignore_row_if": "neither"},
        pairs(("a", "a")),
        pairs(("a", "a"), (None, None)),
        1,
    ),
    Case(
        "expect_column_pair_values_to_be_in_set",
        {
            "column_A": "text",
            "column_B": "other",
            "value_pairs_set": [["a", "b"]],
            "ignore_row_if": "either_value_is_missing",
        },
        pairs(("a", "b"), ("c", None)),
        pairs(("a", "b"), ("b", "a"), ("c", None)),
        1,
    ),
    Case(
        "expect_compound_columns_to_be_unique",
        {"column_list": ["text", "other"], "ignore_row_if": "any_value_is_missing", "mostly": 0.5},
        pairs(("a", "b"), ("a", "b"), ("b", "b"), ("c", "b"), ("a", None)),
        pairs(("a", "b"), ("a", "b"), ("b", "b"), ("a", None)),
        2,
    ),
    Case(
        "expect_select_column_values_to_be_unique_within_record",
        {"column_list": ["tag", "text", "other"], "ignore_row_if": "any_value_is_missing"},
        pairs(("a", "b"), ("ph", None)),
        pairs(("a", "b"), ("ph", "b")),
        1,
    ),
    Case(
        "expect_multicolumn_sum_to_equal",
        {"column_list": ["value", "n"], "sum_total": 8, "ignore_row_if": "any_value_is_missing", "mostly": 0.5},
        values(7, 6, None),
        values(7, 6, 6, None),
        2,
    ),
    # ---------------------------------------------------------------------------------------- others
    Case(
        "expect_column_values_to_be_between_per_tag",
        {"column": "value", "limits": "physical", "tag_column": "text"},
        [{"text": "ph", "value": 0}, {"text": "do", "value": 500}],
        [{"text": "ph", "value": -0.1}, {"text": "do", "value": 500.1}, {"text": "do", "value": 0}],
        2,
    ),
    Case(
        "expect_keys_to_be_in_one_file",
        {"column_list": ["batch_id", "ts"], "file_column": "other"},
        [*times(0, 2, other="a"), *times(1, 3, other="b")],
        [*times(0, 2, other="a"), *times(1, 2, other="b")],
        2,
    ),
    Case(
        "expect_table_row_count_to_equal_other_table",
        {"other_table_name": "other"},
        values(1, 2),
        values(1, 2, 3),
        other=values(3, 4),
    ),
    Case("expect_table_row_count_to_equal", {"value": 2}, values(1, 2), values(1, 2, 3)),
]
"""Cases with no rows are about columns: the table that fails lacks `tag`, and its `value` is a whole number."""
