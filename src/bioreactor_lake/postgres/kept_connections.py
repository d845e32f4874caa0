"""Connections that a process which stays keeps between its runs: none is held open inside a transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from bioreactor_lake.lake import resident

_idle: dict[str, psycopg.Connection[Any]] = {}


@contextmanager
def connected(url: str, connect: Callable[[], psycopg.Connection[Any]]) -> Iterator[psycopg.Connection[Any]]:
    """A connection for the block, whose transaction is committed at its end or else rolled back.

    Args:
        url: What it is a connection to.
        connect: Makes one.

    Raises:
        psycopg.Error: As Postgres says.
    """
    if not resident.stays():
        with connect() as connection:
            yield connection
        return
    # It is nobody else's until it is put back.
    kept = _idle.pop(url, None)
    connection = kept if kept is not None and _answers(kept) else connect()
    try:
        yield connection
        # What the session did is to be seen in the server's counters at once, as it is when a session ends.
        if connection.info.server_version >= 150_000:
            connection.execute("SELECT pg_stat_force_next_flush()")
        connection.commit()
    except BaseException:
        connection.close()
        raise
    _idle[url] = connection


def close_idle() -> None:
    """Let go of all."""
    while _idle:
        _, connection = _idle.popitem()
        with suppress(psycopg.Error):
            connection.close()


def _answers(connection: psycopg.Connection[Any]) -> bool:
    """Whether the server is still there, at the price of one way there and back."""
    try:
        connection.execute("SELECT 1")
        connection.rollback()
    except psycopg.Error:
        with suppress(psycopg.Error):
            connection.close()
        return False
    return True
