"""Verdicts of checks, kept beside the tables that they are about: what was checked, what fails now, and all results.

`quality.checked` has for each table and batch the fingerprint and the suite that it was last checked with, so that a
check is made again only where one of them is another; `quality.failing` what fails of it. Both are replaced batch by
batch. `quality.results` is appended to: every failure, and for each expectation how many batches it was asked of.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bioreactor_lake.datasets import holdings, relation_catalog, warehouse
from bioreactor_lake.datasets.json_rows import query_rows
from bioreactor_lake.datasets.verdict_rows import TABLE as TABLE
from bioreactor_lake.datasets.verdict_rows import describe_checked, describe_failure, describe_results
from bioreactor_lake.datasets.verdict_rows import say as say
from bioreactor_lake.quality.verdicts import FATAL, WARN, Verdict
from bioreactor_lake.sql import literal

_CHECKED = {"table_name": "VARCHAR", "batch_id": "VARCHAR", "fingerprint": "VARCHAR", "suite": "VARCHAR"}
_FAILING = {
    **_CHECKED, "expectation": "VARCHAR", "severity": "VARCHAR", "sentence": "VARCHAR", "is_unanswered": "BOOLEAN",
}  # fmt: skip
_RESULTS = {
    "run_id": "VARCHAR", "suite_name": "VARCHAR", **_FAILING, "type": "VARCHAR", "kwargs": "VARCHAR",
    "success": "BOOLEAN", "observed": "VARCHAR", "rows": "BIGINT", "failing_rows": "BIGINT", "samples": "VARCHAR",
    "batches": "BIGINT", "failing_batches": "BIGINT",
}  # fmt: skip


@dataclass(frozen=True)
class Failing:
    """An expectation that a table, or a batch of it, fails as it is now.

    Args:
        table: Schema and name.
        batch: The batch; `TABLE` where it is about the table.
        fingerprint: What was checked.
        expectation: The expectation's id.
        severity: `warn`, `error` or `fatal`.
        sentence: What failed, for people.
        is_unanswered: Whether it could not be found out, rather than found to be wrong.
    """

    table: str
    batch: str
    fingerprint: str
    expectation: str
    severity: str
    sentence: str
    is_unanswered: bool

    @property
    def plain(self) -> str:
        """What failed, without values of the data: why it could not be found out may hold some."""
        return f"{self.expectation} could not be checked" if self.is_unanswered else self.sentence

    @property
    def stops(self) -> bool:
        """Whether nothing may be built on the table; a check of errors that cannot be made counts as one that fails."""
        return self.severity == FATAL or (self.is_unanswered and self.severity != WARN)


def ensure(backend: Any) -> None:
    """Create the tables of the verdicts if they are not there."""
    if is_there(backend):
        return
    backend.raw_sql("CREATE SCHEMA IF NOT EXISTS quality")
    # The one that is asked for is the last, so that a crash in between leaves none out.
    for name, kinds in (("checked", _CHECKED), ("results", _RESULTS), ("failing", _FAILING)):
        columns = ", ".join(f"{column} {kind}" for column, kind in kinds.items())
        backend.raw_sql(f"CREATE TABLE IF NOT EXISTS quality.{name} ({columns}, checked_at TIMESTAMP)")
    relation_catalog.forget()


def is_there(backend: Any) -> bool:
    """Whether anything was ever checked."""
    return relation_catalog.find(backend, "quality", "failing") is not None


def find_unchecked(backend: Any, table: str, held: str, suite: str) -> tuple[dict[str, str], bool]:
    """What of a table was not checked as it is, with fingerprints: its batches, and `TABLE` where any of them changed.

    Beside it, whether these are all of its batches.

    Args:
        backend: The warehouse, after `ensure`.
        table: Schema and name.
        held: A query for the `batch_id, fingerprint` that it holds.
        suite: The suite's fingerprint.
    """
    backend.raw_sql(f"CREATE OR REPLACE TEMP TABLE held_now AS {held}")
    whole = holdings.digest_rows(backend, "SELECT batch_id, fingerprint FROM held_now")
    rows = backend.raw_sql(
        f"SELECT batch_id, fingerprint FROM (SELECT batch_id, fingerprint FROM held_now UNION ALL SELECT "
        f"{literal(TABLE)}, {literal(whole)}) ANTI JOIN (FROM quality.checked WHERE table_name = {literal(table)} "
        f"AND suite = {literal(suite)}) USING (batch_id, fingerprint) ORDER BY 1"
    ).fetchall()
    unchecked = dict(rows)
    if not unchecked:
        return {}, False
    (total,) = backend.raw_sql("SELECT count(*) FROM held_now").fetchone()
    return unchecked, len(unchecked.keys() - {TABLE}) == total


def find_unasked(backend: Any, mart: str, suite: str, held: Sequence[str]) -> list[str]:
    """The batches of a mart that were not checked as they are expected, but for held ones, in order.

    Args:
        backend: The warehouse, after `ensure` and `holdings.expect`.
        mart: Schema and name.
        suite: The suite's fingerprint.
        held: The held batches.
    """
    rows = backend.raw_sql(
        f"SELECT batch_id FROM ({holdings.EXPECTED_QUERY}) ANTI JOIN (FROM quality.checked WHERE "
        f"table_name = {literal(mart)} AND suite = {literal(suite)}) USING (batch_id, fingerprint) "
        f"WHERE NOT list_contains([{', '.join(map(literal, held))}]::VARCHAR[], batch_id) ORDER BY 1"
    ).fetchall()
    return [batch for (batch,) in rows]


def remember(
    backend: Any,
    table: str,
    fingerprints: Mapping[str, str],
    suite: str,
    verdicts: Sequence[Verdict],
    *,
    run_id: str,
    only: Sequence[str] | None = None,
    forget_others: bool = False,
) -> None:
    """Keep the verdicts of a check, in one transaction.

    Args:
        backend: The warehouse, after `ensure`.
        table: Schema and name.
        fingerprints: Of the batches that were checked; `TABLE` for the table.
        suite: The suite's fingerprint.
        verdicts: What was found.
        run_id: The run.
        only: The expectations that were asked; None for all of the suite.
        forget_others: Whether to drop what is kept of batches that the last `find_unchecked` did not find.
    """
    failures = [one for one in verdicts if not one.success]
    # What could not be found out is asked again, unless it would only warn.
    is_answered = not any(one.error and one.severity != WARN for one in verdicts)
    checked = [describe_checked(table, *about, suite) for about in fingerprints.items()] if is_answered else []
    failing = [describe_failure(table, one, fingerprints, suite) for one in failures]
    results = describe_results(run_id, table, verdicts, fingerprints, suite)
    batches = f"[{', '.join(map(literal, fingerprints))}]::VARCHAR[]"
    with warehouse.transaction(backend):
        gone = " OR (batch_id <> '' AND batch_id NOT IN (SELECT batch_id FROM held_now))" if forget_others else ""
        among = "" if only is None else f" AND list_contains([{', '.join(map(literal, only))}]::VARCHAR[], expectation)"
        for name, rows, kinds, asked in (("checked", checked, _CHECKED, ""), ("failing", failing, _FAILING, among)):
            backend.raw_sql(
                f"DELETE FROM quality.{name} WHERE table_name = {literal(table)} "
                f"AND (list_contains({batches}, batch_id){gone}){asked}"
            )
            _append(backend, name, rows, kinds)
        _append(backend, "results", results, _RESULTS)


def are_known(backend: Any, table: str, verdicts: Sequence[Verdict], only: Sequence[str]) -> bool:
    """Whether some expectations of a table fail now if they did when they were last asked.

    Args:
        backend: The warehouse, after `ensure`.
        table: Schema and name.
        verdicts: What was found.
        only: The expectations that were asked; each is about the table.
    """
    rows = backend.raw_sql(_select(f"table_name = {literal(table)}")).fetchall()
    failed = {
        (one.expectation, one.is_unanswered) for one in (Failing(*row) for row in rows) if one.expectation in only
    }
    return failed == {(one.expectation_id, bool(one.error)) for one in verdicts if not one.success}


def find_failing(backend: Any, tables: Sequence[str]) -> list[Failing]:
    """What fails of tables of the warehouse as they are now; verdicts about an earlier state are passed over.

    Args:
        backend: The warehouse.
        tables: Schema and name of each.
    """
    if not is_there(backend):
        return []
    found: list[Failing] = []
    for table in tables:
        rows = backend.raw_sql(_select(f"table_name = {literal(table)}")).fetchall()
        if not rows:
            continue
        held = dict(
            backend.raw_sql(f"SELECT batch_id, fingerprint FROM ({holdings.held_by(backend, table)})").fetchall()
        )
        found += [Failing(*row) for row in rows if row[1] == TABLE or held.get(row[1]) == row[2]]
    return found


def find_failing_expected(backend: Any, mart: str) -> list[Failing]:
    """What failed when a mart was last to be published, of the batches that are to be published now just the same.

    Args:
        backend: The warehouse, after `holdings.expect`.
        mart: Schema and name.
    """
    if not is_there(backend):
        return []
    rows = backend.raw_sql(
        f"SELECT * FROM ({_select(f'table_name = {literal(mart)}')}) WHERE fingerprint IN {holdings.EXPECTED_OF_ALL} "
        f"OR (batch_id, fingerprint) IN ({holdings.EXPECTED_QUERY})"
    ).fetchall()
    return [Failing(*row) for row in rows]


def forget_tables(backend: Any, kept: Collection[str]) -> bool:
    """Drop what is kept of tables that nothing is expected of any more; whether there was any.

    Args:
        backend: The warehouse.
        kept: Schema and name of those that have a suite.
    """
    among = f"[{', '.join(map(literal, kept))}]::VARCHAR[]"
    return _forget(backend, f"NOT list_contains({among}, table_name)")


def forget_other_suites(backend: Any, table: str, suite: str) -> bool:
    """Drop what is kept of a table that was asked for by another suite; whether there was any.

    It is no answer to what is asked now.

    Args:
        backend: The warehouse.
        table: Schema and name.
        suite: The suite's fingerprint.
    """
    return _forget(backend, f"table_name = {literal(table)} AND suite <> {literal(suite)}")


def _forget(backend: Any, condition: str) -> bool:
    if not is_there(backend):
        return False
    deleted = 0
    for name in ("checked", "failing"):
        (count,) = backend.raw_sql(f"DELETE FROM quality.{name} WHERE {condition}").fetchone()
        deleted += count
    return deleted > 0


def failing_tables(backend: Any) -> list[str]:
    """The tables of the warehouse that failed something when they were last checked, in order."""
    if not is_there(backend):
        return []
    rows = backend.raw_sql(
        "SELECT DISTINCT table_name FROM quality.failing SEMI JOIN lake_state.relations AS r ON r.name = table_name "
        "ORDER BY 1"
    ).fetchall()
    return [name for (name,) in rows]


def _select(condition: str) -> str:
    columns = "table_name, batch_id, fingerprint, expectation, severity, sentence, is_unanswered"
    return f"SELECT {columns} FROM quality.failing WHERE {condition} ORDER BY batch_id, expectation"


def _append(backend: Any, name: str, rows: Sequence[Mapping[str, Any]], kinds: Mapping[str, str]) -> None:
    if rows:
        columns = ", ".join(kinds)
        values = query_rows(rows, kinds)
        backend.raw_sql(f"INSERT INTO quality.{name} SELECT {columns}, make_timestamp(epoch_us(now())) FROM ({values})")
