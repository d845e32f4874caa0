"""The records of sources, from the extracts that have landed: which sources have news, and what their columns mean."""

from __future__ import annotations

import errno
import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import ibis.expr.operations as ops
import ibis.expr.types as ir

from bioreactor_lake.datasets import relation_catalog
from bioreactor_lake.datasets.expressions import schema_of
from bioreactor_lake.datasets.json_rows import query_rows
from bioreactor_lake.datasets.known_logic import logic_for
from bioreactor_lake.datasets.landing_zone import Interpret
from bioreactor_lake.lake.runs import current_run
from bioreactor_lake.landing.places import LandingPlace
from bioreactor_lake.landing.zone import LandedFile
from bioreactor_lake.sources.copies import on_disk
from bioreactor_lake.sources.extracts import READER, Extract, current, find_extracts
from bioreactor_lake.sources.records import PATH, UnreadableExtract, columns_of, count_rows, select_current
from bioreactor_lake.sources.source import MEANINGS, Mapped, Source, read_sources, split_column
from bioreactor_lake.sql import literal, quote

STATE = "lake_state.extracts"
"""What the rows of each source were made of, by table."""


def records_name(kind: str) -> str:
    """The temporary table of the records of sources that have news, their columns as text."""
    return f"extracted_{kind}"


def news_name(kind: str) -> str:
    """The temporary table of these sources, each with a digest of what its rows are made of; null if it is gone."""
    return f"extracted_{kind}_sources"


def read_records(
    backend: Any, place: LandingPlace, warehouse: Path, kind: str, sources: Mapping[str, Any], interpret: Interpret
) -> ir.Table:
    """The rows of sources that have news. Grain: one row per record.

    Args:
        backend: DuckDB.
        place: The landing zone.
        warehouse: The warehouse's file, beside which there is room for copies.
        kind: `batch_sheets` or `sample_results`.
        sources: The parameter group `sources`.
        interpret: Makes typed columns of texts, given the zones of sources.

    Raises:
        UsageError: The parameters mean nothing.
    """
    known = _known(backend, kind)
    configured = {name: source for name, source in read_sources(sources).items() if kind in source.mapped}
    columns = ["source", "record_id", PATH, *MEANINGS[kind]]
    empty = query_rows([], dict.fromkeys(columns, "VARCHAR"))
    backend.raw_sql(f"CREATE OR REPLACE TEMP TABLE {records_name(kind)} AS {empty}")
    schema = schema_of(backend, [(name, "VARCHAR") for name in columns])
    namespace = ops.Namespace(catalog="temp", database="main")
    zones = {name: source.time_zone for name, source in sorted(configured.items()) if source.time_zone}
    rows = interpret(ops.DatabaseTable(records_name(kind), schema, backend, namespace).to_expr(), zones)
    news: list[dict[str, str | None]] = [{"source": name} for name in sorted({*known} - {*configured})]
    if configured:
        logic = logic_for(backend, f"records of {kind}", rows)
        landed = _landed(backend, place.root)
        for name, source in sorted(configured.items()):
            digest = _fill(backend, place, warehouse, kind, source, landed, logic, known.get(name))
            if digest is not None:
                news.append({"source": name, "digest": digest})
    listed = query_rows(news, {"source": "VARCHAR", "digest": "VARCHAR"})
    backend.raw_sql(f"CREATE OR REPLACE TEMP TABLE {news_name(kind)} AS {listed}")
    return rows


def describe_extract(
    backend: Any, place: LandingPlace, file: LandedFile, extract: Extract, folder: Path
) -> dict[str, Any]:
    """What `landing.files` says of an extract."""
    try:
        with place.on_disk(file, folder) as location:
            here = replace(extract, location=str(location))
            columns_of(backend.raw_sql, here)
            rows = count_rows(backend.raw_sql, here)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        return {"reader": READER, "status": "quarantined", "reason": f"cannot be read: {error.strerror or error}"}
    except UnreadableExtract as error:
        return {"reader": READER, "status": "quarantined", "reason": f"{error.what}: {error.next_step}"}
    return {"reader": READER, "rows_in": rows, "rows_read": rows, "rows_rejected": 0, "batch_ids": []}


def _known(backend: Any, kind: str) -> dict[str, str]:
    """The sources that the table has rows of, each with the digest of what they were made of."""
    if relation_catalog.find(backend, "lake_state", "extracts") is None:
        return {}
    return dict(backend.raw_sql(f"SELECT source, digest FROM {STATE} WHERE kind = {literal(kind)}").fetchall())


@dataclass(frozen=True)
class _Landed:
    """An extract as a run has found it, and what became of it."""

    file: LandedFile
    sha256: str
    status: str


def _landed(backend: Any, root: str) -> dict[str, _Landed]:
    """Extracts by path."""
    if relation_catalog.find(backend, "landing", "files") is None:
        return {}
    rows = backend.raw_sql(
        "SELECT path, sha256, status, coalesce(key, ''), coalesce(size_bytes, 0) FROM landing.files "
        "LEFT JOIN lake_state.landing_keys USING (path, sha256) "
        "WHERE contains(path, '/extract-') AND status NOT IN ('superseded', 'removed')"
    ).fetchall()
    return {
        path: _Landed(LandedFile(path, f"{root}/{path}", key, size, True, "", True), sha256, status)
        for path, sha256, status, key, size in rows
    }


def _fill(
    backend: Any,
    place: LandingPlace,
    warehouse: Path,
    kind: str,
    source: Source,
    landed: Mapping[str, _Landed],
    logic: str,
    before: str | None,
) -> str | None:
    """Put the records of a source into the temporary table if something is new; a digest of what they are made of."""
    mapped, run = source.mapped[kind], current_run()
    found = find_extracts((path, one.file.location) for path, one in landed.items())
    extracts = {table: found.get((source.name, table), []) for table in mapped.tables}
    counted = [extract for table in mapped.tables for extract in current(extracts[table])]
    if amiss := [extract.path for extract in counted if landed[extract.path].status != "read"]:
        if run is not None:
            why = f"{landed[amiss[0]].status}: {amiss[0]}"
            run.notices.append(f"Rows of the source {source.name} in raw.{kind} stay as they are: {why}")
        return None
    if not extracts[mapped.table] and before is None:
        return None
    files = [(extract.path, landed[extract.path].sha256) for extract in counted]
    keys = [source.tables[table].key for table in mapped.tables]
    made_of = repr((logic, asdict(mapped), source.time_zone, source.rest is not None, keys, files))
    digest = hashlib.sha256(made_of.encode()).hexdigest()[:32]
    if digest == before and not (run is not None and run.full_refresh):
        return None
    if extracts[mapped.table]:
        with (
            tempfile.TemporaryDirectory(prefix=f".{warehouse.name}.landing-", dir=warehouse.parent) as folder,
            on_disk(place, {path: one.file for path, one in landed.items()}, counted, Path(folder)) as copies,
        ):
            here = {table: [copy for copy in copies if copy.table == table] for table in extracts}
            backend.raw_sql(f"INSERT INTO {records_name(kind)} {_select(backend, kind, source, mapped, here)}")
    return digest


def _select(backend: Any, kind: str, source: Source, mapped: Mapped, extracts: Mapping[str, Sequence[Extract]]) -> str:
    """A query for the columns of a source that mean something, from its tables as they are now."""
    is_rest, parts = source.rest is not None, []
    for number, name in enumerate(mapped.tables):
        columns = {column: column for column in mapped.columns_of(name)}
        if extracts[name]:
            records = select_current(backend.raw_sql, source.tables[name], extracts[name], columns, is_rest=is_rest)
        else:
            nothing = ", ".join(f"NULL::VARCHAR AS {quote(column)}" for column in ["record_id", PATH, *columns])
            records = f"SELECT {nothing} LIMIT 0"
        if not number:
            parts.append(f"({records}) AS t0")
            continue
        join = next(join for join in mapped.joins if join.table == name)
        # Of several with one key the first: a join must not make rows of its own.
        first = f"row_number() OVER (PARTITION BY {quote(join.key)} ORDER BY record_id) = 1"
        one = f"SELECT * FROM ({records}) QUALIFY {first}"
        parts.append(f"LEFT JOIN ({one}) AS t{number} ON {_place(join.by, mapped)} = t{number}.{quote(join.key)}")
    chosen = []
    for meaning in MEANINGS[kind]:
        text = _place(mapped.columns[meaning], mapped) if meaning in mapped.columns else "NULL::VARCHAR"
        if meaning == "tag" and mapped.tags:
            tags = ", ".join(f"{literal(name)}: {literal(tag)}" for name, tag in sorted(mapped.tags.items()))
            text = f"coalesce(MAP {{{tags}}}[trim({text})], {text})"
        chosen.append(text)
    return f"SELECT {literal(source.name)}, t0.record_id, t0.{PATH}, {', '.join(chosen)} FROM {' '.join(parts)}"


def _place(column: str, mapped: Mapped) -> str:
    table, name = split_column(column, mapped.table)
    return f"t{mapped.tables.index(table)}.{quote(name)}"
