"""Connections as they are configured."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bioreactor_lake.errors import UsageError
from bioreactor_lake.lineage.redaction import find_secrets

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_CONNECTOR = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.\-]")
_SHORTEST_SECRET = 4
_KEYS = ("source", "connector", "requirements", "executable", "streams", "config")


@dataclass(frozen=True)
class Connection:
    """What is extracted from where.

    Args:
        name: Its name.
        source: The folder of the landing zone that its streams land in.
        connector: The connector's program, such as `source-postgres`.
        requirements: Names, versions and hashes of the connector's packages; None where it is installed.
        executable: The program, where it is installed.
        streams: What is extracted.
        config: What the connector is told, secrets included.
        secrets: Those of them, which must not be told to anybody else.
    """

    name: str
    source: str
    connector: str
    requirements: Path | None
    executable: Path | None
    streams: tuple[str, ...]
    config: Mapping[str, Any]
    secrets: frozenset[str] = frozenset()


def find_connection(
    name: str, connections: Mapping[str, Any], credentials: Mapping[str, Any], project: Path
) -> Connection:
    """A connection by its name.

    Args:
        name: The name.
        connections: What `airbyte.yml` says of all.
        credentials: Of all that is configured; its own stand under `airbyte_<name>`.
        project: What paths count from.

    Raises:
        UsageError: There is none of that name, or it says too little.
    """
    if name not in connections:
        known = ", ".join(sorted(connections)) or "none"
        raise UsageError(
            f"No connection is called {name!r}; there are: {known}.", next_step="Add it to conf/base/airbyte.yml."
        )
    given = connections[name]
    if not _NAME.fullmatch(name) or not isinstance(given, Mapping):
        raise _refused(name, "is no connection", "Call it by small letters, digits and underscores, with keys under it")
    if unknown := sorted(str(key) for key in set(given) - set(_KEYS)):
        raise _refused(name, f"says {', '.join(unknown)}, which means nothing", f"Use {', '.join(_KEYS)}")
    connector, streams = str(given.get("connector") or ""), given.get("streams")
    if not _CONNECTOR.fullmatch(connector):
        raise _refused(name, "does not say which connector", "Name its program, such as connector: source-postgres")
    if not isinstance(streams, list) or not streams or not all(isinstance(one, str) for one in streams):
        raise _refused(name, "does not say which streams", "List them: streams: [results]")
    if bool(given.get("requirements")) == bool(given.get("executable")):
        raise _refused(
            name,
            "has to say where its connector comes from, in one way",
            "Give requirements, a file of its packages with hashes, or executable, where it is installed",
        )
    source = str(given.get("source") or name)
    if not _NAME.fullmatch(source):
        raise _refused(name, f"names the source {source!r}", "Use small letters, digits and underscores")
    paths = {key: project / str(given[key]) if given.get(key) else None for key in ("requirements", "executable")}
    for key, path in paths.items():
        if path is not None and not path.is_file():
            raise _refused(name, f"names {key} that are not there: {path}", "Correct the path, or make the file")
    folders = [name_folder(stream) for stream in streams]
    if len({*folders}) < len(folders):
        raise _refused(name, "has streams that would land in one folder", "Give them connections of their own")
    secret = credentials.get(f"airbyte_{name}") or {}
    config = _put_over(given.get("config") or {}, secret)
    hidden = frozenset({*_texts(secret), *find_secrets({}, config)})
    return Connection(
        name, source, connector, paths["requirements"], paths["executable"], tuple(streams), config, hidden
    )


def name_folder(stream: str) -> str:
    """The folder of a stream.

    >>> name_folder("public.results"), name_folder("../x y")
    ('public.results', 'x_y')
    """
    return _NOT_IN_NAMES.sub("_", stream).lstrip("._") or "stream"


def _put_over(config: Mapping[str, Any], secrets: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(config)
    for key, value in secrets.items():
        below = merged.get(key)
        nested = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = _put_over(below, value) if nested else value  # type: ignore[arg-type]
    return merged


def _refused(name: str, what: str, next_step: str) -> UsageError:
    return UsageError(
        f"The connection {name} of conf/*/airbyte.yml {what}.", kept="Nothing landed.", next_step=f"{next_step}."
    )


def _texts(nested: Any) -> Iterator[str]:
    """All values that are worth hiding, one by one."""
    for value in nested.values() if isinstance(nested, Mapping) else nested:
        if isinstance(value, Mapping | list):
            yield from _texts(value)
        elif len(str(value)) >= _SHORTEST_SECRET:
            yield str(value)
