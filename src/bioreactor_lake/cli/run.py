"""`kedro run`: Kedro's own command with the lake's messages, exit codes and signals."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import KedroCliError

from bioreactor_lake.cli.console import say
from bioreactor_lake.errors import LakeError, UsageError, find_lake_error
from bioreactor_lake.logs.handlers import is_json

logger = logging.getLogger(__name__)

_HELD = 3
_DEFAULT_ENVIRONMENT = "local"

_run_pipeline: Any = kedro_run.callback


class Interrupted(BaseException):
    """A signal asked for the end; it passes every `except Exception`, so that transactions roll back on its way."""


@click.command(name="run", params=kedro_run.params)
def run(**options: Any) -> None:
    """Run the pipeline, or the part of it that the options name.

    Exit codes: 0 done, 1 failed, 2 usage, 3 done with batches held, 4 the warehouse was locked for too long, 130 and
    143 interrupted.
    """
    # A run makes little garbage, and modules and expressions that stay: looking through them again and again takes a
    # tenth of a run that finds nothing to do.
    gc.set_threshold(100_000, 50, 1000)

    from bioreactor_lake.cli.alerting import telling
    from bioreactor_lake.cli.summary import print_held, print_summary
    from bioreactor_lake.datasets import warehouse
    from bioreactor_lake.lake.runs import running
    from bioreactor_lake.postgres.database import release_embedded

    with running() as this_run, telling(this_run, options), exit_codes():
        try:
            _check(options)
            try:
                _run_pipeline(**options)
            except (ValueError, KedroCliError) as error:
                # Until the catalog is there, a plain ValueError of Kedro is about what the command named.
                if this_run.catalog is None and type(error) in (ValueError, KedroCliError):
                    raise UsageError(str(error), next_step="See: kedro registry list, kedro run --help") from error
                raise
            except BaseException as error:
                # Kedro's hooks are not told of signals, nor of what stops a run before its first node.
                this_run.end(error)
                raise
            finally:
                warehouse.close()
                # What is tried again says the same again.
                for notice in dict.fromkeys(this_run.notices):
                    say(notice)
            print_summary(this_run)
        finally:
            release_embedded()
        if this_run.held or this_run.failing_tables:
            print_held(this_run)
            sys.exit(_HELD)


def _check(options: dict[str, Any]) -> None:
    from bioreactor_lake.hooks import refused

    if options["pipeline"] and not options["pipelines"]:
        # The option that people know; Kedro warns of it at every run.
        options |= {"pipeline": None, "pipelines": [options["pipeline"]]}
    if options["is_async"] or options["runner_params"].get("is_async"):
        raise refused("--async")
    if (runner := options["runner"]) and runner.rpartition(".")[2] != "SequentialRunner":
        raise refused(f"--runner {runner}")
    source = Path(options["conf_source"] or "conf")
    environment = options["env"] or os.environ.get("KEDRO_ENV") or _DEFAULT_ENVIRONMENT
    if source.is_dir() and not (source / environment).is_dir():
        names = ", ".join(sorted(path.name for path in source.iterdir() if path.is_dir()))
        raise UsageError(f"There is no environment {environment!r} in {source}.", next_step=f"Use one of: {names}.")
    if options["params"]:
        check_parameters(options["params"], str(source), environment)


def check_parameters(given: dict[str, Any], source: str, environment: str | None) -> None:
    """Refuse parameters that the configuration does not have: a slip would be passed over in silence."""
    from difflib import get_close_matches

    from kedro.config import MissingConfigException, OmegaConfigLoader
    from kedro.framework.project import settings

    arguments = dict(settings.CONFIG_LOADER_ARGS)
    arguments["default_run_env"] = environment
    try:
        known = OmegaConfigLoader(source, **arguments)["parameters"]
    except (MissingConfigException, ValueError):
        return  # the run itself says what is wrong with the configuration
    for name in given:
        if name not in known:
            near = get_close_matches(name, list(known)) or sorted(known)
            raise UsageError(f"There is no parameter {name!r}.", next_step=f"Did you mean {' or '.join(near)}?")


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn errors and signals into the message and exit code that schedulers and people rely on."""
    received: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        received.append(number)
        _interrupt_warehouse()
        raise Interrupted

    previous = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except SystemExit:
        # Said already, by a block within.
        raise
    except BaseException as error:
        if received:
            # DuckDB turns what the handler raises into an error of its own: the note is what counts.
            word = "Interrupted" if received[0] == signal.SIGINT else "Terminated"
            _end(f"{word}: what was being written was rolled back.", 128 + received[0])
        known = find_lake_error(error) if isinstance(error, Exception) else None
        if known is None and (cause := _find_duckdb_error(error)) is not None:
            known = LakeError(
                f"The warehouse could not be read or written: {cause}",
                kept="What was being written was rolled back.",
                next_step="Check the disk's space, then run again."
                if "No space left" in str(cause)
                else "Check the disk and the warehouse file. It can be deleted: "
                "kedro run rebuilds it from the raw files.",
            )
        if known is None:
            if not is_json():
                raise
            logger.critical("%s: %s", type(error).__name__, error, exc_info=True)
            sys.exit(1)
        _end(str(known), known.exit_code)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _interrupt_warehouse() -> None:
    # Nothing is imported in the middle of whatever a signal met, which may be this very import.
    interrupt = getattr(sys.modules.get("bioreactor_lake.datasets.warehouse"), "interrupt", None)
    if interrupt is not None:
        interrupt()


def _end(message: str, code: int) -> None:
    say(message, level=logging.ERROR if code else logging.WARNING)
    sys.exit(code)


def _find_duckdb_error(error: BaseException | None) -> BaseException | None:
    import duckdb

    while error is not None and not isinstance(error, duckdb.Error):
        error = error.__cause__ or error.__context__
    return error
