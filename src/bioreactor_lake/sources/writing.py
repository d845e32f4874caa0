"""Asking a source for a table, into a Parquet file of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from bioreactor_lake.errors import LakeError, UsageError
from bioreactor_lake.lake.retries import RetryRule
from bioreactor_lake.lineage.redaction import redact
from bioreactor_lake.sources import rest_api, sql_database
from bioreactor_lake.sources.extracts import RECORD
from bioreactor_lake.sources.secrets import secrets_of
from bioreactor_lake.sources.source import ExtractedTable, Source

_KEPT = "What landed before is kept, and every table is as it was."


def write_extract(
    source: Source,
    table: ExtractedTable,
    credentials: Mapping[str, Any],
    since: Any,
    rule: RetryRule,
    target: Path,
    notes: Mapping[str, str],
) -> int:
    """Ask for the records of a table and write them as they come.

    Args:
        source: The source.
        table: The table.
        credentials: Of the source.
        since: The watermark; None for all records.
        rule: How often what can pass by itself is tried.
        target: The Parquet file.
        notes: Kept in it.

    Returns:
        How many records there are.

    Raises:
        LakeError: The source cannot be reached, or refuses; the message holds no secret.
    """
    what = f"{source.name}, table {table.name}"

    def once() -> int:
        if source.rest is not None:
            return _write_records(source, table, credentials, since, rule, target, notes)
        url = credentials.get("url")
        if not url:
            raise UsageError(
                f"The credentials {source.credentials!r} of the source {source.name} have no url.",
                kept="Nothing was asked for.",
                next_step="Write it into conf/local/credentials.yml, or set the variable that credentials.yml names.",
            )
        with sql_database.reading(str(url), table, since) as reader:
            return _write_batches(reader, target, notes)

    def explain(error: BaseException) -> str:
        return redact(_say(error), secrets_of(credentials))

    try:
        return rule.carry_out(
            once,
            what=f"Asking {what}",
            can_pass=rest_api.can_pass if source.rest is not None else sql_database.can_pass,
            explain=explain,
        )
    except Exception as error:
        known = next((one for one in rest_api.causes(error) if isinstance(one, LakeError)), None)
        if isinstance(known, UsageError):
            raise known from None
        message = redact(known.what, secrets_of(credentials)) if known is not None else explain(error)
        # What is behind it may quote an address with its password.
        raise LakeError(
            f"Asking {what} failed: {message.rstrip('.')}.", kept=_KEPT, next_step=_next_step(source, known, error)
        ) from None


def _write_batches(reader: Any, target: Path, notes: Mapping[str, str]) -> int:
    rows = 0
    batches = iter(reader)
    with _writer(target, reader.schema, notes) as writer:
        while (batch := sql_database.guarded(lambda: next(batches, None))) is not None:
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


def _write_records(
    source: Source,
    table: ExtractedTable,
    credentials: Mapping[str, Any],
    since: Any,
    rule: RetryRule,
    target: Path,
    notes: Mapping[str, str],
) -> int:
    import pyarrow as pa

    assert source.rest is not None
    rows, schema = 0, pa.schema([(RECORD, pa.string())])
    with _writer(target, schema, notes) as writer:
        for page in rest_api.read_rest_table(source.rest, table, credentials, since, rule):
            writer.write_table(pa.table({RECORD: page}, schema=schema))
            rows += len(page)
    return rows


@contextmanager
def _writer(target: Path, schema: Any, notes: Mapping[str, str]) -> Iterator[Any]:
    import pyarrow.parquet as pq

    with pq.ParquetWriter(target, schema.with_metadata(dict(notes)), compression="snappy") as writer:
        yield writer


def _say(error: BaseException) -> str:
    """An error in one line."""
    for one in rest_api.causes(error):
        # dlt tells of each step that the error went through; what happened stands behind all of them.
        if (response := getattr(one, "response", None)) is not None:
            return f"it answered {response.status_code} {response.reason}"
        if isinstance(one, requests.Timeout):
            return "it did not answer in time"
        if isinstance(one, requests.ConnectionError):
            return "the connection was refused or lost"
    return sql_database.say(error)[:500]


def _next_step(source: Source, known: LakeError | None, error: Exception) -> str:
    if known is not None and known.next_step:
        return known.next_step
    text = _say(error).lower()
    if any(sign in text for sign in ("401", "403", "authentication", "password", "login", "denied")):
        return f"Correct the credentials {source.credentials!r}, and what they may read, then run: kedro lake sync " + (
            source.name
        )
    if any(sign in text for sign in ("decimal", "not implemented", "conversion")):
        return "Cast the column to text in the query, then sync again."
    if any(sign in text for sign in ("does not exist", "syntax", "column", "404")):
        return f"Compare sources.{source.name} in parameters_sources.yml with the source, then sync again."
    return f"Check that the source is up and can be reached, then run: kedro lake sync {source.name}"
