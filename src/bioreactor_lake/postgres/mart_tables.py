"""A mart as a table of Postgres: its definition, and who may bring it about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from bioreactor_lake.errors import LakeError
from bioreactor_lake.postgres.holdings import STATE_SCHEMA
from bioreactor_lake.postgres.storage import held_columns
from bioreactor_lake.sql import literal, quote

OWNER = "lake_owner"


@dataclass(frozen=True)
class MartTable:
    """What a mart is in Postgres.

    Args:
        schema: Its schema.
        name: Its name.
        columns: Postgres type by column name, in order.
        key: Columns of the primary key; the first one is the batch.
        indexes: Further indexes, each a list of columns.
        description: What one row is.
        descriptions: Column descriptions by name.
    """

    schema: str
    name: str
    columns: Mapping[str, str]
    key: Sequence[str]
    indexes: Sequence[Sequence[str]]
    description: str
    descriptions: Mapping[str, str]

    @property
    def qualified(self) -> str:
        """Quoted schema and name."""
        return f"{quote(self.schema)}.{quote(self.name)}"


def list_names(names: Sequence[str]) -> str:
    """Columns as SQL lists them."""
    return ", ".join(map(quote, names))


def definition(mart: MartTable) -> list[str]:
    """The statements that make a mart that is not there: an empty one, with the single partition that it always has."""
    columns = ", ".join(f"{quote(name)} {kind}" for name, kind in mart.columns.items())
    return [
        f"CREATE TABLE {mart.qualified} ({columns}, PRIMARY KEY ({list_names(mart.key)})) "
        f"PARTITION BY LIST ({quote(mart.key[0])})",
        *(f"CREATE INDEX ON {mart.qualified} ({list_names(index)})" for index in mart.indexes),
        f"CREATE TABLE {quote(STATE_SCHEMA)}.{quote(f'{mart.name}_1')} PARTITION OF {mart.qualified} DEFAULT",
    ]


def comments(mart: MartTable) -> list[str]:
    """The statements that say what the mart and its columns are."""
    texts = {name: literal(mart.descriptions[name]) if name in mart.descriptions else "NULL" for name in mart.columns}
    return [
        f"COMMENT ON TABLE {mart.qualified} IS {literal(mart.description)}",
        *(f"COMMENT ON COLUMN {mart.qualified}.{quote(name)} IS {text}" for name, text in texts.items()),
    ]


def ensure_mart(connection: psycopg.Connection[Any], mart: MartTable) -> None:
    """Create the mart, or give it the columns and comments that it should have.

    Where the schema belongs to `lake_owner`, that is done as this role by whoever may, and others make sure that there
    is nothing to do.

    Raises:
        LakeError: The mart would have to change, and the user may not change tables.
    """
    is_governed, may_define, user = connection.execute(
        "SELECT nspowner = to_regrole(%(owner)s), pg_has_role(nspowner, 'MEMBER'), current_user "
        "FROM pg_namespace WHERE nspname = %(schema)s",
        {"owner": OWNER, "schema": mart.schema},
    ).fetchone() or (False, True, "")
    if not is_governed:
        define_mart(connection, mart)
    elif may_define:
        connection.execute(f"SET LOCAL ROLE {OWNER}")
        define_mart(connection, mart)
        connection.execute("RESET ROLE")
    else:
        _confirm(mart, held_columns(connection, mart.qualified), user)


def define_mart(connection: psycopg.Connection[Any], mart: MartTable) -> None:
    """As `ensure_mart`, as the connection's user."""
    execute = connection.execute
    for schema in (mart.schema, STATE_SCHEMA):
        if execute("SELECT to_regnamespace(%s)", [quote(schema)]).fetchone() == (None,):
            execute(f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}")
    if execute("SELECT to_regclass(%s)", [mart.qualified]).fetchone() == (None,):
        for statement in definition(mart):
            execute(statement)
    else:
        _follow_columns(connection, mart)
    for statement in comments(mart):
        execute(statement)


def _follow_columns(connection: psycopg.Connection[Any], mart: MartTable) -> None:
    """Give an existing mart the columns of the new one; its grants, views and rows stay."""
    held = held_columns(connection, mart.qualified)
    changes = [f"ADD COLUMN {quote(name)} {kind}" for name, kind in mart.columns.items() if name not in held]
    changes += [f"DROP COLUMN {quote(name)}" for name in held if name not in mart.columns]
    changes += [
        f"ALTER COLUMN {quote(name)} TYPE {kind}"
        for name, kind in mart.columns.items()
        if name in held and held[name] != kind
    ]
    if not changes:
        return
    try:
        with connection.transaction():
            connection.execute(f"ALTER TABLE {mart.qualified} {', '.join(changes)}")
    except psycopg.errors.DatatypeMismatch:
        # Values that cannot become the new type go: all rows are about to be written anew.
        emptied = [f"{change} USING NULL" if change.startswith("ALTER COLUMN") else change for change in changes]
        connection.execute(f"ALTER TABLE {mart.qualified} {', '.join(emptied)}")


def _confirm(mart: MartTable, held: Mapping[str, str], user: str) -> None:
    if held == mart.columns:
        return
    name = f"{mart.schema}.{mart.name}"
    others = sorted(column for column in {**held, **mart.columns} if held.get(column) != mart.columns.get(column))
    raise LakeError(
        f"{name} has other columns in Postgres than its node gives it ({', '.join(others)})."
        if held
        else f"{name} is not there yet.",
        kept=f"{user} may not change tables, so nothing was published and the old marts are in place.",
        next_step="Let an administrator of the database run: kedro lake roles apply. Then run again.",
    )
