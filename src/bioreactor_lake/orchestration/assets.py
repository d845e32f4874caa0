"""Dagster: an asset per table, the nightly job and its deadline, and a sensor of raw files.

All assets are made by one step, which runs `kedro run` as a process: a run is one transaction after the other on one
DuckDB file, and works out by itself what is stale. Dagster shows the tables, schedules, retries and remembers.
"""

import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from bioreactor_lake.errors import LakeError
from bioreactor_lake.orchestration.command import run_kedro
from bioreactor_lake.orchestration.outcome import Outcome, read_outcome
from bioreactor_lake.orchestration.project import FOLDER, Check, Project, Table

JOB = "nightly_pipeline"
_HELD = 3
# What may pass by itself: a failure, and a warehouse that was locked for too long.
_WORTH_ANOTHER_TRY = (1, 4)
_SCHEDULED = "dagster/scheduled_execution_time"


def build_definitions(root: Path, *, retry_seconds: float = 60) -> dg.Definitions:
    """All that Dagster is told of the lake.

    Args:
        root: The project's folder.
        retry_seconds: Pause before the first further try; twice as long before each one after it.

    Raises:
        UsageError: A suite or the schedule is not understood.
    """
    project = Project(root)
    job = dg.define_asset_job(JOB, selection=dg.AssetSelection.all(), description="The whole pipeline.")
    checking = _deadline_job(project)
    schedule = project.schedule
    return dg.Definitions(
        assets=[_raw_files(), _lake(project, retry_seconds)],
        jobs=[job, checking],
        schedules=[
            dg.ScheduleDefinition(
                name=name,
                job=one,
                cron_schedule=_cron(schedule[time]),
                execution_timezone=schedule["zone"],
                default_status=dg.DefaultScheduleStatus.RUNNING,
            )
            for name, one, time in (("nightly", job, "start"), ("deadline", checking, "deadline"))
        ],
        sensors=[_sensor(project, job)],
    )


def _raw_files() -> dg.AssetSpec:
    return dg.AssetSpec(_key(FOLDER), description="Raw Parquet, a folder or a bucket", group_name="raw")


def _lake(project: Project, retry_seconds: float) -> dg.AssetsDefinition:
    tables = project.tables()

    @dg.multi_asset(
        name="lake",
        specs=[_spec(table) for table in tables],
        check_specs=[_check_spec(table, check) for table in tables for check in table.checks],
        can_subset=True,
        retry_policy=dg.RetryPolicy(max_retries=3, delay=retry_seconds, backoff=dg.Backoff.EXPONENTIAL),
    )
    def lake(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        """Run the pipeline, or the nodes of the tables that were chosen."""
        chosen = [table for table in tables if _key(table.name) in context.selected_asset_keys]
        arguments = ["run"]
        if len(chosen) < len(tables):
            arguments += ["--nodes", ",".join(dict.fromkeys(table.node for table in chosen))]
        began = datetime.now(UTC)
        code = run_kedro(arguments, project.root, _environment(context), context.log.info)
        if code not in (0, _HELD):
            raise dg.Failure(
                f"kedro {' '.join(arguments)} ended with {code}.",
                metadata={"exit_code": code},
                allow_retries=code in _WORTH_ANOTHER_TRY,
            )
        if code == _HELD:
            context.log.warning("Some batches are held: they fail their suites. See: kedro lake status")
        outcome = read_outcome(project.warehouse, began)
        for table in chosen:
            yield _result(table, outcome, context.selected_asset_check_keys)

    return lake


def _deadline_job(project: Project) -> dg.JobDefinition:
    @dg.op
    def look_at_the_clock(context: dg.OpExecutionContext) -> None:
        """Whether the nightly run was done in time; if not, the channels of alerts are told and this fails."""
        schedule = project.schedule
        given = [word for name, time in schedule.items() for word in (f"--{name}", time)]
        environment = dict(os.environ)
        if code := run_kedro(["lake", "freshness", *given], project.root, environment, context.log.info):
            raise dg.Failure(f"The nightly run was not done in time, or nobody can tell (exit code {code}).")

    @dg.job(name="deadline", description="Whether the nightly run was done in time.")
    def deadline() -> None:
        look_at_the_clock()

    return deadline


def _sensor(project: Project, job: Any) -> dg.SensorDefinition:
    @dg.sensor(name="raw_files", job=job, minimum_interval_seconds=60)
    def raw_files(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """A run when raw files came, changed or went. Which did is worked out by the run."""
        try:
            listed = project.list_raw_files()
        except LakeError as error:
            return dg.SkipReason(str(error))
        if not listed or listed == context.cursor:
            return dg.SkipReason("There is no raw file." if not listed else "The raw files are as they were.")
        context.update_cursor(listed)
        # Not by the digest alone: files may come back to a state that there was before.
        return dg.RunRequest(run_key=f"{listed}-{datetime.now(UTC):%Y%m%dT%H%M%S}")

    return raw_files


def _environment(context: dg.AssetExecutionContext) -> Mapping[str, str]:
    run = context.run
    namespace = os.environ.get("OPENLINEAGE_NAMESPACE") or "dagster"
    environment = dict(os.environ) | {"OPENLINEAGE_PARENT_ID": f"{namespace}/{run.job_name}/{run.run_id}"}
    if scheduled := run.tags.get(_SCHEDULED):
        environment["BIOREACTOR_LAKE_NOMINAL_TIME"] = scheduled
    return environment


def _spec(table: Table) -> dg.AssetSpec:
    return dg.AssetSpec(
        _key(table.name),
        deps=[_key(source) for source in table.sources],
        description=table.description,
        group_name=table.layer or None,
        kinds={"postgres" if table.layer == "marts" else "duckdb"},
        metadata={"node": table.node},
    )


def _check_spec(table: Table, check: Check) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        _check_name(check), asset=_key(table.name), description=check.kind, metadata={"severity": check.severity}
    )


def _result(table: Table, outcome: Outcome, asked: Any) -> dg.MaterializeResult[Any]:
    facts = outcome.nodes.get(table.node, {})
    told = {name: value for name, value in facts.items() if name in ("status", "batches", "reason")}
    if "rows" in facts:
        told["dagster/row_count"] = facts["rows"]
    if outcome.run_id:
        told["run_id"] = outcome.run_id
    results = []
    for check in table.checks:
        if dg.AssetCheckKey(_key(table.name), _check_name(check)) not in asked:
            continue
        failing = outcome.failing.get((table.name, check.expectation))
        known = table.name in outcome.checked
        results.append(
            dg.AssetCheckResult(
                asset_key=_key(table.name),
                check_name=_check_name(check),
                passed=known and failing is None,
                severity=dg.AssetCheckSeverity.WARN if check.severity == "warn" else dg.AssetCheckSeverity.ERROR,
                metadata=failing or {},
                description=None if known else "Its suite was never asked.",
            )
        )
    return dg.MaterializeResult(asset_key=_key(table.name), metadata=told, check_results=results)


def _key(table: str) -> dg.AssetKey:
    return dg.AssetKey(table.split("."))


def _check_name(check: Check) -> str:
    return re.sub(r"\W", "_", check.expectation)


def _cron(time: str) -> str:
    hour, _, minute = time.partition(":")
    return f"{int(minute)} {int(hour)} * * *"
