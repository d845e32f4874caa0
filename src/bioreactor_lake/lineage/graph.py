"""The lineage of all tables as one graph over qualified names: what a column is made of, and what depends on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches

import ibis.expr.types as ir

from bioreactor_lake.errors import LakeError, UsageError
from bioreactor_lake.lineage.columns import trace_columns
from bioreactor_lake.lineage.origins import ROWS, ColumnLineage, ColumnOrigin, Subtype, TableLineage


@dataclass(frozen=True)
class Step:
    """A column in a trace, with the steps that lead on from it.

    Args:
        table: Schema and name of the table.
        column: The column, or `ROWS`.
        subtype: The part that it plays in the step before it, or downstream the part that the step before plays in it.
        description: The expression, condition or key in which it plays it.
        expression: How it is computed; empty for a column of a source.
        decided_by: What decides about its values or, for `ROWS`, about which rows there are.
        steps: The next columns.
        again: Whether it came earlier in the trace, with its steps.
    """

    table: str
    column: str
    subtype: Subtype | None = None
    description: str = ""
    expression: str = ""
    decided_by: tuple[ColumnOrigin, ...] = ()
    steps: tuple[Step, ...] = ()
    again: bool = False

    @property
    def name(self) -> str:
        """Schema, table and column."""
        return f"{self.table}.{self.column}"


@dataclass(frozen=True)
class LineageGraph:
    """How tables are made from one another.

    Args:
        tables: The lineage of each table that is computed, by schema and name.
        sources: The columns of the tables that are only read.
        untraced: Tables whose expression cannot be traced, with the reason.
    """

    tables: Mapping[str, TableLineage]
    sources: Mapping[str, tuple[str, ...]]
    untraced: Mapping[str, str]

    def columns(self, table: str) -> tuple[str, ...]:
        """The columns of a table."""
        return tuple(self.tables[table].columns) if table in self.tables else self.sources[table]

    def find(self, name: str) -> tuple[str, str | None]:
        """The table and perhaps the column that a name means; the schema may be left out where no two have the table.

        Raises:
            UsageError: There is none of that name, or more than one.
        """
        known = [*self.tables, *self.sources]
        parts = name.split(".")
        for size in (2, 1):
            table, column = ".".join(parts[:size]), ".".join(parts[size:])
            found = [one for one in known if table in (one, one.partition(".")[2])]
            if len(found) > 1:
                raise UsageError(f"{table!r} may be {' or '.join(found)}.", next_step="Name its schema as well.")
            if found and column not in ("", ROWS, *self.columns(found[0])):
                raise UsageError(
                    f"{found[0]} has no column {column!r}.", next_step=_near(column, self.columns(found[0]))
                )
            if found:
                return found[0], column or None
        spelled = ".".join(parts[:2]) if len(parts) > 2 else name
        raise UsageError(f"There is no table {spelled!r}.", next_step=_near(spelled, known))

    def upstream(self, table: str, column: str) -> Step:
        """What a column is made of, step by step, down to the sources; each column is followed once."""
        return self._follow(Step(table, column), set())

    def _follow(self, step: Step, followed: set[str]) -> Step:
        made = self._made(step.table, step.column)
        step = replace(step, expression=made.expression)
        if step.name in followed:
            return replace(step, again=bool(made.origins))
        followed.add(step.name)
        nearer = [Step(one.table, one.column, one.subtype, one.description) for one in made.origins if one.is_direct]
        return replace(
            step,
            decided_by=tuple(one for one in made.origins if not one.is_direct),
            steps=tuple(self._follow(one, followed) for one in nearer),
        )

    def _made(self, table: str, column: str) -> ColumnLineage:
        if table not in self.tables:
            return ColumnLineage("", ())
        traced = self.tables[table]
        return ColumnLineage("", traced.rows) if column == ROWS else traced.columns[column]

    def downstream(self, table: str, column: str) -> Step:
        """What depends on a column or, for `ROWS`, on which rows a table has: each dependent once, nearest first."""
        start = Step(table, column)
        reached, todo = {start.name: start}, [start]
        leads_to: dict[str, list[Step]] = {}
        for step in todo:
            for dependent in self._dependents(step.table, step.column):
                if dependent.name not in reached:
                    reached[dependent.name] = dependent
                    leads_to.setdefault(step.name, []).append(dependent)
                    todo.append(dependent)
        return _grown(start, leads_to)

    def _dependents(self, table: str, column: str) -> Iterator[Step]:
        for name, traced in self.tables.items():
            # Where rows come or go, all of their columns do.
            taken = [one for one in traced.rows if one.table == table and column in (one.column, ROWS)]
            if taken:
                yield Step(name, ROWS, taken[0].subtype, taken[0].description)
            for own, lineage in traced.columns.items():
                for one in lineage.origins:
                    if one.table == table and (one.column == column or (column == ROWS and not taken)):
                        yield Step(name, own, one.subtype, one.description, lineage.expression)
                        break


def link_tables(expressions: Mapping[str, ir.Table]) -> LineageGraph:
    """The graph of tables.

    Args:
        expressions: Schema and name of each table to its expression over tables of such names.
    """
    tables: dict[str, TableLineage] = {}
    sources: dict[str, tuple[str, ...]] = {}
    untraced: dict[str, str] = {}
    for name, expression in expressions.items():
        try:
            tables[name] = trace_columns(expression)
        except LakeError as error:
            untraced[name] = error.what
            sources[name] = tuple(expression.columns)
    for traced in tables.values():
        for name, columns in traced.inputs.items():
            if name not in tables:
                sources.setdefault(name, columns)
    return LineageGraph(tables, sources, untraced)


def _grown(step: Step, leads_to: Mapping[str, list[Step]]) -> Step:
    return replace(step, steps=tuple(_grown(one, leads_to) for one in leads_to.get(step.name, ())))


def _near(name: str, known: Iterable[str]) -> str:
    """A question for the names that may be meant: those that hold it, look-alikes, look-alikes of a part, or all."""
    names, parts = sorted(known), name.split(".")
    meant = (
        [one for one in names if name in one]
        or get_close_matches(name, names)
        or [one for one in names if any(get_close_matches(part, one.split(".")) for part in parts)]
    )
    return f"Did you mean {' or '.join(meant or names)}?"
