"""Names of datasets by OpenLineage's convention, so that whoever speaks of a table speaks of the same one.

A namespace may hold letters, digits and `: = / _ - . @ +`; what else a path holds is written as `+` and two hexadecimal
digits per byte, as URLs do with `%`, which servers refuse.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

_LOOPBACK = ("", "localhost", "127.0.0.1", "::1")
_NOT_IN_NAMESPACE = re.compile(r"[^a-zA-Z0-9:/_\-.@]")
_LONGEST = 1024
_NOT_IN_NAME = re.compile(r"[:#+\x00-\x1f]")


@dataclass(frozen=True)
class DatasetName:
    """The name of a dataset.

    Args:
        namespace: Its source, such as `duckdb:///srv/lake.duckdb`.
        name: Its name there, such as `lake.curated.dim_batch`.
        aliases: Namespaces and names that others may know it by.
        kind: `TABLE`, `VIEW` or `FILE`; no part of the name.
    """

    namespace: str
    name: str
    aliases: tuple[tuple[str, str], ...] = ()
    kind: str = field(default="TABLE", compare=False)


def name_raw_files(root: str) -> DatasetName:
    """The raw files, as one dataset: a folder, or a prefix in a bucket.

    >>> name_raw_files("s3://lake/raw/bioreactor").name
    'raw/bioreactor'
    >>> name_raw_files("/srv/raw data").namespace, name_raw_files("/srv/raw data").name
    ('file', '/srv/raw data')
    """
    scheme, found, rest = root.partition("://")
    if not found:
        return DatasetName("file", _escape(_NOT_IN_NAME, str(Path(root).resolve())), kind="FILE")
    bucket, _, prefix = rest.partition("/")
    return DatasetName(_plain_namespace(f"{scheme}://{bucket}"), _plain_name(prefix or "/"), kind="FILE")


def name_service(address: str, name: str) -> DatasetName:
    """What a service gives under a name: a path of a REST API, or a table of a database of another kind.

    >>> name_service("https://lims.example.com/@@API/v1/", "search?x=1")
    DatasetName(namespace='https://lims.example.com', name='@@API/v1/search', aliases=(), kind='TABLE')
    """
    parts = urlsplit(address)
    path = "/".join(part.strip("/") for part in (parts.path, name.partition("?")[0]) if part.strip("/"))
    return DatasetName(_plain_namespace(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"), _plain_name(path))


def name_duckdb_table(file: str, table: str, kind: str = "TABLE") -> DatasetName:
    """A table or view of a DuckDB file.

    Args:
        file: The file; a relative path is resolved.
        table: Schema and name.
        kind: `TABLE` or `VIEW`.

    >>> name_duckdb_table("/srv/lake 1.duckdb", "curated.dim_batch")
    DatasetName(namespace='duckdb:///srv/lake+201.duckdb', name='lake 1.curated.dim_batch', aliases=(), kind='TABLE')
    """
    path = Path(file).resolve()
    return DatasetName(_plain_namespace(f"duckdb://{path}"), _plain_name(f"{path.stem}.{table}"), kind=kind)


def name_postgres_table(
    host: str, port: int, database: str, table: str, *, known_as: Sequence[str] = ()
) -> DatasetName:
    """A table of a Postgres server.

    The many spellings of one's own machine are one name; the host as it is spelled and its other names are aliases.

    Args:
        host: As the connection spells it.
        port: The server's port.
        database: The database.
        table: Schema and name.
        known_as: Other names of the host, the one to be used first.

    >>> name_postgres_table("127.0.0.1", 5432, "lake", "marts.m").aliases
    (('postgres://127.0.0.1:5432', 'lake.marts.m'),)
    """
    spelled = host.lower()
    names = [name.lower() for name in known_as] or ["localhost" if spelled in _LOOPBACK else spelled]
    spaces = [_postgres_namespace(name, port) for name in dict.fromkeys([*names, spelled]) if name]
    name = _plain_name(f"{database}.{table}")
    return DatasetName(spaces[0], name, tuple((space, name) for space in spaces[1:]))


def name_embedded_table(folder: str, database: str, table: str, *, address: tuple[str, int] | None) -> DatasetName:
    """A table of the embedded server, named by its folder: its port may be another one after the next start.

    Args:
        folder: The server's folder.
        database: The database.
        table: Schema and name.
        address: Host and port under which it runs now, if it does.
    """
    name = _plain_name(f"{database}.{table}")
    aliases = ((_postgres_namespace(*address), name),) if address else ()
    return DatasetName(_plain_namespace(f"postgres://{Path(folder).resolve()}"), name, aliases)


def _postgres_namespace(host: str, port: int) -> str:
    return _plain_namespace(f"postgres://[{host}]:{port}" if ":" in host else f"postgres://{host}:{port}")


def _plain_namespace(text: str) -> str:
    namespace = _escape(_NOT_IN_NAMESPACE, text)
    if len(namespace) <= _LONGEST:
        return namespace
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return f"{namespace[: _LONGEST - len(digest) - 1]}+{digest}"


def _plain_name(name: str) -> str:
    """A name without what servers refuse in one: it does not begin with a digit either."""
    name = _escape(_NOT_IN_NAME, name)
    return f"_{name}" if name[:1].isdigit() else name


def _escape(refused: re.Pattern[str], text: str) -> str:
    return refused.sub(lambda found: "".join(f"+{byte:02X}" for byte in found.group().encode()), text)
