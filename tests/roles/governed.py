"""A database with roles, and those who log in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import psycopg
import pyarrow as pa

from bioreactor_lake.postgres.database import Database
from bioreactor_lake.postgres.mart_tables import MartTable
from bioreactor_lake.postgres.publishing import publish, publish_batches
from bioreactor_lake.postgres.roles import READER, WRITER, apply_roles

PASSWORDS = {WRITER: "writer's:p@ss", READER: "reader/p%ss"}
MART = MartTable(
    schema="marts",
    name="mart_test",
    columns={"batch_id": "text", "version": "bigint"},
    key=["batch_id"],
    indexes=[["version"]],
    description="One row per batch",
    descriptions={"batch_id": "The batch; it's text"},
)
ROWS = 5_000


class Governed:
    """A database of its own on a server."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.name = f"lake_{uuid4().hex[:8]}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {self.name}")
        self.admin = server.rpartition("/")[0] + f"/{self.name}"

    def url(self, user: str, password: str | None = None) -> str:
        parts = psycopg.conninfo.conninfo_to_dict(self.admin)
        given = psycopg.conninfo.make_conninfo(user=user, password=password or PASSWORDS[user])
        secret = "".join(f"%{byte:02X}" for byte in psycopg.conninfo.conninfo_to_dict(given)["password"].encode())
        return f"postgresql://{user}:{secret}@{parts['host']}:{parts['port']}/{self.name}"

    def apply(self, *marts: MartTable, admin: str | None = None) -> None:
        with psycopg.connect(admin or self.admin) as connection:
            apply_roles(connection, marts or (MART,), PASSWORDS)

    def may(self, user: str, statement: str) -> bool:
        """Whether a user may do something, which is undone."""
        with psycopg.connect(self.url(user)) as connection:
            try:
                connection.execute(statement)
            except psycopg.errors.InsufficientPrivilege:
                return False
            finally:
                connection.rollback()
            return True

    def publish(self, version: int, mart: MartTable = MART, *, user: str = WRITER, timeout: float = 5.0) -> int:
        return Database({"attempts": 1}, self.admin if user == "admin" else self.url(user)).attempt(
            lambda connection: publish(connection, mart, rows_of(version, mart), swap_timeout_seconds=timeout),
            what="Publishing",
            kept="",
        )

    def publish_batches(self, version: int, batches: list[str], user: str = WRITER) -> int:
        return Database({"attempts": 1}, self.url(user)).attempt(
            lambda connection: publish_batches(connection, MART, rows_of(version, MART, len(batches)), batches),
            what="Publishing",
            kept="",
        )

    def seen(self, user: str = READER, table: str = "marts.mart_test") -> tuple[int, int, int]:
        with psycopg.connect(self.url(user)) as connection:
            return connection.execute(f"SELECT count(*), min(version), max(version) FROM {table}").fetchone()

    def ask(self, query: str) -> list[tuple]:
        with psycopg.connect(self.admin) as connection:
            return connection.execute(query).fetchall()


def rows_of(version: int, mart: MartTable, count: int = ROWS) -> Callable[[], pa.RecordBatchReader]:
    kinds = {"text": pa.string(), "bigint": pa.int64(), "double precision": pa.float64()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in mart.columns.items()])

    def batches() -> Iterator[pa.RecordBatch]:
        ids = [f"B-{number}" for number in range(count)]
        others = [[version] * count for _ in list(mart.columns)[1:]]
        yield pa.record_batch(
            [pa.array(column, kind) for column, kind in zip([ids, *others], schema.types, strict=True)], schema=schema
        )

    return lambda: pa.RecordBatchReader.from_batches(schema, batches())


SNAPSHOT = """
    SELECT 'relation', c.oid::regclass::text, pg_get_userbyid(c.relowner)::text,
        (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(c.relacl) AS a)::text
    FROM pg_class AS c WHERE c.relnamespace IN (to_regnamespace('marts'), to_regnamespace('lake')) AND relkind <> 'i'
    UNION ALL SELECT 'schema', nspname, pg_get_userbyid(nspowner), nspacl::text FROM pg_namespace
    WHERE nspname IN ('marts', 'lake')
    UNION ALL SELECT 'function', p.oid::regprocedure::text, prosrc, proacl::text FROM pg_proc AS p
    WHERE pronamespace = to_regnamespace('lake')
    UNION ALL SELECT 'default', defaclnamespace::regnamespace::text, defaclrole::regrole::text, defaclacl::text
    FROM pg_default_acl
    UNION ALL SELECT 'database', '', '', datacl::text FROM pg_database WHERE datname = current_database()
    UNION ALL SELECT 'column', attrelid::regclass::text, attname, format_type(atttypid, atttypmod) FROM pg_attribute
    JOIN pg_class AS c ON c.oid = attrelid WHERE attnum > 0 AND NOT attisdropped
    AND c.relnamespace IN (to_regnamespace('marts'), to_regnamespace('lake')) AND relkind <> 'i'
    UNION ALL SELECT 'comment', objoid::regclass::text, objsubid::text, description FROM pg_description
    WHERE classoid = 'pg_class'::regclass AND objoid IN (SELECT oid FROM pg_class
        WHERE relnamespace IN (to_regnamespace('marts'), to_regnamespace('lake')))
    ORDER BY 1, 2, 3, 4
"""
