"""What every line has: the run and the node that it is about, and no secret."""

from __future__ import annotations

import json
import logging
import threading
from datetime import UTC, datetime

from bioreactor_lake.lake.runs import current_run
from bioreactor_lake.lineage.redaction import redact

NO_RUN = "-"
# Of a UUIDv7 the first 13 characters are the millisecond in which the run began: enough to find it by.
_SHORT = 13


class LineFilter(logging.Filter):
    """Says which run and node a line is about, and takes secrets out of it; lets every line pass."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: frozenset[str] = frozenset()
        self._last = (NO_RUN, "")

    def filter(self, record: logging.LogRecord) -> bool:
        """Complete the record, once for all handlers."""
        if hasattr(record, "run_id"):
            return True
        run = current_run()
        if run is not None:
            self._last = run.run_id, run.node
        elif threading.current_thread() is threading.main_thread():
            self._last = NO_RUN, ""
        # Other threads have no run of their own: what they say is about the one under way.
        run_id, node = self._last
        record.__dict__.update(run_id=run_id, run=run_id[:_SHORT], node=node)
        message = record.getMessage()
        told = redact(message, self.secrets)
        if told != message:
            record.msg, record.args = told, ()
        if record.exc_info:
            self._redact_trace(record)
        return True

    def _redact_trace(self, record: logging.LogRecord) -> None:
        """Replace a trace that tells a secret by its text without it."""
        assert record.exc_info is not None
        trace = logging.Formatter().formatException(record.exc_info)
        told = redact(trace, self.secrets)
        if told != trace:
            record.exc_info, record.exc_text = None, told


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, run, node, logger, message, and the figures of a node that is done."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        line = {
            "time": _time(record).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "run_id": getattr(record, "run_id", NO_RUN),
            "node": getattr(record, "node", "") or None,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "figures", {}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        elif record.exc_text:
            line["trace"] = record.exc_text
        return json.dumps({name: value for name, value in line.items() if value is not None}, default=str)


class TextFormatter(logging.Formatter):
    """One line of text with time (UTC), level, run and node; what is said in several lines is indented."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        said = [record.getMessage(), self.formatException(record.exc_info) if record.exc_info else record.exc_text]
        text = "\n".join(part for part in said if part).replace("\n", "\n  ")
        run, node = getattr(record, "run_id", NO_RUN), getattr(record, "node", "") or "-"
        return f"{_time(record):%Y-%m-%dT%H:%M:%S}.{int(record.msecs):03}Z {record.levelname:<7} {run} {node} {text}"


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)
