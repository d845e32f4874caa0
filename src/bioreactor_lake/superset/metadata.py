"""Superset's own database, beside that of the marts on the same server."""

from __future__ import annotations

import psycopg

from bioreactor_lake.sql import literal, quote


def ensure_database(url: str, name: str, password: str) -> bool:
    """Make a database and a role of the same name that owns it, and let the role in with a password.

    Args:
        url: The server, as somebody who may do so.
        name: Of both.
        password: The role's.

    Returns:
        Whether the database is new.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        # The server is told a verifier, so that the password is in none of its logs.
        verifier = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
        known = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).rowcount
        connection.execute(f"{'ALTER' if known else 'CREATE'} ROLE {quote(name)} LOGIN PASSWORD {literal(verifier)}")
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).rowcount:
            return False
        if connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() != (True,):
            connection.execute(f"GRANT {quote(name)} TO CURRENT_USER")
        connection.execute(f"CREATE DATABASE {quote(name)} OWNER {quote(name)}")
        connection.execute(f"REVOKE ALL ON DATABASE {quote(name)} FROM PUBLIC")
        return True
