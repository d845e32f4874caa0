"""The history of runs, as commands read it: what the warehouse has of it, and what it does not have yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from bioreactor_lake.datasets import history, warehouse
from bioreactor_lake.datasets.run_journal import find_leftovers, journals_of
from bioreactor_lake.errors import UsageError
from bioreactor_lake.lake.history import RunRecord
from bioreactor_lake.sql import literal

_SHOWN = 5


def find_runs(config: warehouse.WarehouseConfig, *, limit: int, statuses: Sequence[str] = ()) -> list[RunRecord]:
    """The newest runs, newest first.

    Args:
        config: The warehouse.
        limit: How many.
        statuses: Only runs that ended so; empty for all.

    Raises:
        LockedError: Another process holds the warehouse.
    """
    among = f"WHERE status IN ({', '.join(map(literal, statuses))})" if statuses else ""
    # Files first: one that goes away in between is in the warehouse by then.
    waiting = [one for one in _waiting(config) if not statuses or one.status in statuses]
    kept = _read(config, f"{among} ORDER BY started_at DESC, run_id DESC LIMIT {int(limit)}")
    return _newest([*waiting, *kept])[:limit]


def find_run(config: warehouse.WarehouseConfig, prefix: str) -> RunRecord:
    """A run with its nodes.

    Args:
        config: The warehouse.
        prefix: The beginning of its id; empty for the newest run.

    Raises:
        UsageError: No run's id begins so, or several do.
        LockedError: Another process holds the warehouse.
    """
    waiting = [one for one in _waiting(config) if one.run_id.startswith(prefix)]
    begin_so = f"WHERE starts_with(run_id, {literal(prefix)})"
    found = _newest([*waiting, *_read(config, f"{begin_so} ORDER BY started_at DESC, run_id DESC LIMIT {_SHOWN + 1}")])
    if not found:
        raise UsageError(
            f"There is no run {prefix}." if prefix else "No run is recorded yet.", next_step="See: kedro lake runs"
        )
    if len(found) == 1 or not prefix:
        return found[0]
    listed = ", ".join(one.run_id for one in found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
    raise UsageError(f"Several runs begin with {prefix!r}: {listed}", next_step="Give more of the id.")


def _waiting(config: warehouse.WarehouseConfig) -> list[RunRecord]:
    """Runs that are under way, or that the next one will add."""
    found = []
    for leftover in find_leftovers(journals_of(Path(config["filepath"]))):
        found.append(leftover.record)
        leftover.close(delete=False)
    return found


def _newest(records: Iterable[RunRecord]) -> list[RunRecord]:
    # A run that was killed while it was added is in both.
    unique = {one.run_id: one for one in records}
    return sorted(unique.values(), key=lambda one: (one.started_at, one.run_id), reverse=True)


def _read(config: warehouse.WarehouseConfig, condition: str) -> list[RunRecord]:
    if not Path(config["filepath"]).exists():
        return []
    with warehouse.open_for_reading(config) as backend:
        if not history.is_there(backend):
            return []
        return history.read(backend, condition)
