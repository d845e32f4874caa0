"""The Spark that a lake computes with: one session per process, begun when there is work for it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypedDict

import ibis

from bioreactor_lake.errors import LakeError

logger = logging.getLogger(__name__)

_SETTINGS = {
    # Readings say what time it was in UTC, and a file may have columns that differ in case only.
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.caseSensitive": "true",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # Without it Spark refuses files with nanoseconds, which pandas writes.
    "spark.sql.legacy.parquet.nanosAsLong": "true",
}
_OF_THE_PROCESS = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}


class SparkConfig(TypedDict, total=False):
    """The catalog's `spark` entry.

    Args:
        master: A cluster such as `spark://host:7077`, or `local[*]`, where `remote` is null.
        remote: A Spark Connect server such as `sc://host:15002`; null for a driver in this process.
        path: Folder of the tables' files; Spark's workers and this process see it under the same path.
        settings: Spark's own settings, such as `spark.executor.memory`.
    """

    master: str
    remote: str | None
    path: str
    settings: Mapping[str, Any]


_sessions: dict[str, Any] = {}


def connect(config: SparkConfig) -> Any:
    """The process's session.

    Raises:
        LakeError: Spark is not installed, or cannot be reached or begun.
    """
    where = str(config.get("remote") or config["master"])
    if where not in _sessions:
        _sessions[where] = _begin(config, where)
    return _sessions[where]


def stop() -> None:
    """End the sessions of this process, and with them the applications on their clusters."""
    while _sessions:
        _sessions.popitem()[1].stop()


def require_spark() -> None:
    """Import Spark, and Ibis' way to it.

    Raises:
        LakeError: It is not installed.
    """
    try:
        import pyspark  # noqa: F401

        # Its options are there once Ibis has been asked for the backend by name.
        _ = ibis.pyspark
    except ImportError as error:
        raise LakeError(
            f"Spark is not installed here ({error}).",
            kept="Nothing was written.",
            next_step="Install it with: pip install '.[spark]' (and Java 17 or later, "
            "where Spark runs in this process)",
        ) from error


def _begin(config: SparkConfig, where: str) -> Any:
    require_spark()
    from pyspark.sql import SparkSession

    # What follows in the address of a server is a token, say.
    address = where.partition(";")[0]
    builder = SparkSession.builder.appName("bioreactor_lake")
    remote = config.get("remote")
    builder = builder.remote(remote) if remote else builder.master(where)
    process = {} if remote else _OF_THE_PROCESS
    for name, value in {**process, **_SETTINGS, **(config.get("settings") or {})}.items():
        builder = builder.config(name, str(value))
    try:
        session = builder.getOrCreate()
        version = session.version
    except Exception as error:
        raise LakeError(
            f"Spark at {address} cannot be begun: {_first_line(error).replace(where, address)}.",
            kept="Nothing was written.",
            next_step="Check that it runs and can be reached from here, and that Java 17 or later is installed where "
            "Spark runs in this process (JAVA_HOME); its address is spark.master in conf/spark/globals.yml.",
        ) from error
    logger.info("Spark %s at %s", version, address)
    return session


def write_counted(rows: Any, folder: str, config: SparkConfig) -> int | None:
    """Write rows as Parquet.

    Returns:
        How many went into it, counted where they were computed; None where a server does the work, since not all count.
    """
    from pyspark.sql import Observation
    from pyspark.sql import functions as f

    if config.get("remote"):
        rows.write.parquet(folder)
        return None
    # In the last stage, where Spark counts no task twice that it had to do again.
    counted = Observation()
    rows.observe(counted, f.count(f.lit(1)).alias("rows")).write.parquet(folder)
    return int(counted.get["rows"])


@contextmanager
def spark_errors(what: str, kept: str) -> Iterator[None]:
    """Say in the lake's words what failed in Spark.

    Raises:
        LakeError: Something did.
    """
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as error:
        raise LakeError(
            f"{what} failed in Spark: {_first_line(error)}.",
            kept=kept,
            next_step="Look into the logs of Spark's workers, then run again: what Spark has written of it is not read "
            "and is deleted later.",
        ) from error


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [line for line in lines if line.startswith("Caused by:")]
    return (causes or lines or [type(error).__name__])[0].rstrip(".")
