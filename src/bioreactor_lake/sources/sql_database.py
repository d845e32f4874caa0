"""Extracts of an SQL database, by connectorx: one query for each table, read as a stream."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from bioreactor_lake.errors import LakeError, UsageError
from bioreactor_lake.sources.source import ExtractedTable

ROWS = 50_000
"""Rows that are held at a time."""
_EXTRA = 'pip install "bioreactor-lake[lims]"'
_TIMES = {"postgresql": "TIMESTAMP", "postgres": "TIMESTAMP", "mysql": "TIMESTAMP", "oracle": "TIMESTAMP"}
# What may be gone at the next attempt, as drivers of databases say it.
_PASSING = (
    "connection refused", "connection reset", "connection closed", "broken pipe", "timed out", "timeout",
    "starting up", "shutting down", "terminating connection", "too many clients", "connection slots", "deadlock",
    "could not serialize", "temporary failure in name resolution", "unexpected eof", "recovery mode", "closed unexpect",
)  # fmt: skip
_LASTING = ("authentication", "password", "access denied", "login failed", "permission denied", "ora-01017")


def read_sql_table(url: str, table: ExtractedTable, since: Any) -> Any:
    """The records of a table, as a `pyarrow.RecordBatchReader`.

    Args:
        url: Of the database, with user and password.
        table: The table.
        since: The watermark; None for all records.

    Raises:
        UsageError: connectorx is not installed, or the URL is none.
        RuntimeError: As the database says.
    """
    # Rust's libraries would log each refused connection.
    os.environ.setdefault("RUST_LOG", "off")
    try:
        import connectorx
    except ImportError as error:
        raise UsageError("SQL sources need connectorx.", next_step=_EXTRA) from error
    query = table.query.strip().rstrip(";")
    scheme = scheme_of(url)
    if since is not None:
        assert table.watermark is not None
        column = _quote(table.watermark, scheme)
        least = spell(before(since, table.overlap), scheme)
        # What has no watermark cannot be seen to change: it is asked for each time.
        query = f"SELECT * FROM ({query}) lake_extract WHERE {column} >= {least} OR {column} IS NULL"
    confirm_login(url, scheme)
    return guarded(lambda: connectorx.read_sql(_plain(url), query, return_type="arrow_stream", batch_size=ROWS))


def guarded(action: Callable[[], Any]) -> Any:
    """What an action gives; a panic of Rust's becomes an error like others.

    Raises:
        RuntimeError: As the database says.
    """
    try:
        return action()
    except BaseException as error:
        if type(error).__name__ == "PanicException":
            raise RuntimeError(str(error)) from None
        raise


def confirm_login(url: str, scheme: str) -> None:
    """Log in to Postgres once: connectorx would try a wrong password for half a minute, until the account is locked.

    Raises:
        psycopg.Error: As Postgres or the network says.
        LakeError: The URL is none.
    """
    if scheme not in ("postgresql", "postgres"):
        return
    from bioreactor_lake.postgres.database import Database

    try:
        database = Database({}, url)
    except LakeError:
        # It would name another variable.
        raise UsageError(
            "The URL of the database cannot be read.",
            next_step="Write it as postgresql://user:password@host:5432/database, percent-encoded.",
        ) from None
    database.connect().close()


def can_pass(error: BaseException) -> bool:
    """Whether an error of a database may be gone at the next attempt."""
    from bioreactor_lake.postgres.database import can_pass as can_pass_in_postgres

    text = str(error).lower()
    if isinstance(error, RuntimeError | OSError):
        return any(sign in text for sign in _PASSING) and not any(sign in text for sign in _LASTING)
    return can_pass_in_postgres(error)


def scheme_of(url: str) -> str:
    """The kind of a database by its URL, without its driver."""
    return urlsplit(url).scheme.split("+")[0].lower()


def before(since: Any, overlap: float) -> Any:
    """A watermark less so many seconds or units."""
    if not overlap:
        return since
    if isinstance(since, datetime | date):
        return since - timedelta(seconds=overlap)
    if isinstance(since, Decimal):
        return since - Decimal(str(overlap))
    if isinstance(since, int | float):
        return since - type(since)(overlap)
    return since


def spell(value: Any, scheme: str) -> str:
    """A watermark in the SQL of a kind of database.

    >>> spell(datetime(2026, 11, 23, 1, 2, 3), "postgresql"), spell("it's", "mssql"), spell(7, "oracle")
    ("TIMESTAMP '2026-11-23 01:02:03.000000'", "'it''s'", '7')
    """
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | date | str):
        raise UsageError(f"A watermark cannot be of the type {type(value).__name__}.", next_step="Use snapshot: true.")
    if isinstance(value, int | float | Decimal):
        return str(value)
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if not isinstance(value, datetime):
        return f"DATE '{value.isoformat()}'" if scheme in _TIMES else f"'{value.isoformat()}'"
    text = value.isoformat(sep=" ", timespec="microseconds")
    if scheme not in _TIMES:
        return f"'{text.replace(' ', 'T')}'"
    kind = "TIMESTAMP WITH TIME ZONE" if value.tzinfo and scheme.startswith("postgres") else _TIMES[scheme]
    return f"{kind} '{text}'"


def _quote(name: str, scheme: str) -> str:
    mark = "`" if scheme == "mysql" else '"'
    return mark + name.replace(mark, mark * 2) + mark


def _plain(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme.split('+')[0].replace('postgres', 'postgresql').replace('postgresqlql', 'postgresql')}://{rest}"
