"""The run that this process is in, and what its datasets wrote."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class WriteReport:
    """What one save did.

    Args:
        table: Qualified name, such as `curated.dim_batch`.
        rows: Rows that the table holds after the save; None for a view, which is not counted.
        seconds: Wall time of the save.
    """

    table: str
    rows: int | None
    seconds: float


@dataclass
class Run:
    """One run.

    Args:
        run_id: A UUIDv7, which sorts by start time.
        started_at: Its start, UTC.
        writes: What its saves did, in order.
        notices: What its user should be told at the end.
        lock_timeout_seconds: How long it waits for another process that holds the warehouse.
        catalog: Kedro's catalog of the run, from the moment the pipeline begins.
    """

    run_id: str = field(default_factory=lambda: str(new_run_id()))
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    writes: list[WriteReport] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    lock_timeout_seconds: float = 60
    catalog: Any = None


_current: ContextVar[Run | None] = ContextVar("bioreactor_lake_run", default=None)


def current_run() -> Run | None:
    """The run under way, or None outside of one, as in a notebook."""
    return _current.get()


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
