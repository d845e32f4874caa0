"""Extracts of an SQL database: one query for each table, read as a stream of Arrow.

Postgres is read by ADBC, which keeps a NUMERIC as the text that it is; others by connectorx, which speaks to most.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from bioreactor_lake.errors import UsageError
from bioreactor_lake.sources.source import ExtractedTable

ROWS = 50_000
"""Rows that are held at a time."""
_EXTRA = 'pip install "bioreactor-lake[lims]"'
_POSTGRES = ("postgresql", "postgres")
_TIMES = {"postgresql": "TIMESTAMP", "postgres": "TIMESTAMP", "mysql": "TIMESTAMP", "oracle": "TIMESTAMP"}
# What may be gone at the next attempt, as drivers of databases say it.
_PASSING = (
    "connection refused", "connection reset", "connection closed", "broken pipe", "timed out", "timeout",
    "starting up", "shutting down", "terminating connection", "too many clients", "connection slots", "deadlock",
    "could not serialize", "temporary failure in name resolution", "unexpected eof", "recovery mode", "closed unexpect",
)  # fmt: skip
# Connection loss, shutdown and recovery, too many connections, serialisation failure, deadlock.
_PASSING_STATES = ("08", "53300", "53200", "57P01", "57P02", "57P03", "40001", "40P01", "55P03")
_CONNECTING: dict[str, Any] = {
    "application_name": "bioreactor_lake",
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
_LASTING = ("authentication", "password", "access denied", "login failed", "permission denied", "ora-01017")


@contextmanager
def reading(url: str, table: ExtractedTable, since: Any) -> Iterator[Any]:
    """The records of a table, as a `pyarrow.RecordBatchReader`.

    Args:
        url: Of the database, with user and password.
        table: The table.
        since: The watermark; None for all records.

    Raises:
        UsageError: What speaks to the database is not installed, or the URL is none.
        Exception: As the database says.
    """
    query, scheme = table.query.strip().rstrip(";"), scheme_of(url)
    if since is not None:
        assert table.watermark is not None
        column = _quote(table.watermark, scheme)
        least = spell(before(since, table.overlap), scheme)
        # What has no watermark cannot be seen to change: it is asked for each time.
        query = f"SELECT * FROM ({query}\n) lake_extract WHERE {column} >= {least} OR {column} IS NULL"
    if scheme in _POSTGRES:
        with _reading_postgres(url, f"{query}\n") as reader:
            yield reader
        return
    # Rust's libraries would log each refused connection.
    os.environ.setdefault("RUST_LOG", "off")
    try:
        import connectorx
    except ImportError as error:
        raise UsageError("SQL sources need connectorx.", next_step=_EXTRA) from error
    yield guarded(lambda: connectorx.read_sql(url, query, return_type="arrow_stream", batch_size=ROWS))


@contextmanager
def _reading_postgres(url: str, query: str) -> Iterator[Any]:
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    try:
        import adbc_driver_postgresql.dbapi as adbc
    except ImportError as error:
        raise UsageError("Postgres as a source needs ADBC.", next_step=_EXTRA) from error
    try:
        given = conninfo_to_dict(f"postgresql://{url.partition('://')[2]}")
        # Nothing is written there, whatever a query says.
        options = f"{given.get('options') or ''} -c default_transaction_read_only=on -c TimeZone=UTC".strip()
        conninfo = make_conninfo("", **{**_CONNECTING, **given, "options": options})
    except ProgrammingError:
        # The library's own message repeats the URL, password and all.
        raise UsageError(
            "The URL of the database cannot be read.",
            next_step="Write it as postgresql://user:password@host:5432/database, percent-encoded.",
        ) from None
    with adbc.connect(conninfo) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        yield cursor.fetch_record_batch()


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


def can_pass(error: BaseException) -> bool:
    """Whether an error of a database may be gone at the next attempt."""
    state, text = getattr(error, "sqlstate", None), str(error).lower()
    if any(sign in text for sign in _LASTING):
        return False
    return bool(state and state.startswith(_PASSING_STATES)) or any(sign in text for sign in _PASSING)


def say(error: BaseException) -> str:
    """What a database says, in one line and without the query."""
    text = str(error)
    if found := re.search(r"(?:ERROR|FATAL): +(.+)", text):
        return found[1]
    text = text.removeprefix("timed out waiting for connection: ").removeprefix("cx writer failed: ")
    line = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    return line.partition(" failed: ")[2] if line.startswith("IO: ") else line


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
