"""An embedded PostgreSQL server: started when first needed, shared by processes, stopped by the last of them.

Whoever uses the server holds a shared lock on `users.lock`; the kernel drops it however a process ends. Whoever leaves
tries to turn his into an exclusive one: if that works he was the last, and stops the server. Joining, starting, leaving
and stopping happen one at a time, under `lifecycle.lock`. A server left over by a process that was killed is used by
the next one, and stopped by the last one after it.

Linux and macOS. On Windows the module can be imported and `acquire` says how to use a server of one's own; nothing else
was tried there.
"""

import atexit
import contextlib
import logging
import os
import re
import secrets
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from bioreactor_lake.errors import LakeError
from bioreactor_lake.postgres import cluster, locks, placement, postmaster, startup
from bioreactor_lake.postgres.binaries import OWN_SERVER, packaged, runnable_by

_STOP_SECONDS = 60.0

logger = logging.getLogger(__name__)


class EmbeddedServer:
    """A PostgreSQL server in a folder, on 127.0.0.1, with user and database `lake`.

    Args:
        folder: Holds the data directory (or says where it is), the password, the locks, the log and the last URL.
        options: Settings of the server beside ours, by their PostgreSQL names; they count when this object starts it.
        log_file: Where the server's log goes; by default into the folder.

    """

    def __init__(self, folder: Path, *, options: Mapping[str, str] | None = None, log_file: Path | None = None) -> None:
        self.folder = folder.resolve()
        self.log_file = log_file.resolve() if log_file else self.folder / "postgres.log"
        self._options = dict(options or {})
        for name in self._options:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", name):
                raise LakeError(f"{name!r} is not the name of a PostgreSQL setting.", next_step="Correct the options.")
        self._pid = os.getpid()
        self._users: int | None = None  # the descriptor that holds our lock
        self._threads = threading.Lock()

    @property
    def password_file(self) -> Path:
        """The file with the password, readable by its owner only."""
        return self.folder / "password"

    def acquire(self) -> str:
        """Start the server unless it runs, and keep it up until `release` or the end of this process.

        Returns:
            The URL, with the password: postgresql://lake:…@127.0.0.1:port/lake

        Raises:
            LakeError: It cannot be started; the message says why and shows the end of its log.

        """
        if sys.platform == "win32":
            raise LakeError("The embedded PostgreSQL server needs Linux or macOS.", next_step=OWN_SERVER)
        self._after_fork()
        with self._threads, self._explained("started"):
            if self._users is not None and (url := self._ready_url()):
                return url
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._lifecycle():
                if self._users is None:
                    self._users = locks.share(self.folder / "users.lock")
                    atexit.register(self._release_at_exit)
                try:
                    return self._found_or_started()
                except BaseException:  # Ctrl-C too: nobody would stop a server that nobody holds
                    self._leave()
                    raise

    def release(self) -> None:
        """Give the server up; the last process to do so stops it and waits for its end."""
        self._after_fork()
        with self._threads, self._explained("stopped"):
            if self._users is not None:
                with self._lifecycle():
                    self._leave()

    def running_url(self) -> str | None:
        """Return the URL of a server that runs already, otherwise None; starts nothing."""
        if sys.platform == "win32":
            return None
        with self._explained("found"):
            return self._ready_url()

    def describe(self) -> dict[str, str]:
        """Return what can be shown and logged: never the password."""
        running = self.running_url()
        known = urlsplit(running) if running else None
        return {
            "host": cluster.HOST,
            "port": str(known.port) if known else "",
            "database": cluster.DATABASE,
            "user": cluster.USER,
            "password_file": str(self.password_file),
        }

    def __repr__(self) -> str:
        return f"EmbeddedServer({str(self.folder)!r})"

    def __enter__(self) -> str:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _after_fork(self) -> None:
        """Forget the lock of the parent in a forked child, which must neither give it up nor count as a user."""
        if self._pid != os.getpid():
            inherited, self._users = self._users, None
            self._pid, self._threads = os.getpid(), threading.Lock()
            if inherited is not None:
                os.close(inherited)  # closing a copy leaves the lock with the parent

    def _lifecycle(self) -> contextlib.AbstractContextManager[None]:
        return locks.exclusively(self.folder / "lifecycle.lock", startup.START_SECONDS + _STOP_SECONDS)

    def _release_at_exit(self) -> None:
        if self._pid == os.getpid():
            try:
                self.release()
            except LakeError as error:
                logger.warning("%s", error)

    def _leave(self) -> None:
        """Drop our lock, and stop the server if nobody else holds one; under the lifecycle lock."""
        users, self._users = self._users, None
        atexit.unregister(self._release_at_exit)
        if users is None:
            return
        try:
            place = placement.existing(self.folder)
            running = postmaster.find(place.pgdata) if place else None
            if running and locks.is_last(users) and not postmaster.stop(running.pid, _STOP_SECONDS):
                raise LakeError(
                    f"The Postgres server in {self.folder} (process {running.pid}) does not stop.",
                    kept="Its data are safe.",
                    next_step=f"Look into {self.log_file}; kill -9 {running.pid} loses no committed row.",
                )
        finally:
            locks.unlock(users)

    def _ready_url(self) -> str | None:
        place = placement.existing(self.folder)
        running = postmaster.find(place.pgdata) if place else None
        password = self._password()
        return self._url(running.port, password) if running and running.is_ready and password else None

    def _found_or_started(self) -> str:
        place = placement.existing(self.folder)
        password = self._password()
        while place and (running := postmaster.find(place.pgdata)):  # perhaps still starting or stopping
            ready = startup.until_ready(place.pgdata, running.pid, self.log_file)
            if ready and not password:
                raise LakeError(
                    f"The password file {self.password_file} is gone while the server runs.",
                    next_step="End the processes that use it; the next start sets a new password.",
                )
            if ready and password:
                cluster.shorten_log(self.log_file)
                return self._url(ready.port, password)
        return self._started(place, password)

    def _started(self, place: placement.Placement | None, password: str | None) -> str:
        binaries = packaged()
        fresh = None if place else placement.choose(self.folder, lambda pgdata: postmaster.find(pgdata) is not None)
        target = place or fresh
        assert target is not None
        if target.account:
            binaries = runnable_by(binaries, target.account)
        if fresh or not password:
            password = password or secrets.token_urlsafe(24)
            if fresh:
                cluster.initialise(binaries, fresh, password)
            else:
                cluster.set_password(binaries, target, password)
            locks.write_private(self.password_file, f"{password}\n")
        free_ports = startup.ports(self.folder, self._last_port())
        port = startup.start(binaries, target, self._options, self.log_file, free_ports)
        url = self._url(port, password)
        locks.write_private(self.folder / "url", f"{url}\n")
        return url

    def _last_port(self) -> int | None:
        try:
            return urlsplit((self.folder / "url").read_text().strip()).port
        except (FileNotFoundError, ValueError):
            return None

    def _password(self) -> str | None:
        try:
            return self.password_file.read_text().strip() or None
        except FileNotFoundError:
            return None

    @staticmethod
    def _url(port: int, password: str) -> str:
        return f"postgresql://{cluster.USER}:{password}@{cluster.HOST}:{port}/{cluster.DATABASE}"

    @contextlib.contextmanager
    def _explained(self, action: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LakeError(
                f"The Postgres server in {self.folder} could not be {action}: {error}.",
                next_step=f"If the folder belongs to another user, run as that user. Or: {OWN_SERVER}",
            ) from error
