"""Runs of everything in a process that stays: as `kedro run` makes them, at the price of what is new."""

from __future__ import annotations

import gc
import logging
import os
import signal
import time
from collections.abc import Callable
from copy import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from bioreactor_lake.cli.alerting import telling
from bioreactor_lake.cli.run import check_parameters, exit_codes
from bioreactor_lake.cli.watch.channel import Message
from bioreactor_lake.datasets.attempts import explain
from bioreactor_lake.errors import LakeError, LockedError, find_lake_error
from bioreactor_lake.lake import resident
from bioreactor_lake.lake.runs import Run, running
from bioreactor_lake.lineage.redaction import find_secrets, redact

logger = logging.getLogger(__name__)

_LOCK_SECONDS = 0.25
_INTERRUPTED = (128 + signal.SIGINT, 128 + signal.SIGTERM)


class WarmRuns:
    """Makes runs.

    Args:
        project: The project's folder.
        env: Kedro's environment; None for the default.
        params: Parameters beside the configured ones, as of `kedro run --params`.
        tell: Told of what happens before a run can begin.

    Raises:
        LakeError: The configuration cannot be read.
    """

    def __init__(self, project: Path, env: str | None, params: dict[str, Any], tell: Callable[[Message], None]) -> None:
        from kedro.framework.startup import bootstrap_project

        self._project, self._params, self._tell = project, params, tell
        self._env = env or os.environ.get("KEDRO_ENV")
        self._secrets: Any = ()
        self._notices: tuple[str, ...] = ()
        self._hooked: Any = None
        os.chdir(project)
        bootstrap_project(project)
        gc.set_threshold(100_000, 50, 1000)
        resident.stay()
        self.configured = self._configure()

    def run(self, *, patience_seconds: float) -> Message:
        """Make a run, and say what became of it.

        Args:
            patience_seconds: As of `Run`.

        Raises:
            SystemExit: A signal has ended it.
        """
        self._wait_for_warehouse()
        started, numbers = time.perf_counter(), dict[str, Any]()
        code, error = 0, ""
        try:
            with running() as this_run, telling(this_run, {"env": self._env}), exit_codes():
                this_run.patience_seconds = patience_seconds
                self._carry_out(this_run, numbers)
                code = 3 if this_run.held or this_run.failing_tables else 0
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else 1
            if code in _INTERRUPTED:
                raise
            error = _sentence(ending)
            if code == 0 and not error:
                code, error = 1, "Something in the run called for the end of the process."
        except Exception as fault:
            logger.exception("The run failed")
            code, error = 1, f"{type(fault).__name__}: {fault}"
        error = redact(" ".join(error.split()), self._secrets)
        return {"is": "ran", "code": code, "error": error, "seconds": time.perf_counter() - started, **numbers}

    def close(self) -> None:
        """Let go of the warehouse and of Postgres."""
        from bioreactor_lake.datasets import warehouse
        from bioreactor_lake.postgres.database import release_embedded

        warehouse.close()
        release_embedded()

    def _carry_out(self, this_run: Run, numbers: dict[str, Any]) -> None:
        from bioreactor_lake.datasets import warehouse
        from bioreactor_lake.datasets.lake_numbers import count_lake

        def count(error: BaseException | None) -> None:
            numbers.update(count_lake(this_run.catalog, this_run))

        try:
            this_run.when_ended.append(count)
            self._session().run()
        except BaseException as error:
            # Kedro's hooks are not told of signals, nor of what stops a run before its first node.
            this_run.end(error)
            raise
        finally:
            warehouse.close()
            self._say(this_run)
        published = [write for write in this_run.writes if write.table.startswith("marts.")]
        numbers["published"] = max((write.batches or 0 for write in published), default=0)

    def _session(self) -> Any:
        """A session of Kedro for one run.

        Not by `KedroSession.create`, which asks git for what nobody stores here, and with the hooks that were found
        once: Kedro looks through everything that is installed for them, which takes longer than to read the new file.
        """
        from kedro.framework.session import KedroSession
        from kedro.io.core import generate_timestamp

        if self._hooked is None:
            self._hooked = KedroSession("first", project_path=self._project, save_on_close=False)
        session: Any = copy(self._hooked)
        session.session_id = generate_timestamp()
        session._store = session._init_store()
        about = {"project_path": self._project, "session_id": session.session_id}
        if self._env:
            about["env"] = self._env
        if self._params:
            about["runtime_params"] = self._params
        session._store.update(about)
        return session

    def _configure(self) -> Message:
        """What the watch has to know."""
        from bioreactor_lake.datasets import warehouse
        from bioreactor_lake.datasets.lake_numbers import count_before_first_run

        check_parameters(self._params, str(self._project / "conf"), self._env)
        context = self._session().load_context()
        catalog = context.catalog
        folder = catalog["raw_folder"]
        self._config = folder.warehouse_config
        self._secrets = find_secrets(os.environ, context._get_config_credentials())
        parameters = context.params.get("watch") or {}
        numbers: dict[str, Any] = {}
        try:
            numbers = count_before_first_run(catalog)
        except LakeError as error:
            logger.debug("Nothing is known of the lake yet: %s", error)
        finally:
            warehouse.close()
        return {
            "raw": {**self._config["raw"]},
            "ignore": [*folder.ignore],
            "landing": str(catalog["landing_zone"].root),
            "warehouse": self._config["filepath"],
            "watch": parameters,
            **numbers,
        }

    def _wait_for_warehouse(self) -> None:
        """Open the warehouse for the run; where another process has it, wait as long as it takes, and say so."""
        from bioreactor_lake.datasets import warehouse

        said = ""
        while True:
            try:
                warehouse.connect(self._config, write=True, patience=0)
            except LockedError as error:
                if said != error.what:
                    said = error.what
                    self._tell({"is": "locked", "by": said})
                time.sleep(_LOCK_SECONDS)
                continue
            except LakeError:
                pass  # the run says it
            self._tell({"is": "running", "at": datetime.now(UTC).timestamp()})
            return

    def _say(self, this_run: Run) -> None:
        """What a run has to say that the one before did not."""
        for notice in this_run.notices:
            if notice not in self._notices:
                click.echo(notice, err=True)
        self._notices = tuple(this_run.notices)


def _sentence(ending: SystemExit) -> str:
    """What was said when a run was ended."""
    known = find_lake_error(ending.__context__)
    if known is not None:
        return str(known)
    return "" if ending.__context__ is None else " ".join(explain(ending.__context__).split())
