"""Lineage of a sync: a job for the source, one for each of its tables, as a run has one for each node."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bioreactor_lake.lineage.delivery.emitter import Emitter
from bioreactor_lake.lineage.events import (
    DatasetUse,
    RunEvents,
    error_facet,
    node_job,
    pipeline_job,
)
from bioreactor_lake.lineage.facets import facet, ownership_facet
from bioreactor_lake.lineage.naming import DatasetName, name_postgres_table, name_raw_files, name_service
from bioreactor_lake.lineage.redaction import redact
from bioreactor_lake.lineage.settings import LineageSettings
from bioreactor_lake.lineage.started_by import find_starter
from bioreactor_lake.sources.secrets import secrets_of
from bioreactor_lake.sources.source import ExtractedTable, Source
from bioreactor_lake.sources.syncing import Synced

_PORTS = {"postgresql": 5432, "postgres": 5432, "mysql": 3306, "mssql": 1433, "oracle": 1521}


class SyncEvents:
    """Emits the events of the sync of one source.

    Args:
        settings: The configuration of lineage.
        project: The project's folder.
        source: The source.
        credentials: Of the source; only the address in them is told.
        root: The landing zone.
        run_id: Of the sync.
        tables: The tables that are asked for.
    """

    def __init__(
        self,
        settings: LineageSettings,
        project: Path,
        source: Source,
        credentials: Mapping[str, Any],
        root: str,
        run_id: str,
        tables: tuple[str, ...],
    ) -> None:
        self._settings, self._source, self._credentials, self._root = settings, source, credentials, root
        self._pipeline = f"sync_{source.name}"
        self._emitter = Emitter(
            {"file": settings.file, "transport": dict(settings.transport), "seconds": settings.seconds}, project
        )
        told = facet("documentation", {"description": f"Fetches what is new in the source {source.name}."}, of_job=True)
        job = pipeline_job(self._pipeline, told, ownership_facet(settings.owners, of_job=True))
        self._events = RunEvents(
            self._emitter.emit,
            namespace=settings.namespace,
            whole=job,
            pipelines={self._pipeline: job},
            nodes=dict.fromkeys(tables, self._pipeline),
            run_id=run_id,
            started_at=datetime.now(UTC),
            starter=find_starter(os.environ),
            facets={},
        )
        self._failed = False

    @contextmanager
    def table(self, name: str) -> Iterator[list[Synced]]:
        """Tell of a table while it is asked for; what became of it is put into the list."""
        table, done = self._source.tables[name], list[Synced]()
        sql = facet("sql", {"query": redact(table.query, secrets_of(self._credentials))}) if table.query else {}
        told = facet("documentation", {"description": f"Fetches the table {name} of {self._source.name}."}, of_job=True)
        job = node_job(self._pipeline, name, told, ownership_facet(self._settings.owners, of_job=True), sql)
        inputs = [DatasetUse(one) for one in name_inputs(self._source, table, self._credentials, self._settings)]
        landing = name_raw_files(self._root)
        self._events.start_node(name, job, inputs, [DatasetUse(landing)], datetime.now(UTC))
        try:
            yield done
        except Exception as error:
            self._failed = True
            said = error_facet(redact(str(error), secrets_of(self._credentials)))
            self._events.end("FAIL", said)
            raise
        except BaseException:
            self._failed = True
            self._events.end("ABORT")
            raise
        statistics = [
            facet("outputStatistics", {"rowCount": one.rows, "size": one.size_bytes, "fileCount": 1})
            if one.path
            else facet("outputStatistics", {"rowCount": 0, "size": 0, "fileCount": 0})
            for one in done
        ]
        self._events.end_node("COMPLETE", outputs=[DatasetUse(landing, {}, *statistics)])

    def close(self) -> list[str]:
        """End the sync; what its user should know of events that were not sent."""
        if not self._failed:
            self._events.end("COMPLETE")
        return self._emitter.close()


def name_inputs(
    source: Source, table: ExtractedTable, credentials: Mapping[str, Any], settings: LineageSettings
) -> list[DatasetName]:
    """What lineage calls what a table of a source is made of: the tables of its query, or the address of an API."""
    if source.rest is not None:
        return [name_service(source.rest.base_url, table.path)]
    try:
        parts = urlsplit(str(credentials.get("url") or ""))
        scheme, host = parts.scheme.split("+")[0].lower(), parts.hostname or "localhost"
        port = parts.port or _PORTS.get(scheme, 0)
    except ValueError:
        return []
    database = parts.path.strip("/") or "default"
    known = settings.postgres_hosts.get(host)
    names = list(_tables_of(table.query, scheme)) or [table.name]
    if scheme in ("postgresql", "postgres"):
        return [
            name_postgres_table(
                host, port, database, name if "." in name else f"public.{name}", known_as=[known, host] if known else ()
            )
            for name in names
        ]
    return [name_service(f"{scheme}://{host}{f':{port}' if port else ''}", f"{database}.{name}") for name in names]


def _tables_of(query: str, scheme: str) -> Iterator[str]:
    """The tables that a query reads; none where it is not understood."""
    import sqlglot
    from sqlglot import exp

    dialect = {"postgresql": "postgres", "mssql": "tsql"}.get(scheme, scheme)
    try:
        parsed = sqlglot.parse_one(query, read=dialect)
        ctes = {one.alias_or_name for one in parsed.find_all(exp.CTE)}
        found = {".".join(part.name for part in one.parts) for one in parsed.find_all(exp.Table)}
    except (sqlglot.ParseError, sqlglot.TokenError, ValueError):
        return
    yield from sorted(found - ctes)
