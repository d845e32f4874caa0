"""How Superset spells the address of a database: without its password, which goes another way."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from psycopg.conninfo import conninfo_to_dict

_KEPT = ("sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs")


def spell_address(url: str, user: str, database: str | None = None) -> str:
    """A database as SQLAlchemy addresses it for a user.

    >>> spell_address("postgresql://lake:secret@db:5433/lake?sslmode=require", "lake_reader")
    'postgresql+psycopg2://lake_reader@db:5433/lake?sslmode=require'

    Args:
        url: The database as somebody else connects to it.
        user: The user.
        database: Another database of the same server.
    """
    known = conninfo_to_dict(url)
    host, port = str(known.get("host") or "localhost"), str(known.get("port") or 5432)
    name = database or str(known.get("dbname") or known.get("user") or "postgres")
    options = {option: str(known[option]) for option in _KEPT if known.get(option)}
    if host.startswith("/"):
        options["host"], host = host, ""
    place = f"[{host}]" if ":" in host else host
    query = f"?{urlencode(options)}" if options else ""
    return f"postgresql+psycopg2://{quote(user, safe='')}@{place}:{port}/{quote(name, safe='')}{query}"
