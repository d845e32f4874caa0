"""Tables that runs keep beside the marts by themselves: how they are made, and brought to a newer version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from bioreactor_lake.postgres.storage import held_columns
from bioreactor_lake.sql import literal, quote

Columns = Mapping[str, tuple[str, str]]
"""Type and description by name."""
# A run ends all the same where somebody keeps the table locked.
_PATIENCE = "3s"


def define(table: str, columns: Columns, description: str, *, key: str = "", indexes: Sequence[str] = ()) -> list[str]:
    """The statements that make a table, or give it what an earlier version did not have yet; the schema is there.

    Args:
        table: Schema and name.
        columns: Its columns.
        description: What one row is.
        key: Columns of the primary key; empty for none.
        indexes: Statements that make its indexes.
    """
    defined = [f"{quote(name)} {kind}" for name, (kind, _) in columns.items()]
    constraints = [f"PRIMARY KEY ({key})"] if key else []
    return [
        f"CREATE TABLE IF NOT EXISTS {table} ({', '.join(defined + constraints)})",
        *(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column}" for column in defined),
        *indexes,
        f"COMMENT ON TABLE {table} IS {literal(description)}",
        *(f"COMMENT ON COLUMN {table}.{quote(name)} IS {literal(text)}" for name, (_, text) in columns.items()),
    ]


def limit_patience(connection: psycopg.Connection[Any]) -> None:
    """Let the transaction fail rather than wait for whoever keeps a table locked."""
    connection.execute(f"SET LOCAL lock_timeout = '{_PATIENCE}'")


def ensure(connection: psycopg.Connection[Any], table: str, columns: Columns, definition: Sequence[str]) -> None:
    """Make a table if it is not there or lacks columns.

    Args:
        connection: The transaction.
        table: Schema and name.
        columns: Its columns.
        definition: The statements that make it.
    """
    if set(held_columns(connection, table)) >= set(columns):
        return
    connection.execute("SELECT pg_advisory_xact_lock(hashtext('bioreactor_lake'))")
    for statement in ("CREATE SCHEMA IF NOT EXISTS marts", *definition):
        connection.execute(statement)
