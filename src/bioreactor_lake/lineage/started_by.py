"""Who started a run, as schedulers say it in the environment by OpenLineage's conventions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

_NOMINAL = ("BIOREACTOR_LAKE_NOMINAL_TIME", "AIRFLOW_CTX_LOGICAL_DATE", "AIRFLOW_CTX_EXECUTION_DATE")


@dataclass(frozen=True)
class JobRun:
    """A run of a job.

    Args:
        namespace: The job's namespace.
        job: Its name.
        run_id: The run, a UUID.
    """

    namespace: str
    job: str
    run_id: str


@dataclass(frozen=True)
class Starter:
    """What is known of who started a run.

    Args:
        parent: The task that started it.
        root: The run that everything began with, such as that of a DAG.
        nominal_time: When it was scheduled for.
    """

    parent: JobRun | None = None
    root: JobRun | None = None
    nominal_time: datetime | None = None


def is_scheduled(environ: Mapping[str, str]) -> bool:
    """Whether a scheduler started the process: `BIOREACTOR_LAKE_SCHEDULED` says so, or what schedulers leave behind.

    >>> is_scheduled({"AIRFLOW_CTX_LOGICAL_DATE": "2026-11-23T02:00:00+00:00"}), is_scheduled({})
    (True, False)
    """
    if said := environ.get("BIOREACTOR_LAKE_SCHEDULED", "").strip().lower():
        return said in ("true", "1", "yes")
    return find_starter(environ) != Starter()


def find_starter(environ: Mapping[str, str]) -> Starter:
    """What the environment says of who started the run.

    `OPENLINEAGE_PARENT_ID` and `OPENLINEAGE_ROOT_PARENT_ID` hold `namespace/job/run id`, as the Airflow macros
    `lineage_parent_id` and `lineage_root_parent_id` write them. Dagster's processes say the job and run in
    `DAGSTER_RUN_JOB_NAME` and `DAGSTER_RUN_ID`; its integration reports them under the namespace of
    `OPENLINEAGE_NAMESPACE`, or else `dagster`. What cannot be read is passed over: lineage never stops a run.

    >>> run = "0190d3a0-0000-7000-8000-000000000001"
    >>> find_starter({"OPENLINEAGE_PARENT_ID": f"airflow/nightly.lake/{run}"}).parent.job
    'nightly.lake'
    """
    parent = _parse(environ.get("OPENLINEAGE_PARENT_ID", ""))
    root = _parse(environ.get("OPENLINEAGE_ROOT_PARENT_ID", ""))
    if parent is None and "DAGSTER_RUN_ID" in environ:
        namespace = environ.get("OPENLINEAGE_NAMESPACE") or "dagster"
        job = environ.get("DAGSTER_RUN_JOB_NAME") or environ.get("DAGSTER_JOB_NAME") or ""
        parent = _job_run(namespace, job, environ["DAGSTER_RUN_ID"])
    times = (_time(environ[name]) for name in _NOMINAL if environ.get(name))
    return Starter(parent or root, root or parent, next(times, None))


def _parse(text: str) -> JobRun | None:
    # A namespace may hold slashes; a job's name does not.
    rest, _, run_id = text.rpartition("/")
    namespace, _, job = rest.rpartition("/")
    return _job_run(namespace, job, run_id)


def _job_run(namespace: str, job: str, run_id: str) -> JobRun | None:
    try:
        return JobRun(namespace, job, str(UUID(run_id))) if namespace and job else None
    except ValueError:
        return None


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
