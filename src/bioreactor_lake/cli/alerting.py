"""The end of a run as alerts see it: what it found amiss, what of it is over, and who is told.

A run that finds nothing amiss, in a lake where nothing was, costs a look into one file, where there is one.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bioreactor_lake.lake.incidents import SOURCE, WAREHOUSE, WHOLE_RUN, Finding
from bioreactor_lake.lake.runs import Run
from bioreactor_lake.lineage.started_by import find_starter, is_scheduled

if TYPE_CHECKING:
    from bioreactor_lake.alerts.telling import Observation
    from bioreactor_lake.lake.incidents import Kind

_HELD = 3
# These are for whoever typed the command, and sits there; where a scheduler did, nobody does.
_SIGNALS = 128
_OF_THE_TERMINAL = (2, _SIGNALS + signal.SIGINT, _SIGNALS + signal.SIGTERM)
_PARTS = (
    "pipeline",
    "pipelines",
    "tags",
    "node_names",
    "from_nodes",
    "to_nodes",
    "from_inputs",
    "to_outputs",
    "namespaces",
)


@contextmanager
def telling(run: Run, options: Mapping[str, Any]) -> Iterator[None]:
    """Tell how the block ended. Whatever goes wrong with that is said, and changes no exit code.

    Args:
        run: The run.
        options: Those of the command.
    """
    ended: BaseException | None = None
    try:
        yield
    except BaseException as error:
        ended = error
        raise
    finally:
        try:
            notices = _tell(run, options, ended)
        except Exception as error:
            notices = [f"Nobody was alerted: {_said(error)}"]
        for notice in notices:
            click.echo(notice)


def _tell(run: Run, options: Mapping[str, Any], ended: BaseException | None) -> list[str]:
    code, nominal_time = _exit_code(ended), find_starter(os.environ).nominal_time
    failed = code not in (0, _HELD)
    tells_of_itself = code not in _OF_THE_TERMINAL or is_scheduled(os.environ)
    amiss = failed or ended is not None or run.held_findings or run.failing_tables or any(run.observed.values())
    is_idle = not amiss and nominal_time is None and not run.killed and _is_quiet(run)
    if is_idle or not (tells_of_itself or run.killed):
        return []

    from kedro.utils import find_kedro_project

    from bioreactor_lake.alerts.configuration import read_settings
    from bioreactor_lake.alerts.findings import find_lateness
    from bioreactor_lake.alerts.telling import Observation, tell

    root = find_kedro_project(Path.cwd()) or Path.cwd()
    settings = read_settings(root, env=options.get("env"), conf_source=options.get("conf_source"))
    observed = _observations(run, options, ended, failed=failed) if tells_of_itself else {}
    if nominal_time is not None and settings.late_after_minutes is not None:
        observed["lateness"] = Observation(find_lateness(nominal_time, settings.late_after_minutes))
    return tell(settings, observed, run.run_id, killed=run.killed)


def _observations(
    run: Run, options: Mapping[str, Any], ended: BaseException | None, *, failed: bool
) -> dict[Kind, Observation]:
    from bioreactor_lake.alerts.findings import describe_failure, describe_nothing, describe_signal
    from bioreactor_lake.alerts.telling import Observation
    from bioreactor_lake.errors import LockedError, NothingToIngest, find_lake_error

    observed = {kind: Observation(found) for kind, found in run.observed.items()}
    known = find_lake_error(ended)
    written = {write.table for write in run.writes}
    if isinstance(known, NothingToIngest):
        observed["nothing_to_ingest"] = Observation([describe_nothing(known)])
    elif "quarantine" in observed and not failed:
        observed["nothing_to_ingest"] = Observation()
    whole = not failed and known is None and not run.batches and not any(options.get(name) for name in _PARTS)

    def has_ended(what: str) -> bool:
        if what.startswith(SOURCE):
            return False
        if what == WAREHOUSE:
            return bool(written) or not failed
        return whole or what in written or (what == WHOLE_RUN and not failed)

    found = []
    if failed and ended is not None:
        what = next(iter(run.unwritten), WHOLE_RUN)
        if (code := _exit_code(ended)) > _SIGNALS:
            found = [describe_signal(what, signal.Signals(code - _SIGNALS).name)]
        else:
            found = [describe_failure(WAREHOUSE if isinstance(known, LockedError) else what, known, ended)]
    observed["failure"] = Observation(found, has_ended)
    # Of a mart that the run did not come to, other batches may be held.
    is_complete = bool(written) and _marts(run) <= written
    observed["held"] = Observation([*run.held_findings.values()], lambda batch: is_complete)
    observed["failing"] = Observation(
        [Finding(table, "; ".join(sentences)) for table, sentences in run.failing_tables.items()],
        lambda table: _meets_its_suite(run, table),
    )
    return observed


def _marts(run: Run) -> set[str]:
    from bioreactor_lake.datasets.marts import MartDataset

    catalog = run.catalog
    return set() if catalog is None else {catalog[name].qualified_name for name in catalog.filter(by_type=MartDataset)}


def _meets_its_suite(run: Run, table: str) -> bool:
    """Whether a table that does not fail is known not to: it was checked, or nothing is expected of it any more."""
    if run.checkpoints is None:
        return table in run.checks
    # By then all tables of the warehouse were looked at, of marts only those that were written.
    return table in run.checks or not table.startswith("marts.") or table not in run.checkpoints.tables


def _is_quiet(run: Run) -> bool:
    """Whether nothing is amiss that may be over now, and nothing is to be delivered."""
    from bioreactor_lake.datasets import MANIFEST

    if run.catalog is None or MANIFEST not in run.catalog:
        return True
    from bioreactor_lake.alerts import state_file

    path = state_file(Path(run.catalog[MANIFEST].warehouse_config["filepath"]))
    if not path.exists():
        return True
    from bioreactor_lake.alerts.state import AlertState

    state = AlertState(path)
    try:
        return state.is_quiet()
    finally:
        state.close()


def _exit_code(ended: BaseException | None) -> int:
    if ended is None:
        return 0
    if isinstance(ended, SystemExit):
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    if isinstance(ended, click.exceptions.Exit):
        return ended.exit_code
    if isinstance(ended, click.UsageError):
        return 2
    return 1 if isinstance(ended, Exception) else _SIGNALS + signal.SIGINT


def _said(error: Exception) -> str:
    from bioreactor_lake.errors import LakeError

    # Others may hold an address.
    return str(error) if isinstance(error, LakeError) else type(error).__name__
