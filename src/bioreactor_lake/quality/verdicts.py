"""What was found: one verdict per expectation and batch, or per expectation and table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

WARN, ERROR, FATAL = "warn", "error", "fatal"
SEVERITIES = (WARN, ERROR, FATAL)
"""From the mildest: said, holds the batch, stops."""
PASSED, FAILED, UNANSWERED = "passed", "failed", "unanswered"
"""What becomes of an expectation; unanswered is what could not be found out."""


@dataclass(frozen=True)
class Verdict:
    """Whether a table, or one batch of it, meets one expectation.

    Args:
        suite: Name of the suite.
        expectation_id: The expectation's id, unique in its suite.
        type: Its type, such as `expect_column_values_to_not_be_null`.
        kwargs: What it was asked with, as the suite says it, the row condition included.
        table: The table, as the catalog names it.
        batch: The batch that it is about; None where it is about the table, or about rows without a batch.
        severity: What a failure means: `warn`, `error` or `fatal`.
        success: Whether the expectation is met.
        observed: What was found: of expectations about rows the share that fails (0 to 1), else the value or values.
        rows: Rows that were looked at, without those that the expectation passes over; None where it counts none.
        failing_rows: Those of them that fail; None where it is not about rows.
        samples: A few of the failing rows, column to value.
        error: Why it could not be found out; empty where it could.
        said: What is said of it in place of how many rows fail; empty for that.
    """

    suite: str
    expectation_id: str
    type: str
    kwargs: Mapping[str, Any]
    table: str
    batch: str | None
    severity: str
    success: bool
    observed: Any = None
    rows: int | None = None
    failing_rows: int | None = None
    samples: tuple[Mapping[str, Any], ...] = ()
    error: str = ""
    said: str = ""

    @property
    def stops(self) -> bool:
        """Whether nothing may be built on it; what could not be checked counts as wrong, unless it warns."""
        return not self.success and (self.severity == FATAL or bool(self.error and self.severity != WARN))


def worst_failure(verdicts: Iterable[Verdict]) -> str | None:
    """The gravest severity among the failures, or None where nothing failed."""
    failed = {FATAL if verdict.stops else verdict.severity for verdict in verdicts if not verdict.success}
    return max(failed, key=SEVERITIES.index, default=None)
