"""SQL of expressions, which a process that stays compiles once for whichever batches it is asked.

Ibis takes 10 to 30 ms for an expression, as long as DuckDB takes for the rows of a batch. The expressions of two runs
are the same but for the batches that they are about, so stand-ins take the places of these until the SQL is there.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from uuid import uuid4

import ibis.expr.types as ir

from bioreactor_lake.lake import resident
from bioreactor_lake.sql import literal

FEW_BATCHES = 4
"""Up to here batches are listed in SQL: DuckDB tests a list one by one for every row, and joins where they are more."""

# Nobody calls a batch so.
_STAND_IN = f"stand-in-{uuid4().hex}"
_meant: ContextVar[Mapping[str, str]] = ContextVar("bioreactor_lake_batches_meant", default={})  # noqa: B039 - not changed


def compile_sql(backend: Any, table: ir.Table) -> str:
    """The SQL of an expression, as its backend compiles it."""
    return compile_kept(backend, table.op(), lambda: table)


def compile_kept(backend: Any, key: Hashable, make: Callable[[], ir.Table]) -> str:
    """The SQL of an expression that need not be put together where its SQL is known.

    Args:
        backend: Compiles it.
        key: All that the expression depends on.
        make: Puts it together.
    """
    sql = resident.kept(("SQL", backend.name, key), lambda: str(backend.compile(make())))
    for stand_in, batch in _meant.get().items():
        sql = sql.replace(literal(stand_in), literal(batch))
    return sql


@contextmanager
def standing_in(batches: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """What to put into expressions in place of batches; SQL that is compiled in the block is about the batches.

    Few batches have stand-ins in a process that stays; others stand for themselves.
    """
    if not resident.stays() or len(batches) > FEW_BATCHES:
        yield tuple(batches)
        return
    names = tuple(f"{_STAND_IN}-{place}-" for place in range(len(batches)))
    token = _meant.set(dict(zip(names, batches, strict=True)))
    try:
        yield names
    finally:
        _meant.reset(token)
