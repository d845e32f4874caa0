"""Marts as lazy tables, on a connection that is there."""

from __future__ import annotations

from typing import Any

import ibis.expr.types as ir
import psycopg
from ibis.backends.postgres import Backend

from bioreactor_lake.lake import resident


class _Connected(Backend):  # type: ignore[misc]
    """Ibis on a connection of the lake's own, which is in UTC already."""

    def _post_connect(self) -> None:
        """Leave out what Ibis imports pandas for, which takes longer than to publish a batch."""


def open_mart(connection: psycopg.Connection[Any], schema: str, name: str) -> ir.Table:
    """A mart, or a table beside it, as a lazy table.

    Args:
        connection: To the database of the marts; a transaction under way goes on.
        schema: Its schema.
        name: Its name.
    """
    # What is kept holds the connection, so that its id is nobody else's meanwhile.
    backend = resident.kept(("through", id(connection)), lambda: _Connected.from_connection(connection))
    table: ir.Table = backend.table(name, database=schema)
    return table
