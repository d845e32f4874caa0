"""What a table's rows depend on besides the rows of its upstreams: the logic of its expression, as a hash."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir

from bioreactor_lake.errors import LakeError
from bioreactor_lake.lake import resident
from bioreactor_lake.lake.locality import is_keyed, mixes_batches

WHOLE = "whole-"
"""What the logic of an expression begins with whose batches change with one another."""


def hash_logic(table: ir.Table) -> str:
    """Hash of an expression's whole SQL, its columns and types, its leaves' names and schemas, and in-memory content.

    It is the same in every process and folder, and does not depend on how much of the table a run writes. It begins
    with `WHOLE` where a batch may change with any other.

    Raises:
        LakeError: The expression gives other rows at other times or in other processes (now, random, Python code),
            so that nothing could be said about whether its table is up to date.
    """
    _refuse_unstable(table)
    memory: list[str] = []

    def settle(node: Any, changed: dict[str, Any] | None) -> Any:
        if isinstance(node, ops.InMemoryTable):
            content = _digest(node.data.to_pyarrow(node.schema).to_pylist())
            memory.append(content)
            return ops.UnboundTable(name=f"memory_{content}", schema=node.schema, namespace=ops.Namespace())
        node = node.__recreate__(changed) if changed else node
        if isinstance(node, ops.InValues):
            # A set has another order in every process.
            options = sorted(node.options, key=lambda option: repr(getattr(option, "value", option)))
            return ops.InValues(value=node.value, options=tuple(options))
        return node

    settled = table.op().replace(settle).to_expr()
    columns = [(name, str(kind)) for name, kind in table.schema().items()]
    upstreams = [(name_leaf(leaf), [(n, str(k)) for n, k in leaf.schema.items()]) for leaf in leaves(table)]
    digest = _digest(ibis.to_sql(settled, dialect="duckdb"), columns, upstreams, sorted(memory))
    return f"{WHOLE}{digest}" if mixes_batches(table) else digest


def leaves(table: ir.Table) -> list[ops.PhysicalTable]:
    """The database tables that an expression reads, each once, by name."""

    def find() -> list[ops.PhysicalTable]:
        found = table.op().find((ops.DatabaseTable, ops.UnboundTable))
        return sorted({name_leaf(leaf): leaf for leaf in found}.values(), key=name_leaf)

    return [*resident.kept(("leaves", table.op()), find)]


def keyed_leaves(table: ir.Table) -> list[ops.PhysicalTable]:
    """Those of them that have batches."""
    return [leaf for leaf in leaves(table) if is_keyed(leaf)]


def name_leaf(leaf: Any) -> str:
    """Schema and name of a database table."""
    return f"{leaf.namespace.database}.{leaf.name}"


def _refuse_unstable(table: ir.Table) -> None:
    for node in table.op().find((ops.Impure, ops.ScalarUDF, ops.AggUDF, ops.SQLQueryResult, ops.SQLStringView)):
        if isinstance(node, ops.ScalarUDF | ops.AggUDF) and "BUILTIN" in str(node.__input_type__):
            continue
        raise LakeError(
            f"An expression uses {type(node).__name__}, which may give other rows tomorrow or in another process.",
            kept="Nothing was written.",
            next_step="Take the moment, seed or list from a parameter, and write Python code and raw SQL as Ibis.",
        )


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:32]
