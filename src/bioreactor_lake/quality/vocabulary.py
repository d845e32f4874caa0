"""The expectations that are supported, with their arguments: those of Great Expectations 1.x, and a few of the lake."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bioreactor_lake.quality.kinds import (
    ANY_OR_ALL,
    BOUND,
    COLUMN,
    COLUMNS,
    CONDITION,
    COUNT,
    FLAG,
    NAME,
    NUMBER,
    OF_MANY,
    OF_TWO,
    PAIRS,
    PATTERN,
    QUERY,
    RANGES,
    REGEX,
    REGEXES,
    SHARE,
    TYPE,
    TYPES,
    VALUES,
    Kind,
    is_number,
    one_of,
)

BATCH, TABLE = "batch", "table"


@dataclass(frozen=True)
class Vocable:
    """One type of expectation.

    Args:
        required: Arguments that must be given.
        optional: Arguments that may be given.
        scope: What its verdicts are about unless the suite says otherwise: each batch, or the table.
        scopes: What they can be about.
        conditional: Whether a row condition may narrow it.
        refuse: What is wrong with the arguments as a whole, or None.
    """

    required: Mapping[str, Kind]
    optional: Mapping[str, Kind] = field(default_factory=dict)
    scope: str = TABLE
    scopes: tuple[str, ...] = (TABLE, BATCH)
    conditional: bool = True
    refuse: Callable[[Mapping[str, Any]], str | None] = lambda kwargs: None


def _need_bound(kwargs: Mapping[str, Any]) -> str | None:
    if kwargs.get("min_value") is None and kwargs.get("max_value") is None:
        return "needs min_value or max_value"
    return _in_order(kwargs)


def _in_order(kwargs: Mapping[str, Any]) -> str | None:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low is None or high is None:
        return None
    if is_number(low) != is_number(high):
        return "has a min_value and a max_value of different kinds"
    return f"has a min_value above its max_value, {low} above {high}" if low > high else None


def _of_rows(refuse: Callable[[Mapping[str, Any]], str | None] = _in_order, /, **kinds: Kind) -> Vocable:
    optional = {"mostly": SHARE}
    return Vocable(*_parted(kinds, optional), BATCH, refuse=refuse)


def _of_values(**kinds: Kind) -> Vocable:
    return Vocable(*_parted({"column": COLUMN, **kinds}), refuse=_in_order)


def _of_columns(refuse: Callable[[Mapping[str, Any]], str | None] = _in_order, /, **kinds: Kind) -> Vocable:
    return Vocable(*_parted(kinds), scopes=(TABLE,), conditional=False, refuse=refuse)


def _parted(
    kinds: Mapping[str, Kind], optional: Mapping[str, Kind] | None = None
) -> tuple[dict[str, Kind], dict[str, Kind]]:
    """Arguments that must be given and those that may: what Great Expectations has a default for may."""
    may = {name: kind for name, kind in kinds.items() if name in _OPTIONAL}
    return {name: kind for name, kind in kinds.items() if name not in may}, {**may, **(optional or {})}


_OPTIONAL = {
    "min_value", "max_value", "strict_min", "strict_max", "or_equal", "ignore_row_if", "match_on", "exact_match",
    "column_index", "allow_relative_error", "strictly", "group_by", "tag_column", "file_column", "other_column",
}  # fmt: skip
_STRICT = {"strict_min": FLAG, "strict_max": FLAG}
_BETWEEN = {"min_value": BOUND, "max_value": BOUND, **_STRICT}
_LIMITS = {"min_value": NUMBER, "max_value": NUMBER, **_STRICT}
_COUNTS = {"min_value": COUNT, "max_value": COUNT, **_STRICT}
_PAIR = {"column_A": COLUMN, "column_B": COLUMN, "ignore_row_if": OF_TWO}
_LIST = {"column_list": COLUMNS, "ignore_row_if": OF_MANY}
_ORDER = {"column": COLUMN, "strictly": FLAG, "group_by": COLUMNS, "order_by": COLUMNS}
_OTHER = {"other_table_name": NAME, "other_column": COLUMN}

VOCABULARY: Mapping[str, Vocable] = {
    # ------------------------------------------------------------------------- of Great Expectations: about rows
    "expect_column_values_to_not_be_null": _of_rows(column=COLUMN),
    "expect_column_values_to_be_null": _of_rows(column=COLUMN),
    "expect_column_values_to_be_unique": _of_rows(column=COLUMN),
    "expect_column_values_to_be_in_set": _of_rows(column=COLUMN, value_set=VALUES),
    "expect_column_values_to_not_be_in_set": _of_rows(column=COLUMN, value_set=VALUES),
    "expect_column_values_to_match_regex": _of_rows(column=COLUMN, regex=REGEX),
    "expect_column_values_to_not_match_regex": _of_rows(column=COLUMN, regex=REGEX),
    "expect_column_values_to_match_regex_list": _of_rows(column=COLUMN, regex_list=REGEXES, match_on=ANY_OR_ALL),
    "expect_column_values_to_not_match_regex_list": _of_rows(column=COLUMN, regex_list=REGEXES),
    "expect_column_values_to_match_like_pattern": _of_rows(column=COLUMN, like_pattern=PATTERN),
    "expect_column_values_to_not_match_like_pattern": _of_rows(column=COLUMN, like_pattern=PATTERN),
    "expect_column_values_to_be_between": _of_rows(_need_bound, column=COLUMN, **_BETWEEN),
    "expect_column_value_lengths_to_be_between": _of_rows(_need_bound, column=COLUMN, **_COUNTS),
    "expect_column_value_lengths_to_equal": _of_rows(column=COLUMN, value=COUNT),
    "expect_column_values_to_be_increasing": _of_rows(**_ORDER),
    "expect_column_values_to_be_decreasing": _of_rows(**_ORDER),
    "expect_column_pair_values_a_to_be_greater_than_b": _of_rows(**_PAIR, or_equal=FLAG),
    "expect_column_pair_values_to_be_equal": _of_rows(**_PAIR),
    "expect_column_pair_values_to_be_in_set": _of_rows(**_PAIR, value_pairs_set=PAIRS),
    "expect_compound_columns_to_be_unique": _of_rows(**_LIST),
    "expect_select_column_values_to_be_unique_within_record": _of_rows(**_LIST),
    "expect_multicolumn_sum_to_equal": _of_rows(**_LIST, sum_total=NUMBER),
    # ---------------------------------------------------------------------- of Great Expectations: about a column
    "expect_column_mean_to_be_between": _of_values(**_LIMITS),
    "expect_column_median_to_be_between": _of_values(**_LIMITS),
    "expect_column_stdev_to_be_between": _of_values(**_LIMITS),
    "expect_column_sum_to_be_between": _of_values(**_LIMITS),
    "expect_column_min_to_be_between": _of_values(**_BETWEEN),
    "expect_column_max_to_be_between": _of_values(**_BETWEEN),
    "expect_column_unique_value_count_to_be_between": _of_values(**_COUNTS),
    "expect_column_proportion_of_unique_values_to_be_between": _of_values(**_LIMITS),
    "expect_column_proportion_of_non_null_values_to_be_between": _of_values(**_LIMITS),
    "expect_column_quantile_values_to_be_between": _of_values(quantile_ranges=RANGES, allow_relative_error=FLAG),
    "expect_column_distinct_values_to_be_in_set": _of_values(value_set=VALUES),
    "expect_column_distinct_values_to_contain_set": _of_values(value_set=VALUES),
    "expect_column_distinct_values_to_equal_set": _of_values(value_set=VALUES),
    # ----------------------------------------------------------------------- of Great Expectations: about a table
    "expect_table_row_count_to_be_between": Vocable(*_parted(_COUNTS), refuse=_in_order),
    "expect_table_row_count_to_equal": Vocable({"value": COUNT}),
    "expect_table_row_count_to_equal_other_table": Vocable({"other_table_name": NAME}),
    "expect_table_columns_to_match_set": _of_columns(column_set=COLUMNS, exact_match=FLAG),
    "expect_table_columns_to_match_ordered_list": _of_columns(column_list=COLUMNS),
    "expect_table_column_count_to_be_between": _of_columns(min_value=COUNT, max_value=COUNT),
    "expect_table_column_count_to_equal": _of_columns(value=COUNT),
    "expect_column_to_exist": _of_columns(column=COLUMN, column_index=COUNT),
    "expect_column_type_to_be": _of_columns(column=COLUMN, type_=TYPE),
    "expect_column_values_to_be_of_type": Vocable(
        {"column": COLUMN, "type_": TYPE}, {"mostly": SHARE}, scopes=(TABLE,), conditional=False
    ),
    "expect_column_values_to_be_in_type_list": Vocable(
        {"column": COLUMN, "type_list": TYPES}, {"mostly": SHARE}, scopes=(TABLE,), conditional=False
    ),
    "unexpected_rows_expectation": Vocable({"unexpected_rows_query": QUERY}, conditional=False),
    # ------------------------------------------------------------------------------------------------ of the lake
    "expect_column_values_to_be_between_per_tag": _of_rows(
        column=COLUMN, limits=one_of("physical", "expected"), tag_column=COLUMN
    ),
    "expect_column_values_to_be_unit_of_tag": _of_rows(column=COLUMN, tag_column=COLUMN),
    "expect_share_of_known_tags_to_be_at_most": _of_rows(
        column=COLUMN, of_column=COLUMN, max_share=SHARE, tag_column=COLUMN
    ),
    "expect_column_values_to_exist_in_other_table": _of_rows(column=COLUMN, **_OTHER),
    "expect_keys_to_be_in_one_file": Vocable({}, {"column_list": COLUMNS, "file_column": COLUMN}, BATCH),
    "expect_newest_to_be_within": _of_values(hours=NUMBER),
    "expect_totals_to_equal_other_table": Vocable(
        {"other_table_name": NAME},
        {"column": COLUMN, "other_column": COLUMN, "other_row_condition": CONDITION},
    ),
    "expect_every_equipment_to_have_data": Vocable(
        {"column": COLUMN}, {"other_table_name": NAME, "other_column": COLUMN}, scopes=(TABLE,), conditional=False
    ),
}
