"""The proof that an expression is batch-local: its rows of a batch come from that batch's rows alone.

Only then may a save compute some batches and leave the others. The proof walks the relations of an expression from its
leaves up and keeps, for each, the columns that hold `batch_id` unchanged. Whatever it does not know is not local.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.common.graph import Node

BATCH = "batch_id"

Keys = frozenset[str] | None
"""Columns that hold the batch unchanged; None for a relation that has no batches, such as a reference table."""


class NotLocal(Exception):  # noqa: N818 - an answer, not a fault
    """An expression is not batch-local; the text says where that shows."""


def why_not_local(table: ir.Table) -> str | None:
    """Why an expression has to be computed as a whole, or None if it is batch-local.

    >>> import ibis
    >>> readings = ibis.table({"batch_id": "string", "value": "float64"}, name="readings")
    >>> why_not_local(readings.group_by("batch_id").agg(n=readings.count()))
    >>> why_not_local(readings.mutate(share=readings.value / readings.value.sum()))
    'share is computed over several batches (a window that is not partitioned by batch_id)'
    """
    try:
        keys = _keys(table.op())
    except NotLocal as reason:
        return str(reason)
    if keys is None:
        return "no table that it reads has a batch_id"
    if BATCH not in keys:
        return "batch_id does not reach the result unchanged"
    return None


def mixes_batches(table: ir.Table) -> bool:
    """Whether rows of a batch may change when another batch does.

    That is so of all that is not batch-local, but not of staging's views: they trim `batch_id`, and the manifest says
    which files hold a batch as it reads then.
    """
    try:
        keys = _keys(table.op())
    except NotLocal:
        return True
    leaves = table.op().find((ops.DatabaseTable, ops.UnboundTable))
    return keys is not None and BATCH not in keys and not all(leaf.namespace.database == "raw" for leaf in leaves)


def is_keyed(leaf: ops.Node) -> bool:
    """Whether a leaf has batches."""
    return BATCH in leaf.schema


def _keys(node: Any) -> Keys:
    for kind, rule in _RULES.items():
        if isinstance(node, kind):
            return rule(node)
    raise NotLocal(f"{type(node).__name__} is not known to keep batches apart")


def _leaf(node: Any) -> Keys:
    return frozenset({BATCH}) if is_keyed(node) else None


def _same_as_parent(node: Any) -> Keys:
    return _keys(node.parent)


def _project(node: ops.Project) -> Keys:
    keys = _keys(node.parent)
    _check_values(node.values, node.parent, keys)
    return _kept(node.values, node.parent, keys)


def _filter(node: ops.Filter) -> Keys:
    keys = _keys(node.parent)
    for predicate in node.predicates:
        _refuse_several_batches("a filter", predicate, node.parent, keys)
    return keys


def _drop_columns(node: ops.DropColumns) -> Keys:
    keys = _keys(node.parent)
    return keys if keys is None else keys - frozenset(node.columns_to_drop)


def _fill_null(node: ops.FillNull) -> Keys:
    keys = _keys(node.parent)
    if keys is None:
        return None
    filled = node.replacements if hasattr(node.replacements, "keys") else node.schema
    return keys - frozenset(filled)


def _distinct(node: ops.Distinct) -> Keys:
    keys = _keys(node.parent)
    if keys is not None and not keys:
        raise NotLocal("distinct rows of several batches are put together")
    return keys


def _aggregate(node: ops.Aggregate) -> Keys:
    keys = _keys(node.parent)
    if keys is None:
        return None
    _check_values(node.metrics, node.parent, keys, inside_aggregate=True)
    _check_values(node.groups, node.parent, keys)
    kept = _kept(node.groups, node.parent, keys)
    if not kept:
        raise NotLocal("an aggregate is not grouped by batch_id")
    return kept


def _join(node: ops.JoinChain) -> Keys:
    keys: dict[Any, Keys] = {node.first: _keys(node.first.parent)}
    # Tables whose batch is, in every row of the join so far, that of the first one.
    for link in node.rest:
        keys[link.table] = right = _keys(link.table.parent)
        left_keyed = any(keys[table] for table in keys if table is not link.table)
        if right is None:
            if link.how not in ("inner", "left", "semi", "anti", "cross", "any_inner", "any_left"):
                raise NotLocal(f"a {link.how} join keeps rows that belong to no batch")
            continue
        if not left_keyed:
            if link.how not in ("inner", "cross", "right", "any_inner"):
                raise NotLocal(f"a {link.how} join keeps rows that belong to no batch")
            continue
        if not any(_joins_batches(predicate, link.table, keys) for predicate in link.predicates):
            raise NotLocal("tables of batches are joined without equality of batch_id")
        if link.how not in ("inner", "left", "semi", "anti", "any_inner", "any_left"):
            raise NotLocal(f"a {link.how} join of tables of batches")
        if link.how in ("left", "any_left"):
            # Where the right side has no row, its batch is null.
            keys[link.table] = frozenset()
    for predicate in (predicate for link in node.rest for predicate in link.predicates):
        _refuse_several_batches("a join", predicate, None, None)
    if all(held is None for held in keys.values()):
        return None
    return frozenset(
        name
        for name, value in node.values.items()
        if isinstance(value, ops.Field) and value.name in (keys.get(value.rel) or ())
    )


def _joins_batches(predicate: Any, right: Any, keys: dict[Any, Keys]) -> bool:
    if not isinstance(predicate, ops.Equals):
        return False
    sides = {predicate.left, predicate.right}
    if not all(isinstance(side, ops.Field) and side.name in (keys.get(side.rel) or ()) for side in sides):
        return False
    return len(sides) == 2 and any(side.rel is right or side.rel == right for side in sides)


def _set(node: ops.Set) -> Keys:
    left, right = _keys(node.left), _keys(node.right)
    if left is None and right is None:
        return None
    both = (left or frozenset()) & (right or frozenset())
    if not both:
        raise NotLocal("sets of rows are put together without batch_id in both")
    return both


def _kept(values: Any, parent: Any, keys: Keys) -> Keys:
    if keys is None:
        return None
    return frozenset(
        name
        for name, value in values.items()
        if isinstance(value, ops.Field) and value.rel == parent and value.name in keys
    )


def _check_values(values: Any, parent: Any, keys: Keys, *, inside_aggregate: bool = False) -> None:
    for name, value in values.items():
        _refuse_several_batches(name, value, parent, keys, inside_aggregate=inside_aggregate)


def _refuse_several_batches(name: str, value: Any, parent: Any, keys: Keys, *, inside_aggregate: bool = False) -> None:
    """Refuse windows over several batches and subqueries that look at batches."""
    windows = set()
    for node in _below(value):
        if isinstance(node, ops.WindowFunction):
            partition = [by for by in node.group_by if isinstance(by, ops.Field)]
            if keys is None or not any(by.rel == parent and by.name in keys for by in partition):
                if keys is None and parent is not None:
                    continue
                raise NotLocal(f"{name} is computed over several batches (a window that is not partitioned by {BATCH})")
            windows.add(node.func)
        elif isinstance(node, ops.Subquery):
            if _keys(node.rel) is not None:
                raise NotLocal(f"{name} looks up other batches (a subquery)")
        elif isinstance(node, ops.Analytic | ops.Reduction) and not (
            inside_aggregate or keys is None or node in windows
        ):
            raise NotLocal(f"{name} is computed over several batches ({type(node).__name__} without a window)")


def _below(value: Any) -> list[Any]:
    """The values that a value is made of, outermost first, not going into the relations that they come from."""
    found: list[Any] = []
    todo: list[Node] = [value]
    while todo:
        node = todo.pop()
        found.append(node)
        if not isinstance(node, ops.Subquery):
            todo += [child for child in node.__children__ if not isinstance(child, ops.Relation)]
    return found


_RULES: dict[Any, Callable[[Any], Keys]] = {
    ops.DatabaseTable: _leaf,
    ops.UnboundTable: _leaf,
    ops.InMemoryTable: _leaf,
    ops.Project: _project,
    ops.Filter: _filter,
    ops.Aggregate: _aggregate,
    ops.JoinChain: _join,
    ops.Set: _set,
    ops.Sort: _same_as_parent,
    ops.DropNull: _same_as_parent,
    ops.DropColumns: _drop_columns,
    ops.FillNull: _fill_null,
    ops.Distinct: _distinct,
    ops.Reference: _same_as_parent,
}
