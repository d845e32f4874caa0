"""The partition that a publish fills beside the one that readers see, and the swap of the two.

Only an owner can do that. Where roles were applied (`kedro lake roles apply`), functions of the owner do it for whoever
may call them; otherwise the user made the mart himself and does it himself.
"""

from __future__ import annotations

from typing import Any, Protocol

import psycopg

from bioreactor_lake.errors import LakeError
from bioreactor_lake.postgres.holdings import STATE_SCHEMA
from bioreactor_lake.postgres.mart_tables import MartTable, list_names
from bioreactor_lake.sql import quote


class Partition(Protocol):
    """A new partition of a mart; `name` is known once it is made."""

    name: str

    def make(self) -> str:
        """Make it, empty and without indexes; returns its quoted name with its schema."""

    def index(self) -> None:
        """Give it the keys and indexes of the mart, now that the rows are in it."""

    def swap(self) -> None:
        """Put it in the place of the old one, which goes."""

    def drop(self) -> None:
        """Let it go instead."""


def new_partition(connection: psycopg.Connection[Any], mart: MartTable) -> Partition:
    """The new partition of a mart that is there, as far as the connection's user goes about it."""
    found = connection.execute(
        "SELECT to_regrole('lake_owner') = nspowner FROM pg_namespace WHERE nspname = %s", [mart.schema]
    ).fetchone()
    return LentPartition(connection, mart) if found == (True,) else OwnPartition(connection, mart)


class OwnPartition:
    """One that the user makes, as the owner of the mart.

    Args:
        connection: The transaction.
        mart: The mart.
    """

    def __init__(self, connection: psycopg.Connection[Any], mart: MartTable) -> None:
        self.name = ""
        self._execute = connection.execute
        self._mart = mart

    def make(self) -> str:
        """As `Partition.make`."""
        self.name = self._free_name()
        columns = ", ".join(f"{quote(column)} {kind}" for column, kind in self._mart.columns.items())
        self._execute(f"CREATE TABLE {self._qualified} ({columns})")
        return self._qualified

    def index(self) -> None:
        """As `Partition.index`."""
        self._execute(f"ALTER TABLE {self._qualified} ADD PRIMARY KEY ({list_names(self._mart.key)})")
        for index in self._mart.indexes:
            self._execute(f"CREATE INDEX ON {self._qualified} ({list_names(index)})")
        self._execute(f"ANALYZE {self._qualified}")

    def swap(self) -> None:
        """As `Partition.swap`."""
        mart = self._mart.qualified
        old = self._execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = to_regclass(%s)", [mart]
        ).fetchall()
        for (name,) in old:
            self._execute(f"ALTER TABLE {mart} DETACH PARTITION {name}")
        self._execute(f"ALTER TABLE {mart} ATTACH PARTITION {self._qualified} DEFAULT")
        for (name,) in old:
            self._execute(f"DROP TABLE {name}")

    def drop(self) -> None:
        """As `Partition.drop`."""
        self._execute(f"DROP TABLE {self._qualified}")

    @property
    def _qualified(self) -> str:
        return f"{quote(STATE_SCHEMA)}.{quote(self.name)}"

    def _free_name(self) -> str:
        """A name that no partition of the mart has; two take turns."""
        for number in (1, 2):
            name = f"{self._mart.name}_{number}"
            target = f"{quote(STATE_SCHEMA)}.{quote(name)}"
            if self._execute("SELECT to_regclass(%s)", [target]).fetchone() == (None,):
                return name
        raise LakeError(
            f"Both {STATE_SCHEMA}.{self._mart.name}_1 and _2 exist in Postgres.",
            kept="The old mart is in place.",
            next_step=f"Drop the one that is no partition of {self._mart.schema}.{self._mart.name}.",
        )


class LentPartition:
    """One that functions of the owner make, see `rights.sql`.

    Args:
        connection: The transaction.
        mart: The mart.
    """

    def __init__(self, connection: psycopg.Connection[Any], mart: MartTable) -> None:
        self.name = ""
        self._connection = connection
        self._mart = mart

    def make(self) -> str:
        """As `Partition.make`."""
        self.name = self._call("make_beside")
        return f"{quote(STATE_SCHEMA)}.{quote(self.name)}"

    def index(self) -> None:
        """As `Partition.index`."""
        self._call("index_beside")

    def swap(self) -> None:
        """As `Partition.swap`."""
        self._call("swap_beside")

    def drop(self) -> None:
        """As `Partition.drop`."""
        self._call("drop_beside")

    def _call(self, function: str) -> str:
        found = self._connection.execute(f"SELECT lake.{function}(%s)", [self._mart.name]).fetchone()
        return str(found[0]) if found else ""
