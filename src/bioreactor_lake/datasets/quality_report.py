"""The page of a run's checks: what was asked, what was carried over from earlier runs, and what is held."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bioreactor_lake.datasets.quality_results import Result, collect_results, find_results_now
from bioreactor_lake.lake.runs import Run
from bioreactor_lake.quality.page import BAD, GOOD, NOTICE, Check, CheckedTable, HeldBatch, Page, SampleRows, place_of
from bioreactor_lake.quality.spelling import plural, spell, spell_rows
from bioreactor_lake.quality.verdicts import PASSED, UNANSWERED, WARN, Verdict

_HELD = 100
_FAILING = 10


def state_of(run: Run, error: str | None) -> str:
    """What a run holds and what stands in its way, in a word: two runs without news have the same page if it is."""
    said = json.dumps([run.held, run.failing_tables, error], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def describe_run(backend: Any, run: Run, error: str | None) -> Page:
    """The page of a run that has ended.

    Args:
        backend: The warehouse, which has results.
        run: The run.
        error: What ended it, in one sentence; None where nothing did.
    """
    now = datetime.now(UTC)
    tables = _describe_tables(find_results_now(backend), run.run_id)
    checks = [check for table in tables for check in table.checks]
    problems = [error] if error is not None else []
    problems += [
        f"{table} fails, which holds no batch: {'; '.join(said)}" for table, said in run.failing_tables.items()
    ]
    verdict, tone, lead = _judge(run, error, checks)
    held = [
        HeldBatch(batch, reasons, f'kedro lake release {shlex.quote(batch)} --reason "…"')
        for batch, reasons in list(run.held.items())[:_HELD]
    ]
    return Page(
        title="Checks of a run of the lake",
        verdict=verdict,
        tone=tone,
        lead=lead,
        facts=[
            ("Run", run.run_id),
            ("Started", f"{run.started_at:%Y-%m-%d %H:%M:%S} UTC"),
            ("Took", f"{(now - run.started_at).total_seconds():,.1f} s"),
            ("Asked in this run", plural(sum(not check.is_carried for check in checks), "expectation")),
        ],
        tables=tables,
        held=held,
        held_count=len(run.held),
        problems=problems,
        made_at=now,
        state=state_of(run, error),
    )


def describe_verdicts(verdicts: Sequence[Verdict], names: Mapping[str, str], *, failed: bool) -> Page:
    """The page of what was asked just now.

    Args:
        verdicts: What was found.
        names: Schema and name of each table, as the catalog names it.
        failed: Whether that is worse than a warning.
    """
    now = datetime.now(UTC)
    tables = _describe_tables(collect_results(verdicts, names, now), "")
    warned = any(check.tone == NOTICE for table in tables for check in table.checks)
    verdict, tone = ("Something fails", BAD) if failed else ("Something is unusual", NOTICE)
    if not failed and not warned:
        verdict, tone = "All as expected", GOOD
    return Page(
        title="Checks of the lake as it is",
        verdict=verdict,
        tone=tone,
        lead="Asked by hand: nothing was written, held or released.",
        facts=[("Asked", f"{now:%Y-%m-%d %H:%M:%S} UTC"), ("Tables", ", ".join(table.name for table in tables))],
        tables=tables,
        made_at=now,
    )


def _judge(run: Run, error: str | None, checks: Iterable[Check]) -> tuple[str, str, str]:
    """The verdict of a run, its tone, and what it means."""
    if error is not None:
        return (
            "The run stopped",
            BAD,
            "The marts are as they were before it. The next run begins where this one stopped.",
        )
    others = "All other batches are published as they are in the raw files."
    if run.held:
        return f"{plural(len(run.held), 'batch is', 'batches are')} held", BAD, others
    if run.failing_tables:
        names = ", ".join(run.failing_tables)
        return "A table fails as a whole", BAD, f"{names} was built on all the same, and every batch is published."
    if failing := sum(check.tone == BAD for check in checks):
        # What was released, or is of a mart that this run did not come to.
        return f"{plural(failing, 'expectation')} not met", NOTICE, "No batch is held for it."
    if warned := sum(check.tone == NOTICE for check in checks):
        return f"Published, with {plural(warned, 'warning')}", NOTICE, "No batch is held. What is unusual stands below."
    return "All as expected", GOOD, "No batch is held, and no expectation fails."


def _describe_tables(results: Iterable[Result], run_id: str) -> list[CheckedTable]:
    wholes: dict[str, list[Result]] = {}
    batches: dict[tuple[str, str], list[Result]] = {}
    for one in results:
        if one.batch is None:
            wholes.setdefault(one.table, []).append(one)
        else:
            batches.setdefault((one.table, one.expectation), []).append(one)
    return [
        CheckedTable(
            table, [_describe(one, batches.get((table, one.expectation), []), run_id) for one in wholes[table]]
        )
        for table in sorted(wholes, key=place_of)
    ]


def _describe(whole: Result, failing: Sequence[Result], run_id: str) -> Check:
    """An expectation with the batches that fail it now, whenever that was found."""
    is_of_table = whole.batches == 0
    fails = whole.verdict != PASSED if is_of_table else bool(failing)
    shown = [whole] if is_of_table else sorted(failing, key=lambda one: str(one.batch))
    return Check(
        expectation=whole.expectation,
        type=whole.type,
        arguments=whole.arguments,
        severity=whole.severity,
        verdict=_word(whole, fails),
        asked_of="the table" if is_of_table else plural(whole.batches or 0, "batch", "batches"),
        found=_found(whole, failing, is_of_table=is_of_table, fails=fails),
        note="" if is_of_table else _carried(failing, run_id),
        checked_at=whole.checked_at,
        is_carried=whole.run_id != run_id,
        failing=[_samples(one, run_id) for one in shown[:_FAILING]] if fails else [],
        more=max(len(shown) - _FAILING, 0) if fails else 0,
    )


def _carried(failing: Sequence[Result], run_id: str) -> str:
    earlier = sum(one.run_id != run_id for one in failing)
    return "" if not earlier else "carried over" if earlier == len(failing) else f"{earlier:,} of them carried over"


def _word(whole: Result, fails: bool) -> str:
    if not fails:
        return PASSED
    return UNANSWERED if whole.verdict == UNANSWERED and whole.severity != WARN else whole.severity


def _found(whole: Result, failing: Sequence[Result], *, is_of_table: bool, fails: bool) -> str:
    if whole.verdict == UNANSWERED and fails:
        return "could not be found out"
    if not is_of_table and fails:
        counted = [one for one in failing if one.rows is not None and one.failing_rows is not None]
        among = f", {spell_rows(*_total(counted))}" if counted else ""
        return f"{plural(len(failing), 'batch fails', 'batches fail')}{among}"
    if whole.rows is not None:
        return spell_rows(whole.failing_rows or 0 if fails else 0, whole.rows)
    observed = whole.observed
    if isinstance(observed, dict):
        observed = {name: part for name, part in observed.items() if part not in (None, [])}
    return "" if observed is None else spell(observed)


def _total(counted: Sequence[Result]) -> tuple[int, int]:
    return sum(one.failing_rows or 0 for one in counted), sum(one.rows or 0 for one in counted)


def _samples(one: Result, run_id: str) -> SampleRows:
    note = "" if one.run_id == run_id else f"Found {one.checked_at:%Y-%m-%d %H:%M} UTC, carried over."
    sentence = (one.sentence or "").removeprefix(f"{one.expectation}: ")
    # Of rows it is their share, unless it names what they have.
    is_said = one.observed is None or (one.failing_rows is not None and not isinstance(one.observed, list))
    observed = "" if is_said else f" Found: {spell(one.observed)}."
    return SampleRows(one.batch or "", f"{sentence}.{observed}", note, one.samples)
