"""One node."""

import ibis.expr.types as ir
from kedro.pipeline import Node, Pipeline


def add_up(numbers: ir.Table) -> ir.Table:
    """Sum of the numbers."""
    return numbers.agg(total=numbers.number.sum())


def register_pipelines() -> dict[str, Pipeline]:
    """The only pipeline."""
    return {"__default__": Pipeline([Node(add_up, "numbers", "total")])}
