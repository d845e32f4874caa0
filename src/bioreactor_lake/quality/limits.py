"""The limits of tags beside the rows of a table, so that one comparison serves all tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir

from bioreactor_lake.lake import resident
from bioreactor_lake.quality.comparisons import NotAskable
from bioreactor_lake.quality.suite import Suite
from bioreactor_lake.quality.tags import Tag

PER_TAG = "expect_column_values_to_be_between_per_tag"
_BOUNDS = ("physical_min", "physical_max", "expected_min", "expected_max")


def with_limits(table: ir.Table, suite: Suite, tags: Mapping[str, Tag]) -> ir.Table:
    """A table with the limits of its tags, for the columns of tags that its suite names.

    A join with a few rows costs a third of a CASE over as many tags, and a tenth of as many comparisons.
    """
    # What is known by its id has to live as long as what is kept under it.
    key = ("limits", table.op(), id(table.get_backend()), id(suite), id(tags)) if resident.stays() else ()
    joined, *_ = resident.kept(key, lambda: (_join_limits(table, suite, tags), suite, tags))
    return joined


def _join_limits(table: ir.Table, suite: Suite, tags: Mapping[str, Tag]) -> ir.Table:
    wanted = {one.kwargs.get("tag_column", "tag") for one in suite.expectations if one.type == PER_TAG}
    for column in sorted(wanted & set(table.columns)):
        if not table[column].type().is_string() or not tags:
            continue
        limits = _tabulate(tags, column)
        table = table.left_join(limits, table[column] == limits[_name(column, "tag")])
    return table


def limits_of(table: ir.Table, column: str, which: str) -> tuple[ir.BooleanValue, Any, Any]:
    """Whether the tag in a column is known, and its limits; `which` is `physical` or `expected`.

    Raises:
        NotAskable: There are no limits beside it.
    """
    if _name(column, "tag") not in table.columns:
        raise NotAskable(f"No tag has limits for {column}: there is none in tags.yml, or the column is no text.")
    bounds = (table[_name(column, f"{which}_{side}")] for side in ("min", "max"))
    return table[_name(column, "tag")].notnull(), *bounds


def without_limits(table: ir.Table) -> ir.Table:
    """A table without what `with_limits` put beside it."""
    return (
        table.drop(*added) if (added := [name for name in table.columns if name.startswith("lake_limit_")]) else table
    )


def _name(column: str, what: str) -> str:
    return f"lake_limit_{column}_{what}"


def _tabulate(tags: Mapping[str, Tag], column: str) -> ir.Table:
    # Several arrays unnested side by side: in DuckDB and Postgres alike, without a table in memory.
    names = sorted(tags)
    columns: dict[str, ir.Value] = {_name(column, "tag"): ibis.literal(names, type="array<string>")}
    for bound in _BOUNDS:
        beyond = float("-inf") if bound.endswith("min") else float("inf")
        values = [getattr(tags[name], bound) for name in names]
        limits = [beyond if value is None else float(value) for value in values]
        columns[_name(column, bound)] = ibis.literal(limits, type="array<float64>")
    return ops.DummyTable({name: ops.Unnest(array) for name, array in columns.items()}).to_expr()
