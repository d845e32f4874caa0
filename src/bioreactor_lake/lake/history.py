"""What is kept of every run: who asked for what, and what became of each of its nodes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bioreactor_lake.lake.incidents import WHOLE_RUN, Finding
from bioreactor_lake.lake.runs import WriteReport

COMPLETED, HELD, NOTHING_TO_DO, FAILED, INTERRUPTED, KILLED = (
    "completed", "held", "nothing_to_do", "failed", "interrupted", "killed",
)  # fmt: skip
"""How a run or a node ended. `held` is a run that published all but held batches; `nothing_to_do` is a success:
all was up to date, or no raw file could be taken in."""

RUNNING = "running"
"""What a run or a node is until it has ended; never kept in a table."""

KILLED_ERROR = "It ended without a word: it was killed, or the machine stopped."


@dataclass
class NodeRun:
    """What became of one node.

    Args:
        node: Its name.
        pipeline: The pipeline that it belongs to, however it was run.
        table: What it writes, such as `curated.dim_batch`; several are separated by commas.
        started_at: When its first input was loaded, UTC.
        ended_at: When its last output was saved or it failed, UTC.
        status: One of the words above.
        rows: Rows that were written; None for a view.
        batches: Batches that were written or deleted; None where the table knows none.
        bytes: Size of the raw files that it read; None where it reads none.
        reason: Why a table was written as a whole; empty where it was not.
        error: What ended it, in one sentence without secrets.
    """

    node: str
    pipeline: str
    table: str
    started_at: datetime
    ended_at: datetime | None = None
    status: str = RUNNING
    rows: int | None = None
    batches: int | None = None
    bytes: int | None = None
    reason: str = ""
    error: str | None = None

    def complete(self, reports: Sequence[WriteReport], at: datetime) -> None:
        """Take over what its saves reported."""
        self.rows = _total(report.rows for report in reports)
        self.batches = max((report.batches for report in reports if report.batches is not None), default=None)
        self.bytes = _total(read.size_bytes for report in reports for read in report.reads)
        self.reason = "; ".join(dict.fromkeys(report.reason for report in reports if report.reason))
        idle = bool(reports) and all(report.batches == 0 for report in reports)
        self.end(NOTHING_TO_DO if idle else COMPLETED, at)

    def end(self, status: str, at: datetime, error: str | None = None) -> None:
        """Say how it ended."""
        self.status, self.ended_at, self.error = status, at, error


@dataclass
class RunRecord:
    """What is kept of one run.

    Args:
        run_id: The run.
        started_at: Its start, UTC.
        asked: What was asked for: pipelines, nodes, batches, parameters and the like, as far as they were named.
        versions: Of the project, its commit, Python and the libraries.
        parameters: All that were in force, without secrets.
        host: The machine.
        user: The account.
        started_by: The scheduler's task, or the account where none is known.
        ended_at: Its end, UTC; of a killed one when it was last heard of.
        status: One of the words above.
        error: What ended it, in one sentence without secrets.
        nodes: Its nodes that began, in their order.
    """

    run_id: str
    started_at: datetime
    asked: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    host: str = ""
    user: str = ""
    started_by: str = ""
    ended_at: datetime | None = None
    status: str = RUNNING
    error: str | None = None
    nodes: list[NodeRun] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Rows that were written into tables and marts."""
        return sum(node.rows or 0 for node in self.nodes if node.batches)

    @property
    def batches(self) -> int:
        """Batches of the table or mart of which most were written or deleted."""
        return max((node.batches or 0 for node in self.nodes), default=0)

    @property
    def bytes(self) -> int:
        """Size of the raw files that its nodes read, counted for each node that did."""
        return sum(node.bytes or 0 for node in self.nodes)

    def end(self, status: str, at: datetime, error: str | None = None) -> None:
        """Say how it ended, and with it the node that was under way."""
        for node in self.nodes:
            if node.status == RUNNING:
                node.end(status, at, error)
        tables = [node for node in self.nodes if node.rows is not None and node.batches is not None]
        if status == COMPLETED and tables and all(node.status == NOTHING_TO_DO for node in tables):
            status = NOTHING_TO_DO
        self.status, self.ended_at, self.error = status, at, error

    def to_json(self) -> str:
        """One line that `from_json` reads."""
        return json.dumps(vars(self), default=_spell)

    @classmethod
    def from_json(cls, text: str) -> RunRecord:
        """The record that a line holds.

        Raises:
            ValueError: It holds none.
        """
        try:
            found = json.loads(text)
            nodes = [NodeRun(**{name: _parse(name, value) for name, value in node.items()}) for node in found["nodes"]]
            return cls(**{name: _parse(name, value) for name, value in (found | {"nodes": nodes}).items()})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"This is no record of a run: {error}") from error


def describe_killed(record: RunRecord) -> Finding:
    """A run that was killed, as what was amiss: the table that it was at, when, and that it could not tell itself."""
    at = next((node.table for node in reversed(record.nodes) if node.status == KILLED and node.table), WHOLE_RUN)
    heard_of = record.ended_at or record.started_at
    why = f"The run {record.run_id} was killed, or its machine stopped; it was last heard of at {_minute(heard_of)}"
    return Finding(at, why, next_step="Run again: kedro run", since=heard_of.timestamp())


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _total(values: Any) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _parse(name: str, value: Any) -> Any:
    return datetime.fromisoformat(value) if name in ("started_at", "ended_at") and value else value


def _spell(value: Any) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else vars(value)
