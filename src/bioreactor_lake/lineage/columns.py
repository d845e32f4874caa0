"""Column lineage of an expression, read off its graph: no SQL is parsed.

Ibis hands over every node once, inputs first, so the cost is that of the graph however often a column is used. A value
becomes the inputs that it is made of; a relation becomes its columns and the inputs that decide which rows it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import singledispatch
from typing import Any

import ibis.expr.operations as ops
import ibis.expr.types as ir

from bioreactor_lake.errors import LakeError
from bioreactor_lake.lineage.inputs import (
    Relation,
    Sources,
    Value,
    decide,
    decided,
    merge,
    only,
    origins_of,
    settle,
    sources_of,
    step,
)
from bioreactor_lake.lineage.origins import ROWS, ColumnLineage, Subtype, TableLineage
from bioreactor_lake.lineage.wording import say, without_parentheses


def trace_columns(table: ir.Table) -> TableLineage:
    """Trace every column of an expression to the columns of the tables that it reads.

    >>> import ibis
    >>> readings = ibis.table({"batch_id": "string", "value": "float64"}, name="readings", database="staging")
    >>> traced = trace_columns(readings.group_by("batch_id").agg(mean=readings.value.mean()))
    >>> [(str(origin.subtype), origin.column, origin.description) for origin in traced.columns["mean"].origins]
    [('AGGREGATION', 'value', 'mean(value)')]
    >>> [(str(origin.subtype), origin.column) for origin in traced.rows]
    [('AGGREGATION', '*'), ('GROUP_BY', 'batch_id')]

    Raises:
        LakeError: It holds a relation whose columns cannot be told apart, such as raw SQL.
    """
    op = table.op()
    relation = op.map(lambda node, _, **inputs: _trace(node, **inputs))[op]
    columns = {}
    for name, value in relation.columns.items():
        expression = without_parentheses(value.text)
        columns[name] = ColumnLineage(expression, origins_of(value.sources, expression))
    leaves = op.find((ops.DatabaseTable, ops.UnboundTable, ops.InMemoryTable), ordered=True)
    inputs = {_name(leaf): tuple(leaf.schema) for leaf in leaves}
    return TableLineage(columns, origins_of(relation.rows), inputs)


def _name(leaf: Any) -> str:
    space = getattr(leaf, "namespace", None)
    return ".".join(part for part in (space and space.catalog, space and space.database, leaf.name) if part)


@singledispatch
def _trace(node: Any, **inputs: Any) -> Any:
    raise LakeError(
        f"The columns of {type(node).__name__} cannot be traced.",
        next_step="Write it with Ibis's own methods (select, join, aggregate, …) instead of raw SQL.",
    )


# ---------------------------------------------------------------------------------------------------------- values


@_trace.register(ops.Value)
def _transformed(node: Any, **inputs: Any) -> Value:
    return Value(step(Subtype.TRANSFORMATION, *sources_of(inputs)), say(node, inputs))


@_trace.register(ops.Field)
def _field(node: Any, rel: Relation, name: str) -> Value:
    return replace(rel.columns[name], name=name)


@_trace.register(ops.Alias)
@_trace.register(ops.SortKey)
@_trace.register(ops.WindowBoundary)
def _same_value(node: Any, **inputs: Any) -> Value:
    return Value(merge(*sources_of(inputs)), say(node, inputs))


@_trace.register(ops.IfElse)
@_trace.register(ops.SearchedCase)
@_trace.register(ops.SimpleCase)
def _choice(node: Any, **inputs: Any) -> Value:
    results = tuple(inputs[name] for name in ("true_expr", "false_null_expr", "results", "default") if name in inputs)
    conditions = tuple(inputs[name] for name in ("bool_expr", "base", "cases") if name in inputs)
    given = step(Subtype.TRANSFORMATION, *sources_of(results))
    return Value(decided(given, decide(Subtype.CONDITIONAL, conditions)), say(node, inputs))


@_trace.register(ops.Reduction)
def _reduction(node: Any, **inputs: Any) -> Value:
    # The key of argmin and argmax picks a row as an order does.
    keys = "key" if isinstance(node, ops.ArgMin | ops.ArgMax) else "order_by"
    given = sources_of({name: value for name, value in inputs.items() if name not in ("where", keys)})
    if isinstance(relation := inputs.get("arg"), Relation):
        given = [only(relation.rows, direct=True)]
        if isinstance(node, ops.CountDistinctStar):
            given += sources_of(relation.columns)
    by = decide(Subtype.FILTER, inputs.get("where")), decide(Subtype.SORT, inputs.get(keys))
    return Value(decided(step(Subtype.AGGREGATION, *given), *by), say(node, inputs))


@_trace.register(ops.WindowFunction)
def _window(node: Any, func: Value, **frame: Any) -> Value:
    return Value(decided(func.sources, decide(Subtype.WINDOW, frame)), say(node, {"func": func, **frame}))


@_trace.register(ops.Subquery)
def _subquery(node: Any, rel: Relation, needle: Value | None = None) -> Value:
    if isinstance(node, ops.ExistsSubquery):
        return Value(step(Subtype.TRANSFORMATION, rel.rows), say(node, {}))
    (column,) = rel.columns.values()
    by = only(rel.rows, direct=False)
    if needle is None:
        return Value(decided(column.sources, by), column.text)
    given = step(Subtype.TRANSFORMATION, needle.sources, column.sources)
    return Value(decided(given, by), say(node, {"needle": needle, "column": column}))


# ------------------------------------------------------------------------------------------------------- relations


@_trace.register(ops.PhysicalTable)
def _leaf(node: Any, **inputs: Any) -> Relation:
    table = _name(node)
    columns = {name: Value({(table, name, Subtype.IDENTITY): ""}, name) for name in node.schema}
    return Relation(columns, {(table, ROWS, Subtype.IDENTITY): ""})


@_trace.register(ops.Limit)
@_trace.register(ops.Sample)
@_trace.register(ops.AliasedRelation)
@_trace.register(ops.DropColumns)
@_trace.register(ops.Reference)
def _same_rows(node: Any, parent: Relation, **inputs: Any) -> Relation:
    return Relation({name: parent.columns[name] for name in node.schema}, parent.rows)


@_trace.register(ops.DummyTable)
@_trace.register(ops.Project)
def _project(node: Any, values: Mapping[str, Value], parent: Relation | None = None) -> Relation:
    # Unnesting makes as many rows as the array has elements.
    arrays = tuple(values[name] for name, value in node.values.items() if value.find(ops.Unnest, filter=ops.Value))
    return Relation(values, merge(parent.rows if parent else {}, decide(Subtype.JOIN, arrays)))


@_trace.register(ops.TableUnnest)
def _unnest(node: Any, parent: Relation, column: Value, column_name: str, offset: str | None, **_: Any) -> Relation:
    element = Value(step(Subtype.TRANSFORMATION, column.sources), say(node, {"column": column}))
    columns = {**parent.columns, column_name: element, **({offset: element} if offset else {})}
    return Relation(columns, merge(parent.rows, decide(Subtype.JOIN, column)))


@_trace.register(ops.Filter)
def _filter(node: Any, parent: Relation, predicates: tuple[Value, ...]) -> Relation:
    return Relation(parent.columns, merge(parent.rows, decide(Subtype.FILTER, predicates)))


@_trace.register(ops.DropNull)
def _drop_null(node: Any, parent: Relation, how: str, subset: tuple[Value, ...] | None) -> Relation:
    looked_at = parent.columns if subset is None else subset
    return Relation(parent.columns, merge(parent.rows, decide(Subtype.FILTER, looked_at)))


@_trace.register(ops.FillNull)
def _fill_null(node: Any, parent: Relation, **_: Any) -> Relation:
    named = node.replacements if isinstance(node.replacements, Mapping) else node.schema
    columns = {
        name: Value(step(Subtype.TRANSFORMATION, value.sources), say(node, {"column": value}))
        if name in named
        else value
        for name, value in parent.columns.items()
    }
    return Relation(columns, parent.rows)


@_trace.register(ops.Sort)
def _sort(node: Any, parent: Relation, keys: tuple[Value, ...]) -> Relation:
    return Relation(parent.columns, merge(parent.rows, decide(Subtype.SORT, keys)))


@_trace.register(ops.Distinct)
def _distinct(node: Any, parent: Relation) -> Relation:
    return Relation(parent.columns, merge(parent.rows, decide(Subtype.GROUP_BY, parent.columns)))


@_trace.register(ops.Aggregate)
def _aggregate(node: Any, parent: Relation, groups: Mapping[str, Value], metrics: Mapping[str, Value]) -> Relation:
    rows = step(Subtype.AGGREGATION, parent.rows)
    return Relation({**groups, **metrics}, merge(rows, decide(Subtype.GROUP_BY, groups)))


@_trace.register(ops.JoinLink)
def _link(node: Any, how: str, table: Relation, predicates: tuple[Value, ...]) -> Sources:
    rows = only(table.rows, direct=False) if how in ("semi", "anti") else table.rows
    return merge(rows, decide(Subtype.JOIN, predicates))


@_trace.register(ops.JoinChain)
def _join(node: Any, first: Relation, rest: tuple[Sources, ...], values: Mapping[str, Value]) -> Relation:
    return Relation(values, merge(first.rows, *rest))


@_trace.register(ops.Set)
def _set(node: Any, left: Relation, right: Relation, distinct: bool) -> Relation:
    columns, rows = left.columns, merge(left.rows, only(right.rows, direct=False))
    if isinstance(node, ops.Union):
        rows = merge(left.rows, right.rows)
        columns = {
            name: Value(merge(settle(value), settle(right.columns[name])), say(node, {"name": name}))
            for name, value in left.columns.items()
        }
    else:
        # Rows are looked for on the other side by all of their columns.
        rows = merge(rows, decide(Subtype.JOIN, (left.columns, right.columns)))
    return Relation(columns, merge(rows, decide(Subtype.GROUP_BY, columns)) if distinct else rows)
