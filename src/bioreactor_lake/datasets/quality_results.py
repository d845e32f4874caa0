"""The results of checks as they are kept in `quality.results`, and which of them say what is so now."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from bioreactor_lake.datasets import relation_catalog
from bioreactor_lake.datasets.verdict_rows import describe_results
from bioreactor_lake.quality.verdicts import FAILED, PASSED, UNANSWERED, Verdict
from bioreactor_lake.sql import storable

_KEPT = (
    "run_id", "checked_at", "suite_name", "table_name", "expectation", "batch_id", "type", "kwargs", "severity",
    "sentence", "observed", "rows", "failing_rows", "samples", "batches", "failing_batches", "suite", "success",
    "is_unanswered",
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What a run found of an expectation, or of one batch that failed it.

    Args:
        run_id: The run.
        checked_at: When, UTC.
        suite: Name of the suite.
        table: Schema and name.
        expectation: The expectation's id.
        batch: The batch that failed; None for the expectation as a whole.
        type: The type of the expectation.
        arguments: What it was asked with.
        severity: `warn`, `error` or `fatal`.
        verdict: `passed`, `failed` or `unanswered`.
        sentence: What failed, without values; None where nothing did.
        observed: What was found; None for several batches together.
        rows: Rows that were looked at.
        failing_rows: Rows that fail.
        samples: A few of them.
        batches: Batches that were asked about, 0 where it is about the table; None of one batch.
        failing_batches: Batches of them that failed; None of one batch.
        suite_version: The suite's fingerprint.
    """

    run_id: str
    checked_at: datetime
    suite: str
    table: str
    expectation: str
    batch: str | None
    type: str
    arguments: Mapping[str, Any]
    severity: str
    verdict: str
    sentence: str | None
    observed: Any
    rows: int | None
    failing_rows: int | None
    samples: tuple[Mapping[str, Any], ...]
    batches: int | None
    failing_batches: int | None
    suite_version: str


def read_results(backend: Any, condition: str) -> list[Result]:
    """Results, the newest of what a run asked more than once; of an expectation as a whole the worst.

    What failed about a table stands with the expectation as a whole.

    Args:
        backend: The warehouse, which has results.
        condition: Of which, as SQL after `FROM quality.results`.
    """
    found = backend.raw_sql(
        f"SELECT {', '.join(_KEPT)} FROM quality.results {condition} ORDER BY checked_at, rowid"
    ).fetchall()
    return _put_together(_read(dict(zip(_KEPT, values, strict=True))) for values in found)


def collect_results(verdicts: Sequence[Verdict], names: Mapping[str, str], at: datetime) -> list[Result]:
    """Verdicts that are kept nowhere, as `read_results` gives those that are.

    Args:
        verdicts: The verdicts.
        names: Schema and name of each table, as the catalog names it.
        at: When they were found, UTC.
    """
    by_table: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        by_table.setdefault(names.get(verdict.table, verdict.table), []).append(verdict)
    kept = [row for table, found in by_table.items() for row in describe_results("", table, found, {}, "")]
    return _put_together(_read({**dict.fromkeys(_KEPT), **row, "checked_at": at}) for row in kept)


def find_results_now(backend: Any) -> list[Result]:
    """What is so now: of each expectation what was found when it was last asked, and the batches that fail.

    Args:
        backend: The warehouse, which has results.
    """
    suites, failing = find_suites_now(backend), set(find_failures_now(backend))
    # All of the run that asked last: it may have asked twice.
    last = (
        "(SELECT table_name, expectation, arg_max(run_id, checked_at) AS run_id FROM quality.results "
        "WHERE batches IS NOT NULL GROUP BY ALL)"
    )
    wholes = read_results(backend, f"SEMI JOIN {last} USING (table_name, expectation, run_id)")
    newest = (
        "(SELECT table_name, expectation, batch_id, arg_max(run_id, checked_at) AS run_id FROM quality.results "
        "SEMI JOIN quality.failing USING (table_name, expectation, batch_id) "
        "WHERE batches IS NULL AND batch_id <> '' GROUP BY ALL)"
    )
    batches = read_results(backend, f"SEMI JOIN {newest} USING (table_name, expectation, batch_id, run_id)")
    return [one for one in wholes if one.batch is None and suites.get(one.table) == one.suite_version] + [
        one for one in batches if (one.table, one.expectation, one.batch) in failing
    ]


def find_suites_now(backend: Any) -> dict[str, str]:
    """The version of the suite that each table was last asked with, also where it could not be answered."""
    asked = "SELECT table_name, suite FROM quality.{} WHERE batch_id = ''".format
    return dict(backend.raw_sql(f"{asked('checked')} UNION {asked('failing')}").fetchall())


def find_failures_now(backend: Any) -> list[tuple[str, str, str]]:
    """Table, expectation and batch of what fails now, as it was last asked; without batches that are gone."""
    if relation_catalog.find(backend, "lake_state", "held") is None:
        return []
    found = backend.raw_sql(
        # What is kept of a table's batches goes with them, that of a mart's may stay.
        "SELECT table_name, expectation, batch_id FROM quality.failing AS f WHERE batch_id <> '' "
        "AND (EXISTS (FROM lake_state.relations WHERE name = f.table_name) "
        "OR EXISTS (FROM lake_state.held AS h WHERE h.batch_id = f.batch_id))"
    ).fetchall()
    return [(table, expectation, batch) for table, expectation, batch in found]


def _put_together(found: Iterable[Result]) -> list[Result]:
    """Each expectation as a whole, then the batches that failed; in the order in which they were found."""
    wholes: dict[tuple[str, ...], Result] = {}
    batches: dict[tuple[str, ...], Result] = {}
    of_tables: dict[tuple[str, ...], Result] = {}
    for one in found:
        key = one.run_id, one.table, one.expectation
        if one.batches is not None:
            # A mart is published again without what failed in it.
            if key not in wholes or one.verdict != PASSED or wholes[key].verdict == PASSED:
                wholes[key] = one
        elif one.batch:
            batches[*key, one.batch] = one
        else:
            of_tables[key] = one
    told = [_tell(one, of_tables.get(key)) for key, one in wholes.items()]
    return [*told, *batches.values()]


def _read(row: Mapping[str, Any]) -> Result:
    is_whole = row["batches"] is not None
    return Result(
        run_id=row["run_id"],
        checked_at=row["checked_at"].replace(tzinfo=UTC),
        suite=row["suite_name"],
        table=row["table_name"],
        expectation=row["expectation"],
        batch=None if is_whole else row["batch_id"],
        type=row["type"],
        arguments=_parse(row["kwargs"]) or {},
        severity=row["severity"],
        verdict=PASSED if row["success"] else UNANSWERED if row["is_unanswered"] else FAILED,
        sentence=row["sentence"],
        observed=_parse(row["observed"]),
        rows=row["rows"],
        failing_rows=row["failing_rows"],
        samples=tuple(_parse(row["samples"]) or ()),
        batches=row["batches"],
        failing_batches=row["failing_batches"],
        suite_version=row["suite"],
    )


def _tell(whole: Result, of_table: Result | None) -> Result:
    """What is said of an expectation as a whole: what its table fails, or how many batches do."""
    if whole.verdict == PASSED:
        return whole
    if of_table is not None:
        return replace(whole, verdict=of_table.verdict, sentence=of_table.sentence, samples=of_table.samples)
    return replace(whole, sentence=f"{whole.failing_batches:,} of {whole.batches:,} batches fail")


def _parse(text: str | None) -> Any:
    return None if text is None else _plain(json.loads(text))


def _plain(value: Any) -> Any:
    """A value that JSON and Postgres can hold: what is no finite number, and characters that are none, as text."""
    if isinstance(value, dict):
        return {storable(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return storable(value) if isinstance(value, str) else value
