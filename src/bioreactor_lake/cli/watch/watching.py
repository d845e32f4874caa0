"""The watch itself: hears of files, has its worker make runs, and starts another worker where one is gone.

It does little, so that nothing happens to it: no data, no DuckDB and no Postgres are in this process.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bioreactor_lake.cli.watch.arrivals import Arrivals
from bioreactor_lake.cli.watch.channel import Message
from bioreactor_lake.cli.watch.listening import Listener, Poller
from bioreactor_lake.cli.watch.schedule import Schedule
from bioreactor_lake.cli.watch.settings import WatchSettings
from bioreactor_lake.cli.watch.state import SUCCESSES, WatchState
from bioreactor_lake.cli.watch.worker_process import WorkerProcess
from bioreactor_lake.errors import LakeError
from bioreactor_lake.landing.zone import is_landed_file
from bioreactor_lake.raw_store import open_store

_TICK_SECONDS = 1.0
_BUCKET_POLL_SECONDS = 30.0
_STOP_SECONDS = 8.0
# A worker that ends sooner was not killed by a run.
_START_SECONDS = 10.0

_Event = tuple[Any, Message]


class Watch:
    """Watches the raw files of a lake.

    Args:
        state: What others may know of it.
        begin: What a worker has to know.
        configured: What the first worker said of the lake.
        settings: When runs begin.
        worker: The first worker.
        events: Where workers and listeners put what they have to say.
        say: Prints a line.
    """

    def __init__(
        self,
        state: WatchState,
        begin: Message,
        configured: Message,
        settings: WatchSettings,
        worker: WorkerProcess,
        events: queue.Queue[_Event],
        say: Callable[[str], None],
    ) -> None:
        self._state, self._begin, self._settings = state, begin, settings
        self._worker: WorkerProcess | None = worker
        self._events, self._say = events, say
        self._ready = True
        self._started_at = time.monotonic()
        self._start_at: float | None = None
        self._short_lives = 0
        self._run_began = 0.0
        self._schedule = Schedule(settings.retry_seconds, settings.longest_retry_seconds)
        store = open_store(configured["raw"])
        self._arrivals = Arrivals(store, configured["ignore"], settings.patience_seconds)
        self._look_at: float = 0.0
        self._told: dict[str, None] = {}
        self._listener = self._listen(configured["raw"]["path"])
        self._landing = self._listen_to_landing(configured)

    def go_on(self) -> None:
        """Watch until something is raised, as a signal's handler does."""
        self._listener.start()
        self._landing.start()
        self._look()
        while True:
            now = time.monotonic()
            with self._state.lock:
                self._state.ticked_at, self._state.unfinished = now, len(self._arrivals.unfinished)
            if self._schedule.is_due(now) and self._ready:
                self._begin_run()
            if self._worker is None and self._start_at is not None and now >= self._start_at:
                self._start_worker()
            try:
                who, event = self._events.get(timeout=self._until_next(now))
            except queue.Empty:
                self._tick()
                continue
            self._take(who, event)

    def stop(self) -> None:
        """End the worker, as a signal ends a run."""
        self._listener.stop()
        self._landing.stop()
        if self._worker is not None:
            self._worker.stop(_STOP_SECONDS)

    def _listen(self, path: str) -> Listener | Poller:
        def heard(paths: tuple[str, ...] | None) -> None:
            self._events.put((None, {"is": "changed", "paths": paths}))

        seconds = self._settings.poll_seconds
        if "://" in path:
            seconds = seconds or _BUCKET_POLL_SECONDS
        if seconds:
            self._say(f"Listing {path} every {seconds:g} s.")
            return Poller(heard, seconds)
        self._say(f"Watching {path}.")
        return Listener(
            Path(path),
            heard,
            quiet_seconds=self._settings.quiet_seconds,
            longest_wait_seconds=self._settings.longest_wait_seconds,
        )

    def _listen_to_landing(self, configured: dict[str, Any]) -> Listener | Poller:
        def tell(paths: tuple[str, ...] | None) -> None:
            self._events.put((None, {"is": "landed", "paths": paths}))

        path = configured["landing"]
        if "://" in path:
            from bioreactor_lake.landing.places import open_landing

            place = open_landing(path, configured["raw"])
            known: dict[str, str] = {}

            def look(_: object) -> None:
                nonlocal known
                try:
                    found = {file.path: file.key for file in place.find_files()}
                except LakeError as error:
                    self._say(f"The landing zone: {error}")
                    return
                if found != known:
                    known = found
                    tell(None)

            return Poller(look, self._settings.poll_seconds or _BUCKET_POLL_SECONDS)
        return Listener(
            Path(path),
            tell,
            quiet_seconds=self._settings.quiet_seconds,
            longest_wait_seconds=self._settings.longest_wait_seconds,
        )

    def _until_next(self, now: float) -> float:
        moments = [now + _TICK_SECONDS]
        if self._schedule.due_at is not None and self._ready:
            moments.append(self._schedule.due_at)
        if self._start_at is not None:
            moments.append(self._start_at)
        return max(0.001, min(moments) - now)

    def _take(self, who: Any, event: Message) -> None:
        what = event["is"]
        if what == "changed":
            self._hear_of(event["paths"])
            return
        if what == "landed":
            # A run that takes files in writes them into the ledger; which of them are new is for the run to find out.
            if event["paths"] is None or any(is_landed_file(path) for path in event["paths"]):
                self._schedule.change(time.monotonic())
            return
        if who is not self._worker:
            return  # the last words of one that is gone
        with self._state.lock:
            self._state.worker_heard_at = time.monotonic()
        if what == "ready":
            self._ready, self._short_lives = True, 0
        elif what == "locked":
            self._say(f"Waiting for the warehouse: {event['by']}")
            with self._state.lock:
                self._state.locked_by = event["by"]
        elif what == "running":
            with self._state.lock:
                self._state.locked_by, self._state.running_since = "", event["at"]
        elif what == "ran":
            self._end_run(event)
        elif what == "ended":
            self._lose_worker(event["code"])

    def _hear_of(self, paths: tuple[str, ...] | None) -> None:
        if paths is None:
            self._look()
            return
        try:
            if self._arrivals.look_at(paths):
                self._schedule.change(time.monotonic())
        except LakeError as error:
            self._cannot_look(error)

    def _look(self) -> None:
        """List all files."""
        self._look_at = time.monotonic() + self._settings.look_seconds
        try:
            changed = self._arrivals.look()
        except LakeError as error:
            self._cannot_look(error)
            return
        with self._state.lock:
            came_back, self._state.unreachable = bool(self._state.unreachable), ""
        if changed or came_back:
            self._schedule.change(time.monotonic())

    def _cannot_look(self, error: LakeError) -> None:
        with self._state.lock:
            said, self._state.unreachable = self._state.unreachable, error.what
        if said != error.what:
            self._say(str(error))

    def _tick(self) -> None:
        """What is done while nothing happens."""
        now = time.monotonic()
        if now >= self._look_at or self._state.unreachable:
            self._look()
        try:
            if self._arrivals.look_at_unfinished():
                self._schedule.change(now)
        except LakeError as error:
            self._cannot_look(error)
        with self._state.lock:
            silent = now - self._state.worker_heard_at
        if self._worker is not None and silent > self._settings.silent_seconds:
            self._say(f"The worker has given no sign of life for {silent:.0f} s and is killed.")
            self._worker.kill()

    def _begin_run(self) -> None:
        assert self._worker is not None
        self._schedule.begin()
        self._ready, self._run_began = False, time.monotonic()
        self._worker.run(patience_seconds=self._settings.patience_seconds)

    def _end_run(self, event: Message) -> None:
        self._ready = True
        numbers = {name: value for name, value in event.items() if name not in ("is", "code", "error", "seconds")}
        published = numbers.pop("published", 0)
        code, error = event["code"], event["error"]
        self._state.end_run(code, error, event["seconds"], numbers, time.time())
        self._schedule.end(time.monotonic(), success=code in SUCCESSES)
        if code not in SUCCESSES:
            self._say(f"The run failed, and is tried again in {self._wait():.0f} s.")
        elif published:
            held = f", {numbers['held']:,} held" if numbers.get("held") else ""
            batches = "1 batch" if published == 1 else f"{published:,} batches"
            self._say(f"{batches} in the marts after {event['seconds']:.2f} s{held}.")

    def _lose_worker(self, code: int) -> None:
        """The worker has ended: killed by the system or by a fault, or it never came so far as to work."""
        now = time.monotonic()
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        if not self._ready and self._run_began > self._started_at:
            self._state.end_run(None, f"its process ended {how}", now - self._run_began, {}, time.time())
        # What it was at work on, or was about to begin, is not done.
        self._schedule.end(now, success=False)
        self._short_lives = self._short_lives + 1 if now - self._started_at < _START_SECONDS else 0
        wait = min(2.0**self._short_lives, 60.0) if self._short_lives else 0.0
        self._say(f"The worker ended {how}: another is started, and a run is tried again in {self._wait():.0f} s.")
        self._worker, self._ready, self._start_at = None, False, now + wait

    def _start_worker(self) -> None:
        self._start_at, self._started_at = None, time.monotonic()
        with self._state.lock:
            self._state.worker_starts += 1
            self._state.worker_heard_at = time.monotonic()
        self._worker = WorkerProcess(self._begin, lambda who, message: self._events.put((who, message)))

    def _wait(self) -> float:
        due = self._schedule.due_at
        return 0.0 if due is None else max(0.0, due - time.monotonic())
