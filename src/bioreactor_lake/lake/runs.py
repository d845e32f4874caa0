"""The run that this process is in, and what its datasets wrote."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from bioreactor_lake.lake.incidents import Finding, Kind
from bioreactor_lake.lake.retries import RetryRule

RAW_FILES = "raw files"
"""What stands for the raw files where tables are named."""

# Why a table was written as a whole, in the words that its user reads.
NOT_BUILT = "it was not built yet"
NOT_PUBLISHED = "it was not published yet"
OTHER_COLUMNS = "its columns changed"


@dataclass(frozen=True)
class ReadReport:
    """What one save read of one input.

    Args:
        table: Schema and name, or `RAW_FILES`.
        rows: Rows of the batches or files that were read.
        files: Raw files among them; None for a table.
        size_bytes: Of these files.
    """

    table: str
    rows: int
    files: int | None = None
    size_bytes: int | None = None


@dataclass(frozen=True)
class CheckReport:
    """What became of one expectation of a table in this run.

    Args:
        expectation: Its id in the suite.
        kind: Its type, such as `expect_column_values_to_not_be_null`.
        column: The column that it is about; empty where it is not about one.
        success: Whether everything that was checked met it.
        severity: What a failure means.
    """

    expectation: str
    kind: str
    column: str
    success: bool
    severity: str


@dataclass(frozen=True)
class WriteReport:
    """What one save did.

    Args:
        table: Qualified name, such as `curated.dim_batch`.
        rows: Rows that were written; None for a view, which holds none.
        seconds: Wall time of the node so far; outside of a run, of the save.
        batches: Batches that were written or deleted; None for a table that knows none.
        reason: Why a table was written as a whole or a view was defined anew; empty where it was not.
        reads: What was read for it.
    """

    table: str
    rows: int | None
    seconds: float
    batches: int | None = None
    reason: str = ""
    reads: tuple[ReadReport, ...] = ()

    @property
    def figures(self) -> dict[str, Any]:
        """The same for programs that read logs."""
        return {
            "table": self.table,
            "rows": self.rows,
            "batches": self.batches,
            "seconds": round(self.seconds, 3),
            "reason": self.reason or None,
        }

    def __str__(self) -> str:
        if self.batches == 0:
            return f"{self.table}: up to date ({self.seconds:.2f} s)"
        if self.rows is None:
            return f"{self.table}: view in {self.seconds:.2f} s, {self.reason}"
        batches = "" if self.batches is None else f" of {self.batches:,} batches"
        reason = f", as a whole: {self.reason}" if self.reason else ""
        return f"{self.table}: {self.rows:,} rows{batches} in {self.seconds:.2f} s{reason}"


@dataclass
class Run:
    """One run.

    Args:
        run_id: A UUIDv7, which sorts by start time.
        started_at: Its start, UTC.
        writes: What its saves did, in order.
        notices: What its user should be told at the end.
        observed: What it found amiss, by kind; a kind that it did not look for is not there.
        landed_batches: Batches of which raw files were made of landed files, or deleted.
        unwritten: The tables that it was about to write when it failed.
        batches: The batches that are written again, and no others; empty for all that are out of date.
        full_refresh: Whether tables are written as a whole even where they are up to date.
        verify: Whether the content of raw files is hashed even where nothing points to a change.
        allow_removal: Whether raw files may go away in numbers.
        take_over: Whether the marts of another lake may be replaced by this one's.
        patience_seconds: How long after its last write a new raw file that is not whole is passed over, because its
            writer may be at work on it; 0 for no file.
        lock_timeout_seconds: How long it waits for another process that holds the warehouse.
        retry_rule: How often what can pass by itself is tried, in the node under way.
        catalog: Kedro's catalog of the run, from the moment the pipeline begins.
        held: Batches that were not published, each with the reasons.
        held_findings: The same for alerts.
        killed: Runs before it that were killed, and could tell nobody.
        failing_tables: Tables that fail an error as a whole, which holds no batch, each with the reasons.
        checks: What was checked of tables, by schema and name.
        has_results: Whether any of it is news: of data or suites that were not checked before, or another verdict.
        checkpoints: What checks a mart in the transaction that publishes it; None where there are no suites.
        node: The node under way, empty between two.
        node_began_at: When it began, as `time.perf_counter` counts.
        when_ended: What to do when the run has ended, with the error that ended it, while its warehouse is open.
    """

    run_id: str = field(default_factory=lambda: str(new_run_id()))
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    writes: list[WriteReport] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    observed: dict[Kind, list[Finding]] = field(default_factory=dict)
    landed_batches: int = 0
    unwritten: list[str] = field(default_factory=list)
    batches: tuple[str, ...] = ()
    full_refresh: bool = False
    verify: bool = False
    allow_removal: bool = False
    take_over: bool = False
    patience_seconds: float = 0
    lock_timeout_seconds: float = 60
    retry_rule: RetryRule = field(default_factory=RetryRule)
    catalog: Any = None
    held: dict[str, tuple[str, ...]] = field(default_factory=dict)
    held_findings: dict[str, Finding] = field(default_factory=dict)
    killed: list[Finding] = field(default_factory=list)
    failing_tables: dict[str, tuple[str, ...]] = field(default_factory=dict)
    checks: dict[str, tuple[CheckReport, ...]] = field(default_factory=dict)
    has_results: bool = False
    checkpoints: Any = None
    node: str = ""
    node_began_at: float | None = None
    when_ended: list[Callable[[BaseException | None], None]] = field(default_factory=list)

    def seconds_since(self, started: float) -> float:
        """Seconds since the node under way began, or since `started` where none is."""
        return time.perf_counter() - (started if self.node_began_at is None else self.node_began_at)

    def end(self, error: BaseException | None = None) -> None:
        """Tell those who wait for it, once, that the run has ended."""
        while self.when_ended:
            self.when_ended.pop(0)(error)

    def observe(self, kind: Kind, found: Iterable[Finding]) -> None:
        """Note all that is amiss of a kind, which may be nothing: what was and is no longer among it has ended.

        Args:
            kind: What was looked for, such as `held`.
            found: Every batch, file or table concerned.
        """
        self.observed[kind] = list(found)


_current: ContextVar[Run | None] = ContextVar("bioreactor_lake_run", default=None)


def current_run() -> Run | None:
    """The run under way, or None outside of one, as in a notebook."""
    return _current.get()


def retry_rule() -> RetryRule:
    """How often what can pass by itself is tried, now."""
    run = _current.get()
    return RetryRule() if run is None else run.retry_rule


@contextmanager
def running() -> Iterator[Run]:
    """Make a new run the current one for the length of the block; inside a run, that run goes on."""
    if (outer := _current.get()) is not None:
        yield outer
        return
    run = Run()
    token = _current.set(run)
    try:
        yield run
    except BaseException as error:
        # Unless it was said already, by whoever had the warehouse open.
        run.end(error)
        raise
    finally:
        _current.reset(token)


def new_run_id() -> UUID:
    """A UUID of version 7 (RFC 9562): 48 bits of Unix milliseconds, then random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10))
    value = (milliseconds << 80) | random
    value = value & ~(0xF << 76) | (0x7 << 76)
    value = value & ~(0x3 << 62) | (0x2 << 62)
    return UUID(int=value)
