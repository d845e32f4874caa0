"""`kedro lake watch`: a run whenever files arrive."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run

_STOP_SECONDS = 8.0
# As `kedro run` has them.
_SHARED = [option for option in kedro_run.params if option.name in ("env", "params")]


class _Ended(BaseException):
    """A signal asked for the end."""


@click.command(params=[*_SHARED])
@click.option("--poll", type=click.FloatRange(min=0.1), metavar="SECONDS", help="List the raw files so often: for NFS.")
@click.option("--port", type=click.IntRange(0, 65535), help="Of /healthz, /readyz and /metrics; 0: any free one.")
@click.option("--host", help="The address that they are answered at.  [default: 127.0.0.1]")
def watch(env: str | None, params: dict[str, Any], poll: float | None, port: int | None, host: str | None) -> None:
    """Run whenever raw files arrive, until Ctrl-C.

    The first run takes in what came while nobody watched. A file that is not whole is waited for. A run that fails is
    tried again after a while, and when files change. The warehouse is closed between runs, so that `kedro run`,
    notebooks and others can have it. When runs begin is configured in conf/*/parameters_watch.yml.

    Exit codes: 130 and 143 ended by a signal, 2 usage, 1 it could not begin.
    """
    from bioreactor_lake.errors import LakeError

    try:
        _confirm_installed()
        _watch(env, params, {"poll_seconds": poll, "port": port, "host": host})
    except LakeError as error:
        click.secho(str(error), err=True, fg="red")
        sys.exit(error.exit_code)


def _watch(env: str | None, params: dict[str, Any], given: dict[str, Any]) -> None:
    import queue

    from kedro.utils import find_kedro_project

    from bioreactor_lake.cli.watch.one_watch import only_watch_of
    from bioreactor_lake.cli.watch.server import serve
    from bioreactor_lake.cli.watch.settings import WatchSettings
    from bioreactor_lake.cli.watch.state import WatchState
    from bioreactor_lake.cli.watch.watching import Watch
    from bioreactor_lake.cli.watch.worker_process import WorkerProcess
    from bioreactor_lake.errors import LakeError

    received: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        received.append(number)
        # Ending takes a moment, in which another signal changes nothing.
        for one in _signals():
            signal.signal(one, signal.SIG_IGN)
        raise _Ended

    for one in _signals():
        signal.signal(one, end)
    events: queue.Queue[Any] = queue.Queue()
    begin = {"project": str(find_kedro_project(Path.cwd()) or Path.cwd()), "env": env, "params": params}
    state = WatchState(worker_starts=1)
    worker = WorkerProcess(begin, lambda who, message: events.put((who, message)))
    watching: Watch | None = None

    def stop() -> None:
        if watching is None:
            worker.stop(_STOP_SECONDS)
        else:
            watching.stop()

    try:
        while (configured := events.get()[1])["is"] != "ready":
            if configured["is"] == "ended":
                sys.exit(configured["code"] or 1)  # it has said why
        settings = WatchSettings.read(configured["watch"], given)
        with only_watch_of(Path(configured["warehouse"])):
            server = serve(state, settings.host, settings.port)
            address = f"http://{settings.host}:{server.server_address[1]}"
            _say(f"Answering at {address}/healthz, {address}/readyz and {address}/metrics.")
            numbers = ("rows", "batches", "files", "quarantined", "held", "newest", "up_to_date")
            state.numbers.update({name: configured[name] for name in numbers if name in configured})
            watching = Watch(state, begin, configured, settings, worker, events, _say)
            watching.go_on()
    except _Ended:
        stop()
        word = "Interrupted" if received[0] == signal.SIGINT else "Terminated"
        click.secho(f"{word}: what was being written was rolled back.", err=True, fg="yellow")
        sys.exit(128 + received[0])
    except LakeError:
        stop()
        raise


def _confirm_installed() -> None:
    from importlib.util import find_spec

    from bioreactor_lake.errors import LakeError

    if missing := [name for name in ("watchfiles", "prometheus_client") if find_spec(name) is None]:
        raise LakeError(
            f"What a watch needs is not installed: {', '.join(missing)}.",
            kept="Nothing was changed.",
            next_step="pip install 'bioreactor-lake[watch]', or: pip install --require-hashes -r requirements.lock",
        )


def _signals() -> list[signal.Signals]:
    return [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def _say(line: str) -> None:
    from datetime import datetime

    click.echo(f"{datetime.now().astimezone():%H:%M:%S}  {line}")
    sys.stdout.flush()
