"""Verdicts as the tables of `quality` have them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bioreactor_lake.quality.verdicts import Verdict

TABLE = ""
"""The batch of a verdict that is about a table."""


def say(verdict: Verdict, *, quote: bool = True) -> str:
    """A failure in a sentence, without values but for those that an error may hold.

    Args:
        verdict: The failure.
        quote: Whether to say why it could not be checked, if so.

    >>> say(Verdict("s", "ph", "expect_column_values_to_be_between", {"column": "value"}, "t", "B-1", "error", False,
    ...             rows=10, failing_rows=2))
    'ph: 2 of 10 rows fail expect_column_values_to_be_between (value)'
    """
    columns = [str(verdict.kwargs[key]) for key in ("column", "column_A", "column_B") if key in verdict.kwargs]
    columns += [str(name) for name in verdict.kwargs.get("column_list", ())]
    what = f"{verdict.type} ({', '.join(columns)})" if columns else verdict.type
    if verdict.error:
        why = f": {verdict.error.rstrip('.')}" if quote else ""
        return f"{verdict.expectation_id}: {what} could not be checked{why}"
    if verdict.said:
        return f"{verdict.expectation_id}: {verdict.said}"
    if verdict.failing_rows is not None and verdict.rows is not None:
        return f"{verdict.expectation_id}: {verdict.failing_rows:,} of {verdict.rows:,} rows fail {what}"
    return f"{verdict.expectation_id}: {what} is not met"


def describe_checked(table: str, batch: str | None, fingerprint: str, suite: str) -> dict[str, Any]:
    """What was checked, as a row of `quality.checked`."""
    return {"table_name": table, "batch_id": batch or TABLE, "fingerprint": fingerprint, "suite": suite}


def describe_failure(table: str, verdict: Verdict, fingerprints: Mapping[str, str], suite: str) -> dict[str, Any]:
    """What failed, as a row of `quality.failing`."""
    batch = verdict.batch or TABLE
    return {
        **describe_checked(table, batch, fingerprints.get(batch, TABLE), suite),
        "expectation": verdict.expectation_id,
        "severity": verdict.severity,
        "sentence": say(verdict),
        "is_unanswered": bool(verdict.error),
    }


def _result(run_id: str, verdict: Verdict, about: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **about,
        "run_id": run_id,
        "suite_name": verdict.suite,
        "type": verdict.type,
        "kwargs": _text(verdict.kwargs),
        "success": verdict.success,
        "observed": _text(verdict.observed),
        "rows": verdict.rows,
        "failing_rows": verdict.failing_rows,
        "samples": _text(list(verdict.samples)) if verdict.samples else None,
    }


def describe_results(
    run_id: str, table: str, verdicts: Sequence[Verdict], fingerprints: Mapping[str, str], suite: str
) -> list[dict[str, Any]]:
    """The rows of `quality.results` for verdicts about a table, without the time; arguments as for `remember`."""
    failures = [one for one in verdicts if not one.success]
    return [
        *(_result(run_id, one, describe_failure(table, one, fingerprints, suite)) for one in failures),
        *_summaries(run_id, table, suite, verdicts),
    ]


def _summaries(run_id: str, table: str, suite: str, verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """For each expectation how many batches it was asked of, 0 where it is about the table, and how many failed."""
    asked = Counter(one.expectation_id for one in verdicts)
    failed = Counter(one.expectation_id for one in verdicts if not one.success)
    of_batches = {one.expectation_id for one in verdicts if one.batch is not None}
    first: dict[str, Verdict] = {}
    for one in verdicts:
        first.setdefault(one.expectation_id, one)
    return [
        {
            **_result(
                run_id,
                one,
                {**describe_checked(table, TABLE, TABLE, suite), "expectation": id_, "severity": one.severity},
            ),
            "success": not failed[id_],
            "observed": _text(one.observed) if asked[id_] == 1 else None,
            "rows": _sum(each.rows for each in verdicts if each.expectation_id == id_),
            "failing_rows": _sum(each.failing_rows for each in verdicts if each.expectation_id == id_),
            "samples": None,
            "batches": asked[id_] if id_ in of_batches else 0,
            "failing_batches": failed[id_] if id_ in of_batches else 0,
        }
        for id_, one in first.items()
    ]


def _sum(counts: Iterable[int | None]) -> int | None:
    """The sum of what was counted; None where nothing was."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _text(value: Any) -> str | None:
    return None if value is None else json.dumps(value, default=str)
