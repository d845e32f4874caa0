"""Quoting for SQL that Ibis has no expression for; but for paths the same in DuckDB and Postgres."""

import re


def quote(name: str) -> str:
    """An SQL identifier.

    >>> quote('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


def storable(text: str) -> str:
    r"""A text as both can hold it: without NUL, and without halves of characters, as paths may have them.

    >>> storable("a\0b\udcff")
    'ab?'
    """
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def literal(text: str) -> str:
    """An SQL string.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def escape_glob(path: str) -> str:
    """A path as DuckDB reads that very file: to it, an existing one is a pattern too.

    >>> escape_glob("a[1].parquet")
    'a[[]1].parquet'
    """
    return re.sub(r"([*?\[])", r"[\1]", path)
